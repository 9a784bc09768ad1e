package store

import (
	"testing"
	"time"

	"saaf"
)

// Release frees those that are held and found clean, and says why in the evidence.
func TestReleaseLeads(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		old, snap := b.activate(20_000), b.activate(20_001)
		batch := b.add(b.campaign, leads(0, 2*saaf.NumLeadStatuses)...)
		var ids, held []saaf.LeadID
		for i, l := range batch.Leads {
			status := saaf.LeadStatus(i % saaf.NumLeadStatuses)
			b.force(b.campaign, l.ID, status, verdict(saaf.HeldAfterBlock, old))
			if ids = append(ids, l.ID); status == saaf.LeadHeld {
				held = append(held, l.ID)
			}
		}
		listed := func() (ids []saaf.LeadID) {
			t.Helper()
			above := saaf.LeadID(0)
			for {
				page, err := b.HeldLeads(t.Context(), b.tenant, b.campaign, above, 1)
				b.must(err)
				if len(page) == 0 {
					return ids
				}
				above = page[0].ID
				ids = append(ids, above)
			}
		}
		b.equal("held", held, listed())
		if list, err := b.HeldLeads(t.Context(), b.newTenant("Stranger"), b.campaign, 0, 9); err != nil || len(list) != 0 {
			t.Errorf("a stranger lists %v, %v", list, err)
		}
		release := func(reason saaf.VerdictReason, ids ...saaf.LeadID) Released {
			t.Helper()
			done, err := b.ReleaseLeads(t.Context(), b.tenant, saaf.Live, b.campaign, ids, saaf.SourceFile, asha, "consent of 9876543210", finding(verdict(reason, snap)))
			b.must(err)
			b.checkCounts(b.campaign)
			return done
		}
		before := b.all(b.campaign)
		entries := len(b.chain())
		for _, reason := range []saaf.VerdictReason{saaf.RegistryUnavailable, saaf.RegistryStale} {
			b.equal("nothing answers", Released{StillBlocked: 2}, release(reason, ids...))
		}
		b.equal("none named", Released{}, release(saaf.NotRegistered))
		b.equal("leads", before, b.all(b.campaign))
		if n := len(b.chain()); n != entries {
			t.Errorf("%d entries where nothing changed", n-entries)
		}

		b.pass(time.Hour)
		b.suppress(saaf.CampaignScope, b.campaign, batch.Leads[saaf.LeadHeld].Phone)
		b.force(b.campaign, held[0], saaf.LeadHeld, verdict(saaf.HeldAfterBlock, old))
		b.equal("one is on a list, one is clean", Released{Released: 1, StillBlocked: 1}, release(saaf.NotRegistered, append(ids, ids...)...))
		if l := b.lead(b.campaign, held[0]); l.Status != saaf.LeadDND || l.Verdict.Reason != saaf.Suppressed {
			t.Errorf("on a list: %s, %s", l.Status, l.Verdict.Reason)
		}
		if l := b.lead(b.campaign, held[1]); l.Status != saaf.LeadPending || l.Verdict != verdict(saaf.NotRegistered, snap) || !l.UpdatedAt.Equal(b.now()) {
			t.Errorf("clean: %+v", l)
		}
		chain := b.chain()
		for _, r := range b.headOf(&chain[len(chain)-1]).Requests {
			if r.Reason != "consent of xxxxxx3210" {
				t.Errorf("the evidence says %q", r.Reason)
			}
		}
		b.equal("nobody is held any more", Released{}, release(saaf.NotRegistered, ids...))
		b.force(b.campaign, held[1], saaf.LeadHeld, verdict(saaf.HeldAfterBlock, old))
		b.equal("blocked again", Released{StillBlocked: 1}, release(saaf.FullBlock, held[1]))
		if l := b.lead(b.campaign, held[1]); l.Status != saaf.LeadDND || l.Verdict != verdict(saaf.FullBlock, snap) {
			t.Errorf("blocked: %+v", l)
		}
		for name, who := range map[string]struct {
			tenant saaf.TenantID
			env    saaf.Environment
		}{"another tenant": {b.tenant + 1, saaf.Live}, "the other environment": {b.tenant, saaf.Test}} {
			_, err := b.ReleaseLeads(t.Context(), who.tenant, who.env, b.campaign, ids, "", asha, "x", finding(saaf.Verdict{}))
			if err != error(saaf.ErrCampaignNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
