package store

import (
	"context"
	"strings"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// leadColumns are read by scanLead; they need leads l left joined with
// snapshots s.
const leadColumns = `
	l.id, l.campaign_id, l.phone, l.name, l.email, l.external_id, l.metadata, l.status, l.attempts,
	l.reason, l.snapshot_id, s.effective_date, l.checked_at, l.created_at, l.updated_at
	FROM leads l LEFT JOIN snapshots s ON s.id = l.snapshot_id`

func scanLead(r row) saaf.Lead {
	return saaf.Lead{
		ID: saaf.LeadID(r.int64()), CampaignID: saaf.CampaignID(r.int64()), Phone: saaf.Phone(r.int64()),
		Name: r.optionalText(), Email: r.optionalText(), ExternalID: r.optionalText(), Metadata: r.bytes(),
		Status: saaf.LeadStatus(r.int64()), Attempts: r.int(),
		Verdict: saaf.Verdict{
			Reason:    saaf.VerdictReason(r.int64()),
			Snapshot:  saaf.SnapshotRef{ID: saaf.SnapshotID(r.int64()), EffectiveDate: saaf.Date(r.int64())},
			CheckedAt: r.time(),
		},
		CreatedAt: r.time(), UpdatedAt: r.time(),
	}
}

// LeadFilter narrows a list of leads. Nil members do not narrow.
type LeadFilter struct {
	Status        *saaf.LeadStatus
	Clean         *bool        // by the stored finding, if Backing holds: see [saaf.Verdict.AsShown]
	Backing       saaf.Backing // what a clean finding needs for Clean; Answers is the caller's to judge
	Phone         *saaf.Phone
	ExternalID    *string
	CreatedAfter  *time.Time // from this instant on
	CreatedBefore *time.Time // before this instant
}

// Leads lists the leads of a campaign, newest first, at most limit of them, from
// below the cursor. The campaign must be the tenant's; one that is not, or is
// deleted, has no leads here.
func (s *Store) Leads(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, f LeadFilter, below saaf.Cursor, limit int) (list []saaf.Lead, err error) {
	if f.ExternalID != nil && strings.ContainsRune(*f.ExternalID, 0) {
		return nil, nil // no text has it, and PostgreSQL takes none that has
	}
	err = s.read(ctx, func(conn session) error {
		list = nil
		query := func(among []int64) error {
			sql, args := leadsQuery(tenant, campaign, f, below, limit, among)
			return conn.query(sql, func(r row) error {
				list = append(list, scanLead(r))
				return nil
			}, args...)
		}
		return amongBlocks(conn, func(blocks blockReader) error {
			take := func(ids []int64) (bool, error) {
				err := query(ids)
				return len(list) < limit, err
			}
			if f.Phone != nil {
				found, err := blocks.find(campaign, []saaf.Phone{*f.Phone})
				if err == nil && len(found) > 0 {
					_, err = take([]int64{int64(found[0].ID)})
				}
				return err
			}
			err := candidates(blocks, campaign, f.question(below), limit, take)
			list = list[:min(len(list), limit)]
			return err
		}, func() error { return query(nil) })
	})
	return list, wrap("list leads", err)
}

// question is what the blocks are asked for a filter.
func (f *LeadFilter) question(below saaf.Cursor) question {
	q := question{below: saaf.LeadID(below), newest: true}
	q.states = phoneblock.Where(func(status saaf.LeadStatus, reason saaf.VerdictReason) bool {
		return (f.Status == nil || status == *f.Status) && (f.Clean == nil || !*f.Clean || reason.Clean())
	})
	var external blockHash
	if f.ExternalID != nil {
		external = hashOf(*f.ExternalID)
	}
	unclean := q.states &^ cleanStates
	q.maybe = func(h phoneblock.Head, has func(blockHash) bool) bool {
		switch {
		case f.CreatedAfter != nil && f.CreatedAfter.After(time.UnixMilli(h.Created.Max)),
			f.CreatedBefore != nil && !f.CreatedBefore.After(time.UnixMilli(h.Created.Min)),
			f.Clean != nil && *f.Clean && !mayHave(f.Backing, h),
			f.Clean != nil && !*f.Clean && h.States&unclean == 0 && !mayLack(f.Backing, h):
			return false
		}
		return f.ExternalID == nil || has(external)
	}
	return q
}

func leadsQuery(tenant saaf.TenantID, campaign saaf.CampaignID, f LeadFilter, below saaf.Cursor, limit int, among []int64) (sql string, args []any) {
	w := where{}
	w.and("l.campaign_id = ?", campaign)
	w.and("EXISTS (SELECT 1 FROM campaigns c WHERE c.id = l.campaign_id AND c.tenant_id = ? AND c.deleted_at IS NULL)", tenant)
	if below != 0 {
		w.and("l.id < ?", below)
	}
	if among != nil {
		w.and("l.id = ANY(?)", among)
	}
	if f.Status != nil {
		w.and("l.status = ?", *f.Status)
	}
	if f.Clean != nil {
		condition := "(l.reason <> ? OR coalesce(l.checked_at, 0) < coalesce(CAST(? AS BIGINT), 0) OR l.snapshot_id IS NULL AND ? = 1)"
		if *f.Clean {
			condition = "NOT " + condition
		}
		w.and(condition, saaf.NotRegistered, f.Backing.Since, f.Backing.Snapshot)
	}
	if f.Phone != nil {
		w.and("l.phone = ?", *f.Phone)
	}
	if f.ExternalID != nil {
		w.and("l.external_id = ?", *f.ExternalID)
	}
	if f.CreatedAfter != nil {
		w.and("l.created_at >= ?", *f.CreatedAfter)
	}
	if f.CreatedBefore != nil {
		w.and("l.created_at < ?", *f.CreatedBefore)
	}
	return w.build(`SELECT `+leadColumns, "ORDER BY l.id DESC LIMIT ?", limit)
}

// Lead reads one lead of a campaign of the tenant.
func (s *Store) Lead(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, id saaf.LeadID) (l saaf.Lead, err error) {
	const sqlLead = `SELECT ` + leadColumns + `
		WHERE l.campaign_id = $1 AND l.id = $2
		  AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.tenant_id = $3 AND c.deleted_at IS NULL)`
	found := false
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlLead, func(r row) error {
			l, found = scanLead(r), true
			return nil
		}, campaign, id, tenant)
	})
	if err == nil && !found {
		err = saaf.ErrLeadNotFound
	}
	return l, wrap("read lead", err)
}
