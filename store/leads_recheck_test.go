package store

import (
	"slices"
	"testing"
	"testing/synctest"
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

// recheck stores what becomes of leads and says how many were still as given.
func (b *bundle) recheck(campaign saaf.CampaignID, changes ...Recheck) int {
	b.t.Helper()
	n, err := b.ApplyRechecks(b.ctx, campaign, changes)
	b.must(err)
	return n
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
		was := UnfinishedLead{ID: l.ID, Phone: l.Phone, Status: saaf.LeadPending, Reason: saaf.RegistryUnavailable}
		is := UnfinishedLead{ID: l.ID, Phone: l.Phone, Status: status, Reason: saaf.NotRegistered}
		if n := b.recheck(b.campaign, Recheck{Lead: was, Status: status, Verdict: verdict(is.Reason, snap)}); n != 1 {
			t.Fatalf("%d leads changed", n)
		}
		if !status.Finished() {
			want = append(want, is)
		}
	}
	b.equal("unfinished leads", want, b.unfinished(b.campaign))
	b.checkCounts(b.campaign)
}

// A finding is stored only for a lead that is still as it was judged.
func TestApplyRechecksComparesBeforeItSets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		old, snap := b.activate(20_000), b.activate(20_001)
		fresh := leads(0, 4)
		for i := range fresh {
			fresh[i].Verdict = verdict(saaf.NotRegistered, old)
		}
		b.add(b.campaign, fresh...)
		other := b.newCampaign(b.tenant, saaf.Live)
		elsewhere := b.add(other, NewLead{Phone: phone(0), Verdict: verdict(saaf.NotRegistered, old)}).Leads[0].ID
		was := b.unfinished(b.campaign)
		want := b.all(b.campaign)
		time.Sleep(time.Hour)

		block := func(l UnfinishedLead) Recheck {
			return Recheck{Lead: l, Status: saaf.LeadDND, Verdict: verdict(saaf.FullBlock, snap)}
		}
		otherStatus, otherReason, foreign, unknown := was[1], was[2], was[3], was[3]
		otherStatus.Status, otherReason.Reason = saaf.LeadDialing, saaf.RegistryStale
		foreign.ID, unknown.ID = elsewhere, 1
		if n := b.recheck(b.campaign, block(was[0]), block(otherStatus), block(otherReason), block(foreign), block(unknown), block(was[0])); n != 1 {
			t.Errorf("%d leads changed; want only the one that was as judged, once", n)
		}
		want[0].Status, want[0].Verdict, want[0].UpdatedAt = saaf.LeadDND, verdict(saaf.FullBlock, snap), time.Now().UTC()
		b.equal("leads", want, b.all(b.campaign))
		b.checkCounts(b.campaign)
		b.checkCounts(other)

		// A change back to unknown is stored without a snapshot.
		blocked := UnfinishedLead{ID: was[0].ID, Status: saaf.LeadDND, Reason: saaf.FullBlock}
		if n := b.recheck(b.campaign, Recheck{Lead: blocked, Status: saaf.LeadPending}); n != 1 {
			t.Errorf("%d leads changed", n)
		}
		want[0].Status, want[0].Verdict = saaf.LeadPending, saaf.Verdict{}
		b.equal("leads", want, b.all(b.campaign))
		b.checkCounts(b.campaign)
		if n := b.recheck(b.campaign); n != 0 {
			t.Errorf("no changes changed %d leads", n)
		}
	})
}

func TestCampaignsToRecheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	stranger := b.newTenant("Stranger")
	expect := func(when string, unfinished, unchecked []saaf.CampaignID) {
		t.Helper()
		for onlyUnchecked, want := range map[bool][]saaf.CampaignID{false: unfinished, true: unchecked} {
			got, err := b.CampaignsToRecheck(t.Context(), onlyUnchecked)
			b.must(err)
			slices.Sort(want)
			b.equal(when, want, got)
		}
	}
	expect("no leads", nil, nil)

	checked, unchecked, finished := b.newCampaign(b.tenant, saaf.Test), b.newCampaign(stranger, saaf.Live), b.newCampaign(b.tenant, saaf.Live)
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Test, &LeadBatch{Campaign: checked, Leads: []NewLead{{Phone: phone(0), Verdict: verdict(saaf.FullBlock, snap)}}}))
	b.must(b.AddLeads(t.Context(), stranger, saaf.Live, &LeadBatch{Campaign: unchecked, Leads: leads(0, 2)}))
	b.add(finished, leads(0, 1)...)
	expect("new leads", []saaf.CampaignID{checked, unchecked, finished}, []saaf.CampaignID{unchecked, finished})

	b.recheck(finished, Recheck{Lead: b.unfinished(finished)[0], Status: saaf.LeadNoAnswer})
	expect("one is finished", []saaf.CampaignID{checked, unchecked}, []saaf.CampaignID{unchecked})

	for i, l := range b.unfinished(unchecked) {
		status := []saaf.LeadStatus{saaf.LeadHeld, saaf.LeadDialing}[i]
		b.recheck(unchecked, Recheck{Lead: l, Status: status, Verdict: verdict(saaf.HeldAfterBlock, snap)})
	}
	expect("all are checked", []saaf.CampaignID{checked, unchecked}, nil)
	for _, id := range []saaf.CampaignID{checked, unchecked, finished} {
		b.checkCounts(id)
	}
}

func TestConfirmSnapshotOnlyWhileItIsActive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	confirmed := func() saaf.SnapshotID {
		t.Helper()
		reg, err := b.Registry(t.Context())
		b.must(err)
		return reg.Confirmed
	}
	b.must(b.ConfirmSnapshot(t.Context(), 7))
	if id := confirmed(); id != 0 {
		t.Errorf("confirmed %v though there is none", id)
	}
	old := b.activate(20_000)
	b.must(b.ConfirmSnapshot(t.Context(), old.ID))
	if id := confirmed(); id != old.ID {
		t.Errorf("confirmed %v, want %v", id, old.ID)
	}
	b.activate(20_001)
	b.must(b.ConfirmSnapshot(t.Context(), old.ID))
	if id := confirmed(); id != old.ID {
		t.Errorf("confirmed %v, want still %v", id, old.ID)
	}
}
