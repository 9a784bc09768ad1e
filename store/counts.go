package store

import "saaf"

// countDelta is what a transaction changes in one campaign's counts. It is
// written once, at the end.
type countDelta struct {
	leads     saaf.LeadCounts
	found     saaf.FindingCounts
	unchecked int64
}

// count adds n leads with the given status and finding to the campaign's counts;
// negative n takes them away.
func (t *tx) count(campaign saaf.CampaignID, status saaf.LeadStatus, reason saaf.VerdictReason, n int64) {
	d := t.counts[campaign]
	if d == nil {
		if t.counts == nil {
			t.counts = make(map[saaf.CampaignID]*countDelta)
		}
		d = new(countDelta)
		t.counts[campaign] = d
	}
	d.leads[status] += n
	d.found[reason] += n
	if !status.Finished() && !reason.Checked() {
		d.unchecked += n
	}
}

func (t *tx) flushCounts() error {
	const sqlAddCounts = `
		INSERT INTO campaign_counts AS n (campaign_id, slot, pending, dialing, dnd, held, completed, failed, no_answer, unchecked,
		  found_unavailable, found_stale, found_clean, found_full, found_partial, found_suppressed, found_held)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (campaign_id, slot) DO UPDATE
		   SET pending = n.pending + excluded.pending, dialing = n.dialing + excluded.dialing,
		       dnd = n.dnd + excluded.dnd, held = n.held + excluded.held, completed = n.completed + excluded.completed,
		       failed = n.failed + excluded.failed, no_answer = n.no_answer + excluded.no_answer,
		       unchecked = n.unchecked + excluded.unchecked,
		       found_unavailable = n.found_unavailable + excluded.found_unavailable,
		       found_stale = n.found_stale + excluded.found_stale, found_clean = n.found_clean + excluded.found_clean,
		       found_full = n.found_full + excluded.found_full, found_partial = n.found_partial + excluded.found_partial,
		       found_suppressed = n.found_suppressed + excluded.found_suppressed, found_held = n.found_held + excluded.found_held`
	for campaign, d := range t.counts {
		if *d == (countDelta{}) {
			continue
		}
		c, f := &d.leads, &d.found
		err := t.conn.later(sqlAddCounts, campaign, t.slot,
			c[saaf.LeadPending], c[saaf.LeadDialing], c[saaf.LeadDND], c[saaf.LeadHeld],
			c[saaf.LeadCompleted], c[saaf.LeadFailed], c[saaf.LeadNoAnswer], d.unchecked,
			f[saaf.RegistryUnavailable], f[saaf.RegistryStale], f[saaf.NotRegistered], f[saaf.FullBlock], f[saaf.PartialBlock],
			f[saaf.Suppressed], f[saaf.HeldAfterBlock])
		if err != nil {
			return err
		}
	}
	return nil
}
