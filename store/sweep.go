package store

import (
	"context"

	"saaf"
)

// SweepProgress records how far the re-check for an activation has come, so that
// it goes on there after a restart. A record of an activation that is no longer the
// present one changes nothing.
func (s *Store) SweepProgress(ctx context.Context, l Lease, p saaf.Sweep) error {
	const sqlSweepProgress = `
		UPDATE deployment SET sweep_activation = $1, sweep_above = $2, sweep_done = $3, sweep_total = $4, sweep_changed = $5
		 WHERE activation = $1`
	err := s.write(ctx, everything, 0, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		_, err := t.exec(sqlSweepProgress, p.Activation, p.Above, p.Done, p.Total, p.Changed)
		return err
	})
	return wrap("record sweep", err)
}

// ConfirmSnapshot records that every unfinished lead has been re-checked since the
// activation, by the snapshot that it made the active one. It does nothing when
// there has been another since.
func (s *Store) ConfirmSnapshot(ctx context.Context, l Lease, activation int64) error {
	const sqlConfirm = `
		UPDATE deployment SET confirmed_snapshot_id = active_snapshot_id, confirmed_activation = $1
		 WHERE activation = $1`
	err := s.write(ctx, everything, 0, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		_, err := t.exec(sqlConfirm, activation)
		return err
	})
	return wrap("confirm snapshot", err)
}

// Changes is what the re-check for one activation changed in a campaign.
type Changes struct {
	Activation int64
	Blocked    int64 // blocked since
	Held       int64 // blocked before, held since
	Other      int64
}

// countChange notes a change of the running re-check in its campaign.
func (t *tx) countChange(campaign saaf.CampaignID, had, has saaf.VerdictReason) {
	if t.changes == nil {
		t.changes = make(map[saaf.CampaignID]*Changes)
	}
	c := t.changes[campaign]
	if c == nil {
		c = new(Changes)
		t.changes[campaign] = c
	}
	switch {
	case has.Blocked() && !had.Blocked():
		c.Blocked++
	case has == saaf.HeldAfterBlock:
		c.Held++
	default:
		c.Other++
	}
}

func (t *tx) flushChanges() error {
	const sqlAddChanges = `
		INSERT INTO campaign_changes AS g (campaign_id, activation, blocked, held, other)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (campaign_id, activation) DO UPDATE
		   SET blocked = g.blocked + excluded.blocked, held = g.held + excluded.held, other = g.other + excluded.other`
	if len(t.changes) == 0 {
		return nil
	}
	d, err := t.readDeployment()
	if err != nil || d.activation == 0 {
		return err
	}
	for campaign, c := range t.changes {
		if err := t.conn.later(sqlAddChanges, campaign, d.activation, c.Blocked, c.Held, c.Other); err != nil {
			return err
		}
	}
	return nil
}
