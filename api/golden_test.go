package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
)

var (
	anyID   = regexp.MustCompile(`\b[a-z]+1?_[0-9a-z]{13}\b`) // and cursors
	anyHash = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
)

// golden compares answers with the files in testdata. They are indented there, and
// ids and hashes have numbers in the order in which they come.
type golden struct {
	t     *testing.T
	names map[string]string
}

func (g *golden) check(name string, a answer) {
	g.t.Helper()
	var compact, text bytes.Buffer
	if err := json.Compact(&compact, []byte(a.body)); err != nil || compact.String()+"\n" != a.body {
		g.t.Errorf("%s is not one line of JSON: %v: %s", name, err, a.body)
	}
	if err := json.Indent(&text, fmt.Appendf(nil, `{"status":%d,"body":%s}`, a.status, a.body), "", "  "); err != nil {
		g.t.Fatal(err)
	}
	text.WriteByte('\n')
	got := anyID.ReplaceAllStringFunc(text.String(), func(id string) string {
		prefix, _, _ := strings.Cut(id, "_")
		return g.name(prefix, id)
	})
	got = anyHash.ReplaceAllStringFunc(got, func(hash string) string { return g.name("hash", hash) })

	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			g.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatalf("%v; make it with go test ./api -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		g.t.Errorf("%s is not as it was; if that is meant, go test ./api -update\n%s", file, diff)
	}
}

func (g *golden) name(prefix, id string) string {
	if g.names[id] == "" {
		n := 1
		for _, known := range g.names {
			if strings.HasPrefix(known, prefix+"_") {
				n++
			}
		}
		g.names[id] = fmt.Sprintf("%s_%d", prefix, n)
	}
	return g.names[id]
}

// golden sends requests whose answers are compared with the files.
func (b *bundle) golden(t *testing.T) func(name, method, path, body string, change ...func(*http.Request)) answer {
	g := &golden{t, map[string]string{}}
	return func(name, method, path, body string, change ...func(*http.Request)) answer {
		t.Helper()
		a := b.do(method, path, body, append(change, with("X-Request-Id", "the-callers-own"))...)
		g.check(name, a)
		return a
	}
}

// The answers as callers see them, from the first campaign to a registry that has
// grown old. The clock of the bubble makes the times the same each run.
func TestGolden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *Config) { c.MaxBody = 10_000 })
		do := b.golden(t)
		do("registry_none", "GET", "/dnd/registry", "")
		do("ready_none", "GET", "//readyz", "")

		campaign := do("campaign_defaults", "POST", "/campaigns", `{"name":"Diwali <दिवाली>","dial_mode":"progressive"}`).is(201).text("id")
		path := "/campaigns/" + campaign
		do("campaign_full", "POST", "/campaigns", `{"name":"Holi","dial_mode":"predictive","voice_agent_id":"va_1","post_answer_action":"connect_voice_agent",
			"predictive_target_abandon":0.02,"predictive_max_wait_s":2.5,"predictive_min_ratio":1,"predictive_max_ratio":1.5,"max_attempts":5,"retry_delay_s":600,
			"max_concurrent":10,"calling_window":{"start":"10:00","end":"18:30","days":[1,2,3]},"caller_id":"+911140001234","colour":"red"}`).is(201)
		do("lead_unchecked", "POST", path+"/leads", `{"phone":"+91 90000 00001"}`).is(201)

		time.Sleep(90 * time.Second)
		b.fresh()
		time.Sleep(1234 * time.Millisecond)
		do("registry_fresh", "GET", "/dnd/registry", "")
		do("ready_fresh", "GET", "//readyz", "")
		clean := do("lead_clean", "POST", path+"/leads", `{"phone":"9876543210","name":"आशा <Sharma>","email":"asha@example.in","external_id":"crm-7",
			"metadata":{"plan":"pro","price":1.10,"id":123456789012345678901234567890},"colour":"red"}`).is(201).text("id")
		do("lead_blocked", "POST", path+"/leads", `{"phone":"6000000001"}`).is(201)
		do("lead_duplicate", "POST", path+"/leads", `{"phone":"09876543210"}`).is(409)
		do("lead_invalid", "POST", path+"/leads", `{"phone":"+12025550123","name":7,"metadata":[]}`).is(422)
		do("bulk", "POST", path+"/leads:bulk", `{"leads":[{"phone":"9123456789"},{"phone":"6000000002"},{"phone":"invalid"},{"phone":"91-9876543210"},{"phone":9876543210},7,
			{"phone":"9123456789","colour":"red"}]}`).is(200)
		do("lead", "GET", path+"/leads/"+clean, "").is(200)
		do("leads", "GET", path+"/leads?limit=2", "").is(200)
		do("leads_last_page", "GET", path+"/leads?phone=9876543210", "").is(200)
		do("campaign_started", "POST", path+"/start", "").is(200)
		do("campaign_state", "POST", path+"/start", "").is(409)
		do("campaigns", "GET", "/campaigns?limit=1", "").is(200)
		do("campaigns_invalid", "GET", "/campaigns?limit=0&offset=1", "").is(422)

		do("error_400", "POST", path+"/leads", `{"phone":`).is(400)
		do("error_401", "GET", path, "", as("")).is(401)
		do("error_403", "GET", path, "", as(b.newKey(auth.KeySpec{Scopes: []saaf.Scope{saaf.LeadsWrite}}))).is(403)
		do("error_404", "GET", "/campaigns/unknown", "").is(404)
		do("error_405", "PUT", path, "").is(405)
		do("error_413", "POST", path+"/leads", strings.Repeat(" ", 10_001)).is(413)
		do("error_415", "POST", path+"/leads", "{}", with("Content-Type", "text/csv")).is(415)
		limited := b.newKey(auth.KeySpec{RateLimit: 1})
		b.do("GET", path, "", as(limited)).is(200)
		do("error_429", "GET", path, "", as(limited)).is(429)

		time.Sleep(5 * 24 * time.Hour)
		do("registry_warn", "GET", "/dnd/registry", "")
		time.Sleep(5 * 24 * time.Hour)
		do("registry_stale", "GET", "/dnd/registry", "")
		do("ready_stale", "GET", "//readyz", "")
		do("lead_stale", "GET", path+"/leads/"+clean, "").is(200)
	})
}

