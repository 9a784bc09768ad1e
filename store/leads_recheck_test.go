package store

import (
	"fmt"
	"testing"
	"time"

	"saaf"
)

// unfinished reads all unfinished leads of a campaign, a few at a time.
func (b *bundle) unfinished(campaign saaf.CampaignID) (list []UnfinishedLead) {
	b.t.Helper()
	above := saaf.LeadID(0)
	for {
		page, err := b.UnfinishedLeads(b.ctx, campaign, above, 3)
		b.must(err)
		if len(page) == 0 {
			return list
		}
		list = append(list, page...)
		above = page[len(page)-1].ID
	}
}

// recheck stores findings about leads and says how many changed, and how many were
// no longer as given.
func (b *bundle) recheck(campaign saaf.CampaignID, changes ...Recheck) (changed, missed int) {
	b.t.Helper()
	changed, missed, err := b.ApplyRechecks(b.ctx, Lease{}, campaign, saaf.SourceFile, changes)
	b.must(err)
	return changed, missed
}

func TestUnfinishedLeads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	b.add(b.newCampaign(b.tenant, saaf.Live), leads(0, 5)...)
	batch := b.add(b.campaign, leads(0, 2*saaf.NumLeadStatuses)...)
	var want []UnfinishedLead
	for i, l := range batch.Leads {
		status := saaf.LeadStatus(i % saaf.NumLeadStatuses)
		b.force(b.campaign, l.ID, status, verdict(saaf.NotRegistered, snap))
		if !status.Finished() {
			want = append(want, UnfinishedLead{ID: l.ID, Phone: l.Phone, Status: status, Reason: saaf.NotRegistered})
		}
	}
	b.equal("unfinished leads", want, b.unfinished(b.campaign))
	b.checkCounts(b.campaign)

	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(other, leads(0, 1)...)
	got, err := b.UnfinishedByPhone(t.Context(), b.campaign, []saaf.Phone{phone(9), phone(4), phone(99), phone(1)})
	b.must(err)
	// 4 is finished, 99 is not there.
	b.equal("by phone", []UnfinishedLead{want[1], want[6]}, got)
}

// What becomes of a lead is what [saaf.Recheck] says, whatever it is and whatever
// is found.
func TestApplyRechecksIsTheTable(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		old, snap := b.activate(20_000), b.activate(20_001)
		n := 0
		for status := range saaf.LeadStatus(saaf.NumLeadStatuses) {
			for had := range saaf.HeldAfterBlock + 1 {
				for found := range saaf.HeldAfterBlock + 1 {
					if found == saaf.Suppressed {
						continue // not a finding of a registry
					}
					n++
					id := b.add(b.campaign, leads(n, n+1)...).Leads[0].ID
					b.force(b.campaign, id, status, verdict(had, old))
					want, err := b.Lead(t.Context(), b.tenant, b.campaign, id)
					b.must(err)
					b.pass(time.Second)
					changed, missed := b.recheck(b.campaign, Recheck{
						Lead:    UnfinishedLead{ID: id, Phone: phone(n), Status: status, Reason: had},
						Verdict: verdict(found, snap),
					})
					becomes, keeps := saaf.Recheck(status, had, found)
					moves := 0
					if becomes != status || keeps != had {
						moves = 1
						want.Status, want.Verdict, want.UpdatedAt = becomes, verdict(found, snap), b.now()
						want.Verdict.Reason = keeps
					}
					if changed != moves || missed != 0 {
						t.Errorf("%s, %s, found %s: %d changed and %d missed; want %d", status, had, found, changed, missed, moves)
					}
					got, err := b.Lead(t.Context(), b.tenant, b.campaign, id)
					b.must(err)
					b.equal(fmt.Sprintf("%s, %s, found %s", status, had, found), want, got)
				}
			}
		}
		b.checkCounts(b.campaign)
	})
}

