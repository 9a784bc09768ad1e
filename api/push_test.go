package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
	"saaf/dnd"
	"saaf/intake"
)

// nested is an object of so many levels, objects and lists in turn.
func nested(levels int) string {
	inner := "1"
	for i := levels; i > 0; i-- {
		if i%2 == 1 {
			inner = `{"}]\"":` + inner + "}"
		} else {
			inner = "[" + inner + "]"
		}
	}
	return inner
}

// sized is an object of so many bytes, white space included.
func sized(bytes int) string {
	const empty = `{ "note" : "" }`
	return `{ "note" : "` + strings.Repeat("x", bytes-len(empty)) + `" }`
}

// quoted is a string of n characters that have three bytes each.
func quoted(n int) string { return `"` + strings.Repeat("आ", n) + `"` }

// Each case is the members beside a right phone, unless it names a phone itself,
// and the fields of the 422; none means 201.
func TestPushFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	for i, tc := range []struct {
		members string
		wrong   []string
	}{
		{``, nil},
		{`"name":null,"email":null,"external_id":null,"metadata":null`, nil},
		{`"name":"","email":"","external_id":"","metadata":{}`, nil},
		{`"name":` + quoted(200), nil},
		{`"name":` + quoted(201), []string{"body.name value_error.any_str.max_length"}},
		{`"name":"` + strings.Repeat(`\ud83d\ude00`, 200) + `"`, nil},
		{`"name":"` + strings.Repeat(`\ud83d\ude00`, 201) + `"`, []string{"body.name value_error.any_str.max_length"}},
		{`"name":"` + strings.Repeat("x", 1<<20) + `"`, []string{"body.name value_error.any_str.max_length"}},
		{`"name":7`, []string{"body.name type_error.str"}},
		{`"name":["a"]`, []string{"body.name type_error.str"}},
		{`"name":"a\u0000b"`, []string{"body value_error.nul"}},
		{`"email":` + quoted(320), nil},
		{`"email":` + quoted(321), []string{"body.email value_error.any_str.max_length"}},
		{`"email":"not an address, and not judged"`, nil},
		{`"email":true`, []string{"body.email type_error.str"}},
		{`"email":"\u0000"`, []string{"body value_error.nul"}},
		{`"external_id":` + quoted(200), nil},
		{`"external_id":` + quoted(201), []string{"body.external_id value_error.any_str.max_length"}},
		{`"external_id":7`, []string{"body.external_id type_error.str"}},
		{`"external_id":"7\u0000"`, []string{"body value_error.nul"}},
		{`"metadata":` + sized(16<<10), nil},
		{`"metadata":` + sized(16<<10+1), []string{"body.metadata value_error.metadata.size"}},
		{`"metadata":` + sized(1<<20), []string{"body.metadata value_error.metadata.size"}},
		{`"metadata":` + nested(32), nil},
		{`"metadata":` + nested(33), []string{"body.metadata value_error.metadata.depth"}},
		{`"metadata":{"a":"` + strings.Repeat("[{", 100) + `"}`, nil},
		{`"metadata":"{}"`, []string{"body.metadata type_error.dict"}},
		{`"metadata":[]`, []string{"body.metadata type_error.dict"}},
		{`"metadata":0`, []string{"body.metadata type_error.dict"}},
		{`"metadata":{"nul":"\u0000"}`, nil},

		{`"phone":null`, []string{"body.phone type_error.str"}},
		{`"phone":9876543210`, []string{"body.phone type_error.str"}},
		{`"phone":{"number":"9876543210"}`, []string{"body.phone type_error.str"}},
		{`"phone":""`, []string{"body.phone value_error.phone.length"}},
		{`"phone":"9876"`, []string{"body.phone value_error.phone.length"}},
		{`"phone":"` + strings.Repeat("9", 21) + `"`, []string{"body.phone value_error.phone.length"}},
		{`"phone":"98765\u000043210"`, []string{"body.phone value_error.phone.invalid_character"}},
		{`"phone":"invalid"`, []string{"body.phone value_error.phone.invalid_character"}},
		{`"phone":"+12025550123"`, []string{"body.phone value_error.phone.international"}},
		{`"phone":"1800123456"`, []string{"body.phone value_error.phone.service_number"}},
		{`"phone":"987654321"`, []string{"body.phone value_error.phone.digit_count"}},
		{`"phone":"02228765432"`, []string{"body.phone value_error.phone.not_mobile_range"}},

		{`"phone":"9876","name":1,"email":1,"external_id":1,"metadata":1`, []string{"body.phone value_error.phone.length",
			"body.name type_error.str", "body.email type_error.str", "body.external_id type_error.str", "body.metadata type_error.dict"}},
		{`"phone":"9876","name":` + quoted(201), []string{"body.phone value_error.phone.length", "body.name value_error.any_str.max_length"}},
		{`"phone":7,"metadata":` + nested(33), []string{"body.phone type_error.str", "body.metadata value_error.metadata.depth"}},
	} {
		members := tc.members
		if !strings.Contains(members, `"phone":`) {
			members = strings.TrimRight(fmt.Sprintf(`"phone":"98%08d",%s`, i, members), ",")
		}
		a := b.do("POST", "/campaigns/"+campaign+"/leads", "{"+members+"}")
		if tc.wrong == nil {
			if a.status != 201 {
				t.Errorf("%.60s: %d %.300s", tc.members, a.status, a.body)
			}
			continue
		}
		if diff := cmp.Diff(tc.wrong, a.fields()); a.status != 422 || diff != "" {
			t.Errorf("%.60s: %d, %s", tc.members, a.status, diff)
		}
	}
}

