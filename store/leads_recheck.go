package store

import (
	"context"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// UnfinishedLead is what a re-check needs to know of a lead.
type UnfinishedLead struct {
	ID     saaf.LeadID
	Phone  saaf.Phone
	Status saaf.LeadStatus
	Reason saaf.VerdictReason
}

// CampaignsToRecheck lists the campaigns, of all tenants, that have unfinished
// leads; with onlyUnchecked those that have leads no registry has answered for.
func (s *Store) CampaignsToRecheck(ctx context.Context, onlyUnchecked bool) (ids []saaf.CampaignID, err error) {
	const (
		sqlUnfinished = `
			SELECT n.campaign_id FROM campaign_counts n JOIN campaigns c ON c.id = n.campaign_id
			 WHERE c.deleted_at IS NULL AND n.pending + n.dialing + n.dnd + n.held > 0 ORDER BY n.campaign_id`
		sqlUnchecked = `
			SELECT n.campaign_id FROM campaign_counts n JOIN campaigns c ON c.id = n.campaign_id
			 WHERE c.deleted_at IS NULL AND n.unchecked > 0 ORDER BY n.campaign_id`
	)
	sql := sqlUnfinished
	if onlyUnchecked {
		sql = sqlUnchecked
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		ids = nil
		return query(conn, sql, func(r row) error {
			ids = append(ids, saaf.CampaignID(r.int64()))
			return nil
		})
	})
	return ids, wrap("campaigns to re-check", err)
}

// UnfinishedLeads lists unfinished leads of a campaign by id, from above the
// given one, at most limit of them.
func (s *Store) UnfinishedLeads(ctx context.Context, campaign saaf.CampaignID, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const sqlUnfinishedLeads = `
		SELECT id, phone, status, reason FROM leads
		 WHERE campaign_id = $1 AND id > $2 AND status < $3
		 ORDER BY id LIMIT $4`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		list = nil
		return query(conn, sqlUnfinishedLeads, func(r row) error {
			list = append(list, UnfinishedLead{
				ID: saaf.LeadID(r.int64()), Phone: saaf.Phone(r.int64()),
				Status: saaf.LeadStatus(r.int64()), Reason: saaf.VerdictReason(r.int64()),
			})
			return nil
		}, campaign, above, saaf.LeadCompleted, limit)
	})
	return list, wrap("unfinished leads", err)
}

// Recheck is a new finding about a lead and what it does to it.
type Recheck struct {
	Lead    UnfinishedLead // as it was when it was judged
	Status  saaf.LeadStatus
	Verdict saaf.Verdict
}

// ApplyRechecks stores new findings of one campaign in one transaction. A lead
// that has changed since it was judged is left alone. It returns how many were
// stored.
func (s *Store) ApplyRechecks(ctx context.Context, campaign saaf.CampaignID, changes []Recheck) (n int, err error) {
	const sqlRecheck = `
		UPDATE leads SET status = $1, reason = $2, snapshot_id = $3, checked_at = $4, updated_at = $5
		 WHERE campaign_id = $6 AND id = $7 AND status = $8 AND reason = $9`
	err = s.write(ctx, len(changes), func(t *tx) error {
		n = 0
		for _, c := range changes {
			hit, err := t.exec(sqlRecheck, c.Status, c.Verdict.Reason, c.Verdict.Snapshot.ID, c.Verdict.CheckedAt, t.now,
				campaign, c.Lead.ID, c.Lead.Status, c.Lead.Reason)
			if err != nil {
				return err
			}
			if hit == 0 {
				continue
			}
			n++
			t.count(campaign, c.Lead.Status, c.Lead.Reason, -1)
			t.count(campaign, c.Status, c.Verdict.Reason, 1)
		}
		return nil
	})
	if err != nil {
		return 0, wrap("apply re-checks", err)
	}
	return n, nil
}

// Barrier returns when every write that was queued before it is committed or
// refused. It goes through both queues: small jobs overtake bulk ones.
func (s *Store) Barrier(ctx context.Context) error {
	nothing := func(*tx) error { return nil }
	if err := s.write(ctx, smallRows+1, nothing); err != nil {
		return err
	}
	return s.write(ctx, 0, nothing)
}

// ConfirmSnapshot records that every unfinished lead has been re-checked by the
// snapshot.
func (s *Store) ConfirmSnapshot(ctx context.Context, id saaf.SnapshotID) error {
	const sqlConfirm = `UPDATE deployment SET confirmed_snapshot_id = $1 WHERE active_snapshot_id = $1`
	err := s.write(ctx, 0, func(t *tx) error {
		_, err := t.exec(sqlConfirm, id)
		return err
	})
	return wrap("confirm snapshot", err)
}