// The answers about the registry, opt-outs and what they do to leads.
func TestGoldenDND(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		do, operator := b.golden(t), b.byOperator()
		campaign := b.campaign()
		path := "/campaigns/" + campaign
		b.fresh()
		b.rechecked()
		for _, phone := range []string{"9876543210", "9876543211", "6000000001", "6000000002"} {
			b.push(campaign, phone)
		}
		do("dnd_check", "POST", "/dnd:check", `{"phones":["+91 98765 43210","6000000001","01123456789","invalid",7],"colour":"red"}`).is(200)
		do("dnd_check_invalid", "POST", "/dnd:check", `{"phones":"9876543210"}`).is(422)
		id := do("suppression", "POST", "/suppressions", `{"phone":"9876543210","reason":"asked on the phone","source":"call 17","expires_at":"2000-06-01T00:00:00Z","colour":"red"}`).is(201).text("id")
		do("suppression_exists", "POST", "/suppressions", `{"phone":"9876543210","reason":"again"}`).is(200)
		do("suppression_invalid", "POST", "/suppressions", `{"phone":7,"scope":"campaign","expires_at":"2000-01-01T00:00:00Z"}`).is(422)
		do("suppression_operator", "POST", "/suppressions", `{"phone":"9876543210","scope":"all","reason":"court order"}`).is(403)
		do("suppressions_bulk", "POST", "/suppressions:bulk", `{"suppressions":[{"phone":"9876543210","reason":"again"},{"phone":"9876543211","campaign_id":"`+campaign+`","reason":"asked"},{"phone":7},7]}`).is(200)
		do("suppressions", "GET", "/suppressions?limit=1", "").is(200)
		do("suppression_lift_invalid", "DELETE", "/suppressions/"+id, "").is(422)
		b.do("DELETE", "/suppressions/"+id+"?reason=wrote+again", "").is(204)
		do("suppression_ended", "GET", "/suppressions/"+id, "").is(200)
		do("dnd_report", "GET", path+"/dnd-report", "").is(200)
		do("release", "POST", path+"/leads:release", `{"reason":"consent on paper"}`).is(200)
		do("release_invalid", "POST", path+"/leads:release", `{"lead_ids":["lead_1"]}`).is(422)
		do("erasure", "POST", "/erasures", `{"phone":"9876543211","reason":"asked by letter"}`).is(202)

		time.Sleep(time.Hour)
		query := "?mode=full&effective_date=2000-01-01"
		do("import_invalid", "POST", "/dnd/registry:import?mode=all&effective_date=2000-01-02", "", operator).is(422)
		do("import_operator", "POST", "/dnd/registry:import"+query, "").is(403)
		refused := do("import_queued", "POST", "/dnd/registry:import"+query, "13,6000000001,0,A,2\n", operator).is(202).text("id")
		right := b.do("POST", "/dnd/registry:import"+query+"&override=a+part+of+the+country", "13,6000000001,0,A,2\n13,6000000003,0,D,2\n", operator).is(202).text("id")
		b.working(b.scrub.RunImports)
		b.imported(right)
		do("import_refused", "GET", "/dnd/registry/imports/"+refused, "", operator).is(200)
		do("import_completed", "GET", "/dnd/registry/imports/"+right, "", operator).is(200)
		do("registry_sweeping", "GET", "/dnd/registry", "").is(200)
		do("rollback", "POST", "/dnd/registry:rollback", `{"reason":"half of the country was missing"}`, operator).is(200)
		do("rollback_nothing", "POST", "/dnd/registry:rollback", `{"reason":"once more"}`, operator).is(409)
	})
}

// No file is left over from an answer that is no longer compared.
func TestGoldenFilesAreUsed(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("golden_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !bytes.Contains(source, []byte(`do("`+name+`"`)) {
			t.Errorf("%s is compared with nothing", file)
		}
	}
}
