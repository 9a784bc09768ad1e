package store

import (
	"context"
	"time"

	"saaf"
	"saaf/phoneblock"
)

var (
	uncheckedStates = phoneblock.Where(func(s saaf.LeadStatus, r saaf.VerdictReason) bool {
		return !s.Finished() && (r == saaf.RegistryUnavailable || r == saaf.RegistryStale)
	})
	datedStates = phoneblock.Where(func(s saaf.LeadStatus, r saaf.VerdictReason) bool {
		return !s.Finished() && phoneblock.Of(s, r).Dated()
	})
	cleanStates = phoneblock.Where(func(_ saaf.LeadStatus, r saaf.VerdictReason) bool { return r.Clean() })
)

// UncheckedLeads lists unfinished leads of a campaign that nothing has answered
// for, by id, from above the given one, at most limit of them.
func (s *Store) UncheckedLeads(ctx context.Context, campaign saaf.CampaignID, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const sqlUncheckedLeads = `
		SELECT id, phone, status, reason FROM leads
		 WHERE campaign_id = $1 AND id > $2 AND status < $3 AND reason IN ($4, $5)
		 ORDER BY id LIMIT $6`
	list, err = s.inStates(ctx, campaign, uncheckedStates, above, limit, sqlUncheckedLeads,
		campaign, above, saaf.LeadCompleted, saaf.RegistryUnavailable, saaf.RegistryStale, limit)
	return list, wrap("unchecked leads", err)
}

// Aged says from when on findings are too old.
type Aged struct {
	Clean     time.Time // found clean before
	Blocked   time.Time // found on a registry before
	Unfounded bool      // also clean ones of any age that no registry snapshot was asked about
}

// AgedLeads lists unfinished leads of a campaign whose finding is too old, by id,
// from above the given one, at most limit of them.
func (s *Store) AgedLeads(ctx context.Context, campaign saaf.CampaignID, a Aged, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const (
		agedLeads = `
			SELECT id, phone, status, reason FROM leads
			 WHERE campaign_id = $1 AND id > $2 AND status < $3
			   AND (reason = $4 AND (checked_at < $5 OR snapshot_id IS NULL AND $6 = 1) OR reason IN ($7, $8) AND checked_at < $9)`
		sqlAgedLeads = agedLeads + ` ORDER BY id LIMIT $10`
		sqlAgedAmong = agedLeads + ` AND id = ANY($10) ORDER BY id`
	)
	args := []any{campaign, above, saaf.LeadCompleted, saaf.NotRegistered, a.Clean, a.Unfounded, saaf.FullBlock, saaf.PartialBlock, a.Blocked}
	q := question{states: datedStates, above: above, maybe: func(h phoneblock.Head, _ func(blockHash) bool) bool {
		return h.Checked.Min < max(a.Clean.UnixMilli(), a.Blocked.UnixMilli()) || a.Unfounded && h.Unfounded
	}}
	err = s.read(ctx, func(conn session) error {
		list = nil
		keep := func(r row) error { list = append(list, scanUnfinished(r)); return nil }
		return amongBlocks(conn, func(blocks blockReader) error {
			err := candidates(blocks, campaign, q, limit, func(ids []int64) (bool, error) {
				err := conn.query(sqlAgedAmong, keep, append(args[:len(args):len(args)], ids)...)
				return len(list) < limit, err
			})
			list = list[:min(len(list), limit)]
			return err
		}, func() error {
			return conn.query(sqlAgedLeads, keep, append(args, limit)...)
		})
	})
	return list, wrap("aged leads", err)
}

