package store

import (
	"context"

	"saaf"
	"saaf/phoneblock"
)

// Released is what became of held leads that were to be freed.
type Released struct {
	Released     int // pending and clean since
	StillBlocked int // found blocked again, or nothing answered: not freed
}

var heldStates = phoneblock.Where(func(s saaf.LeadStatus, _ saaf.VerdictReason) bool { return s == saaf.LeadHeld })

// HeldLeads lists held leads of a campaign by id, from above the given one, at most
// limit of them.
func (s *Store) HeldLeads(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const sqlHeldLeads = `
		SELECT l.id, l.phone, l.status, l.reason FROM leads l
		 WHERE l.campaign_id = $1 AND l.id > $2 AND l.status = $3
		   AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.tenant_id = $4 AND c.deleted_at IS NULL)
		 ORDER BY l.id LIMIT $5`
	list, err = s.inStates(ctx, campaign, heldStates, above, limit, sqlHeldLeads, campaign, above, saaf.LeadHeld, tenant, limit)
	if err == nil && len(list) > 0 { // blocks do not know whose they are
		err = s.read(ctx, func(conn session) error {
			owned, err := ownedCampaign(conn, tenant, campaign)
			if !owned {
				list = nil
			}
			return err
		})
	}
	return list, wrap("held leads", err)
}

// ReleaseLeads checks held leads of a campaign once more and frees those that are
// found clean, in one transaction and each with its evidence. Of ids it takes those
// that are held; others do not count. find asks the registry.
func (s *Store) ReleaseLeads(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, ids []saaf.LeadID, source string, by saaf.By, reason string, find Finder) (done Released, err error) {
	err = s.write(ctx, alone(campaign), len(ids), func(t *tx) error {
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
		d, err := t.readDeployment()
		if err != nil {
			return err
		}
		c := campaignRef{campaign, tenant, env}
		var moves []*move
		for i, v := range find(phones) {
			if t.shared && !d.allows(&v) {
				v = saaf.Verdict{Reason: saaf.RegistryUnavailable}
			}
			m := &move{was: leads[i], phone: t.judged(tenant, leads[i].Phone), verdict: v}
			index.hold(&m.verdict, c, &m.phone)
			if m.status, _ = saaf.Release(m.verdict.Reason); m.status == saaf.LeadHeld {
				done.StillBlocked++
				continue
			}
			m.reason = m.verdict.Reason
			moves = append(moves, m)
		}
		_, err = t.move(c, moves, judging{stage: saaf.StageManual, source: source, by: by, reason: saaf.MaskNumbers(reason)})
		for _, m := range moves {
			switch _, freed := saaf.Release(m.reason); {
			case !m.moved:
			case freed:
				done.Released++
			default:
				done.StillBlocked++
			}
		}
		return err
	})
	return done, wrap("release leads", err)
}

// heldOf reads those of the leads that are held.
func (t *tx) heldOf(campaign saaf.CampaignID, ids []saaf.LeadID) (list []UnfinishedLead, err error) {
	const sqlHeldLead = `SELECT id, phone, status, reason FROM leads WHERE campaign_id = $1 AND id = ANY($2) AND status = $3 ORDER BY id`
	err = t.conn.query(sqlHeldLead, func(r row) error {
		list = append(list, scanUnfinished(r))
		return nil
	}, campaign, integers(ids), saaf.LeadHeld)
	return list, err
}
