package api

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/scrub"
)

// shown is what a lead says of its verdict.
type shown struct{ Status, Checked, Clean, Reason, Registry string }

func verdict(a answer) shown {
	a.t.Helper()
	s := shown{a.text("status"), a.raw("dnd_checked"), a.raw("dnd_clean"), a.text("dnd_reason"), a.raw("dnd_registry")}
	if hasTime := a.raw("dnd_checked_at") != "null"; hasTime != (s.Registry != "null") {
		a.t.Errorf("a time without a registry, or the other way round: %s", a.body)
	}
	return s
}

// verdicts pushes the three kinds of numbers and returns what is shown of them,
// in the answer to the push; reading them must show the same.
func (b *bundle) verdicts(campaign string) (list []shown) {
	b.t.Helper()
	for _, phone := range []saaf.Phone{9876543210, blocked, partly} {
		a := b.do("POST", "/campaigns/"+campaign+"/leads", `{"phone":"`+phone.National()+`"}`).is(201)
		list = append(list, verdict(a))
		if read := b.do("GET", "/campaigns/"+campaign+"/leads/"+a.text("id"), "").is(200); read.body != a.body {
			b.t.Errorf("pushed %s, read %s", a.body, read.body)
		}
	}
	return list
}

func TestVerdictsOfAFreshRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ref := fmt.Sprintf(`{"id":"%s","effective_date":"2000-01-01"}`, b.fresh())
		want := []shown{
			{"pending", "true", "true", "not_registered", ref},
			{"dnd", "true", "false", "ncpr_full_block", ref},
			{"dnd", "true", "false", "ncpr_partial_block", ref},
		}
		if diff := cmp.Diff(want, b.verdicts(b.campaign())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestVerdictsWithoutARegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	unknown := shown{"pending", "false", "false", "registry_unavailable", "null"}
	if diff := cmp.Diff([]shown{unknown, unknown, unknown}, b.verdicts(campaign)); diff != "" {
		t.Error(diff)
	}
	b.cleanOnes(campaign, 0, 3)
}

func TestVerdictsOfAStaleRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.registry(saaf.DateOf(time.Now())-7, map[saaf.Phone]string{blocked: "0", partly: "2#3"})
	campaign := b.campaign()
	unknown := shown{"pending", "false", "false", "registry_stale", "null"}
	if diff := cmp.Diff([]shown{unknown, unknown, unknown}, b.verdicts(campaign)); diff != "" {
		t.Error(diff)
	}
	b.cleanOnes(campaign, 0, 3)
}

// cleanOnes counts the leads that the filter lists as clean and as not, and looks
// whether they show themselves so.
func (b *bundle) cleanOnes(campaign string, clean, not int) {
	b.t.Helper()
	list := "/campaigns/" + campaign + "/leads"
	for filter, want := range map[string]int{"true": clean, "false": not} {
		ids := b.do("GET", list+"?dnd_clean="+filter, "").ids()
		if len(ids) != want {
			b.t.Errorf("dnd_clean=%s lists %d, want %d", filter, len(ids), want)
		}
		for _, id := range ids {
			if a := b.do("GET", list+"/"+id, "").is(200); a.raw("dnd_clean") != filter {
				b.t.Errorf("dnd_clean=%s lists %s", filter, a.body)
			}
		}
	}
}

// A registry that grows old turns nothing round in the store, and yet no lead is
// shown as clean on the word of one that is too old. A new one answers again.
func TestVerdictsGrowOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		first := fmt.Sprintf(`{"id":"%s","effective_date":"2000-01-01"}`, b.fresh())
		campaign := b.campaign()
		clean := "/campaigns/" + campaign + "/leads/" + b.push(campaign, "9876543210")
		dnd := "/campaigns/" + campaign + "/leads/" + b.push(campaign, blocked.National())
		see := func(what string, cleanWant, dndWant shown, cleanOnes, others int) {
			t.Helper()
			if diff := cmp.Diff(cleanWant, verdict(b.do("GET", clean, "").is(200))); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			if diff := cmp.Diff(dndWant, verdict(b.do("GET", dnd, "").is(200))); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			b.cleanOnes(campaign, cleanOnes, others)
		}
		isClean := shown{"pending", "true", "true", "not_registered", first}
		isBlocked := shown{"dnd", "true", "false", "ncpr_full_block", first}
		tooOld := shown{"pending", "false", "false", "registry_stale", first}
		see("fresh", isClean, isBlocked, 1, 1)
		// It counts from 00:00 in India, half past six in the evening before.
		time.Sleep(7*24*time.Hour - 330*time.Minute - time.Millisecond)
		see("a moment before it is too old", isClean, isBlocked, 1, 1)
		time.Sleep(time.Millisecond)
		see("too old", tooOld, isBlocked, 0, 2)
		b.fresh()
		see("another one", isClean, isBlocked, 1, 1)
	})
}

