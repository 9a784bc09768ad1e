package api

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
	"saaf/store"
)

// samples are a right body for each route, "" for one that reads none. A new
// route needs a line here, and in guarded if it depends on the campaign's state.
var samples = map[string]string{
	"POST /campaigns":                              `{"name":"Holi","dial_mode":"preview"}`,
	"GET /campaigns":                               "",
	"GET /campaigns/{campaign_id}":                 "",
	"PATCH /campaigns/{campaign_id}":               `{"name":"Holi"}`,
	"DELETE /campaigns/{campaign_id}":              "",
	"POST /campaigns/{campaign_id}/start":          "",
	"POST /campaigns/{campaign_id}/pause":          "",
	"POST /campaigns/{campaign_id}/stop":           "",
	"POST /campaigns/{campaign_id}/leads":          `{"phone":"9876543210"}`,
	"POST /campaigns/{campaign_id}/leads:bulk":     `{"leads":[{"phone":"9876543210"}]}`,
	"GET /campaigns/{campaign_id}/leads":           "",
	"GET /campaigns/{campaign_id}/leads/{lead_id}": "",
	"GET /dnd/registry":                            "",
	"POST /dnd:check":                              `{"phones":["9876543210"]}`,
	"POST /dnd/registry:import":                    "13,6000000009,0,A,2\n",
	"GET /dnd/registry/imports/{import_id}":        "",
	"POST /dnd/registry:rollback":                  `{"reason":"a wrong file"}`,
	"GET /campaigns/{campaign_id}/dnd-report":      "",
	"POST /campaigns/{campaign_id}/leads:release":  `{"reason":"consent on paper"}`,
	"POST /suppressions":                           `{"phone":"9876543219","reason":"asked on the phone"}`,
	"POST /suppressions:bulk":                      `{"suppressions":[{"phone":"9876543219","reason":"asked on the phone"}]}`,
	"GET /suppressions":                            "",
	"GET /suppressions/{suppression_id}":           "",
	"DELETE /suppressions/{suppression_id}":        "",
	"GET /evidence":                                "",
	"POST /erasures":                               `{"phone":"9876543219","reason":"asked by letter"}`,
	"GET /erasures/{erasure_id}":                   "",
}

// queries are what must stand behind the path.
var queries = map[string]string{
	"POST /dnd/registry:import":             "?mode=full&effective_date=2000-01-01",
	"DELETE /suppressions/{suppression_id}": "?reason=asked+again",
	"GET /evidence":                         "?phone=9876543210",
}

// raw are the routes whose body is no JSON.
var raw = map[string]bool{"POST /dnd/registry:import": true}

// guarded are the states of the campaign in which a route answers 409.
var guarded = map[string]saaf.CampaignStatus{
	"DELETE /campaigns/{campaign_id}":          saaf.CampaignRunning,
	"POST /campaigns/{campaign_id}/start":      saaf.CampaignRunning,
	"POST /campaigns/{campaign_id}/pause":      saaf.CampaignDraft,
	"POST /campaigns/{campaign_id}/stop":       saaf.CampaignDraft,
	"POST /campaigns/{campaign_id}/leads":      saaf.CampaignCompleted,
	"POST /campaigns/{campaign_id}/leads:bulk": saaf.CampaignCompleted,
}

func (rt route) name() string { return rt.method + " " + rt.path }

// things are ids of what paths name.
type things struct{ campaign, lead, suppression, registryImport, erasure string }

// nothing was never made.
var nothing = things{"camp_0000000000001", "lead_0000000000001", "sup_0000000000001", "rimp_0000000000001", "era_0000000000001"}

// pathOf is the path of the route for these ids.
func (rt route) pathOf(ids things) string {
	return strings.NewReplacer("{campaign_id}", ids.campaign, "{lead_id}", ids.lead, "{suppression_id}", ids.suppression,
		"{import_id}", ids.registryImport, "{erasure_id}", ids.erasure).Replace(rt.path)
}

// at is the path with its query.
func (rt route) at(ids things) string { return rt.pathOf(ids) + queries[rt.name()] }

