package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"saaf"
)

// agedLead is a lead as the re-check by age sees it.
type agedLead struct {
	UnfinishedLead
	verdict saaf.Verdict
}

// everyAge adds a lead of every status and finding, that were checked on one of three
// days, by a snapshot or by none.
func (b *bundle) everyAge(snap saaf.SnapshotRef) (list []agedLead) {
	b.t.Helper()
	for status := range saaf.LeadStatus(saaf.NumLeadStatuses) {
		for reason := range saaf.HeldAfterBlock + 1 {
			for day := range 3 {
				for _, by := range []saaf.SnapshotRef{{}, snap} {
					list = append(list, agedLead{
						UnfinishedLead{Phone: phone(len(list)), Status: status, Reason: reason},
						saaf.Verdict{Reason: reason, Snapshot: by, CheckedAt: checkedAt.AddDate(0, 0, day)},
					})
				}
			}
		}
	}
	batch := b.add(b.campaign, leads(0, len(list))...)
	b.must(b.write(b.ctx, alone(b.campaign), len(list), func(x *tx) error {
		for i := range list {
			l := &list[i]
			l.ID = batch.Leads[i].ID
			was := UnfinishedLead{ID: l.ID, Phone: l.Phone}
			if err := x.overwrite(b.campaign, &move{was: was, status: l.Status, reason: l.Reason, verdict: l.verdict}); err != nil {
				return err
			}
			x.count(b.campaign, saaf.LeadPending, saaf.RegistryUnavailable, -1)
			x.count(b.campaign, l.Status, l.Reason, 1)
		}
		return nil
	}))
	return list
}

func TestLeadsByAge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := b.everyAge(b.activate(20_000))
	b.add(b.newCampaign(b.tenant, saaf.Live), leads(0, 3)...) // never to be seen
	compare := func(what string, read func(above saaf.LeadID, limit int) ([]UnfinishedLead, error), is func(*agedLead) bool) {
		t.Helper()
		var want, got []UnfinishedLead
		for i := range all {
			if is(&all[i]) {
				want = append(want, all[i].UnfinishedLead)
			}
		}
		above := saaf.LeadID(0)
		for {
			page, err := read(above, 7)
			b.must(err)
			got = append(got, page...)
			if len(page) < 7 {
				break
			}
			above = page[6].ID
		}
		b.equal(what, want, got, emptyIsNil)
	}
	compare("unchecked", func(above saaf.LeadID, limit int) ([]UnfinishedLead, error) {
		return b.UncheckedLeads(t.Context(), b.campaign, above, limit)
	}, func(l *agedLead) bool { return !l.Status.Finished() && !l.Reason.Checked() })
	days := []time.Time{{}, checkedAt, checkedAt.AddDate(0, 0, 1), checkedAt.AddDate(0, 0, 3)}
	for _, clean := range days {
		for _, blocked := range days {
			for _, unfounded := range []bool{true, false} {
				a := Aged{Clean: clean, Blocked: blocked, Unfounded: unfounded}
				compare(fmt.Sprintf("%+v", a), func(above saaf.LeadID, limit int) ([]UnfinishedLead, error) {
					return b.AgedLeads(t.Context(), b.campaign, a, above, limit)
				}, func(l *agedLead) bool {
					switch at := l.verdict.CheckedAt; {
					case l.Status.Finished():
						return false
					case l.Reason == saaf.NotRegistered:
						return at.Before(clean) || unfounded && l.verdict.Snapshot.ID == 0
					default:
						return (l.Reason == saaf.FullBlock || l.Reason == saaf.PartialBlock) && at.Before(blocked)
					}
				})
			}
		}
		for _, founded := range []bool{true, false} {
			backing := saaf.Backing{Answers: true, Snapshot: founded, Since: clean}
			want := int64(0)
			for i := range all {
				if v := all[i].verdict; v.Reason.Clean() && !backing.Holds(v) {
					want++
				}
			}
			for tenant, want := range map[saaf.TenantID]int64{b.tenant: want, b.tenant + 1: 0} {
				if n, err := b.CountAged(t.Context(), tenant, b.campaign, backing); err != nil || n != want {
					t.Errorf("%+v of the tenant %d: %d, %v; want %d", backing, tenant, n, err, want)
				}
			}
		}
	}
	var held []UnfinishedLead
	ids := []saaf.LeadID{1, all[0].ID}
	for i := range all {
		if l := &all[i]; l.Status == saaf.LeadHeld && i%2 == 0 {
			held, ids = append(held, l.UnfinishedLead), append(ids, l.ID)
		}
	}
	slices.Reverse(ids)
	got, err := b.HeldByID(t.Context(), b.tenant, b.campaign, ids)
	b.must(err)
	b.equal("held", held, got)
	if got, err := b.HeldByID(t.Context(), b.tenant+1, b.campaign, ids); err != nil || len(got) != 0 {
		t.Errorf("a stranger sees %v, %v", got, err)
	}
	b.checkCounts(b.campaign)
}

