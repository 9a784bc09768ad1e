package api

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// rechecked runs the re-check in a bubble until it has nothing more to do.
func (b *bundle) rechecked() {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.scrub.Run(ctx) }()
	synctest.Wait()
	stop()
	if err := <-done; err != nil {
		b.t.Error(err)
	}
}

// held makes a campaign with these leads held, which the registry before had,
// and returns the campaign and the leads.
func (b *bundle) held(phones ...saaf.Phone) (campaign string, leads []string) {
	b.t.Helper()
	listed := map[saaf.Phone]string{blocked: "0"}
	for _, p := range phones {
		listed[p] = "0"
	}
	b.registry(saaf.DateOf(time.Now()), listed)
	campaign = b.campaign()
	for _, p := range phones {
		leads = append(leads, b.push(campaign, p.National()))
	}
	b.fresh()
	b.rechecked()
	return campaign, leads
}

func TestReleaseLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		campaign, leads := b.held(9876543211, 9876543212, 9876543213, 9876543214)
		path := "/campaigns/" + campaign + "/leads:release"
		statuses := func() (list string) {
			for _, id := range leads {
				a := b.do("GET", "/campaigns/"+campaign+"/leads/"+id, "").is(200)
				list += a.text("status") + "," + a.raw("dnd_clean") + " "
			}
			return list
		}
		if got := statuses(); got != "held,false held,false held,false held,false " {
			t.Fatal(got)
		}
		release := func(body, want string) {
			t.Helper()
			if a := b.do("POST", path, body).is(200); a.body != want+"\n" {
				t.Errorf("%s: %s", body, a.body)
			}
		}
		release(`{"reason":"x","lead_ids":[]}`, `{"released":0,"still_blocked":0}`)
		release(fmt.Sprintf(`{"reason":"x","lead_ids":[%q]}`, nothing.lead), `{"released":0,"still_blocked":0}`)
		other := b.campaign()
		if a := b.do("POST", "/campaigns/"+other+"/leads:release", fmt.Sprintf(`{"reason":"x","lead_ids":[%q]}`, leads[0])).is(200); a.body != `{"released":0,"still_blocked":0}`+"\n" {
			t.Error(a.body)
		}
		release(fmt.Sprintf(`{"reason":"consent of 9876543211 on paper","lead_ids":[%q,%q]}`, leads[1], leads[1]), `{"released":1,"still_blocked":0}`)
		if got := statuses(); got != "held,false pending,true held,false held,false " {
			t.Error(got)
		}
		// One that is on the registry again, which no re-check has seen yet.
		b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{9876543213: "0"})
		release(`{"reason":"all of them"}`, `{"released":2,"still_blocked":1}`)
		if got := statuses(); got != "pending,true pending,true dnd,false pending,true " {
			t.Error(got)
		}
		release(`{"reason":"again"}`, `{"released":0,"still_blocked":0}`)
		entries, err := b.store.Evidence(t.Context(), b.tenant, 9876543212, time.Time{}, time.Time{})
		if err != nil || !strings.Contains(string(entries[len(entries)-1].Head), `"reason":"consent of xxxxxx3211 on paper"`) {
			t.Errorf("%s, %v", entries[len(entries)-1].Head, err)
		}
	})
}

// Where nothing answers nobody is freed.
func TestReleaseWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		campaign, _ := b.held(9876543211)
		time.Sleep(8 * 24 * time.Hour)
		if a := b.do("POST", "/campaigns/"+campaign+"/leads:release", `{"reason":"x"}`).is(200); a.body != `{"released":0,"still_blocked":1}`+"\n" {
			t.Error(a.body)
		}
	})
}

func TestDNDReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		campaign := b.campaign()
		report := func() map[string]any {
			t.Helper()
			var got map[string]any
			a := b.do("GET", "/campaigns/"+campaign+"/dnd-report", "").is(200)
			a.decode(&got)
			return got
		}
		expect := func(what string, want map[string]any) {
			t.Helper()
			got := report()
			for member, w := range want {
				if diff := cmp.Diff(w, got[member]); diff != "" {
					t.Errorf("%s: %s: %s", what, member, diff)
				}
			}
		}
		reasons := func(more map[string]any) map[string]any {
			all := map[string]any{"registry_unavailable": 0.0, "registry_stale": 0.0, "not_registered": 0.0, "ncpr_full_block": 0.0, "ncpr_partial_block": 0.0,
				"suppressed": 0.0, "held_after_block": 0.0}
			maps.Copy(all, more)
			return all
		}
		expect("nothing", map[string]any{"campaign_id": campaign, "total": 0.0, "checked": 0.0, "unchecked": 0.0, "reasons": reasons(nil),
			"last_change": nil, "confirmed_snapshot": nil, "all_leads_checked": false, "sweep": nil})
		b.push(campaign, "9876543210")
		expect("unchecked", map[string]any{"total": 1.0, "checked": 0.0, "clean": 0.0, "unchecked": 1.0, "reasons": reasons(map[string]any{"registry_unavailable": 1.0})})

		first := map[string]any{"id": b.fresh().String(), "effective_date": "2000-01-01"}
		expect("before the sweep", map[string]any{"confirmed_snapshot": nil, "all_leads_checked": false, "sweep": map[string]any{"done": 0.0, "total": 0.0, "changed": 0.0},
			"last_change": map[string]any{"activation": 1.0, "activated_at": "2000-01-01T00:00:00.000Z", "snapshot": first, "blocked": 0.0, "held": 0.0, "other": 0.0}})
		b.rechecked()
		b.push(campaign, blocked.National())
		b.push(campaign, partly.National())
		b.push(campaign, "9876543211")
		b.suppress(b.key, "9876543211")
		expect("fresh", map[string]any{
			"total": 4.0, "checked": 4.0, "clean": 1.0, "blocked": 3.0, "held": 0.0, "unchecked": 0.0,
			"leads":   map[string]any{"pending": 1.0, "dialing": 0.0, "dnd": 3.0, "held": 0.0, "completed": 0.0, "failed": 0.0, "no_answer": 0.0},
			"reasons": reasons(map[string]any{"not_registered": 1.0, "ncpr_full_block": 1.0, "ncpr_partial_block": 1.0, "suppressed": 1.0}),
			"last_change": map[string]any{"activation": 1.0, "activated_at": "2000-01-01T00:00:00.000Z", "snapshot": first,
				"blocked": 0.0, "held": 0.0, "other": 1.0},
			"confirmed_snapshot": first, "all_leads_checked": true, "sweep": nil,
		})

		time.Sleep(time.Hour)
		second := map[string]any{"id": b.registry(saaf.DateOf(time.Now()), map[saaf.Phone]string{9876543210: "0", partly: "2"}).String(), "effective_date": "2000-01-01"}
		expect("another snapshot", map[string]any{"confirmed_snapshot": first, "all_leads_checked": false})
		b.rechecked()
		expect("after its sweep", map[string]any{
			"checked": 4.0, "clean": 0.0, "blocked": 3.0, "held": 1.0, "unchecked": 0.0, "confirmed_snapshot": second, "all_leads_checked": true, "sweep": nil,
			"reasons":     reasons(map[string]any{"held_after_block": 1.0, "ncpr_full_block": 1.0, "ncpr_partial_block": 1.0, "suppressed": 1.0}),
			"last_change": map[string]any{"activation": 2.0, "activated_at": "2000-01-01T01:00:00.000Z", "snapshot": second, "blocked": 1.0, "held": 1.0, "other": 0.0},
		})
		b.push(campaign, "9876543219")
		time.Sleep(8 * 24 * time.Hour)
		expect("stale", map[string]any{"checked": 4.0, "clean": 0.0, "unchecked": 1.0,
			"reasons": reasons(map[string]any{"held_after_block": 1.0, "ncpr_full_block": 1.0, "ncpr_partial_block": 1.0, "suppressed": 1.0, "registry_stale": 1.0})})
	})
}

func TestErase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.fresh()
		campaign, other := b.campaign(), b.campaign()
		lead, stays := b.push(campaign, "9876543210"), b.push(campaign, "9876543211")
		b.push(other, "9876543210")
		opt := b.suppress(b.key, "9876543210")
		a := b.do("POST", "/erasures", `{"phone":"+91 98765 43210","reason":"letter of 9876543210"}`).is(202)
		id := a.text("id")
		want := `{"id":"` + id + `","state":"running","reason":"letter of xxxxxx3210","actor":` + a.raw("actor") + `,"leads":2,"suppressions":1,"created_at":"2000-01-01T00:00:00.000Z","finished_at":`
		if a.body != want+"null}\n" {
			t.Error(a.body)
		}
		b.do("GET", "/campaigns/"+campaign+"/leads/"+lead, "").is(404)
		b.do("GET", "/campaigns/"+campaign+"/leads/"+stays, "").is(200)
		if a := b.do("GET", "/suppressions/"+opt, "").is(200); a.raw("phone") != "null" {
			t.Error(a.body)
		}
		if got := b.check(b.key, `"9876543210"`); !strings.Contains(got[0], `"suppressed"`) {
			t.Error(got)
		}
		b.working(func(ctx context.Context) error { return b.store.RunErasures(ctx, func(err error) { t.Error(err) }) })
		for b.do("GET", "/erasures/"+id, "").is(200).text("state") == "running" {
			time.Sleep(time.Millisecond)
		}
		if a := b.do("GET", "/erasures/"+id, "").is(200); !strings.HasPrefix(a.body, strings.Replace(want, "running", "completed", 1)+`"2000-01-01T`) {
			t.Error(a.body)
		}
		if a := b.do("POST", "/erasures", `{"phone":"011 2345 6789","reason":"a fixed line"}`).is(202); a.raw("leads") != "0" || a.raw("suppressions") != "0" {
			t.Error(a.body)
		}
		if strings.Contains(b.log.String(), "9876543210") {
			t.Error(b.log)
		}
	})
}
