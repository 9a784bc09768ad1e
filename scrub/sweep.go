package scrub

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// maxDifference is up to how many numbers a sweep keeps the difference of two
// snapshots in memory, 8 bytes each. With more, walking the leads is cheaper.
const maxDifference = 4_000_000

// sweep is the re-check of all leads after an activation.
//
// Every verdict in the store rests on the confirmed snapshot or on one that was
// activated since. So only leads whose number differs between one of those and the
// active snapshot can change: where a campaign has more leads than that, the
// numbers are looked up among its leads, and otherwise its leads are walked. Where
// an old snapshot is no longer kept, all leads are walked.
type sweep struct {
	*Service
	view     *dnd.View
	changed  []saaf.Phone // ascending
	all      bool         // changed is not known: walk
	progress saaf.Sweep
	recorded time.Time
}

func (s *Service) newSweep(ctx context.Context, view *dnd.View, st *saaf.RegistryState) (*sweep, error) {
	sw := &sweep{Service: s, view: view, progress: saaf.Sweep{Activation: st.Activation}}
	if st.Sweep.Activation == st.Activation {
		sw.progress = st.Sweep
	}
	why, err := sw.difference(ctx, st)
	if err != nil {
		return nil, err
	}
	if why != "" {
		sw.all, sw.changed = true, nil
		s.log.InfoContext(ctx, "re-checking every lead", "because", why)
	}
	return sw, nil
}

// difference collects the numbers by which the active snapshot differs from those
// that verdicts may rest on. why is set when that cannot be done, or is too much.
func (sw *sweep) difference(ctx context.Context, st *saaf.RegistryState) (why string, err error) {
	if st.Confirmed == 0 {
		return "there has been no pass over all leads yet", nil
	}
	active, err := sw.snapshot(ctx, st.Active.ID)
	if err != nil {
		return err.Error(), ctx.Err()
	}
	activations, err := sw.store.Activations(ctx, st.ConfirmedActivation)
	if err != nil {
		return "", err
	}
	seen := map[saaf.SnapshotID]bool{st.Active.ID: true}
	for _, a := range activations {
		if seen[a.Snapshot] {
			continue
		}
		seen[a.Snapshot] = true
		old, err := sw.snapshot(ctx, a.Snapshot)
		if err != nil {
			return fmt.Sprintf("an earlier snapshot is no longer there: %v", err), ctx.Err()
		}
		for d, err := range dnd.Diff(ctx, old, active) {
			if err != nil {
				return "", err
			}
			if len(sw.changed) == maxDifference {
				return "more numbers changed than are worth being looked up", nil
			}
			sw.changed = append(sw.changed, d.Phone)
		}
	}
	if len(seen) > 2 {
		slices.Sort(sw.changed)
		sw.changed = slices.Compact(sw.changed)
	}
	return "", nil
}

// snapshot opens a snapshot of the register whose files are what was imported: a
// number that damage lists in an old one would not be looked up. What this process has
// verified is not read again.
func (s *Service) snapshot(ctx context.Context, id saaf.SnapshotID) (*dnd.Snapshot, error) {
	snap, err := s.store.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	if opened := s.shelf.get(snap.SHA256); opened != nil {
		return opened, nil
	}
	base := s.shelf.get(baseOf(&snap))
	if base == nil {
		return OpenVerified(ctx, s.store, s.dir, &snap)
	}
	if err := provide(ctx, s.store, s.dir, snap.SHA256); err != nil {
		return nil, err
	}
	return dnd.OpenOverlay(snapshotPath(s.dir, snap.SHA256), base, snap.BaseSHA256)
}

// numbersChanged is how many numbers were looked up, -1 when all leads were walked.
func (sw *sweep) numbersChanged() int {
	if sw.all {
		return -1
	}
	return len(sw.changed)
}

// run sweeps the campaigns that are left. It reports whether the view judged all.
func (sw *sweep) run(ctx context.Context) (whole bool, err error) {
	campaigns, err := sw.store.CampaignsToRecheck(ctx, sw.progress.Above, false)
	if err != nil {
		return false, err
	}
	sw.progress.Total = sw.progress.Done + int64(len(campaigns))
	for _, c := range campaigns {
		changed, whole, err := sw.campaign(ctx, c)
		sw.progress.Changed += int64(changed)
		if err != nil || !whole {
			return false, err
		}
		sw.progress.Above = c.ID
		sw.progress.Done++
		if err := sw.record(ctx, false); err != nil {
			return false, err
		}
	}
	if err := sw.record(ctx, true); err != nil {
		return false, err
	}
	return sw.stands(sw.view, time.Now()), nil
}

// record makes the progress visible, and durable, now and then.
func (sw *sweep) record(ctx context.Context, now bool) error {
	const recordEvery = 250 * time.Millisecond
	if !now && time.Since(sw.recorded) < recordEvery {
		return nil
	}
	sw.recorded = time.Now()
	return patiently(ctx, func() error { return sw.store.SweepProgress(ctx, sw.memory.lease, sw.progress) })
}

// ask has the outside checker answer for leads that the file has judged in run:
// those that it finds clean and that were blocked before.
func (sw *sweep) ask(ctx context.Context, r *round) error {
	campaigns, err := sw.store.CampaignsToRecheck(ctx, 0, false)
	if err != nil {
		return err
	}
	for _, c := range campaigns {
		for leads, err := range sw.leads(ctx, c) {
			if err != nil {
				return err
			}
			open := reopened(leads, sw.look(phonesOf(leads)))
			if err := r.settle(ctx, c.ID, open); err != nil || r.over() {
				return err
			}
		}
	}
	return nil
}

// reopened is the leads that the file finds clean and that stand as blocked. What is
// unchecked is asked about after the sweep.
func reopened(leads []store.UnfinishedLead, file []saaf.Verdict) (list []store.UnfinishedLead) {
	for i, l := range leads {
		if file[i].Reason.Clean() && l.Reason.Checked() && !l.Reason.Clean() {
			list = append(list, l)
		}
	}
	return list
}

// leads yields the leads of a campaign that the sweep is about.
func (sw *sweep) leads(ctx context.Context, c store.CampaignLeads) iter.Seq2[[]store.UnfinishedLead, error] {
	return func(yield func([]store.UnfinishedLead, error) bool) {
		if !sw.all && int64(len(sw.changed)) < c.Unfinished {
			for numbers := range slices.Chunk(sw.changed, recheckChunk) {
				if leads, err := sw.store.UnfinishedByPhone(ctx, c.ID, numbers); !yield(leads, err) || err != nil {
					return
				}
			}
			return
		}
		var above saaf.LeadID
		for {
			leads, err := sw.store.UnfinishedLeads(ctx, c.ID, above, recheckChunk)
			if err == nil && len(leads) == 0 || !yield(leads, err) || err != nil {
				return
			}
			above = leads[len(leads)-1].ID
		}
	}
}

func (sw *sweep) campaign(ctx context.Context, c store.CampaignLeads) (changed int, whole bool, err error) {
	if sw.all || int64(len(sw.changed)) >= c.Unfinished {
		return sw.walk(ctx, sw.view, c.ID)
	}
	for numbers := range slices.Chunk(sw.changed, recheckChunk) {
		for {
			leads, err := sw.store.UnfinishedByPhone(ctx, c.ID, numbers)
			if err != nil {
				return changed, false, err
			}
			n, missed, whole, err := sw.judge(ctx, sw.view, c.ID, leads)
			changed += n
			if err != nil || !whole {
				return changed, false, err
			}
			if missed == 0 {
				break
			}
		}
	}
	return changed, true, nil
}
