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
	// recheckEvery is how often leads that no registry has answered for, and
	// suppressions whose time is over, are looked for.
	recheckEvery = time.Second
	// busyPause and busyTries are how long a pass waits for a store that has too
	// much to do.
	busyPause = 50 * time.Millisecond
	busyTries = 100
)

// Run re-checks leads until ctx ends: those that a new activation may concern, and
// those that came in while no registry answered as soon as one does. Where it was
// cut short, also by a crash, the next run goes on.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		moved := s.registry.Changed()
		s.logFreshness(ctx, time.Now())
		if err := s.expire(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "suppressions whose time is over still block, will be tried again", "error", err)
		}
		if err := s.recheck(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "re-check cut short, will go on", "error", err)
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
	if st.AllChecked() {
		_, err := s.sweepUnchecked(ctx, view)
		return err
	}
	// Leads that were judged by an older snapshot and wait for the writer are
	// judged anew when it gets to them; behind the barrier none is under way.
	if err := patiently(ctx, func() error { return s.store.Barrier(ctx) }); err != nil {
		return err
	}
	start := time.Now()
	sw, err := s.newSweep(ctx, view, &st)
	if err != nil {
		return err
	}
	if whole, err := sw.run(ctx); err != nil || !whole {
		return err
	}
	if whole, err := s.sweepUnchecked(ctx, view); err != nil || !whole {
		return err
	}
	if err := patiently(ctx, func() error { return s.store.ConfirmSnapshot(ctx, st.Activation) }); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "all leads re-checked", "snapshot", st.Active.ID.String(), "took", time.Since(start),
		"numbers_changed", sw.numbersChanged(), "leads_changed", sw.progress.Changed)
	return nil
}

// sweepUnchecked walks the campaigns that have leads no registry has answered for.
// It reports whether the view judged all of them.
func (s *Service) sweepUnchecked(ctx context.Context, view *dnd.View) (whole bool, err error) {
	campaigns, err := s.store.CampaignsToRecheck(ctx, 0, true)
	if err != nil {
		return false, err
	}
	for _, c := range campaigns {
		if _, whole, err := s.walk(ctx, view, c.ID); err != nil || !whole {
			return false, err
		}
	}
	return s.stands(view, time.Now()), nil
}

// walk judges every unfinished lead of a campaign.
func (s *Service) walk(ctx context.Context, view *dnd.View, campaign saaf.CampaignID) (changed int, whole bool, err error) {
	var above saaf.LeadID
	for {
		leads, err := s.store.UnfinishedLeads(ctx, campaign, above, recheckChunk)
		if err != nil || len(leads) == 0 {
			return changed, err == nil, err
		}
		n, missed, whole, err := s.judge(ctx, view, campaign, leads)
		changed += n
		if err != nil || !whole {
			return changed, false, err
		}
		if missed == 0 {
			above = leads[len(leads)-1].ID
		} // else some were no longer what they were when they were judged: once more
	}
}

// judge judges some leads of a campaign and stores what changes. whole is false
// when view is no longer what this process answers from: another pass judges all
// of them.
func (s *Service) judge(ctx context.Context, view *dnd.View, campaign saaf.CampaignID, leads []store.UnfinishedLead) (changed, missed int, whole bool, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if !s.stands(view, now) {
		return 0, 0, false, nil
	}
	changes := moved(view, leads, now)
	if len(changes) == 0 {
		return 0, 0, true, nil
	}
	err = patiently(ctx, func() (err error) {
		changed, missed, err = s.store.ApplyRechecks(ctx, campaign, saaf.SourceFile, changes)
		return err
	})
	if err == nil && changed > 0 {
		s.log.LogAttrs(ctx, slog.LevelDebug, "leads changed by re-check",
			slog.String("campaign", campaign.String()), slog.Int("leads", changed))
	}
	return changed, missed, err == nil, err
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

// moved returns the leads whose status or finding would change by what the registry
// says. The opt-out lists have their say when it is stored.
func moved(view *dnd.View, leads []store.UnfinishedLead, now time.Time) (changes []store.Recheck) {
	phones := make([]saaf.Phone, len(leads))
	for i := range leads {
		phones[i] = leads[i].Phone
	}
	for i, verdict := range view.CheckAll(make([]saaf.Verdict, 0, len(leads)), phones, now) {
		l := leads[i]
		if status, reason := saaf.Recheck(l.Status, l.Reason, verdict.Reason); status != l.Status || reason != l.Reason {
			changes = append(changes, store.Recheck{Lead: l, Verdict: verdict})
		}
	}
	return changes
}
