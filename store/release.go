package store

import (
	"context"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// Released is what became of held leads that were to be freed.
type Released struct {
	Released     int // pending and clean since
	StillBlocked int // found blocked again, or nothing answered: not freed
}

// HeldLeads lists held leads of a campaign by id, from above the given one, at most
// limit of them.
func (s *Store) HeldLeads(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const sqlHeldLeads = `
		SELECT l.id, l.phone, l.status, l.reason FROM leads l
		 WHERE l.campaign_id = $1 AND l.id > $2 AND l.status = $3
		   AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.tenant_id = $4 AND c.deleted_at IS NULL)
		 ORDER BY l.id LIMIT $5`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		list = nil
		return query(conn, sqlHeldLeads, func(r row) error {
			list = append(list, scanUnfinished(r))
			return nil
		}, campaign, above, saaf.LeadHeld, tenant, limit)
	})
	return list, wrap("held leads", err)
}

// ReleaseLeads checks held leads of a campaign once more and frees those that are
// found clean, in one transaction and each with its evidence. Of ids it takes those
// that are held; others do not count. find asks the registry.
func (s *Store) ReleaseLeads(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, ids []saaf.LeadID, source string, by saaf.By, reason string, find Finder) (done Released, err error) {
	err = s.write(ctx, len(ids), func(t *tx) error {
		done = Released{}
		if _, err := readCampaign(t.conn, tenant, env, campaign); err != nil {
			return err
		}
		leads, err := t.heldOf(campaign, ids)
		if err != nil || len(leads) == 0 {
			return err
		}
		phones := make([]saaf.Phone, len(leads))
		for i := range leads {
			phones[i] = leads[i].Phone
		}
		index, err := t.suppressed()
		if err != nil {
			return err
		}
		c := campaignRef{campaign, tenant, env}
		j := judging{stage: saaf.StageManual, source: source, by: by, reason: saaf.MaskNumbers(reason)}
		for i, v := range find(phones) {
			l := t.judged(tenant, leads[i].Phone)
			index.hold(&v, c, &l)
			status, freed := saaf.Release(v.Reason)
			if status == saaf.LeadHeld {
				done.StillBlocked++
				continue
			}
			moved, err := t.move(c, leads[i], &l, status, v.Reason, &v, j)
			if err != nil {
				return err
			}
			switch {
			case !moved:
			case freed:
				done.Released++
			default:
				done.StillBlocked++
			}
		}
		return nil
	})
	return done, wrap("release leads", err)
}

// heldOf reads those of the leads that are held.
func (t *tx) heldOf(campaign saaf.CampaignID, ids []saaf.LeadID) (list []UnfinishedLead, err error) {
	const sqlHeldLead = `SELECT id, phone, status, reason FROM leads WHERE campaign_id = $1 AND id = $2 AND status = $3`
	seen := make(map[saaf.LeadID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		err := query(t.conn, sqlHeldLead, func(r row) error {
			list = append(list, scanUnfinished(r))
			return nil
		}, campaign, id, saaf.LeadHeld)
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