func TestPushBodies(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxBody = 300 })
	campaign := b.campaign()
	for body, want := range map[string]string{
		`{}`:                             "422 body.phone value_error.missing",
		`{"Phone":"9876543210"}`:         "422 body.phone value_error.missing",
		`{"phone ":"9876543210"}`:        "422 body.phone value_error.missing",
		`[{"phone":"9876543210"}]`:       "422 body type_error.dict",
		`"9876543210"`:                   "422 body type_error.dict",
		`null`:                           "422 body type_error.dict",
		"":                               "400 malformed",
		"\n":                             "400 malformed",
		`phone=9876543210`:               "400 malformed",
		`{"phone":"9876543210"} {}`:      "400 malformed",
		`{"phone":"9876543210"`:          "400 malformed",
		"{\"phone\":\"98765\xff43210\"}": "400 malformed",
		"{\"phone\":\"9876543210\",\"metadata\":{\"a\":\"\xed\xa0\x80\"}}": "400 malformed",
		"\ufeff{\"phone\":\"9876543210\"}":                                 "400 malformed",
		`{"phone":"9876543210","name":"` + strings.Repeat("x", 300) + `"}`: "413 too_large",
	} {
		a := b.do("POST", "/campaigns/"+campaign+"/leads", body)
		got := fmt.Sprint(a.status, " ")
		if a.status == 422 {
			got += strings.Join(a.fields(), ", ")
		} else {
			got += a.text("code")
		}
		if got != want {
			t.Errorf("%.60q: %s, want %s", body, got, want)
		}
	}
	if got := b.do("GET", "/campaigns/"+campaign+"/leads", "").is(200).body; got != "{\"items\":[],\"next\":null}\n" {
		t.Errorf("something was stored: %s", got)
	}
}

// A limit of one body above that of all of them lifts the latter.
func TestLargestBodyGetsIn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxBody, c.MaxInFlight = 2000, 1000 })
	path := "/campaigns/" + b.campaign() + "/leads"
	for _, length := range []int64{2000, -1} {
		b.do("POST", path, fmt.Sprintf("%-2000s", `{"phone":"9876"}`), func(r *http.Request) { r.ContentLength = length }).wrong("body.phone", "value_error.phone.length")
	}
}

func TestPushContentTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	for i, tc := range []struct {
		header, value string
		status        int
	}{
		{"Content-Type", "", 201},
		{"Content-Type", "application/json", 201},
		{"Content-Type", "application/json; charset=utf-8", 201},
		{"Content-Type", "text/plain", 415},
		{"Content-Type", "application/x-www-form-urlencoded", 415},
		{"Content-Type", "application/json; charset=utf-16", 415},
		{"Content-Encoding", "gzip", 415},
	} {
		a := b.do("POST", "/campaigns/"+campaign+"/leads", fmt.Sprintf(`{"phone":"98%08d"}`, i), with(tc.header, tc.value))
		if a.status != tc.status {
			t.Errorf("%s %q: %d %s", tc.header, tc.value, a.status, a.body)
		}
	}
}

// A member that is given twice counts as its last value, also when an earlier one
// is wrong, and however its name is spelt in JSON.
func TestPushLastMemberCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	a := b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":7,"metadata":[],"name":"first","name":7,"email":"a","external_id":"a",
		"\u0070hone":"9876543210","name":"last","metadata":{"n":1},"email":null,"metadata":{"n":2},"external\u005fid":"b"}`).is(201)
	for member, want := range map[string]string{
		"phone": `"9876543210"`, "name": `"last"`, "email": "null", "metadata": `{"n":2}`, "external_id": `"b"`, "warnings": "",
	} {
		if got := a.raw(member); got != want {
			t.Errorf("%s is %s, want %s", member, got, want)
		}
	}
	b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"9876543211","phone":"1"}`).wrong("body.phone", "value_error.phone.length")
	b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"9876543211","phone":null}`).wrong("body.phone", "type_error.str")
	b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"9876543211","name":"x","name":1}`).wrong("body.name", "type_error.str")
}

func TestPushWarnings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	phone := 0
	push := func(members string) []string {
		t.Helper()
		phone++
		a := b.do("POST", "/campaigns/"+campaign+"/leads", fmt.Sprintf(`{%s,"phone":"98%08d"}`, members, phone)).is(201)
		var warnings []string
		if raw := a.object()["warnings"]; raw != nil {
			if err := json.Unmarshal(raw, &warnings); err != nil {
				t.Error(err)
			}
			if len(warnings) == 0 {
				t.Errorf("warnings that say nothing: %s", a.body)
			}
		}
		return warnings
	}
	var many, manyWarnings []string
	for i := range 30 {
		many = append(many, fmt.Sprintf(`"m%d":0`, i))
		if i < 20 {
			manyWarnings = append(manyWarnings, fmt.Sprintf(`unknown member "m%d" was ignored`, i))
		}
	}
	for _, tc := range []struct {
		members string
		want    []string
	}{
		{`"name":"x","metadata":{"unknown":1}`, nil},
		{`"Name":"x"`, []string{`unknown member "Name" was ignored`}},
		{`"status":"completed","dnd_clean":true,"id":"lead_0000000000001"`, []string{`unknown member "status" was ignored`,
			`unknown member "dnd_clean" was ignored`, `unknown member "id" was ignored`}},
		{`"x":1,"x":2,"\u0078":{"y":3}`, []string{`unknown member "x" was ignored`}},
		{`"":1,"नाम":2,"a\"b\u0007":3`, []string{`unknown member "" was ignored`, `unknown member "नाम" was ignored`, `unknown member "a\"b\a" was ignored`}},
		{`"` + strings.Repeat("न", 101) + `":1`, []string{`unknown member "` + strings.Repeat("न", 100) + `..." was ignored`}},
		{`"` + strings.Repeat("न", 100) + `":1`, []string{`unknown member "` + strings.Repeat("न", 100) + `" was ignored`}},
		{strings.Join(many, ","), manyWarnings},
	} {
		if diff := cmp.Diff(tc.want, push(tc.members)); diff != "" {
			t.Errorf("%.60s: %s", tc.members, diff)
		}
	}
}

