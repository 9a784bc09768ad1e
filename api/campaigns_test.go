package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
)

// settingCase is one member of a campaign: what is sent, and how it comes back or
// the field of the 422.
type settingCase struct{ member, sent, back string }

var settings = []settingCase{
	{"name", `"x"`, `"x"`},
	{"name", `" दिवाली <&> "`, `" दिवाली <&> "`},
	{"name", quoted(200), quoted(200)},
	{"name", quoted(201), "body.name value_error.any_str.max_length"},
	{"name", `""`, "body.name value_error.any_str.min_length"},
	{"name", `" \t\n"`, "body.name value_error.any_str.min_length"},
	{"name", `"a\u0000"`, "body.name value_error.nul"},
	{"name", `null`, "body.name type_error.str"},
	{"name", `7`, "body.name type_error.str"},
	{"name", `["x"]`, "body.name type_error.str"},

	{"dial_mode", `"preview"`, `"preview"`},
	{"dial_mode", `"progressive"`, `"progressive"`},
	{"dial_mode", `"predictive"`, `"predictive"`},
	{"dial_mode", `"Preview"`, "body.dial_mode type_error.enum"},
	{"dial_mode", `""`, "body.dial_mode type_error.enum"},
	{"dial_mode", `null`, "body.dial_mode type_error.str"},
	{"dial_mode", `{}`, "body.dial_mode type_error.str"},

	{"voice_agent_id", `"va_1"`, `"va_1"`},
	{"voice_agent_id", `null`, `null`},
	{"voice_agent_id", quoted(64), quoted(64)},
	{"voice_agent_id", quoted(65), "body.voice_agent_id value_error.any_str.max_length"},
	{"voice_agent_id", `"\u0000"`, "body.voice_agent_id value_error.nul"},
	{"voice_agent_id", `1`, "body.voice_agent_id type_error.str"},

	{"post_answer_action", `"connect_agent"`, `"connect_agent"`},
	{"post_answer_action", `"connect_voice_agent"`, `"connect_voice_agent"`},
	{"post_answer_action", `"run_flow"`, `"run_flow"`},
	{"post_answer_action", `null`, `"connect_agent"`},
	{"post_answer_action", `"hang_up"`, "body.post_answer_action type_error.enum"},
	{"post_answer_action", `true`, "body.post_answer_action type_error.str"},

	{"predictive_target_abandon", `0`, `0`},
	{"predictive_target_abandon", `0.03`, `0.03`},
	{"predictive_target_abandon", `3e-2`, `0.03`},
	{"predictive_target_abandon", `null`, `null`},
	{"predictive_target_abandon", `0.030000001`, "body.predictive_target_abandon value_error.number.not_le"},
	{"predictive_target_abandon", `-0.001`, "body.predictive_target_abandon value_error.number.not_ge"},
	{"predictive_target_abandon", `"0.01"`, "body.predictive_target_abandon type_error.float"},
	{"predictive_target_abandon", `1e999`, "body.predictive_target_abandon type_error.float"},

	{"predictive_max_wait_s", `0`, `0`},
	{"predictive_max_wait_s", `2.5`, `2.5`},
	{"predictive_max_wait_s", `null`, `null`},
	{"predictive_max_wait_s", `-1`, "body.predictive_max_wait_s value_error.number.not_ge"},
	{"predictive_max_wait_s", `1e300`, "body.predictive_max_wait_s value_error.number.not_le"},
	{"predictive_max_wait_s", `[]`, "body.predictive_max_wait_s type_error.float"},

	{"predictive_min_ratio", `1.5`, `1.5`},
	{"predictive_min_ratio", `null`, `null`},
	{"predictive_min_ratio", `-1`, "body.predictive_min_ratio value_error.number.not_ge"},
	{"predictive_min_ratio", `"1"`, "body.predictive_min_ratio type_error.float"},
	{"predictive_max_ratio", `3`, `3`},
	{"predictive_max_ratio", `null`, `null`},
	{"predictive_max_ratio", `-1`, "body.predictive_max_ratio value_error.number.not_ge"},
	{"predictive_max_ratio", `false`, "body.predictive_max_ratio type_error.float"},

	{"max_attempts", `1`, `1`},
	{"max_attempts", `20`, `20`},
	{"max_attempts", `null`, `3`},
	{"max_attempts", `0`, "body.max_attempts value_error.number.not_ge"},
	{"max_attempts", `21`, "body.max_attempts value_error.number.not_le"},
	{"max_attempts", `2.5`, "body.max_attempts type_error.integer"},
	{"max_attempts", `"3"`, "body.max_attempts type_error.integer"},
	{"max_attempts", `99999999999999999999`, "body.max_attempts type_error.integer"},

	{"retry_delay_s", `1`, `1`},
	{"retry_delay_s", `604800`, `604800`},
	{"retry_delay_s", `null`, `3600`},
	{"retry_delay_s", `0`, "body.retry_delay_s value_error.number.not_ge"},
	{"retry_delay_s", `604801`, "body.retry_delay_s value_error.number.not_le"},
	{"retry_delay_s", `1.5`, "body.retry_delay_s type_error.integer"},

	{"max_concurrent", `1`, `1`},
	{"max_concurrent", `10000`, `10000`},
	{"max_concurrent", `null`, `null`},
	{"max_concurrent", `0`, "body.max_concurrent value_error.number.not_ge"},
	{"max_concurrent", `10001`, "body.max_concurrent value_error.number.not_le"},
	{"max_concurrent", `"all"`, "body.max_concurrent type_error.integer"},

	{"caller_id", `"+911140001234"`, `"+911140001234"`},
	{"caller_id", `null`, `null`},
	{"caller_id", quoted(32), quoted(32)},
	{"caller_id", quoted(33), "body.caller_id value_error.any_str.max_length"},
	{"caller_id", `"\u0000"`, "body.caller_id value_error.nul"},
	{"caller_id", `1140001234`, "body.caller_id type_error.str"},

	{"calling_window", `null`, `null`},
	{"calling_window", `{"start":"09:00","end":"21:00"}`, `{"start":"09:00","end":"21:00","days":[1,2,3,4,5,6,7]}`},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[5,1]}`, `{"start":"10:00","end":"18:00","days":[5,1]}`},
	{"calling_window", `{"start":"20:59","end":"21:00","days":[7]}`, `{"start":"20:59","end":"21:00","days":[7]}`},
	{"calling_window", `{"start":7,"start":"10:00","end":"1","end":"18:00","days":"all","days":[1]}`, `{"start":"10:00","end":"18:00","days":[1]}`},
	{"calling_window", `{"start":"08:59","end":"18:00"}`, "body.calling_window.start value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"21:01"}`, "body.calling_window.end value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"24:00"}`, "body.calling_window.end value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"10:00"}`, "body.calling_window.end value_error.calling_window"},
	{"calling_window", `{"start":"18:00","end":"10:00"}`, "body.calling_window.end value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[]}`, "body.calling_window.days value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[0]}`, "body.calling_window.days value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[8]}`, "body.calling_window.days value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[1,2,1]}`, "body.calling_window.days value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[null]}`, "body.calling_window.days value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[1.5]}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":["Monday"]}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":null}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"10:00","end":"18:00","days":[1],"days":1}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"10:00","start":null,"end":"18:00"}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"9:30","end":"18:00"}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"start":"10:00"}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{"Start":"10:00","end":"18:00"}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `{}`, "body.calling_window value_error.calling_window"},
	{"calling_window", `[]`, "body.calling_window value_error.calling_window"},
	{"calling_window", `"10:00-18:00"`, "body.calling_window value_error.calling_window"},
}

func TestSettingsOfNewCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range settings {
		body := `{"name":"Diwali","dial_mode":"preview",` + fmt.Sprintf("%q:%s", tc.member, tc.sent) + "}"
		a := b.do("POST", "/campaigns", body)
		tc.check(a, 201)
		if a.status == 201 {
			if read := b.do("GET", "/campaigns/"+a.text("id"), "").is(200); read.body != a.body {
				t.Errorf("made %s, read %s", a.body, read.body)
			}
		}
	}
}

func (tc *settingCase) check(a answer, status int) {
	a.t.Helper()
	if wrong := strings.HasPrefix(tc.back, "body."); wrong {
		if got := a.fields(); a.status != 422 || len(got) != 1 || got[0] != tc.back {
			a.t.Errorf("%s %.60s: %d %q, want %s", tc.member, tc.sent, a.status, got, tc.back)
		}
		return
	}
	if a.status != status || a.raw(tc.member) != tc.back {
		a.t.Errorf("%s %.60s: %d %s", tc.member, tc.sent, a.status, a.body)
	}
}

func TestPatchOfEachSetting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const everything = `"voice_agent_id":"va_9","post_answer_action":"connect_voice_agent","predictive_target_abandon":0.02,
		"predictive_max_wait_s":9,"predictive_max_ratio":2,"max_attempts":9,"retry_delay_s":99,
		"max_concurrent":9,"calling_window":{"start":"11:00","end":"12:00"},"caller_id":"9"`
	campaign := b.campaign(everything)
	before := b.do("GET", "/campaigns/"+campaign, "").is(200)
	for _, tc := range settings {
		tc.check(b.do("PATCH", "/campaigns/"+campaign, fmt.Sprintf("{%q:%s}", tc.member, tc.sent)), 200)
		after := b.do("GET", "/campaigns/"+campaign, "").is(200).object()
		for member, was := range before.object() {
			if got := string(after[member]); member != "updated_at" && got != string(was) && (member != tc.member || got != tc.back) {
				t.Errorf("%s %.60s changed %s from %s to %s", tc.member, tc.sent, member, was, got)
			}
		}
		b.do("PATCH", "/campaigns/"+campaign, fmt.Sprintf("{%q:%s}", tc.member, before.raw(tc.member))).is(200)
	}
}

func TestNewCampaignDefaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, key := range []string{b.key, b.newKey(auth.KeySpec{Environment: saaf.Test})} {
		a := b.do("POST", "/campaigns", `{"name":"Diwali","dial_mode":"preview"}`, as(key)).is(201)
		environment := fmt.Sprintf("%q", key[3:7])
		for member, want := range map[string]string{
			"status": `"draft"`, "environment": environment, "voice_agent_id": "null", "post_answer_action": `"connect_agent"`,
			"predictive_target_abandon": "null", "predictive_max_wait_s": "null", "predictive_min_ratio": "null", "predictive_max_ratio": "null",
			"max_attempts": "3", "retry_delay_s": "3600", "max_concurrent": "null", "calling_window": "null", "caller_id": "null", "warnings": "",
			"lead_counts": `{"completed":0,"dialing":0,"dnd":0,"failed":0,"held":0,"no_answer":0,"pending":0}`,
		} {
			if got := a.raw(member); got != want {
				t.Errorf("%s is %s, want %s", member, got, want)
			}
		}
	}
}

func TestCampaignBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	existing := b.campaign()
	for _, tc := range []struct {
		body          string
		create, patch []string // fields of the 422, nil for a success
	}{
		{`{}`, []string{"body.name value_error.missing", "body.dial_mode value_error.missing"}, nil},
		{`{"name":"x"}`, []string{"body.dial_mode value_error.missing"}, nil},
		{`{"dial_mode":"preview"}`, []string{"body.name value_error.missing"}, nil},
		{`{"Name":"x","DIAL_MODE":"preview"}`, []string{"body.name value_error.missing", "body.dial_mode value_error.missing"}, nil},
		{`{"name":"","dial_mode":""}`, []string{"body.name value_error.any_str.min_length", "body.dial_mode type_error.enum"},
			[]string{"body.name value_error.any_str.min_length", "body.dial_mode type_error.enum"}},
		{`[]`, []string{"body type_error.dict"}, []string{"body type_error.dict"}},
		{`"x"`, []string{"body type_error.dict"}, []string{"body type_error.dict"}},
		// The last of several counts.
		{`{"name":7,"name":"x","dial_mode":"x","dial_mode":"preview"}`, nil, nil},
		{`{"name":"x","dial_mode":"preview","max_attempts":99,"max_attempts":5}`, nil, nil},
		{`{"name":"x","dial_mode":"preview","max_attempts":5,"max_attempts":99}`,
			[]string{"body.max_attempts value_error.number.not_le"}, []string{"body.max_attempts value_error.number.not_le"}},
		{`{"name":"x","dial_mode":"preview","max_attempts":99,"max_attempts":"x"}`,
			[]string{"body.max_attempts type_error.integer"}, []string{"body.max_attempts type_error.integer"}},
		{`{"name":"x","name":null,"dial_mode":"preview"}`, []string{"body.name type_error.str"}, []string{"body.name type_error.str"}},
		{`{"name":"x","dial_mode":"preview","calling_window":7,"calling_window":null}`, nil, nil},
		// Everything that is wrong is named at once.
		{`{"name":7,"dial_mode":"x","max_attempts":0,"caller_id":1,"calling_window":{"start":"08:00","end":"22:00","days":[]}}`,
			[]string{"body.name type_error.str", "body.caller_id type_error.str", "body.dial_mode type_error.enum", "body.max_attempts value_error.number.not_ge",
				"body.calling_window.start value_error.calling_window", "body.calling_window.end value_error.calling_window", "body.calling_window.days value_error.calling_window"},
			[]string{"body.name type_error.str", "body.caller_id type_error.str", "body.dial_mode type_error.enum", "body.max_attempts value_error.number.not_ge",
				"body.calling_window.start value_error.calling_window", "body.calling_window.end value_error.calling_window", "body.calling_window.days value_error.calling_window"}},
	} {
		for _, sent := range []struct {
			method, path string
			status       int
			wrong        []string
		}{{"POST", "/campaigns", 201, tc.create}, {"PATCH", "/campaigns/" + existing, 200, tc.patch}} {
			a := b.do(sent.method, sent.path, tc.body)
			if sent.wrong == nil {
				if a.status != sent.status {
					t.Errorf("%s %s: %d %s", sent.method, tc.body, a.status, a.body)
				}
				continue
			}
			if diff := cmp.Diff(sent.wrong, a.fields()); a.status != 422 || diff != "" {
				t.Errorf("%s %s: %d %s", sent.method, tc.body, a.status, diff)
			}
		}
	}
	for _, body := range []string{"", "{", "{} {}", "{\"name\":\"\xff\"}"} {
		b.do("POST", "/campaigns", body).is(400)
		b.do("PATCH", "/campaigns/"+existing, body).is(400)
	}
}