// things makes one of each, and a registry that can be rolled back.
func (b *bundle) things() things {
	b.t.Helper()
	b.fresh()
	b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{blocked: "0"})
	ids := things{campaign: b.campaign()}
	ids.lead = b.push(ids.campaign, "9876543211")
	ids.suppression = b.do("POST", "/suppressions", `{"phone":"9876543212","reason":"asked on the phone"}`).is(201).text("id")
	ids.erasure = b.do("POST", "/erasures", `{"phone":"9876543213","reason":"asked by letter"}`).is(202).text("id")
	im, err := b.store.QueueImport(b.t.Context(), store.RegistryImport{Mode: saaf.FullSet, EffectiveDate: 11000, File: "none"})
	if err != nil {
		b.t.Fatal(err)
	}
	ids.registryImport = im.ID.String()
	return ids
}

// keyOf is a key of the bundle's tenant that may use the route.
func (b *bundle) keyOf(rt route) string {
	if rt.who == operatorKeys {
		return b.operator
	}
	return b.key
}

func (rt route) namesCampaign() bool { return strings.Contains(rt.path, "{campaign_id}") }

// The routes and the scope that each one asks for, by the contract. Each has a
// sample.
func TestRoutes(t *testing.T) {
	t.Parallel()
	want := map[string]saaf.Scope{
		"POST /campaigns":                              "campaigns:write",
		"GET /campaigns":                               "campaigns:read",
		"GET /campaigns/{campaign_id}":                 "campaigns:read",
		"PATCH /campaigns/{campaign_id}":               "campaigns:write",
		"DELETE /campaigns/{campaign_id}":              "campaigns:write",
		"POST /campaigns/{campaign_id}/start":          "campaigns:write",
		"POST /campaigns/{campaign_id}/pause":          "campaigns:write",
		"POST /campaigns/{campaign_id}/stop":           "campaigns:write",
		"POST /campaigns/{campaign_id}/leads":          "leads:write",
		"POST /campaigns/{campaign_id}/leads:bulk":     "leads:write",
		"GET /campaigns/{campaign_id}/leads":           "leads:read",
		"GET /campaigns/{campaign_id}/leads/{lead_id}": "leads:read",
		"GET /dnd/registry":                            "dnd:read",
		"POST /dnd:check":                              "dnd:read",
		"POST /dnd/registry:import":                    "dnd:write",
		"GET /dnd/registry/imports/{import_id}":        "dnd:read",
		"POST /dnd/registry:rollback":                  "dnd:write",
		"GET /campaigns/{campaign_id}/dnd-report":      "dnd:read",
		"POST /campaigns/{campaign_id}/leads:release":  "dnd:write",
		"POST /suppressions":                           "dnd:write",
		"POST /suppressions:bulk":                      "dnd:write",
		"GET /suppressions":                            "dnd:read",
		"GET /suppressions/{suppression_id}":           "dnd:read",
		"DELETE /suppressions/{suppression_id}":        "dnd:write",
		"GET /evidence":                                "audit:read",
		"POST /erasures":                               "dnd:write",
		"GET /erasures/{erasure_id}":                   "dnd:read",
	}
	operators := []string{"GET /dnd/registry/imports/{import_id}", "POST /dnd/registry:import", "POST /dnd/registry:rollback"}
	var reserved []string
	got := map[string]saaf.Scope{}
	for _, rt := range routes() {
		got[rt.name()] = rt.scope
		if rt.who == operatorKeys {
			reserved = append(reserved, rt.name())
		}
		if _, ok := samples[rt.name()]; !ok {
			t.Errorf("%s has no sample", rt.name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	slices.Sort(reserved)
	if diff := cmp.Diff(operators, reserved); diff != "" {
		t.Error(diff)
	}
}

// unlimited fails when an answer has rate limit headers: nobody was let in.
func unlimited(t *testing.T, name string, a answer) {
	t.Helper()
	for header := range a.header {
		if strings.HasPrefix(strings.ToLower(header), "x-ratelimit") {
			t.Errorf("%s: %s without a key", name, header)
		}
	}
}

// exact is a header by the very spelling that goes over the wire.
func exact(h http.Header, name string) []string { return h[name] }

// limited fails unless an answer has both rate limit headers, in their spelling.
func limited(t *testing.T, name string, a answer, limit, remaining string) {
	t.Helper()
	got := [][]string{exact(a.header, "X-RateLimit-Limit"), exact(a.header, "X-RateLimit-Remaining")}
	if diff := cmp.Diff([][]string{{limit}, {remaining}}, got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestNobodyGetsInWithoutAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	for _, rt := range routes() {
		path, body := rt.at(ids), samples[rt.name()]
		for header, detail := range map[string]string{
			"":                            "Missing API key",
			"Bearer":                      "Missing API key",
			"Basic YTpi":                  "API key must start with yt_live_ or yt_test_",
			"Bearer sk_live_12345":        "API key must start with yt_live_ or yt_test_",
			"Bearer yt_live_unknown":      "Invalid API key",
			"Bearer " + b.key + "A":       "Invalid API key",
			"Bearer yt_test_" + b.key[8:]: "Invalid API key",
		} {
			a := b.do(rt.method, path, body, with("Authorization", header))
			a.fails(401, "unauthenticated", fmt.Sprintf("%q", detail))
			unlimited(t, rt.name(), a)
			if a.header.Get("Www-Authenticate") != "Bearer" || a.header.Get("X-Request-Id") == "" {
				t.Errorf("%s: %v", rt.name(), a.header)
			}
		}
	}
	b.unchanged(ids, before)
}

// sight is what a caller can see of the things, and of what could have come.
func (b *bundle) sight(ids things) (all []string) {
	b.t.Helper()
	for _, path := range []string{"/campaigns", "/campaigns/" + ids.campaign, "/campaigns/" + ids.campaign + "/leads?limit=200", "/campaigns/" + ids.campaign + "/dnd-report",
		"/suppressions?ended=true&limit=200", "/suppressions?scope=all", "/dnd/registry", "/dnd/registry/imports/" + ids.registryImport, "/erasures/" + ids.erasure} {
		all = append(all, b.do("GET", path, "", as(b.operator)).is(200).body)
	}
	files, err := os.ReadDir(b.uploads)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	for _, f := range files {
		all = append(all, f.Name())
	}
	return all
}

// unchanged fails unless everything is as it was.
func (b *bundle) unchanged(ids things, before []string) {
	b.t.Helper()
	if diff := cmp.Diff(before, b.sight(ids)); diff != "" {
		b.t.Errorf("something has changed: %s", diff)
	}
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	for _, rt := range routes() {
		others := slices.DeleteFunc(saaf.AllScopes(), func(s saaf.Scope) bool { return s == rt.scope })
		key := b.newKey(auth.KeySpec{Scopes: others, Operator: true, RateLimit: 100})
		for _, ids := range []things{ids, nothing, {"no-id", "no-id", "no-id", "no-id", "no-id"}} {
			a := b.do(rt.method, rt.at(ids), samples[rt.name()], as(key))
			a.fails(403, "scope_required", fmt.Sprintf(`"Scope '%s' required"`, rt.scope))
			if exact(a.header, "X-RateLimit-Limit") == nil || a.header.Get("X-Request-Id") == "" {
				t.Errorf("%s: %v", rt.name(), a.header)
			}
		}
	}
	b.unchanged(ids, before)
}

// A key that has the scope of a route and no other gets what it asks for.
func TestTheScopeOfARouteIsEnough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	for _, rt := range routes() {
		ids.campaign = b.campaign()
		if guarded[rt.name()] == saaf.CampaignDraft {
			b.do("POST", "/campaigns/"+ids.campaign+"/start", "").is(200)
		}
		ids.lead = b.push(ids.campaign, "9876543211")
		key := b.newKey(auth.KeySpec{Scopes: []saaf.Scope{rt.scope}, RateLimit: 60, Operator: rt.who == operatorKeys})
		a := b.do(rt.method, rt.at(ids), samples[rt.name()], as(key))
		if a.status < 200 || a.status > 299 {
			t.Errorf("%s: %d %s", rt.name(), a.status, a.body)
		}
		limited(t, rt.name(), a, "60", "59")
	}
}

// What belongs to the whole deployment is out of reach for every key that was not
// made for it, and does not show whether there is such a thing.
func TestRoutesForOperators(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	keys := []string{b.key, b.newKey(auth.KeySpec{Scopes: saaf.AllScopes()}), b.newKey(auth.KeySpec{Environment: saaf.Test})}
	for _, rt := range routes() {
		if rt.who != operatorKeys {
			continue
		}
		for _, key := range keys {
			for _, ids := range []things{ids, nothing} {
				for _, body := range []string{samples[rt.name()], "{"} {
					b.do(rt.method, rt.at(ids), body, as(key)).fails(403, "operator_only",
						`"This route is for operator keys; make one with saaf key create --operator"`)
				}
			}
		}
	}
	b.unchanged(ids, before)
}

// Opt-outs and erasures of a stranger, and opt-outs of the other environment, are
// not there: the answer is the one for an id that was never made.
func TestThingsOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	stranger := b.newTenant("Bharat Bank")
	everything := auth.KeySpec{TenantID: stranger, Scopes: saaf.AllScopes(), Operator: true}
	sentences := map[string]string{
		"{suppression_id}": `"Suppression not found; list those there are with GET /suppressions"`, "{erasure_id}": `"Erasure not found"`, "{import_id}": `"Import not found"`}
	for _, rt := range routes() {
		for what, sentence := range sentences {
			if !strings.Contains(rt.path, what) {
				continue
			}
			keys := []string{b.newKey(auth.KeySpec{TenantID: stranger}), b.newKey(everything)}
			if what == "{suppression_id}" {
				keys = append(keys, b.newKey(auth.KeySpec{Environment: saaf.Test, Operator: true}))
			}
			if what == "{import_id}" {
				keys = nil // which belongs to no tenant
			}
			b.do(rt.method, rt.at(nothing), "", as(b.keyOf(rt))).fails(404, "not_found", sentence)
			for _, key := range keys {
				b.do(rt.method, rt.at(ids), "", as(key)).fails(404, "not_found", sentence)
			}
			for i, id := range misspelt(ids.suppression) {
				id = strings.Replace(id, ids.suppression, []string{ids.erasure, ids.registryImport}[i%2], 1)
				b.do(rt.method, rt.at(things{suppression: id, erasure: id, registryImport: id + "x"}), "", as(b.keyOf(rt))).fails(404, "not_found", sentence)
			}
		}
	}
	b.unchanged(ids, before)
}

// To everybody but its tenant, in its environment, a campaign does not exist: the
// answer is the one for an id that was never made, byte for byte.
func TestOthersMustNotLearnThatItExists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stranger := b.newTenant("Bharat Bank")
	keys := map[string]string{
		"own key":                  b.key,
		"other environment":        b.newKey(auth.KeySpec{Environment: saaf.Test}),
		"stranger":                 b.newKey(auth.KeySpec{TenantID: stranger}),
		"stranger's test key":      b.newKey(auth.KeySpec{TenantID: stranger, Environment: saaf.Test}),
		"stranger with everything": b.newKey(auth.KeySpec{TenantID: stranger, Scopes: saaf.AllScopes(), Operator: true}),
	}
	ids := b.things()
	campaign, gone := ids.campaign, b.campaign()
	b.do("DELETE", "/campaigns/"+gone, "").is(204)
	before := b.sight(ids)

	for _, rt := range routes() {
		if !rt.namesCampaign() {
			continue
		}
		never := b.nowhere(b.key, rt, things{campaign: nothing.campaign, lead: ids.lead})
		never.fails(404, "not_found", `"Campaign not found"`)
		for who, key := range keys {
			others := []string{campaign, gone}
			if who == "own key" {
				others = append(misspelt(campaign), gone)
			}
			for _, id := range others {
				got := b.nowhere(key, rt, things{campaign: id, lead: ids.lead})
				if got.status != never.status || got.body != never.body {
					t.Errorf("%s of %s, %s: %d %s", rt.name(), id, who, got.status, got.body)
				}
				if diff := cmp.Diff(never.header, got.header); diff != "" {
					t.Errorf("%s of %s, %s: %s", rt.name(), id, who, diff)
				}
			}
		}
	}
	for who, key := range keys {
		if own := who == "own key"; own != strings.Contains(b.do("GET", "/campaigns", "", as(key)).is(200).body, campaign) {
			t.Errorf("the list for %s is wrong", who)
		}
	}
	b.unchanged(ids, before)
}

// nowhere is the answer to a request, without what differs from key to key.
func (b *bundle) nowhere(key string, rt route, ids things) answer {
	b.t.Helper()
	a := b.do(rt.method, rt.at(ids), samples[rt.name()], as(key), with("X-Request-Id", "r1"))
	if exact(a.header, "X-RateLimit-Remaining") == nil {
		b.t.Errorf("%s: no rate limit in %v", rt.name(), a.header)
	}
	delete(a.header, "X-RateLimit-Remaining")
	return a
}

// misspelt are ids like this one that are none.
func misspelt(id string) []string {
	prefix, digits, _ := strings.Cut(id, "_")
	return []string{
		strings.ToUpper(id), prefix + "_" + strings.ToUpper(digits), strings.ToUpper(prefix) + "_" + digits,
		digits, "_" + digits, "key_" + digits, "x" + id, id + "0", prefix + "_0" + digits, id[:len(id)-1],
		prefix + "_8" + digits[1:], prefix + "_z" + digits[1:], // over 63 bits
		prefix + "_0000000000000", prefix + "_000000000000l", prefix + "_000000000000o", prefix + "-" + digits,
		"0", "-1", "9223372036854775807", "null", id + "%20", "%20" + id, id + "%00", id + "%0A", id + "%2Fleads", "%E0%A4%86",
		id + ":start", id + ";x", "%2e%2e", strings.Repeat("a", 5000),
	}
}

func TestLeadsThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign, other := b.campaign(), b.campaign()
	lead := b.push(campaign, "9876543211")
	elsewhere := b.push(other, "9876543211")
	strangerKey := b.newKey(auth.KeySpec{TenantID: b.newTenant("Bharat Bank")})
	theirs := b.do("POST", "/campaigns", samples["POST /campaigns"], as(strangerKey)).is(201).text("id")
	foreign := b.do("POST", "/campaigns/"+theirs+"/leads", `{"phone":"9876543211"}`, as(strangerKey)).is(201).text("id")

	for _, rt := range routes() {
		if !strings.Contains(rt.path, "{lead_id}") {
			continue
		}
		never := b.nowhere(b.key, rt, things{campaign: campaign, lead: nothing.lead})
		never.fails(404, "not_found", `"Lead not found"`)
		for _, id := range append(misspelt(lead), elsewhere, foreign) {
			if got := b.nowhere(b.key, rt, things{campaign: campaign, lead: id}); got.status != never.status || got.body != never.body {
				t.Errorf("%s of %s: %d %s", rt.name(), id, got.status, got.body)
			}
		}
	}
}

