package scrub

import (
	"context"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrubber"
	"saaf/store"
)

// pace keeps the questions of the passes rare while they bring nothing: a checker
// that is down, or has no word for some numbers, is not asked again and again.
type pace struct {
	next  time.Time     // not before
	pause time.Duration // the last one
}

// maxPause is up to how long a pause grows while a checker that answers leaves the
// same numbers unknown. A longer cool-down stays as it is.
const maxPause = 5 * time.Minute

// due reports whether the source may be asked. None may always.
func (p *pace) due(source *scrubber.Source, now time.Time) bool {
	return source == nil || !now.Before(p.next) && source.State().Circuit != scrubber.Open
}

// after sets when the source is asked again. After a failure that is the cool-down,
// in which its circuit may close.
func (p *pace) after(r *round, now time.Time) {
	coolDown := r.source.CoolDown()
	switch {
	case r.unanswered == 0 && !r.stopped:
		*p = pace{}
		return
	case r.asked > r.unanswered, r.stopped, p.pause == 0:
		p.pause = coolDown
	default:
		p.pause = min(2*p.pause, max(maxPause, coolDown))
	}
	p.next = now.Add(p.pause)
}

// round is one pass of questions to the outside checker.
type round struct {
	*Service
	view       *dnd.View
	asked      int  // leads
	unanswered int  // of these, still unknown
	stopped    bool // the checker has failed: the rest is for another round
	moved      bool // the registry has, and this process has not swapped yet
}

// askOutside asks about the leads for which the outside checker has to answer: those
// of a sweep, if sw is not nil, the unchecked ones, and those whose finding grows
// old. settled is false when leads of the sweep are left. It ends early when the
// registry moves, because what that blocks comes first.
func (s *Service) askOutside(ctx context.Context, view *dnd.View, sw *sweep) (settled bool, err error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-view.Replaced():
			cancel()
		case <-asking.Done():
		}
	}()
	settled, err = s.askOpen(asking, view, sw)
	if err == nil {
		err = s.renewAged(asking, view)
	}
	if asking.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	return settled, err
}

// askOpen asks about leads that do not stand as clean.
func (s *Service) askOpen(ctx context.Context, view *dnd.View, sw *sweep) (settled bool, err error) {
	p := &s.memory.questions
	if s.source == nil || !p.due(s.source, time.Now()) {
		return s.source == nil, nil
	}
	r := &round{Service: s, view: view}
	settled = true
	if sw != nil {
		before := s.source.State()
		err = sw.ask(ctx, r)
		after := s.source.State()
		// A checker that was asked and has no word for a number has been heard.
		heard := r.unanswered == 0 || after.Failed == before.Failed && after.NotAsked == before.NotAsked
		settled = err == nil && heard && !r.over()
	}
	if err == nil && !r.over() {
		err = r.askUnchecked(ctx)
	}
	p.after(r, time.Now())
	return settled, err
}

// over reports whether the round must end: the checker has failed, or the view is
// no longer what this process answers from, or should.
func (r *round) over() bool { return r.stopped || r.moved || !r.stands(r.view, time.Now()) }

// askUnchecked asks about the leads that nothing has answered for.
func (r *round) askUnchecked(ctx context.Context) error {
	campaigns, err := r.store.CampaignsToRecheck(ctx, 0, true)
	if err != nil {
		return err
	}
	for _, c := range campaigns {
		var above saaf.LeadID
		for {
			leads, err := r.store.UncheckedLeads(ctx, c.ID, above, r.chunk())
			if err != nil {
				return err
			}
			if len(leads) == 0 {
				break
			}
			if err := r.settle(ctx, c.ID, leads); err != nil || r.over() {
				return err
			}
			above = leads[len(leads)-1].ID
		}
	}
	return nil
}

// chunk is how many leads are read at a time.
func (r *round) chunk() int {
	if r.source == nil {
		return recheckChunk
	}
	return min(recheckChunk, r.source.Capacity())
}

// settle asks about leads, and stores what changes.
func (r *round) settle(ctx context.Context, campaign saaf.CampaignID, leads []store.UnfinishedLead) error {
	for len(leads) > 0 && !r.over() {
		some := leads[:min(len(leads), r.chunk())]
		leads = leads[len(some):]
		verdicts, err := r.hear(ctx, some)
		if err != nil {
			return err
		}
		changes := moved(some, verdicts)
		if len(changes) == 0 || r.outdated() {
			continue
		}
		err = patiently(ctx, func() error {
			_, missed, err := r.store.ApplyRechecks(ctx, r.memory.lease, campaign, r.source.Evidence(), changes)
			r.unanswered += missed // they have moved meanwhile: another round sees
			return err
		})
		if overtaken(err) {
			r.moved = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outdated reports whether the view is no longer what this process answers from.
func (r *round) outdated() bool { return !r.stands(r.view, time.Now()) }

// hear gives the verdicts of file and checker about some leads.
func (r *round) hear(ctx context.Context, leads []store.UnfinishedLead) ([]saaf.Verdict, error) {
	phones := phonesOf(leads)
	verdicts := r.view.CheckAll(make([]saaf.Verdict, 0, len(phones)), phones, time.Now().UTC().Truncate(time.Millisecond))
	outside := r.source.Ask(ctx, phones, verdicts)
	if err := ctx.Err(); err != nil {
		return nil, err // that they are unknown is nobody's failure
	}
	outside.Join(phones, verdicts)
	r.asked += len(leads)
	for i := range verdicts {
		if !verdicts[i].Reason.Checked() {
			r.unanswered++
		}
	}
	r.stopped = r.source != nil && r.source.State().Circuit != scrubber.Closed
	return verdicts, nil
}