// Who was blocked and no longer is waits for a release and is not shown as clean.
func TestHeldLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.fresh()
		campaign := b.campaign()
		lead := "/campaigns/" + campaign + "/leads/" + b.push(campaign, blocked.National())
		clean := "/campaigns/" + campaign + "/leads/" + b.push(campaign, "9876543210")
		time.Sleep(time.Hour)
		ref := fmt.Sprintf(`{"id":"%s","effective_date":"2000-01-01"}`, b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{9876543210: "1"}))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.scrub.Run(ctx) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(shown{"held", "true", "false", "held_after_block", ref}, verdict(b.do("GET", lead, "").is(200))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(shown{"dnd", "true", "false", "ncpr_partial_block", ref}, verdict(b.do("GET", clean, "").is(200))); diff != "" {
			t.Error(diff)
		}
		b.cleanOnes(campaign, 0, 2)
		if got := b.do("GET", "/campaigns/"+campaign, "").is(200).raw("lead_counts"); got != `{"completed":0,"dialing":0,"dnd":1,"failed":0,"held":1,"no_answer":0,"pending":0}` {
			t.Error(got)
		}
	})
}

func TestRegistryAndReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		const none = `"registry":{"age_days":null,"effective_date":null,"id":null,"state":"none"},"status":"ready","warnings":["No registry snapshot answers: `
		ready := func(state, age string) {
			t.Helper()
			a := b.do("GET", "//readyz", "", as("")).is(200)
			var body struct {
				Status   string
				Registry map[string]any
				Warnings []string
			}
			a.decode(&body)
			got := b.do("GET", "/dnd/registry", "").is(200)
			if body.Status != "ready" || body.Registry["state"] != state || fmt.Sprint(body.Registry["age_days"]) != age ||
				(state == "fresh") != (len(body.Warnings) == 0) || body.Warnings == nil {
				t.Errorf("want %s, %s days: %s", state, age, a.body)
			}
			for member, want := range body.Registry {
				var have any
				got.member(member, &have)
				if have != want {
					t.Errorf("%s: %v for some and %v for others", member, have, want)
				}
			}
			unlimited(t, "readyz", a)
		}
		if a := b.do("GET", "//readyz", "", as("")).is(200); len(a.body) < len(none) || a.body[1:1+len(none)] != none {
			t.Error(a.body)
		}
		ready("none", "<nil>")
		b.fresh()
		ready("fresh", "0")
		time.Sleep(4*24*time.Hour - 330*time.Minute)
		ready("warn", "4")
		time.Sleep(3 * 24 * time.Hour)
		ready("stale", "7")
		b.failing = fmt.Errorf("stopping")
		a := b.do("GET", "//readyz", "", as(""))
		a.fails(503, "not_ready", `"Not ready: stopping"`)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%v", a.header)
		}
		if a := b.do("GET", "//healthz", "", as("")).is(200); a.body != "{\"status\":\"ok\"}\n" {
			t.Error(a.body)
		}
	})
}

// A snapshot that cannot be opened is no snapshot, and the operator is told.
func TestRegistryWithoutItsFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	files, err := filepath.Glob(filepath.Join(b.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			t.Fatal(err)
		}
	}
	again := setup(t, func(c *Config) { // another process on the same store
		c.Store = b.store
		c.Scrub = scrub.NewService(scrub.Config{Store: b.store, Registry: b.empty(), Dir: b.dir, Log: c.Log})
		if serving, err := c.Scrub.Load(t.Context()); err != nil || serving.Problem == "" {
			t.Errorf("%+v, %v", serving, err)
		}
	})
	a := again.do("GET", "//readyz", "", as("")).is(200)
	var body struct{ Warnings []string }
	a.decode(&body)
	if len(body.Warnings) != 2 {
		t.Errorf("the operator is not told: %s", a.body)
	}
	// What the record says of the snapshot is not said of what answers.
	if a := again.do("GET", "/dnd/registry", "").is(200); a.text("state") != "none" || a.raw("numbers") != "0" || a.raw("sha256") != "null" {
		t.Error(a.body)
	}
}