// When several things are wrong with a request, the answer is about the first of
// them in the order of the contract.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in which the minute of the rate limit does not end
		b := setup(t, func(c *Config) { c.MaxBody = 2000 })
		campaigns := map[saaf.CampaignStatus]string{}
		for _, state := range []saaf.CampaignStatus{saaf.CampaignDraft, saaf.CampaignRunning, saaf.CampaignCompleted} {
			campaigns[state] = b.in(state)
		}
		const wrongKey, wrongRate, wrongScope, wrongOperator, wrongCampaign, wrongBody, wrongState = 1, 2, 4, 8, 16, 32, 64
		statuses := map[int]int{wrongKey: 401, wrongRate: 429, wrongScope: 403, wrongOperator: 403, wrongCampaign: 404, wrongState: 409}
		bodies := []struct {
			status     int
			send, kind string
		}{{400, "{", ""}, {413, strings.Repeat(" ", 2001), ""}, {415, "{}", "text/plain"}, {422, "[]", ""}}
		spent := func(spec auth.KeySpec) string {
			spec.RateLimit = 1
			key := b.newKey(spec)
			b.do("GET", "/campaigns/none", "", as(key))
			return key
		}
		type callersOf struct {
			scope saaf.Scope
			who   callers
		}
		known := map[callersOf]map[int]string{}
		for _, rt := range routes() {
			others := slices.DeleteFunc(saaf.AllScopes(), func(s saaf.Scope) bool { return s == rt.scope })
			// Making a key costs a write: routes that ask for the same share theirs.
			keys := known[callersOf{rt.scope, rt.who}]
			if keys == nil {
				keys = map[int]string{}
				known[callersOf{rt.scope, rt.who}] = keys
			}
			for wrong := range wrongCampaign {
				if keys[wrong] != "" {
					continue
				}
				spec := auth.KeySpec{Operator: rt.who == operatorKeys && wrong&wrongOperator == 0}
				if wrong&wrongScope != 0 {
					spec.Scopes = others
				}
				if keys[wrong] = b.newKey(spec); wrong&wrongRate != 0 {
					keys[wrong] = spent(spec)
				}
			}
			possible := wrongKey | wrongRate | wrongScope
			if rt.who == operatorKeys {
				possible |= wrongOperator
			}
			if rt.namesCampaign() {
				possible |= wrongCampaign
			}
			if samples[rt.name()] != "" && !raw[rt.name()] {
				possible |= wrongBody
			}
			if guarded[rt.name()] != "" {
				possible |= wrongState
			}
			for wrong := 1; wrong <= possible; wrong++ {
				if wrong&^possible != 0 {
					continue
				}
				key, ids := keys[wrong&(wrongRate|wrongScope|wrongOperator)], nothing
				ids.campaign = campaigns[saaf.CampaignDraft]
				if wrong&wrongKey != 0 {
					key = "yt_live_unknown"
				}
				if wrong&wrongState != 0 {
					ids.campaign = campaigns[guarded[rt.name()]]
				}
				if wrong&wrongCampaign != 0 {
					ids.campaign = nothing.campaign
				}
				first := wrong & -wrong
				for i, bad := range bodies {
					if i > 0 && wrong&wrongBody == 0 {
						break // only the body would be another
					}
					send, kind, want := samples[rt.name()], "application/json", statuses[first]
					if wrong&wrongBody != 0 {
						send, kind = bad.send, bad.kind
					}
					if first == wrongBody {
						want = bad.status
					}
					a := b.do(rt.method, rt.at(ids), send, as(key), with("Content-Type", kind))
					if a.status != want {
						t.Errorf("%s with %07b: %d, want %d: %s", rt.name(), wrong, a.status, want, a.body)
					}
					if word := map[int]string{wrongScope: "scope_required", wrongOperator: "operator_only"}[first]; word != "" && a.text("code") != word {
						t.Errorf("%s with %07b: %s", rt.name(), wrong, a.body)
					}
					if want == 429 {
						limited(t, rt.name(), a, "1", "0")
						if a.header.Get("Retry-After") != "60" {
							t.Errorf("%s: retry after %s", rt.name(), a.header.Get("Retry-After"))
						}
					}
				}
			}
		}
	})
}

