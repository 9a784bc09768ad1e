package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"saaf"
)

// leave puts a number on the tenant's list as a process does that ends before any
// campaign has taken it.
func (b *bundle) leave(p saaf.Phone) {
	b.t.Helper()
	b.must(b.write(b.ctx, everything, 1, func(x *tx) error {
		_, err := x.suppress(b.tenant, saaf.Live, &NewSuppression{Scope: saaf.TenantScope, Phone: p}, asha)
		return err
	}))
}

// What a process leaves that ends between a change of the lists and the leads it
// concerns is done by another, however many changes others make meanwhile.
func TestSpreadLeft(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		other := b.newCampaign(b.tenant, saaf.Live)
		var ids []saaf.LeadID
		for n := range 6 {
			ids = append(ids, b.addTo(b.tenant, saaf.Live, b.campaign, phone(n), snap))
			b.addTo(b.tenant, saaf.Live, other, phone(n), snap)
		}
		blocked := func() (n int64) {
			return b.number(`SELECT count(*) FROM leads WHERE status = $1 AND reason = $2`, saaf.LeadDND, saaf.Suppressed)
		}
		spread := func(want int) {
			t.Helper()
			if n, err := b.SpreadLeft(t.Context(), Lease{}, b.now(), saaf.SourceFile, finding(verdict(saaf.NotRegistered, snap))); err != nil || n != want {
				t.Errorf("%d changes were left, %v; want %d", n, err, want)
			}
		}
		spread(0)
		b.leave(phone(0))
		lifted := b.suppress(saaf.TenantScope, 0, phone(5))[0] // and takes its own leads
		if n := blocked(); n != 2 {
			t.Fatalf("%d leads are blocked; want the 2 of the change that was not left", n)
		}
		b.pass(spreadGrace - time.Millisecond)
		spread(0) // it may be under way
		b.pass(time.Millisecond)
		b.suppress(saaf.TenantScope, 0, phone(1)) // while others go on
		b.leave(phone(2))
		spread(2)
		if n := blocked(); n != 2*3 {
			t.Errorf("%d leads are blocked; want 6", n)
		}
		b.pass(spreadGrace)
		spread(2)
		if n := blocked(); n != 2*4 {
			t.Errorf("%d leads are blocked; want 8", n)
		}
		b.pass(spreadGrace)
		spread(0)

		// Changes that end a suppression are spread too.
		b.must(b.write(t.Context(), everything, 1, func(x *tx) error {
			return x.end(&lifted.Suppression, "lifted", saaf.SourceFile, asha, "over", finding(verdict(saaf.NotRegistered, snap)))
		}))
		if l := b.lead(b.campaign, ids[5]); l.Status != saaf.LeadDND {
			t.Errorf("it is %s before anybody has judged it", l.Status)
		}
		b.pass(spreadGrace)
		spread(1)
		if l := b.lead(b.campaign, ids[5]); l.Status != saaf.LeadHeld || l.Verdict.Reason != saaf.HeldAfterBlock {
			t.Errorf("it is %s, %s", l.Status, l.Verdict.Reason)
		}
		for _, c := range []saaf.CampaignID{b.campaign, other} {
			b.checkCounts(c)
		}
		b.checkIndex()
	})
}

// Whoever asks for an opt-out that is there already, but has not reached the leads yet,
// is answered when it has: the first answer may have been that it is not known.
func TestSuppressAgainSpreads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	id := b.addTo(b.tenant, saaf.Live, b.campaign, phone(0), snap)
	b.leave(phone(0))
	again := b.suppress(saaf.TenantScope, 0, phone(0))[0]
	if again.Made || again.Blocked != 1 {
		t.Errorf("made %v, %d leads blocked; want 1 of the suppression that was there", again.Made, again.Blocked)
	}
	if l := b.lead(b.campaign, id); l.Verdict.Reason != saaf.Suppressed || l.Status != saaf.LeadDND {
		t.Errorf("the lead is %s, %s behind the answer", l.Status, l.Verdict.Reason)
	}
	if last := b.suppress(saaf.TenantScope, 0, phone(0))[0]; last.Made || last.Blocked != 0 {
		t.Errorf("once more: made %v, %d leads blocked", last.Made, last.Blocked)
	}
	b.checkCounts(b.campaign)
}

// A campaign that cannot be written keeps no other from a change of the lists, and takes
// it later.
func TestSpreadGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	campaigns := []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live), b.newCampaign(b.tenant, saaf.Live)}
	for _, c := range campaigns {
		b.addTo(b.tenant, saaf.Live, c, phone(0), snap)
	}
	b.leave(phone(0))
	outside := b.outside()
	do := func(sql string) {
		t.Helper()
		_, err := outside.exec(sql)
		b.must(err)
	}
	do(`CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as the test wants it'; END $$`)
	spread := func() error {
		_, err := b.SpreadLeft(t.Context(), Lease{}, b.now().Add(spreadGrace), saaf.SourceFile, finding(verdict(saaf.NotRegistered, snap)))
		return err
	}
	blocked := func(c saaf.CampaignID) int64 {
		return b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1 AND reason = $2`, c, saaf.Suppressed)
	}
	do(fmt.Sprintf(`CREATE TRIGGER fails BEFORE UPDATE ON leads FOR EACH ROW WHEN (OLD.campaign_id = %d) EXECUTE FUNCTION fails()`, int64(campaigns[0])))
	if err := spread(); err == nil || !strings.Contains(err.Error(), campaigns[0].String()) {
		t.Errorf("the campaign that fails is not named: %v", err)
	}
	for i, c := range campaigns {
		if n := blocked(c); n != int64(min(i, 1)) {
			t.Errorf("campaign %d has %d leads that are blocked", i, n)
		}
	}
	do(`DROP TRIGGER fails ON leads`)
	b.must(spread())
	for i, c := range campaigns {
		if n := blocked(c); n != 1 {
			t.Errorf("in the end campaign %d has %d leads that are blocked", i, n)
		}
		b.checkCounts(c)
	}
}