func TestCampaignWarnings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const unknown = `"Name":"y","status":"running","calling_window":{"start":"10:00","end":"12:00","zone":"UTC"},"status":"x"`
	const want = `["unknown member \"Name\" was ignored","unknown member \"status\" was ignored","unknown member \"calling_window.zone\" was ignored"]`
	made := b.do("POST", "/campaigns", `{"name":"x","dial_mode":"preview",`+unknown+"}").is(201)
	patched := b.do("PATCH", "/campaigns/"+made.text("id"), "{"+unknown+"}").is(200)
	for _, a := range []answer{made, patched} {
		if got := a.raw("warnings"); got != want || a.text("name") != "x" || a.text("status") != "draft" {
			t.Errorf("%s: %s", got, a.body)
		}
	}
	if got := b.do("GET", "/campaigns/"+made.text("id"), "").is(200).raw("warnings"); got != "" {
		t.Errorf("warnings of a GET: %s", got)
	}
}

// A patch is judged with what is stored beside it.
func TestPredictiveRatios(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tooLow = "value_error.number.not_ge"
	b.do("POST", "/campaigns", `{"name":"x","dial_mode":"predictive","predictive_min_ratio":2,"predictive_max_ratio":1.9}`).wrong("body.predictive_max_ratio", tooLow)
	id := b.campaign(`"predictive_min_ratio":2,"predictive_max_ratio":2`)
	path := "/campaigns/" + id
	b.do("PATCH", path, `{"predictive_max_ratio":1.9}`).wrong("body.predictive_max_ratio", tooLow)
	b.do("PATCH", path, `{"predictive_min_ratio":2.1}`).wrong("body.predictive_max_ratio", tooLow)
	b.do("PATCH", path, `{"predictive_min_ratio":3,"predictive_max_ratio":4}`).is(200)
	b.do("PATCH", path, `{"predictive_max_ratio":null}`).is(200)
	b.do("PATCH", path, `{"predictive_min_ratio":9}`).is(200)
	b.do("PATCH", path, `{"predictive_max_ratio":8}`).wrong("body.predictive_max_ratio", tooLow)
	if a := b.do("GET", path, "").is(200); a.raw("predictive_min_ratio") != "9" || a.raw("predictive_max_ratio") != "null" {
		t.Error(a.body)
	}
}

