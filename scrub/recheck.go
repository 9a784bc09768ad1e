package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
	// busyPatience is how long a pass waits for a store that has too much to do, with
	// busyPause between two tries.
	busyPatience = 5 * time.Second
	busyPause    = 50 * time.Millisecond
)

// recheckLease is had by the one process that re-checks.
const recheckLease = "recheck"

// Run re-checks leads until ctx ends, whenever no other process does: those that a
// new activation may concern, those that came in while nothing answered as soon as
// something does, and those whose clean finding by an outside checker grows old.
// Where it was cut short, also by a crash, the next run goes on, here or elsewhere.
func (s *Service) Run(ctx context.Context) error {
	var states sync.WaitGroup
	states.Go(func() {
		s.everySecond(ctx, func() {
			s.logFreshness(ctx, time.Now())
			s.logSource(ctx)
		})
	})
	defer states.Wait()
	s.everySecond(ctx, func() {
		err := s.store.Leased(ctx, recheckLease, s.recheckLeased)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrLeaseLost):
			s.log.WarnContext(ctx, "the re-check was cut short, another process may go on with it")
		case err != nil:
			s.log.ErrorContext(ctx, "nothing is re-checked here, will be tried again", "error", err)
		}
	})
	return nil
}

// everySecond calls do at once, then every second, and when the registry of this
// process moves, until ctx ends.
func (s *Service) everySecond(ctx context.Context, do func()) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		moved := s.registry.Changed()
		do()
		select {
		case <-moved:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// recheckLeased re-checks until ctx ends or the lease is lost.
func (s *Service) recheckLeased(ctx context.Context, l store.Lease) error {
	if s.store.Shared() {
		s.log.InfoContext(ctx, "leads are re-checked by this process", "fence", l.Fence)
	}
	s.memory = memory{lease: l} // another process may have changed what was known before
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failed := func(what string, err error) {
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			cancel(err)
		case err != nil && ctx.Err() == nil:
			s.log.ErrorContext(ctx, what, "error", err)
		}
	}
	// What time alone brings is not kept waiting by a pass over the leads, which takes
	// long where an outside checker is slow; nor by a campaign that cannot be written, for
	// which a change of the lists waits.
	var expiries sync.WaitGroup
	expiries.Go(func() {
		s.everySecond(ctx, func() {
			failed("suppressions whose time is over still block, will be tried again", s.expire(ctx, l))
		})
	})
	expiries.Go(func() {
		s.everySecond(ctx, func() {
			failed("campaigns have not taken all changes of the opt-out lists, will be tried again", s.spreadLeft(ctx, l))
		})
	})
	s.everySecond(ctx, func() { failed("re-check cut short, will go on", s.recheck(ctx)) })
	expiries.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, store.ErrLeaseLost) {
		return cause
	}
	return nil
}

// memory is what the passes over the leads remember of those before. Nothing of it
// needs to outlive the process.
type memory struct {
	lease     store.Lease // under which they are done; zero for none
	swept     int64       // the activation for which the file has judged all leads
	judged    *dnd.View   // by which the unchecked leads were judged; without an outside checker nil
	questions pace
	aged      time.Time // when aged leads are looked for again
	founded   bool      // no clean lead is without a snapshot where one is needed
}

// recheck does one pass over what needs it. What the file blocks comes first: it
// must not wait for the answers of an outside checker.
func (s *Service) recheck(ctx context.Context) error {
	view := s.registry.View()
	if s.source.Instead() {
		_, err := s.askOutside(ctx, view, nil)
		return err
	}
	if !view.Freshness(time.Now()).Answers() {
		s.memory.judged = nil
		return nil // unknown frees nobody and blocks nobody
	}
	st, err := s.store.Registry(ctx)
	if err != nil {
		return err
	}
	if st.Active == nil || st.Active.ID != view.Ref().ID {
		return nil // the active snapshot is about to be loaded here
	}
	if !st.AllChecked() {
		return s.recheckAll(ctx, view, &st)
	}
	if whole, err := s.sweepUnchecked(ctx, view); err != nil || !whole {
		return err
	}
	_, err = s.askOutside(ctx, view, nil)
	return err
}

