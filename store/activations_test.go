package store

import (
	"testing"
	"time"

	"saaf"
)

// state reads the register.
func (b *bundle) state() saaf.RegistryState {
	b.t.Helper()
	reg, err := b.Registry(b.ctx)
	b.must(err)
	return reg
}

func TestRollBack(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		var snaps []saaf.Snapshot
		var want []saaf.Activation
		against := saaf.SnapshotID(0)
		for n := range byte(3) {
			b.pass(time.Hour)
			made, _, err := b.ActivateSnapshot(t.Context(), everyField(n), against, Cause{By: asha})
			b.must(err)
			want = append(want, saaf.Activation{Seq: int64(n) + 1, Snapshot: made.ID, Over: against, Reason: made.OverrideReason, By: asha, At: b.now()})
			against = made.ID
			snaps = append(snaps, made)
		}
		kept := func(when string, keep int, want ...saaf.Snapshot) {
			t.Helper()
			list, err := b.KeptSnapshots(t.Context(), keep)
			b.must(err)
			var ids, wanted []saaf.SnapshotID
			for i := range list {
				ids = append(ids, list[i].ID)
			}
			for i := range want {
				wanted = append(wanted, want[i].ID)
			}
			b.equal("kept "+when, wanted, ids)
		}
		kept("after three", 3, snaps[2], snaps[1], snaps[0])
		kept("of three two", 2, snaps[2], snaps[1])
		b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 3))
		before := b.state()
		b.pass(time.Hour)

		for name, from := range map[string]saaf.SnapshotID{"from one that is not active": snaps[1].ID, "from none": 0} {
			if _, _, err := b.RollBack(t.Context(), from, snaps[0].ID, asha, "x"); saaf.ErrorCode(err) != saaf.Conflict {
				t.Errorf("%s: %v; want Conflict", name, err)
			}
		}
		if _, _, err := b.RollBack(t.Context(), snaps[2].ID, 7, asha, "x"); saaf.ErrorCode(err) != saaf.NotFound {
			t.Errorf("to one that never was: %v; want NotFound", err)
		}
		b.equal("after refusals", before, b.state())

		active, version, err := b.RollBack(t.Context(), snaps[2].ID, snaps[1].ID, asha, "a bad file, 9876543210 told")
		b.must(err)
		want = append(want, saaf.Activation{Seq: 4, Snapshot: snaps[1].ID, Over: snaps[2].ID, Rollback: true, Reason: "a bad file, xxxxxx3210 told", By: asha, At: b.now()})
		after := b.state()
		if active.ID != snaps[1].ID || version <= before.Version || version != after.Version {
			t.Errorf("active %v, version %d after %d", active.ID, version, before.Version)
		}
		b.equal("after it", saaf.RegistryState{
			Version: version, Active: &snaps[1], Activation: 4, ActivatedAt: b.now(), Confirmed: snaps[2].ID, ConfirmedActivation: 3,
		}, after)
		if after.AllChecked() {
			t.Error("nothing has been checked by it yet")
		}
		kept("after going back", 3, snaps[1], snaps[0])
		for from := range int64(6) {
			list, err := b.Activations(t.Context(), from)
			b.must(err)
			b.equal("activations", want[min(max(from-1, 0), 4):], list, emptyIsNil)
		}

		// The next import is made against it, and going back from there leads to it.
		made, _, err := b.ActivateSnapshot(t.Context(), everyField(9), snaps[1].ID, Cause{By: asha})
		b.must(err)
		kept("after the next import", 3, made, snaps[1], snaps[0])
		b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 5))
		if reg := b.state(); !reg.AllChecked() || reg.Confirmed != made.ID {
			t.Errorf("confirmed: %+v", reg)
		}
	})
}

