package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
)

// check asks about phones, each as JSON, and returns the results as they were written.
func (b *bundle) check(key string, phones ...string) (results []string) {
	b.t.Helper()
	var raw []json.RawMessage
	b.do("POST", "/dnd:check", `{"phones":[`+strings.Join(phones, ",")+`]}`, as(key)).is(200).member("results", &raw)
	for _, r := range raw {
		results = append(results, string(r))
	}
	return results
}

func TestCheckDND(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ref := fmt.Sprintf(`{"id":"%s","effective_date":"2000-01-01"}`, b.fresh())
		b.do("POST", "/suppressions", `{"phone":"9876543217","reason":"asked"}`).is(201)
		b.do("POST", "/suppressions", fmt.Sprintf(`{"phone":"9876543218","campaign_id":%q,"reason":"asked"}`, b.campaign())).is(201)
		invalid := func(sent, reason string) [2]string {
			return [2]string{sent, `{"phone":` + sent + `,"valid":false,"number":null,"dnd_checked":false,"dnd_clean":false,"reason":"` + reason + `","registry":null}`}
		}
		valid := func(sent, number, clean, reason string) [2]string {
			return [2]string{sent, `{"phone":` + sent + `,"valid":true,"number":"` + number + `","dnd_checked":true,"dnd_clean":` + clean + `,"reason":"` + reason + `","registry":` + ref + `}`}
		}
		cases := [][2]string{
			valid(`"9876543210"`, "9876543210", "true", "not_registered"),
			invalid(`"invalid"`, "invalid_character"),
			valid(`"+91 60000 00001"`, "6000000001", "false", "ncpr_full_block"),
			invalid(`null`, "phone_type"),
			invalid(`9876543210`, "phone_type"),
			invalid(`{"phone":"9876543210"}`, "phone_type"),
			invalid(`["9876543210"]`, "phone_type"),
			valid(`"6000000002"`, "6000000002", "false", "ncpr_partial_block"),
			valid(`"01123456789"`, "1123456789", "true", "not_registered"), // a fixed line, which leads may not have here
			invalid(`"+12025550123"`, "international"),
			invalid(`"98765\u00003210"`, "invalid_character"),
			valid(`"9876543217"`, "9876543217", "false", "suppressed"),
			valid(`"9876543218"`, "9876543218", "true", "not_registered"), // on the list of one campaign
			valid(`"9876543210"`, "9876543210", "true", "not_registered"), // again
			invalid(`""`, "length"),
		}
		var sent, want []string
		for _, c := range cases {
			sent, want = append(sent, c[0]), append(want, c[1])
		}
		if diff := cmp.Diff(want, b.check(b.key, sent...)); diff != "" {
			t.Error(diff)
		}
		entries, err := b.store.Evidence(t.Context(), b.tenant, blocked, time.Time{}, time.Time{})
		if err != nil || len(entries) != 1 {
			t.Errorf("%d entries, %v", len(entries), err)
		}
		if none := b.check(b.key); len(none) > 0 {
			t.Errorf("%v", none)
		}
		time.Sleep(8 * 24 * time.Hour)
		stale := `"dnd_checked":false,"dnd_clean":false,"reason":"registry_stale","registry":null`
		for i, r := range b.check(b.key, `"9876543210"`, `"6000000001"`, `"9876543217"`) {
			if i < 2 != strings.Contains(r, stale) || i == 2 && !strings.Contains(r, `"dnd_checked":true,"dnd_clean":false,"reason":"suppressed"`) {
				t.Error(r)
			}
		}
	})
}

func TestCheckWithoutARegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := []string{`{"phone":"9876543210","valid":true,"number":"9876543210","dnd_checked":false,"dnd_clean":false,"reason":"registry_unavailable","registry":null}`}
	if diff := cmp.Diff(want, b.check(b.key, `"9876543210"`)); diff != "" {
		t.Error(diff)
	}
}