// A caller who went away costs no more work, changes nothing, and is no fault of
// ours in the log.
func TestCallersWhoLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	for _, rt := range routes() {
		a := b.do(rt.method, rt.at(ids), samples[rt.name()], as(b.keyOf(rt)), func(r *http.Request) { *r = *cancelled(r) })
		a.fails(503, "cancelled", `"The request was cancelled before it was done"`)
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: retry after %q", rt.name(), got)
		}
	}
	b.unchanged(ids, before)
	if strings.Contains(b.log.String(), "ERROR") {
		t.Error(b.log)
	}
}

var allMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.things()
	before := b.sight(ids)
	allowed := map[string][]string{"//healthz": {"GET", "HEAD"}, "//readyz": {"GET", "HEAD"}}
	for _, rt := range routes() {
		path := rt.pathOf(ids)
		allowed[path] = append(allowed[path], rt.method)
		if rt.method == "GET" {
			allowed[path] = append(allowed[path], "HEAD")
		}
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		for _, method := range allMethods {
			if slices.Contains(methods, method) {
				continue
			}
			for _, key := range []string{"", b.key} {
				a := b.do(method, path, "", as(key))
				a.fails(405, "method_not_allowed", fmt.Sprintf("%q", method+" is not possible here; use "+strings.Join(methods, " or ")))
				if got := a.header.Get("Allow"); got != strings.Join(methods, ", ") {
					t.Errorf("%s %s: Allow is %q", method, path, got)
				}
			}
		}
	}
	b.unchanged(ids, before)
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	for _, path := range []string{
		"//", "//api", "//api/v1", "//api/v1/", "//api/v2/campaigns", "//campaigns", "/campaigns/", "/campaign", "/Campaigns",
		"/campaigns/" + campaign + "/", "/campaigns/" + campaign + "/leads/", "/campaigns/" + campaign + "/leads:nothing",
		"/campaigns/" + campaign + "/leads/lead_0000000000001/x", "/campaigns/" + campaign + "/restart", "/leads", "/dnd", "/dnd/registry/", "/dnd/registry/imports",
		"//healthz/", "//favicon.ico", "//.env",
		// Which the mux would redirect:
		"//api/v1//campaigns", "///api/v1/campaigns", "//api/v1/./campaigns", "//api/v1/x/../campaigns", "//api/v1/campaigns/..", "//api/v1/campaigns/.",
		"//api/v1/campaigns//" + campaign, "////",
	} {
		for _, method := range allMethods {
			for _, key := range []string{"", b.key} {
				a := b.do(method, path, "", as(key))
				a.fails(404, "not_found", `"There is nothing at this path; the API is under /api/v1"`)
				if a.header.Get("X-Request-Id") == "" || a.header.Get("Content-Type") != "application/json; charset=utf-8" || a.header.Get("Location") != "" {
					t.Errorf("%s %s: %v", method, path, a.header)
				}
			}
		}
	}
}