// CountAged counts the leads of a campaign, finished ones too, whose stored finding
// is clean and lacks the backing: they are shown as stale.
func (s *Store) CountAged(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, b saaf.Backing) (n int64, err error) {
	const (
		sqlCountAged = `
			SELECT count(*) FROM leads l
			 WHERE l.campaign_id = $1 AND l.reason = $2
			   AND (coalesce(l.checked_at, 0) < coalesce(CAST($3 AS BIGINT), 0) OR l.snapshot_id IS NULL AND $4 = 1)
			   AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.tenant_id = $5 AND c.deleted_at IS NULL)`
		sqlCountAmong = sqlCountAged + ` AND l.id = ANY($6)`
		atOnce        = 5000
	)
	args := []any{campaign, saaf.NotRegistered, b.Since, b.Snapshot, tenant}
	q := question{states: cleanStates, maybe: func(h phoneblock.Head, _ func(blockHash) bool) bool { return mayLack(b, h) }}
	err = s.read(ctx, func(conn session) error {
		n = 0
		count := func(r row) error { n += r.int64(); return nil }
		return amongBlocks(conn, func(blocks blockReader) error {
			return candidates(blocks, campaign, q, atOnce, func(ids []int64) (bool, error) {
				return true, conn.query(sqlCountAmong, count, append(args[:len(args):len(args)], ids)...)
			})
		}, func() error {
			return conn.query(sqlCountAged, count, args...)
		})
	})
	return n, wrap("count aged leads", err)
}

// RenewLeads stores what is known now about leads of one campaign, in one
// transaction and each with its evidence, also where the finding is what it was:
// the time and the snapshot are new. A lead that has changed since it was judged is
// left alone, and so is one about which nothing is known. It returns how many were
// written. Verdicts of a snapshot that is no longer active are refused as by
// [Store.ApplyRechecks].
func (s *Store) RenewLeads(ctx context.Context, l Lease, campaign saaf.CampaignID, source string, list []Recheck) (written int, err error) {
	err = s.write(ctx, alone(campaign), len(list), func(t *tx) error {
		written = 0
		c, err := t.recheckable(l, campaign, list)
		if err != nil || c.id == 0 {
			return err
		}
		index, err := t.suppressed()
		if err != nil {
			return err
		}
		var moves []*move
		for i := range list {
			m := &move{was: list[i].Lead, phone: t.judged(c.tenant, list[i].Lead.Phone), verdict: list[i].Verdict}
			index.hold(&m.verdict, c, &m.phone)
			if !m.verdict.Reason.Checked() {
				continue
			}
			m.status, m.reason = saaf.Recheck(m.was.Status, m.was.Reason, m.verdict.Reason)
			moves = append(moves, m)
		}
		written, err = t.move(c, moves, judging{stage: saaf.StageRescrub, source: source, by: saaf.System})
		return err
	})
	return written, wrap("renew leads", err)
}

// HeldByID lists those of the leads of a campaign that are held.
func (s *Store) HeldByID(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, ids []saaf.LeadID) (list []UnfinishedLead, err error) {
	const sqlHeldByID = `
		SELECT l.id, l.phone, l.status, l.reason FROM leads l
		 WHERE l.campaign_id = $1 AND l.id = ANY($2) AND l.status = $3
		   AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.tenant_id = $4 AND c.deleted_at IS NULL)
		 ORDER BY l.id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlHeldByID, func(r row) error {
			list = append(list, scanUnfinished(r))
			return nil
		}, campaign, integers(ids), saaf.LeadHeld, tenant)
	})
	return list, wrap("held leads by id", err)
}

// SuppressionPhone is the number that a suppression blocks, 0 when there is no such
// suppression or the person was erased.
func (s *Store) SuppressionPhone(ctx context.Context, tenant saaf.TenantID, id saaf.SuppressionID) (p saaf.Phone, err error) {
	const sqlSuppressionPhone = `SELECT phone FROM suppressions WHERE id = $1 AND tenant_id = $2 AND ended_at IS NULL`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlSuppressionPhone, func(r row) error {
			p = saaf.Phone(r.int64())
			return nil
		}, id, tenant)
	})
	return p, wrap("phone of a suppression", err)
}

// mayLack reports whether a clean finding of a block may be without the backing.
func mayLack(b saaf.Backing, h phoneblock.Head) bool {
	return !h.Checked.Empty() && (b.Since.After(time.UnixMilli(h.Checked.Min)) || b.Snapshot && h.Unfounded)
}

// mayHave reports whether a clean finding of a block may have the backing.
func mayHave(b saaf.Backing, h phoneblock.Head) bool {
	return !h.Checked.Empty() && !b.Since.After(time.UnixMilli(h.Checked.Max))
}
