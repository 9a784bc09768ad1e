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
		UPDATE campaign_counts
		   SET pending = pending + $1, dialing = dialing + $2, dnd = dnd + $3, held = held + $4,
		       completed = completed + $5, failed = failed + $6, no_answer = no_answer + $7,
		       unchecked = unchecked + $8,
		       found_unavailable = found_unavailable + $9, found_stale = found_stale + $10, found_clean = found_clean + $11,
		       found_full = found_full + $12, found_partial = found_partial + $13, found_suppressed = found_suppressed + $14,
		       found_held = found_held + $15
		 WHERE campaign_id = $16`
	for campaign, d := range t.counts {
		if *d == (countDelta{}) {
			continue
		}
		c, f := &d.leads, &d.found
		_, err := exec(t.conn, sqlAddCounts,
			c[saaf.LeadPending], c[saaf.LeadDialing], c[saaf.LeadDND], c[saaf.LeadHeld],
			c[saaf.LeadCompleted], c[saaf.LeadFailed], c[saaf.LeadNoAnswer], d.unchecked,
			f[saaf.RegistryUnavailable], f[saaf.RegistryStale], f[saaf.NotRegistered], f[saaf.FullBlock], f[saaf.PartialBlock],
			f[saaf.Suppressed], f[saaf.HeldAfterBlock], campaign)
		if err != nil {
			return err
		}
	}
	return nil
}