// A finding is stored only for a lead that is still as it was judged.
func TestApplyRechecksComparesBeforeItSets(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		old := b.activate(20_000)
		fresh := leads(0, 4)
		for i := range fresh {
			fresh[i].Verdict = verdict(saaf.NotRegistered, old)
		}
		b.add(b.campaign, fresh...)
		other := b.newCampaign(b.tenant, saaf.Live)
		elsewhere := b.add(other, NewLead{Phone: phone(0), Verdict: verdict(saaf.NotRegistered, old)}).Leads[0].ID
		snap := b.activate(20_001)
		was := b.unfinished(b.campaign)
		want := b.all(b.campaign)
		b.pass(time.Hour)

		block := func(l UnfinishedLead) Recheck { return Recheck{Lead: l, Verdict: verdict(saaf.FullBlock, snap)} }
		otherStatus, otherReason, foreign, unknown := was[1], was[2], was[3], was[3]
		otherStatus.Status, otherReason.Reason = saaf.LeadHeld, saaf.RegistryStale
		foreign.ID, unknown.ID = elsewhere, 1
		changed, missed := b.recheck(b.campaign, block(was[0]), block(otherStatus), block(otherReason), block(foreign), block(unknown), block(was[0]))
		if changed != 1 || missed != 5 {
			t.Errorf("%d changed and %d missed; want only the one that was as judged, once", changed, missed)
		}
		want[0].Status, want[0].Verdict, want[0].UpdatedAt = saaf.LeadDND, verdict(saaf.FullBlock, snap), b.now()
		b.equal("leads", want, b.all(b.campaign))
		b.checkCounts(b.campaign)
		b.checkCounts(other)
		for _, list := range [][]Recheck{nil, {{Lead: was[1], Verdict: verdict(saaf.NotRegistered, snap)}}} {
			if changed, missed := b.recheck(b.campaign, list...); changed != 0 || missed != 0 {
				t.Errorf("%v: %d changed and %d missed", list, changed, missed)
			}
		}
		b.equal("leads that nothing new was found about", want, b.all(b.campaign))
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
		if changed, missed := b.recheck(b.campaign, block(was[1])); changed != 0 || missed != 0 {
			t.Errorf("in a campaign that was deleted %d changed and %d missed", changed, missed)
		}
	})
}

func TestCampaignsToRecheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	stranger := b.newTenant("Stranger")
	expect := func(when string, unfinished, unchecked []CampaignLeads) {
		t.Helper()
		for onlyUnchecked, want := range map[bool][]CampaignLeads{false: unfinished, true: unchecked} {
			got, err := b.CampaignsToRecheck(t.Context(), 0, onlyUnchecked)
			b.must(err)
			b.equal(when, want, got)
			for i, c := range want {
				got, err := b.CampaignsToRecheck(t.Context(), c.ID, onlyUnchecked)
				b.must(err)
				b.equal(when+", above one of them", want[i+1:], got, emptyIsNil)
			}
		}
	}
	expect("no leads", nil, nil)

	checked, unchecked, finished := b.newCampaign(b.tenant, saaf.Test), b.newCampaign(stranger, saaf.Live), b.newCampaign(b.tenant, saaf.Live)
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Test, &LeadBatch{Campaign: checked, Leads: []NewLead{{Phone: phone(0), Verdict: verdict(saaf.FullBlock, snap)}}}))
	b.must(b.AddLeads(t.Context(), stranger, saaf.Live, &LeadBatch{Campaign: unchecked, Leads: leads(0, 2)}))
	b.add(finished, leads(0, 1)...)
	expect("new leads", []CampaignLeads{{checked, 1}, {unchecked, 2}, {finished, 1}}, []CampaignLeads{{unchecked, 2}, {finished, 1}})

	b.force(finished, b.unfinished(finished)[0].ID, saaf.LeadNoAnswer, saaf.Verdict{})
	expect("one is finished", []CampaignLeads{{checked, 1}, {unchecked, 2}}, []CampaignLeads{{unchecked, 2}})

	for i, l := range b.unfinished(unchecked) {
		status := []saaf.LeadStatus{saaf.LeadHeld, saaf.LeadDialing}[i]
		b.force(unchecked, l.ID, status, verdict(saaf.HeldAfterBlock, snap))
	}
	expect("all are checked", []CampaignLeads{{checked, 1}, {unchecked, 2}}, nil)
	for _, id := range []saaf.CampaignID{checked, unchecked, finished} {
		b.checkCounts(id)
	}
}
