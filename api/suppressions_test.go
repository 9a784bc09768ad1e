package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
)

// suppress puts a phone on a list and returns the id. More are members of the body.
func (b *bundle) suppress(key, phone string, more ...string) string {
	b.t.Helper()
	members := append([]string{fmt.Sprintf(`"phone":%q,"reason":"asked"`, phone)}, more...)
	return b.do("POST", "/suppressions", "{"+strings.Join(members, ",")+"}", as(key)).is(201).text("id")
}

// listed are the ids that a list of suppressions holds.
func (b *bundle) listed(key, query string) []string {
	b.t.Helper()
	return b.do("GET", "/suppressions?"+query, "", as(key)).ids()
}

func TestSuppress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.fresh()
		campaign, other := b.campaign(), b.campaign()
		lead := b.push(campaign, "9876543210")
		b.push(other, "9876543210")
		a := b.do("POST", "/suppressions", `{"phone":"+91-98765 43210","reason":"rang from 91234 56789","source":"call 9123456789","expires_at":"2000-02-01T05:30:00.1239+05:30"}`).is(201)
		id := a.text("id")
		want := `{"id":"` + id + `","scope":"tenant","campaign_id":null,"environment":"live","phone":"9876543210","reason":"rang from xxxxx x6789","source":"call xxxxxx6789",` +
			`"expires_at":"2000-02-01T00:00:00.123Z","actor":` + a.raw("actor") + `,"created_at":"2000-01-01T00:00:00.000Z","updated_at":"2000-01-01T00:00:00.000Z",` +
			`"ended_at":null,"end_reason":null,"end_actor":null`
		if a.body != want+`,"leads_blocked":2}`+"\n" {
			t.Errorf("%s\n%s", a.body, want)
		}
		if got := b.do("GET", "/suppressions/"+id, "").is(200).body; got != want+"}\n" {
			t.Error(got)
		}
		if a := b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(200); a.text("status") != "dnd" || a.text("dnd_reason") != "suppressed" {
			t.Error(a.body)
		}
		// The same again, in another spelling: the one there is, and the later expiry.
		for _, tc := range []struct{ more, expires string }{
			{`,"expires_at":"2000-01-15T00:00:00Z"`, `"2000-02-01T00:00:00.123Z"`},
			{`,"expires_at":"2000-03-01T00:00:00Z","source":null`, `"2000-03-01T00:00:00.000Z"`},
			{`,"expires_at":null`, `null`},
			{`,"expires_at":"2100-01-01T00:00:00Z"`, `null`},
		} {
			a := b.do("POST", "/suppressions", `{"phone":"09876543210","reason":"again"`+tc.more+`}`).is(200)
			if a.text("id") != id || a.text("reason") != "rang from xxxxx x6789" || a.raw("expires_at") != tc.expires || a.raw("leads_blocked") != "0" {
				t.Errorf("%s: %s", tc.more, a.body)
			}
		}
		if got := b.listed(b.key, ""); !slices.Equal(got, []string{id}) {
			t.Errorf("%v", got)
		}
	})
}

