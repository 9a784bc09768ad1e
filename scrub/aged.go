package scrub

import (
	"context"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrubber"
	"saaf/store"
)

// agedScans is how many times in the life of a finding it is looked for those that
// are too old; maxAgedScan bounds the time in between.
const (
	agedScans   = 16
	maxAgedScan = 15 * time.Minute
)

// renewAged asks the outside checker again: about clean leads from half of the life
// of its findings on, so that they do not end, and about those that it blocks after
// the whole of it, so that who has left is held.
//
// It also judges clean leads without a snapshot where one is needed. Those an
// outside checker has found that is configured no more, or stands beside the file
// now, and nobody has looked at them in the file.
func (s *Service) renewAged(ctx context.Context, view *dnd.View) error {
	now, m := time.Now(), &s.memory
	aged := store.Aged{Unfounded: !s.source.Instead() && !m.founded}
	switch {
	case s.source == nil && !aged.Unfounded:
		return nil
	case s.source == nil:
	case now.Before(m.aged), s.source.State().Circuit == scrubber.Open:
		return nil
	default:
		life := s.source.MaxAge()
		aged.Clean, aged.Blocked = now.Add(-life/2), now.Add(-life)
	}
	campaigns, err := s.store.CampaignsToRecheck(ctx, 0, false)
	if err != nil {
		return err
	}
	r := &round{Service: s, view: view}
	for _, c := range campaigns {
		if err := r.renew(ctx, c.ID, aged); err != nil || r.over() {
			return err
		}
	}
	m.founded = r.unanswered == 0
	if s.source != nil {
		m.aged = now.Add(max(recheckEvery, min(s.source.MaxAge()/agedScans, maxAgedScan)))
	}
	return nil
}

// renew asks again about the aged leads of a campaign.
func (r *round) renew(ctx context.Context, campaign saaf.CampaignID, aged store.Aged) error {
	var above saaf.LeadID
	for {
		leads, err := r.store.AgedLeads(ctx, campaign, aged, above, r.chunk())
		if err != nil || len(leads) == 0 {
			return err
		}
		above = leads[len(leads)-1].ID
		if leads = r.undecided(leads); len(leads) == 0 {
			continue
		}
		verdicts, err := r.hear(ctx, leads)
		if err != nil || r.outdated() {
			return err
		}
		list := make([]store.Recheck, len(leads))
		for i, l := range leads {
			list[i] = store.Recheck{Lead: l, Verdict: verdicts[i]}
		}
		err = patiently(ctx, func() error {
			_, err := r.store.RenewLeads(ctx, r.memory.lease, campaign, r.source.Evidence(), list)
			return err
		})
		if overtaken(err) {
			r.moved = true
			return nil
		}
		if err != nil || r.over() {
			return err
		}
	}
}

// undecided is the leads without those that stand as blocked because the file blocks
// them: nobody has to be asked about these.
func (r *round) undecided(leads []store.UnfinishedLead) (list []store.UnfinishedLead) {
	if r.source.Instead() {
		return leads
	}
	file := r.look(phonesOf(leads))
	for i, l := range leads {
		if !l.Reason.Blocked() || !file[i].Reason.Blocked() {
			list = append(list, l)
		}
	}
	return list
}