// Progress and confirmation count for the activation they name, and only while it
// is the present one.
func TestSweepBelongsToItsActivation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 7))
	if reg := b.state(); reg.Confirmed != 0 || reg.AllChecked() {
		t.Errorf("confirmed though there is none: %+v", reg)
	}
	first := b.activate(20_000)
	progress := saaf.Sweep{Activation: 1, Above: 77, Done: 2, Total: 5, Changed: 9}
	b.must(b.SweepProgress(t.Context(), Lease{}, progress))
	b.must(b.SweepProgress(t.Context(), Lease{}, saaf.Sweep{Activation: 2, Done: 3}))
	b.must(b.SweepProgress(t.Context(), Lease{}, saaf.Sweep{Activation: 0, Done: 4}))
	b.equal("progress", progress, b.state().Sweep)
	b = b.reopen()
	b.equal("progress after opening again", progress, b.state().Sweep)
	b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 1))

	second := b.activate(20_001)
	if reg := b.state(); reg.Sweep != (saaf.Sweep{}) || reg.Confirmed != first.ID || reg.ConfirmedActivation != 1 || reg.AllChecked() {
		t.Errorf("after another activation: %+v", reg)
	}
	b.must(b.SweepProgress(t.Context(), Lease{}, progress))
	b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 1))
	if reg := b.state(); reg.Sweep != (saaf.Sweep{}) || reg.Confirmed != first.ID || reg.ConfirmedActivation != 1 {
		t.Errorf("a late word of the first: %+v", reg)
	}
	b.must(b.SweepProgress(t.Context(), Lease{}, saaf.Sweep{Activation: 2, Above: 1}))
	_, _, err := b.RollBack(t.Context(), second.ID, first.ID, asha, "x")
	b.must(err)
	if reg := b.state(); reg.Sweep != (saaf.Sweep{}) || reg.AllChecked() {
		t.Errorf("rolled back to what was confirmed once: %+v", reg)
	}
	b.must(b.ConfirmSnapshot(t.Context(), Lease{}, 3))
	if reg := b.state(); !reg.AllChecked() || reg.Confirmed != first.ID {
		t.Errorf("in the end: %+v", reg)
	}
}

// The report of a campaign says what the re-check for the present activation
// changed in it, and nothing of what was changed otherwise.
func TestReportCountsChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.activate(20_000)
	for n, reason := range []saaf.VerdictReason{saaf.NotRegistered, saaf.NotRegistered, saaf.FullBlock, saaf.FullBlock, saaf.RegistryUnavailable, saaf.RegistryUnavailable} {
		b.add(b.campaign, NewLead{Phone: phone(n), Verdict: verdict(reason, first)})
	}
	snap := b.activate(20_001)
	report := func() DNDReport {
		t.Helper()
		rep, err := b.DNDReport(t.Context(), b.tenant, saaf.Live, b.campaign)
		b.must(err)
		b.checkCounts(b.campaign)
		return rep
	}
	b.equal("before", Changes{Activation: 2}, report().Changes)
	b.suppress(saaf.TenantScope, 0, phone(1)) // no work of the re-check
	was := b.unfinished(b.campaign)
	for i, reason := range []saaf.VerdictReason{saaf.PartialBlock, saaf.NotRegistered, saaf.NotRegistered, saaf.PartialBlock, saaf.FullBlock, saaf.NotRegistered} {
		b.recheck(b.campaign, Recheck{was[i], verdict(reason, snap)})
	}
	// 0 and 4 blocked, 2 held, 3 from full to partial and 5 from unchecked to clean.
	want := DNDReport{
		Found:   saaf.FindingCounts{saaf.NotRegistered: 1, saaf.FullBlock: 1, saaf.PartialBlock: 2, saaf.Suppressed: 1, saaf.HeldAfterBlock: 1},
		Leads:   saaf.LeadCounts{saaf.LeadPending: 1, saaf.LeadDND: 4, saaf.LeadHeld: 1},
		Changes: Changes{Activation: 2, Blocked: 2, Held: 1, Other: 2},
	}
	b.equal("after", want, report())
	b.activate(20_002)
	want.Changes = Changes{Activation: 3}
	b.equal("after the next activation", want, report())
	for name, who := range map[string]struct {
		tenant saaf.TenantID
		env    saaf.Environment
	}{"a stranger": {b.newTenant("Stranger"), saaf.Live}, "the other environment": {b.tenant, saaf.Test}} {
		if _, err := b.DNDReport(t.Context(), who.tenant, who.env, b.campaign); err != error(saaf.ErrCampaignNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, asha))
	b.must(b.purgeCampaign(t.Context(), Lease{}, b.campaign))
	if n := b.number(`SELECT count(*) FROM campaign_changes`); n != 0 {
		t.Errorf("%d rows of a campaign that is gone", n)
	}
}