// Header names are not canonical in Go's sense, which only shows on the wire.
func TestHeadersOnTheWire(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := httptest.NewServer(b.handler)
	defer s.Close()
	key := b.newKey(auth.KeySpec{RateLimit: 5})
	for _, method := range []string{"GET", "HEAD"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s /api/v1/campaigns HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: r1\r\nAuthorization: Bearer %s\r\n\r\n", method, key)
		head, body, _ := strings.Cut(readAll(t, bufio.NewReader(conn)), "\r\n\r\n")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		for _, line := range []string{"HTTP/1.1 200 OK", "X-RateLimit-Limit: 5", "X-RateLimit-Remaining: ", "X-Request-Id: r1",
			"Content-Type: application/json; charset=utf-8", "Content-Length: 25", "Cache-Control: no-store"} {
			if !strings.Contains(head, line) {
				t.Errorf("%s: no %q in %s", method, line, head)
			}
		}
		if want := "{\"items\":[],\"next\":null}\n"; (body == want) != (method == "GET") || method == "HEAD" && body != "" {
			t.Errorf("%s: the body is %q", method, body)
		}
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		key := b.newKey(auth.KeySpec{RateLimit: 3})
		limited(t, "1", b.do("GET", "/campaigns", "", as(key)).is(200), "3", "2")
		limited(t, "2", b.do("GET", "/campaigns/none", "", as(key)).is(404), "3", "1")
		limited(t, "3", b.do("POST", "/campaigns", "{", as(key)).is(400), "3", "0")
		for range 3 {
			a := b.do("GET", "/campaigns", "", as(key))
			a.fails(429, "rate_limited", `"Rate limit exceeded"`)
			limited(t, "over", a, "3", "0")
		}
		b.do("GET", "/campaigns", "").is(200) // another key of the tenant
	})
}

// One event for each request, with what an operator asks for and no secret.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	b.do("GET", "/campaigns/"+campaign+"/leads?phone=9876543210&external_id=SECRET", "", with("X-Request-Id", "find-me")).is(200)
	b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"9876543210","name":"SECRET"}`).is(201)
	b.do("PUT", "/campaigns/"+campaign, "").is(405)
	key, _ := b.store.Keys(t.Context())
	for _, want := range []string{
		`"component":"api","method":"GET","route":"/api/v1/campaigns/{campaign_id}/leads","status":200,`,
		`"method":"PUT","route":"/api/v1/campaigns/{campaign_id}","status":405,`,
		`"tenant":"` + b.tenant.String() + `","key":"` + key[0].ID.String() + `","error_code":"","request_id":"find-me"}`,
	} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("no %s in %s", want, b.log)
		}
	}
	for _, secret := range []string{b.key[8:], "9876543210", "SECRET"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("%s is in the log: %s", secret, b.log)
		}
	}
}