func TestSuppressionScopes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	campaign, other := b.campaign(), b.campaign()
	stranger := b.newKey(auth.KeySpec{TenantID: b.newTenant("Bharat Bank")})
	theirs := b.do("POST", "/campaigns", samples["POST /campaigns"], as(stranger)).is(201).text("id")
	testKey := b.newKey(auth.KeySpec{Environment: saaf.Test})
	testing := b.do("POST", "/campaigns", samples["POST /campaigns"], as(testKey)).is(201).text("id")
	one := b.suppress(b.key, "9876543211", fmt.Sprintf(`"scope":"campaign","campaign_id":%q`, campaign))
	inferred := b.suppress(b.key, "9876543212", fmt.Sprintf(`"campaign_id":%q`, campaign))
	tenant := b.suppress(b.key, "9876543213", `"scope":"tenant"`)
	all := b.suppress(b.operator, "9876543214", `"scope":"all"`)
	tested := b.suppress(testKey, "9876543215")
	fixed := b.suppress(b.key, "011-23456789")

	// Whom each of them blocks.
	keys := map[string]string{campaign: b.key, other: b.key, testing: testKey, theirs: stranger}
	for id, want := range map[string]string{campaign: "11110", other: "00110", testing: "00111", theirs: "00010"} {
		var got strings.Builder
		for i := range 5 {
			a := b.do("POST", "/campaigns/"+id+"/leads", fmt.Sprintf(`{"phone":"987654321%d"}`, i+1), as(keys[id])).is(201)
			got.WriteString(map[string]string{"dnd": "1", "pending": "0"}[a.text("status")])
		}
		if got.String() != want {
			t.Errorf("%s blocks %s, want %s", id, got.String(), want)
		}
	}
	for _, tc := range []struct {
		key, query string
		want       []string
	}{
		{b.key, "", []string{fixed, tenant, inferred, one}},
		{b.operator, "", []string{fixed, tenant, inferred, one}},
		{b.key, "scope=tenant", []string{fixed, tenant}},
		{b.key, "campaign_id=" + campaign, []string{inferred, one}},
		{b.key, "scope=campaign&campaign_id=" + campaign, []string{inferred, one}},
		{b.key, "campaign_id=" + other, []string{}},
		{b.key, "phone=" + url.QueryEscape("+91 98765 43213"), []string{tenant}},
		{b.key, "phone=1123456789", []string{fixed}},
		{b.key, "phone=9876543214", []string{}},
		{b.operator, "scope=all", []string{all}},
		{b.operator, "scope=all&phone=9876543214", []string{all}},
		{testKey, "", []string{tested}},
		{stranger, "", []string{}},
	} {
		if diff := cmp.Diff(tc.want, b.listed(tc.key, tc.query)); diff != "" {
			t.Errorf("%s: %s", tc.query, diff)
		}
	}
	const operatorOnly = `"This route is for operator keys; make one with saaf key create --operator"`
	for _, key := range []string{b.key, testKey, stranger} {
		b.do("GET", "/suppressions?scope=all", "", as(key)).fails(403, "operator_only", operatorOnly)
		b.do("POST", "/suppressions", `{"phone":"9876543219","scope":"all","reason":"x"}`, as(key)).fails(403, "operator_only", operatorOnly)
		b.do("POST", "/suppressions", `{"scope":"all"}`, as(key)).fails(403, "operator_only", operatorOnly)
	}
	for _, method := range []string{"GET", "DELETE"} {
		b.do(method, "/suppressions/"+all+"?reason=x", "").fails(403, "operator_only", operatorOnly)
	}
	for _, id := range []string{theirs, testing, nothing.campaign, "x", "", strings.Repeat("x", 5000)} {
		b.do("POST", "/suppressions", fmt.Sprintf(`{"campaign_id":%q}`, id)).fails(404, "not_found", `"Campaign not found"`)
		b.do("POST", "/suppressions", fmt.Sprintf(`{"phone":"9876543219","reason":"x","scope":"campaign","campaign_id":%q}`, id)).fails(404, "not_found", `"Campaign not found"`)
		b.do("GET", "/suppressions?campaign_id="+id, "").fails(404, "not_found", `"Campaign not found"`)
	}
	b.do("DELETE", "/suppressions/"+all+"?reason=x", "", as(b.operator)).is(204)
	if got := b.listed(b.operator, "scope=all"); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestLiftSuppression(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	campaign := b.campaign()
	lead := b.push(campaign, "9876543210")
	id := b.suppress(b.key, "9876543210")
	path := "/suppressions/" + id
	for query, want := range map[string]string{
		"": "value_error.missing", "?reason=": "value_error.missing", "?reason=+": "value_error.missing", "?reason=%00x": "value_error.nul",
		"?reason=" + strings.Repeat("x", 501): "value_error.any_str.max_length", "?reason=%ff": "value_error.reason",
	} {
		b.do("DELETE", path+query, "").wrong("query.reason", want)
	}
	b.do("DELETE", path+"?reason=x&force=1", "").wrong("query.force", "value_error.unknown_parameter")
	b.do("DELETE", path+"?reason=x", "", as(b.newKey(auth.KeySpec{Environment: saaf.Test}))).is(404)
	if a := b.do("GET", path, "").is(200); a.raw("ended_at") != "null" {
		t.Fatalf("lifted without a reason: %s", a.body)
	}
	if a := b.do("DELETE", path+"?reason=wrote+from+9123456789", "").is(204); a.body != "" {
		t.Error(a.body)
	}
	a := b.do("GET", path, "").is(200)
	if a.raw("ended_at") == "null" || a.text("end_reason") != "wrote from xxxxxx6789" || !strings.HasPrefix(a.text("end_actor"), "key_") {
		t.Error(a.body)
	}
	if a := b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(200); a.text("status") != "held" || a.raw("dnd_clean") != "false" {
		t.Error(a.body)
	}
	b.do("DELETE", path+"?reason=x", "").is(404) // it has ended
	if got := b.listed(b.key, ""); len(got) > 0 {
		t.Errorf("%v", got)
	}
	for _, query := range []string{"ended=true", "ended=true&phone=9876543210"} {
		if got := b.listed(b.key, query); !slices.Equal(got, []string{id}) {
			t.Errorf("%s: %v", query, got)
		}
	}
	if again := b.suppress(b.key, "9876543210"); again == id {
		t.Error("the one that had ended came back")
	}
}

func TestSuppressionPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for i := range 7 {
		want = append(want, b.suppress(b.key, fmt.Sprintf("987654321%d", i)))
	}
	slices.Reverse(want)
	var got []string
	for cursor := ""; ; {
		a := b.do("GET", "/suppressions?limit=3"+cursor, "").is(200)
		got = append(got, a.ids()...)
		if a.raw("next") == "null" {
			break
		}
		cursor = "&cursor=" + a.text("next")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for query, want := range map[string]string{
		"phone=98765": "query.phone value_error.phone.digit_count", "phone=": "query.phone value_error.phone.length", "ended=1": "query.ended value_error.ended",
		"scope=none": "query.scope value_error.scope", "scope=campaign": "query.campaign_id value_error.missing", "limit=201": "query.limit value_error.limit",
		"cursor=x": "query.cursor value_error.cursor", "status=x": "query.status value_error.unknown_parameter",
	} {
		loc, typ, _ := strings.Cut(want, " ")
		b.do("GET", "/suppressions?"+query, "").wrong(loc, typ)
	}
	campaign := b.campaign()
	b.do("GET", "/suppressions?scope=tenant&campaign_id="+campaign, "").wrong("query.campaign_id", "value_error.scope")
}

func TestSuppressMany(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	campaign := b.campaign()
	b.push(campaign, "9876543210")
	there := b.suppress(b.key, "9876543219")
	gone := b.campaign()
	b.do("DELETE", "/campaigns/"+gone, "").is(204)
	row := func(rest string) string { return `{"phone":"9876543211","reason":"x",` + rest + `}` }
	cases := [][2]string{ // the row, and what is said of it; "added" and "exists" stand for an id
		{`{"phone":"+91 98765 43210","reason":"x"}`, `"+91 98765 43210" added 1`},
		{`7`, `null not_an_object`}, {`null`, `null not_an_object`}, {`[]`, `null not_an_object`}, {`{}`, `null phone_missing`},
		{`{"phone":9876543210,"reason":"x"}`, `9876543210 phone_type`},
		{`{"phone":{"a":[1]},"reason":"x"}`, `{"a":[1]} phone_type`},
		{`{"phone":"invalid","reason":"x"}`, `"invalid" invalid_character`},
		{`{"phone":"9876543211"}`, `"9876543211" reason_missing`},
		{`{"phone":"9876543211","reason":7}`, `"9876543211" reason_type`},
		{`{"phone":"9876543211","reason":"\u0000"}`, `"9876543211" nul`},
		{`{"phone":"9876543211","reason":"` + strings.Repeat("x", 501) + `"}`, `"9876543211" reason_length`},
		{row(`"source":7`), `"9876543211" source_type`},
		{row(`"source":"` + strings.Repeat("x", 201) + `"`), `"9876543211" source_length`},
		{row(`"scope":"x"`), `"9876543211" scope_unknown`},
		{row(`"scope":7`), `"9876543211" scope_type`},
		{row(`"scope":"all"`), `"9876543211" operator_only`},
		{row(`"scope":"campaign"`), `"9876543211" campaign_id_missing`},
		{row(`"scope":"tenant","campaign_id":"x"`), `"9876543211" campaign_id_scope`},
		{row(`"campaign_id":7`), `"9876543211" campaign_id_type`},
		{row(`"campaign_id":"x"`), `"9876543211" campaign_not_found`},
		{row(`"campaign_id":"` + gone + `"`), `"9876543211" campaign_not_found`},
		{row(`"expires_at":"x"`), `"9876543211" expires_at_datetime`},
		{row(`"expires_at":"2000-01-01T00:00:00Z"`), `"9876543211" expires_at_past`},
		{row(`"campaign_id":"` + campaign + `"`), `"9876543211" added 0`},
		{row(`"scope":"tenant","phone":"9876543212","colour":"red"`), `"9876543212" added 0`},
		{`{"phone":"09876543210","reason":"again"}`, `"09876543210" exists 0`},
		{`{"phone":"9876543219","reason":"again"}`, `"9876543219" exists 0`},
	}
	var rows []string
	for _, tc := range cases {
		rows = append(rows, tc[0])
	}
	a := b.do("POST", "/suppressions:bulk", `{"suppressions":[`+strings.Join(rows, ",")+`],"colour":1}`).is(200)
	var results []struct {
		Phone        json.RawMessage
		Status       string
		ID           *string
		Reason       string
		LeadsBlocked *int `json:"leads_blocked"`
	}
	a.member("results", &results)
	ids := map[string]bool{}
	for i, r := range results {
		got := string(r.Phone) + " " + r.Reason
		if r.Status != "invalid" && r.ID != nil && r.LeadsBlocked != nil {
			ids[*r.ID] = true
			got = fmt.Sprintf("%s %s %d", r.Phone, r.Status, *r.LeadsBlocked)
		}
		if got != cases[i][1] || (r.Status == "invalid") != (r.Reason != "") {
			t.Errorf("%.100s: %s, want %s", cases[i][0], got, cases[i][1])
		}
	}
	if head := fmt.Sprintf(`{"total":%d,"added":3,"exists":2,"invalid":%d,"results":[`, len(cases), len(cases)-5); !strings.HasPrefix(a.body, head) ||
		a.raw("warnings") != `["unknown member \"colour\" was ignored"]` {
		t.Error(a.body)
	}
	if listed := b.listed(b.key, ""); len(listed) != 4 || len(ids) != 4 || !ids[there] {
		t.Errorf("%v are listed, %v are named", listed, ids)
	}
	if a := b.do("POST", "/suppressions:bulk", `{"suppressions":[`+row(`"scope":"all"`)+`]}`, as(b.operator)).is(200); !strings.Contains(a.body, `"added":1`) {
		t.Error(a.body)
	}
	if a := b.do("POST", "/suppressions:bulk", `{"suppressions":[]}`).is(200); a.body != `{"total":0,"added":0,"exists":0,"invalid":0,"results":[]}`+"\n" {
		t.Error(a.body)
	}
}