// recheckAll re-checks all leads after an activation.
func (s *Service) recheckAll(ctx context.Context, view *dnd.View, st *saaf.RegistryState) error {
	if s.memory.swept == st.Activation && !s.memory.questions.due(s.source, time.Now()) {
		return nil // only answers of the outside checker are missing
	}
	// Leads that were judged by an older snapshot and wait for the writer are
	// judged anew when it gets to them; behind the barrier none is under way.
	if err := patiently(ctx, func() error { return s.store.Barrier(ctx) }); err != nil {
		return err
	}
	start := time.Now()
	sw, err := s.newSweep(ctx, view, st)
	if err != nil {
		return err
	}
	if whole, err := sw.run(ctx); err != nil || !whole {
		return err
	}
	if whole, err := s.sweepUnchecked(ctx, view); err != nil || !whole {
		return err
	}
	s.memory.swept = st.Activation
	if settled, err := s.askOutside(ctx, view, sw); err != nil || !settled {
		return err
	}
	if err := patiently(ctx, func() error { return s.store.ConfirmSnapshot(ctx, s.memory.lease, st.Activation) }); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "all leads re-checked", "snapshot", st.Active.ID.String(), "took", time.Since(start),
		"numbers_changed", sw.numbersChanged(), "leads_changed", sw.progress.Changed)
	return nil
}

// sweepUnchecked walks the campaigns that have leads nothing has answered for, and
// lets the file judge them. It reports whether the view judged all of them. Beside
// an outside checker once is enough for a view: what is left waits for that one.
func (s *Service) sweepUnchecked(ctx context.Context, view *dnd.View) (whole bool, err error) {
	if s.memory.judged == view {
		return s.stands(view, time.Now()), nil
	}
	campaigns, err := s.store.CampaignsToRecheck(ctx, 0, true)
	if err != nil {
		return false, err
	}
	var errs []error // a campaign that cannot be written keeps no other waiting
	for _, c := range campaigns {
		_, whole, err := s.walk(ctx, view, c.ID)
		switch {
		case errors.Is(err, store.ErrLeaseLost) || ctx.Err() != nil || err == nil && !whole:
			return false, err
		case err != nil:
			errs = append(errs, fmt.Errorf("campaign %s: %w", c.ID, err))
		}
	}
	if len(errs) > 0 {
		return false, errors.Join(errs...)
	}
	if s.source != nil {
		s.memory.judged = view
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

// judge judges some leads of a campaign by the file and stores what changes; where
// an outside checker must answer too, only blocks do. whole is false when view is no longer what this process answers from: another pass judges all
// of them.
func (s *Service) judge(ctx context.Context, view *dnd.View, campaign saaf.CampaignID, leads []store.UnfinishedLead) (changed, missed int, whole bool, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if !s.stands(view, now) {
		return 0, 0, false, nil
	}
	phones := phonesOf(leads)
	verdicts := view.CheckAll(make([]saaf.Verdict, 0, len(leads)), phones, now)
	nothing := s.source.Silence()
	nothing.Join(phones, verdicts)
	changes := moved(leads, verdicts)
	if len(changes) == 0 {
		return 0, 0, true, nil
	}
	err = patiently(ctx, func() (err error) {
		changed, missed, err = s.store.ApplyRechecks(ctx, s.memory.lease, campaign, s.source.Evidence(), changes)
		return err
	})
	if overtaken(err) {
		return 0, 0, false, nil // this process has not swapped yet
	}
	if err == nil && changed > 0 {
		s.log.LogAttrs(ctx, slog.LevelDebug, "leads changed by re-check",
			slog.String("campaign", campaign.String()), slog.Int("leads", changed))
	}
	return changed, missed, err == nil, err
}

// stands reports whether view is still what this process answers from, and answers.
// Where an outside checker answers instead of the file it does not matter.
func (s *Service) stands(view *dnd.View, now time.Time) bool {
	return s.source.Instead() || s.registry.View() == view && view.Freshness(now).Answers()
}

// patiently tries again for a while when the store has too much to do: to give a
// pass up would mean to read everything again. A registry that has moved is not
// waited for, nor a lock again that has been for long.
func patiently(ctx context.Context, do func() error) error {
	began := time.Now()
	for {
		err := do()
		if saaf.ErrorCode(err) != saaf.Unavailable || overtaken(err) || time.Since(began) > busyPatience {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// phonesOf is the phones of leads.
func phonesOf(leads []store.UnfinishedLead) []saaf.Phone {
	phones := make([]saaf.Phone, len(leads))
	for i := range leads {
		phones[i] = leads[i].Phone
	}
	return phones
}

// moved returns the leads whose status or finding would change by these verdicts.
// The opt-out lists have their say when it is stored.
func moved(leads []store.UnfinishedLead, verdicts []saaf.Verdict) (changes []store.Recheck) {
	for i, l := range leads {
		if status, reason := saaf.Recheck(l.Status, l.Reason, verdicts[i].Reason); status != l.Status || reason != l.Reason {
			changes = append(changes, store.Recheck{Lead: l, Verdict: verdicts[i]})
		}
	}
	return changes
}