// What is renewed has the time and the snapshot of now, and its evidence, also where the
// finding is the same. Where nothing is known nothing is written.
func TestRenewLeads(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		old := b.activate(20_000)
		b.suppress(saaf.TenantScope, 0, phone(4))
		batch := leads(0, 6)
		for i := range batch {
			batch[i].Verdict = verdict([]saaf.VerdictReason{saaf.NotRegistered, saaf.FullBlock}[i%2], old)
		}
		b.add(b.campaign, batch...)
		snap := b.activate(20_001)
		b.pass(time.Hour)
		was, before, entries := b.unfinished(b.campaign), b.all(b.campaign), len(b.chain())
		moved := was[5]
		moved.Status = saaf.LeadHeld // it was, when it was judged
		n, err := b.RenewLeads(t.Context(), Lease{}, b.campaign, saaf.SourceFile, []Recheck{
			{was[0], verdict(saaf.NotRegistered, snap)}, {was[1], verdict(saaf.NotRegistered, snap)}, {was[2], verdict(saaf.RegistryStale, snap)},
			{was[3], verdict(saaf.PartialBlock, snap)}, {was[4], verdict(saaf.NotRegistered, snap)}, {moved, verdict(saaf.FullBlock, snap)},
		})
		b.must(err)
		if n != 4 {
			t.Errorf("%d were renewed; want 4", n)
		}
		want := slices.Clone(before)
		for i, becomes := range map[int]saaf.Lead{
			0: {Status: saaf.LeadPending, Verdict: verdict(saaf.NotRegistered, snap)},
			1: {Status: saaf.LeadHeld, Verdict: verdict(saaf.HeldAfterBlock, snap)},
			3: {Status: saaf.LeadDND, Verdict: verdict(saaf.PartialBlock, snap)},
			4: {Status: saaf.LeadDND, Verdict: verdict(saaf.Suppressed, snap)},
		} {
			want[i].Status, want[i].Verdict, want[i].UpdatedAt = becomes.Status, becomes.Verdict, b.now()
		}
		b.equal("leads", want, b.all(b.campaign))
		decisions := 0
		for _, e := range b.newEntries(entries) {
			decisions += b.headOf(&e).Decisions
		}
		if decisions != 4 {
			t.Errorf("%d decisions; want 4", decisions)
		}
		b.checkCounts(b.campaign)
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, asha))
		if n, err := b.RenewLeads(t.Context(), Lease{}, b.campaign, saaf.SourceFile, []Recheck{{was[0], verdict(saaf.FullBlock, snap)}}); n != 0 || err != nil {
			t.Errorf("in a campaign that is gone: %d, %v", n, err)
		}
	})
}

func TestSuppressionsOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := b.suppress(saaf.TenantScope, 0, phone(1))[0].Suppression
	all := b.suppress(saaf.DeploymentScope, 0, phone(2))[0].Suppression
	for name, c := range map[string]struct {
		tenant saaf.TenantID
		env    saaf.Environment
		of     saaf.Suppression
		there  bool
	}{
		"one's own":             {b.tenant, saaf.Live, mine, true},
		"the deployment's":      {0, saaf.Live, all, true},
		"a stranger's":          {b.tenant + 1, saaf.Live, mine, false},
		"the other environment": {b.tenant, saaf.Test, mine, false},
		"not a tenant's":        {b.tenant, saaf.Live, all, false},
	} {
		got, err := b.Suppression(t.Context(), c.tenant, c.env, c.of.ID)
		if c.there {
			b.must(err)
			b.equal(name, c.of, got)
		} else if err != error(errNoSuppression) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		p, err := b.SuppressionPhone(t.Context(), c.tenant, c.of.ID)
		b.must(err)
		if mayKnow := c.there || c.env == saaf.Test; mayKnow != (p == c.of.Phone) || !mayKnow && p != 0 {
			t.Errorf("%s: the phone is %d", name, p)
		}
	}
	_, err := b.Lift(t.Context(), b.tenant, mine.ID, saaf.SourceFile, asha, "over", finding(saaf.Verdict{}))
	b.must(err)
	if got, err := b.Suppression(t.Context(), b.tenant, saaf.Live, mine.ID); err != nil || got.EndedAt.IsZero() {
		t.Errorf("one that has ended: %+v, %v", got, err)
	}
	if p, err := b.SuppressionPhone(t.Context(), b.tenant, mine.ID); p != 0 || err != nil {
		t.Errorf("it blocks %d, %v", p, err)
	}
}