// 500 rows that are right are stored in one transaction, and one more is too many.
func TestSuppressAsManyAsPossible(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var rows []string
	for i := range 500 {
		rows = append(rows, fmt.Sprintf(`{"phone":"98765%05d","reason":"x"}`, i))
	}
	a := b.do("POST", "/suppressions:bulk", `{"suppressions":[`+strings.Join(rows, ",")+`]}`).is(200)
	if !strings.HasPrefix(a.body, `{"total":500,"added":500,"exists":0,"invalid":0,`) {
		t.Errorf("%.200s", a.body)
	}
	var times []string
	for cursor := ""; len(times) < 500; {
		a := b.do("GET", "/suppressions?limit=200"+cursor, "").is(200)
		var items []struct {
			CreatedAt string `json:"created_at"`
		}
		a.member("items", &items)
		for _, it := range items {
			times = append(times, it.CreatedAt)
		}
		cursor = "&cursor=" + strings.Trim(a.raw("next"), `"`)
	}
	if slices.Sort(times); times[0] != times[499] {
		t.Errorf("from %s to %s", times[0], times[499])
	}
}

// FuzzReadSuppression: what comes through can be stored, and the rest has a reason
// for the one shape and the other.
func FuzzReadSuppression(f *testing.F) {
	f.Add([]byte(`{"phone":"9876543210","reason":"x","source":null,"scope":"campaign","campaign_id":"camp_0000000000001","expires_at":"2026-11-20T09:00:00Z","x":1}`))
	f.Add([]byte(`{"phone":"9876543210","phone":7,"reason":"\u0000","source":"\u0000","scope":"","campaign_id":"","expires_at":"9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte(`{"phone":"+91","reason":"\ud800","scope":"all","campaign_id":null,"expires_at":"0000-01-01T00:00:00.999999999999Z"}`))
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, _ := asObject(body)
		if v == nil {
			return
		}
		var ignored ignoredMembers
		members := fieldsOf(v, &ignored, suppressionMembers...)
		n := readSuppression(members, now)
		for _, w := range members.wrong {
			if len(w.Loc) != 2 || w.Loc[0] != "body" || w.Msg == "" || strings.Trim(string(rowReason(w)), "abcdefghijklmnopqrstuvwxyz_") != "" {
				t.Fatalf("%+v %q", w, rowReason(w))
			}
		}
		if (members.err() == nil) != (len(members.wrong) == 0) {
			t.Fatal(members.err())
		}
		if len(members.wrong) > 0 {
			return
		}
		text, wrong := saaf.CheckReason("reason", n.Reason)
		if n.Phone == 0 || wrong != nil || text != n.Reason || len(n.Source) > 4*saaf.MaxSource || strings.Contains(n.Source, "\x00") ||
			!n.Expires.IsZero() && (!n.Expires.After(now) || n.Expires.Year() > 9999 || n.Expires.Nanosecond()%1e6 != 0) {
			t.Fatalf("%s was let through as %+v", body, n)
		}
		if _, err := saaf.ParseSuppressionScope(string(n.Scope)); err != nil {
			t.Fatal(err)
		}
		row := suppressionRow{sent: members.members["phone"], list: n}
		if shown := appendSuppressed(nil, []suppressionRow{row}, ignored.list()); !json.Valid(shown) {
			t.Fatalf("%s", shown)
		}
	})
}
