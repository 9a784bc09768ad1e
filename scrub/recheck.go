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
	if err := s.verify(ctx, st.Active); err != nil {
		return err
	}
	if st.Confirmed == st.Active.ID {
		return s.sweep(ctx, view, true)
	}
	// Leads that were judged by an older snapshot and wait for the writer are
	// judged anew when it gets to them; behind the barrier none is under way.
	if err := s.store.Barrier(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := s.sweep(ctx, view, false); err != nil {
		return err
	}
	if err := s.store.ConfirmSnapshot(ctx, st.Active.ID); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "all leads re-checked", "snapshot", st.Active.ID.String(), "took", time.Since(start))
	return nil
}

// sweep walks the unfinished leads campaign by campaign.
func (s *Service) sweep(ctx context.Context, view *dnd.View, onlyUnchecked bool) error {
	campaigns, err := s.store.CampaignsToRecheck(ctx, onlyUnchecked)
	if err != nil {
		return err
	}
	for _, id := range campaigns {
		if err := s.sweepCampaign(ctx, view, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweepCampaign(ctx context.Context, view *dnd.View, campaign saaf.CampaignID) error {
	var above saaf.LeadID
	for {
		if s.registry.View() != view {
			return nil // the registry moved: the next pass judges all of them
		}
		leads, err := s.store.UnfinishedLeads(ctx, campaign, above, recheckChunk)
		if err != nil || len(leads) == 0 {
			return err
		}
		above = leads[len(leads)-1].ID
		changes := judge(view, leads, time.Now().UTC().Truncate(time.Millisecond))
		if len(changes) == 0 {
			continue
		}
		n, err := s.store.ApplyRechecks(ctx, campaign, changes)
		if err != nil {
			return err
		}
		s.log.LogAttrs(ctx, slog.LevelDebug, "leads changed by re-check",
			slog.String("campaign", campaign.String()), slog.Int("leads", n))
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