// Lists of one tenant and of the test environment mean nothing to others.
func TestCheckSeesTheListsThatCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	testKey := b.newKey(auth.KeySpec{Environment: saaf.Test})
	stranger := b.newKey(auth.KeySpec{TenantID: b.newTenant("Bharat Bank")})
	b.do("POST", "/suppressions", `{"phone":"9876543211","reason":"live"}`).is(201)
	b.do("POST", "/suppressions", `{"phone":"9876543212","reason":"test"}`, as(testKey)).is(201)
	b.do("POST", "/suppressions", `{"phone":"9876543213","scope":"all","reason":"court order"}`, as(b.operator)).is(201)
	for key, want := range map[string]string{b.key: "101", testKey: "111", stranger: "001"} {
		var got strings.Builder
		for _, r := range b.check(key, `"9876543211"`, `"9876543212"`, `"9876543213"`) {
			if strings.Contains(r, `"suppressed"`) {
				got.WriteString("1")
			} else {
				got.WriteString("0")
			}
		}
		if got.String() != want {
			t.Errorf("%s, want %s", got.String(), want)
		}
	}
}

// Bodies that are wrong, on every route of this part that reads one, and that
// nothing comes of them.
func TestWrongBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	long := func(n int) string { return strings.Repeat("न", n) } // one character, three bytes
	many := func(n int, el string) string { return strings.TrimSuffix(strings.Repeat(el+",", n), ",") }
	phone := func(rest string) string { return `{"phone":"9876543210","reason":"x",` + rest + `}` }
	for _, tc := range []struct {
		path, body string
		want       []string
	}{
		{"/dnd:check", `{}`, []string{"body.phones value_error.missing"}},
		{"/dnd:check", `{"phones":null}`, []string{"body.phones type_error.list"}},
		{"/dnd:check", `{"phones":"9876543210"}`, []string{"body.phones type_error.list"}},
		{"/dnd:check", `{"phones":{"0":"9876543210"}}`, []string{"body.phones type_error.list"}},
		{"/dnd:check", `{"Phones":["9876543210"]}`, []string{"body.phones value_error.missing"}},
		{"/dnd:check", `{"phones":["9876543210"],"phones":7}`, []string{"body.phones type_error.list"}},
		{"/dnd:check", `{"phones":[` + many(501, `"9876543210"`) + `]}`, []string{"body.phones value_error.list.max_items"}},
		{"/dnd:check", `["9876543210"]`, []string{"body type_error.dict"}},

		{"/suppressions", `{}`, []string{"body.phone value_error.missing", "body.reason value_error.missing"}},
		{"/suppressions", `{"phone":null,"reason":null}`, []string{"body.phone type_error.str", "body.reason type_error.str"}},
		{"/suppressions", `{"phone":9876543210,"reason":7}`, []string{"body.phone type_error.str", "body.reason type_error.str"}},
		{"/suppressions", `{"phone":"98765","reason":"\t "}`, []string{"body.phone value_error.phone.digit_count", "body.reason value_error.missing"}},
		{"/suppressions", `{"phone":"9876543210","reason":"a\u0000b"}`, []string{"body.reason value_error.nul"}},
		{"/suppressions", `{"phone":"9876543210","reason":"` + long(501) + `"}`, []string{"body.reason value_error.any_str.max_length"}},
		{"/suppressions", phone(`"source":"` + long(201) + `"`), []string{"body.source value_error.any_str.max_length"}},
		{"/suppressions", phone(`"source":"a\u0000b"`), []string{"body.source value_error.nul"}},
		{"/suppressions", phone(`"source":[]`), []string{"body.source type_error.str"}},
		{"/suppressions", phone(`"scope":"everything"`), []string{"body.scope type_error.enum"}},
		{"/suppressions", phone(`"scope":""`), []string{"body.scope type_error.enum"}},
		{"/suppressions", phone(`"scope":1`), []string{"body.scope type_error.str"}},
		{"/suppressions", phone(`"scope":"campaign"`), []string{"body.campaign_id value_error.missing"}},
		{"/suppressions", phone(`"scope":"campaign","campaign_id":null`), []string{"body.campaign_id value_error.missing"}},
		{"/suppressions", phone(`"campaign_id":7`), []string{"body.campaign_id type_error.str"}},
		{"/suppressions", phone(`"scope":"tenant","campaign_id":"` + ids.campaign + `"`), []string{"body.campaign_id value_error.scope"}},
		{"/suppressions", phone(`"expires_at":"2000-01-01T00:00:00Z"`), []string{"body.expires_at value_error.datetime.past"}},
		{"/suppressions", phone(`"expires_at":"0001-01-01T00:00:00Z"`), []string{"body.expires_at value_error.datetime.past"}},
		{"/suppressions", phone(`"expires_at":"tomorrow"`), []string{"body.expires_at value_error.datetime"}},
		{"/suppressions", phone(`"expires_at":""`), []string{"body.expires_at value_error.datetime"}},
		{"/suppressions", phone(`"expires_at":"9999-12-31T23:59:59-23:59"`), []string{"body.expires_at value_error.datetime"}},
		{"/suppressions", phone(`"expires_at":4102444800`), []string{"body.expires_at type_error.str"}},

		{"/suppressions:bulk", `{}`, []string{"body.suppressions value_error.missing"}},
		{"/suppressions:bulk", `{"suppressions":{}}`, []string{"body.suppressions type_error.list"}},
		{"/suppressions:bulk", `{"suppressions":[` + many(501, `{}`) + `]}`, []string{"body.suppressions value_error.list.max_items"}},

		{"/erasures", `{}`, []string{"body.phone value_error.missing", "body.reason value_error.missing"}},
		{"/erasures", `{"phone":["9876543211"],"reason":"x"}`, []string{"body.phone type_error.str"}},
		{"/erasures", `{"phone":"9876543211","reason":""}`, []string{"body.reason value_error.missing"}},
		{"/erasures", `{"phone":"9876543211","reason":"` + long(501) + `"}`, []string{"body.reason value_error.any_str.max_length"}},

		{"/dnd/registry:rollback", `{"reason":"\u0000"}`, []string{"body.reason value_error.nul"}},
		{"/dnd/registry:rollback", `{"reason":["x"]}`, []string{"body.reason type_error.str"}},
		{"/dnd/registry:rollback", `{"REASON":"x"}`, []string{"body.reason value_error.missing"}},

		{"/campaigns/" + ids.campaign + "/leads:release", `{}`, []string{"body.reason value_error.missing"}},
		{"/campaigns/" + ids.campaign + "/leads:release", `{"reason":"x","lead_ids":null}`, []string{"body.lead_ids type_error.list"}},
		{"/campaigns/" + ids.campaign + "/leads:release", `{"reason":"x","lead_ids":"` + ids.lead + `"}`, []string{"body.lead_ids type_error.list"}},
		{"/campaigns/" + ids.campaign + "/leads:release", `{"reason":"x","lead_ids":["` + ids.lead + `",7,null,"lead_1","` + ids.campaign + `"]}`,
			[]string{"body.lead_ids.1 value_error.id", "body.lead_ids.2 value_error.id", "body.lead_ids.3 value_error.id", "body.lead_ids.4 value_error.id"}},
		{"/campaigns/" + ids.campaign + "/leads:release", `{"reason":"x","lead_ids":[` + many(501, `"`+ids.lead+`"`) + `]}`, []string{"body.lead_ids value_error.list.max_items"}},
	} {
		a := b.do("POST", tc.path, tc.body, as(b.operator))
		if a.status != 422 {
			t.Errorf("%s %.200s: %d %.300s", tc.path, tc.body, a.status, a.body)
			continue
		}
		if got := a.fields(); !slices.Equal(got, tc.want) {
			t.Errorf("%s %.200s: %q, want %q", tc.path, tc.body, got, tc.want)
		}
	}
	b.unchanged(ids, before)
}

// The most that a request may hold, and a member that is not known.
func TestLimitsAreIncluded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if n := len(b.check(b.key, slices.Repeat([]string{`"9876543210"`}, 500)...)); n != 500 {
		t.Errorf("%d results", n)
	}
	long := strings.Repeat("न", 500)
	a := b.do("POST", "/suppressions", fmt.Sprintf(`{"phone":"9876543210","reason":%q,"source":%q,"why":1,"phone ":2}`, "  "+long+"\n", long[:600])).is(201)
	if a.text("reason") != long || a.text("source") != long[:600] || a.raw("warnings") != `["unknown member \"why\" was ignored","unknown member \"phone \" was ignored"]` {
		t.Error(a.body)
	}
	for path, body := range map[string]string{"/dnd:check": `{"phones":[],"why":1}`, "/erasures": `{"phone":"9876543210","reason":"x","why":1}`,
		"/suppressions:bulk": `{"suppressions":[{"why":1}]}`, "/campaigns/" + b.campaign() + "/leads:release": `{"reason":"x","why":1}`} {
		if a := b.do("POST", path, body); a.raw("warnings") != `["unknown member \"why\" was ignored"]` {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