// A refused patch changes nothing, not even the time of the last change.
func TestUpdatedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		path := "/campaigns/" + b.campaign()
		times := func() [2]string {
			a := b.do("GET", path, "").is(200)
			return [2]string{a.text("created_at"), a.text("updated_at")}
		}
		time.Sleep(1500 * time.Millisecond)
		b.do("PATCH", path, `{"name":"Holi","max_attempts":0}`).is(422)
		b.do("POST", path+"/pause", "").is(409)
		b.push(strings.TrimPrefix(path, "/campaigns/"), "9876543210")
		if got, want := times(), [2]string{"2000-01-01T00:00:00.000Z", "2000-01-01T00:00:00.000Z"}; got != want {
			t.Errorf("%v, want %v", got, want)
		}
		if got := b.do("PATCH", path, `{"name":"Holi"}`).is(200).text("updated_at"); got != "2000-01-01T00:00:01.500Z" {
			t.Error(got)
		}
		time.Sleep(time.Second)
		b.do("POST", path+"/start", "").is(200)
		if got, want := times(), [2]string{"2000-01-01T00:00:00.000Z", "2000-01-01T00:00:02.500Z"}; got != want {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// Two changes at once are both made: a patch holds what it names and no more.
func TestPatchesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/campaigns/" + b.campaign()
	members := []string{`{"name":"Holi"}`, `{"max_attempts":7}`, `{"caller_id":"9"}`, `{"retry_delay_s":77}`, `{"max_concurrent":7}`}
	done := make(chan answer, len(members))
	for _, body := range members {
		go func() { done <- b.do("PATCH", path, body) }()
	}
	for range members {
		(<-done).is(200)
	}
	a := b.do("GET", path, "").is(200)
	for member, want := range map[string]string{"name": `"Holi"`, "max_attempts": "7", "caller_id": `"9"`, "retry_delay_s": "77", "max_concurrent": "7"} {
		if got := a.raw(member); got != want {
			t.Errorf("%s is %s", member, got)
		}
	}
}

func TestCampaignList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []string
	for i := range 30 {
		ids = append(ids, b.do("POST", "/campaigns", fmt.Sprintf(`{"name":"c%d","dial_mode":"preview"}`, i)).is(201).text("id"))
	}
	b.do("DELETE", "/campaigns/"+ids[3], "").is(204)
	var want []string // newest first, without the deleted one
	for i := len(ids) - 1; i >= 0; i-- {
		if i != 3 {
			want = append(want, ids[i])
		}
	}
	for _, limit := range []int{1, 7, 29, 200, 0} {
		query, size := fmt.Sprintf("?limit=%d", limit), limit
		if limit == 0 {
			query, size = "", 25 // the default
		}
		if diff := cmp.Diff(want, b.pages("/campaigns"+query, size)); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	b.do("GET", "/campaigns?status=draft", "").wrong("query.status", "value_error.unknown_parameter")
}

// pages reads a list to its end and returns the ids. All pages but the last are
// full.
func (b *bundle) pages(path string, size int) (ids []string) {
	b.t.Helper()
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	for next := ""; ; {
		url := path
		if next != "" {
			url += mark + "cursor=" + next
		}
		a := b.do("GET", url, "").is(200)
		var page struct {
			Items []struct{ ID string }
			Next  *string
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			b.t.Fatalf("%v: %s", err, a.body)
		}
		for _, item := range page.Items {
			ids = append(ids, item.ID)
		}
		if page.Next == nil {
			if n := len(page.Items); n > size || n == 0 && next != "" {
				b.t.Errorf("%s: %d on the last page", path, n)
			}
			return ids
		}
		if next = *page.Next; len(page.Items) != size || next == "" || strings.Trim(next, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			b.t.Fatalf("%s: %d on a page, next %q", path, len(page.Items), next)
		}
	}
}