// What the caller wrote does not decide what the lead is.
func TestPushCannotClaimAVerdict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	campaign := b.campaign()
	a := b.do("POST", "/campaigns/"+campaign+"/leads?dnd_clean=true&skip_dnd=true", `{"phone":"6000000001","status":"pending","dnd_checked":true,
		"dnd_clean":true,"dnd_reason":"not_registered","attempts":9,"metadata":{"dnd_clean":true,"skip_dnd":true}}`, with("X-Skip-DND", "true")).is(201)
	for member, want := range map[string]string{"status": `"dnd"`, "dnd_checked": "true", "dnd_clean": "false", "dnd_reason": `"ncpr_full_block"`, "attempts": "0"} {
		if got := a.raw(member); got != want {
			t.Errorf("%s is %s", member, got)
		}
	}
}

func TestPushDuplicate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	lead := b.push(campaign, "9876543210", `"name":"Asha","metadata":{"v":1}`)
	before := b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(200).body
	for _, phone := range []string{"9876543210", "+91 98765 43210", "09876543210", "९८७६५४३२१०"} {
		a := b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"`+phone+`","name":"Bina","metadata":{"v":2},"x":1}`, with("X-Request-Id", "r1"))
		want := `{"detail":"This phone is already in the campaign; the stored lead is unchanged","code":"duplicate","lead_id":"` + lead + `","request_id":"r1"}` + "\n"
		if a.status != 409 || a.body != want {
			t.Errorf("%s: %d %s", phone, a.status, a.body)
		}
	}
	if after := b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(200).body; after != before {
		t.Errorf("the lead became %s, was %s", after, before)
	}
	other := b.push(b.campaign(), "9876543210") // which is another matter
	if other == lead {
		t.Error("the same lead in two campaigns")
	}
}

func TestPushIntoEveryState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, state := range []saaf.CampaignStatus{saaf.CampaignDraft, saaf.CampaignRunning, saaf.CampaignPaused} {
		b.push(b.in(state), "9876543210")
	}
	completed := b.in(saaf.CampaignCompleted)
	for path, body := range map[string]string{"/leads": `{"phone":"9876543210"}`, "/leads:bulk": `{"leads":[{"phone":"9876543210"},{"phone":"bad"}]}`} {
		b.do("POST", "/campaigns/"+completed+path, body).fails(409, "campaign_completed",
			`"Campaign is completed: it takes no more leads. Create a new campaign and push them there."`)
	}
	if got := b.do("GET", "/campaigns/"+completed+"/leads", "").is(200).body; got != "{\"items\":[],\"next\":null}\n" {
		t.Error(got)
	}
}

func TestPushWithFixedLines(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		registry, err := dnd.NewRegistry(dnd.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.Intake = intake.NewService(c.Store, registry, nil, saaf.PhonePolicy{FixedLines: true})
	})
	campaign := b.campaign()
	lead := b.push(campaign, "022-28765432")
	a := b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(200)
	if a.text("phone") != "2228765432" {
		t.Error(a.body)
	}
	b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"5987654321"}`).wrong("body.phone", "value_error.phone.not_assigned_range")
	if got := b.do("GET", "/campaigns/"+campaign+"/leads?phone=%2B91-22-28765432", "").is(200).body; !strings.Contains(got, lead) {
		t.Errorf("the filter does not take what a push takes: %s", got)
	}
}

// A caller that goes away gets no lead half stored, and one that stays is served.
func TestPushBySomebodyWhoLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	a := b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"9876543210"}`, func(r *http.Request) {
		*r = *cancelled(r)
	})
	if a.status != 503 || a.text("code") != "cancelled" {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.push(campaign, "9876543210")
}

// The first of many who push the same phone at once is stored, and the others
// hear of it.
func TestPushSamePhoneAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	key := b.newKey(auth.KeySpec{})
	answers := make(chan answer, 20)
	for i := range cap(answers) {
		go func() {
			phone := []string{"9876543210", "+91 98765 43210"}[i%2]
			answers <- b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"`+phone+`"}`, as(key))
		}()
	}
	var made, known []string
	for range cap(answers) {
		switch a := <-answers; a.status {
		case 201:
			made = append(made, a.text("id"))
		case 409:
			known = append(known, a.text("lead_id"))
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if len(made) != 1 || slices.ContainsFunc(known, func(id string) bool { return id != made[0] }) {
		t.Errorf("made %q, known %q", made, known)
	}
}
