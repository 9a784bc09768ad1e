package scrub

import (
	"context"
	"log/slog"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

const (
	// recheckChunk is how many leads are read, judged and written at a time:
	// small beside what the writer takes in one transaction, so that pushes go on.
	recheckChunk = 500
	// recheckEvery is how often leads that no registry has answered for are
	// looked for.
	recheckEvery = time.Second
	// busyPause and busyTries are how long a pass waits for a store that has too
	// much to do.
	busyPause = 50 * time.Millisecond
	busyTries = 100
)

// Run re-checks leads until ctx ends: all unfinished ones when the registry has
// moved, and those that came in while no registry answered as soon as one does.
// Where it was cut short, also by a crash, the next run does the pass again.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		moved := s.registry.Changed()
		if err := s.recheck(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "re-check cut short, will be done again", "error", err)
		}
		select {
		case <-moved:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// recheck does one pass over what needs it.
func (s *Service) recheck(ctx context.Context) error {
	view := s.registry.View()
	if !view.Freshness(time.Now()).Answers() {
		return nil // unknown frees nobody and blocks nobody
	}
	st, err := s.store.Registry(ctx)
	if err != nil {
		return err
	}
	if st.Active == nil || st.Active.ID != view.Ref().ID {
		return nil // the active snapshot is about to be loaded here
	}
	if st.Confirmed == st.Active.ID {
		_, err := s.sweep(ctx, view, true)
		return err
	}
	// Leads that were judged by an older snapshot and wait for the writer are
	// judged anew when it gets to them; behind the barrier none is under way.
	if err := patiently(ctx, func() error { return s.store.Barrier(ctx) }); err != nil {
		return err
	}
	start := time.Now()
	if whole, err := s.sweep(ctx, view, false); err != nil || !whole {
		return err
	}
	if err := patiently(ctx, func() error { return s.store.ConfirmSnapshot(ctx, st.Active.ID) }); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "all leads re-checked", "snapshot", st.Active.ID.String(), "took", time.Since(start))
	return nil
}

// sweep walks the unfinished leads campaign by campaign. It reports whether the
// view judged all of them.
func (s *Service) sweep(ctx context.Context, view *dnd.View, onlyUnchecked bool) (whole bool, err error) {
	campaigns, err := s.store.CampaignsToRecheck(ctx, onlyUnchecked)
	if err != nil {
		return false, err
	}
	for _, id := range campaigns {
		if whole, err := s.sweepCampaign(ctx, view, id); err != nil || !whole {
			return false, err
		}
	}
	return s.stands(view, time.Now()), nil
}

func (s *Service) sweepCampaign(ctx context.Context, view *dnd.View, campaign saaf.CampaignID) (whole bool, err error) {
	var above saaf.LeadID
	for {
		leads, err := s.store.UnfinishedLeads(ctx, campaign, above, recheckChunk)
		if err != nil || len(leads) == 0 {
			return err == nil, err
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		if !s.stands(view, now) {
			return false, nil // another pass judges all of them
		}
		stored, changes := 0, judge(view, leads, now)
		if len(changes) > 0 {
			err := patiently(ctx, func() (err error) {
				stored, err = s.store.ApplyRechecks(ctx, campaign, changes)
				return err
			})
			if err != nil {
				return false, err
			}
			s.log.LogAttrs(ctx, slog.LevelDebug, "leads changed by re-check",
				slog.String("campaign", campaign.String()), slog.Int("leads", stored))
		}
		if stored == len(changes) {
			above = leads[len(leads)-1].ID
		} // else some were no longer what they were when they were judged: once more
	}
}

// stands reports whether view is still what this process answers from, and answers.
func (s *Service) stands(view *dnd.View, now time.Time) bool {
	return s.registry.View() == view && view.Freshness(now).Answers()
}

// patiently tries again for a while when the store has too much to do: to give a
// pass up would mean to read everything again.
func patiently(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if saaf.ErrorCode(err) != saaf.Unavailable || try == busyTries {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// judge returns the leads whose status or finding changes.
func judge(view *dnd.View, leads []store.UnfinishedLead, now time.Time) (changes []store.Recheck) {
	for _, l := range leads {
		verdict := view.Check(l.Phone, now)
		status, reason := saaf.Recheck(l.Status, l.Reason, verdict.Reason)
		if status == l.Status && reason == l.Reason {
			continue
		}
		verdict.Reason = reason
		changes = append(changes, store.Recheck{Lead: l, Status: status, Verdict: verdict})
	}
	return changes
}
