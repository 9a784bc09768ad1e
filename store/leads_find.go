package store

import (
	"cmp"
	"context"
	"slices"

	"saaf"
	"saaf/phoneblock"
)

// Leads are found in one of two ways: PostgreSQL has indexes, and so has an embedded
// store without blocks; in blocks they are found by what those say of them.

// leadsByPhone finds the leads of a campaign that have one of the phones, by id.
func leadsByPhone(conn session, campaign saaf.CampaignID, phones []saaf.Phone) (list []UnfinishedLead, err error) {
	const sqlLeadsByPhone = `SELECT id, phone, status, reason FROM leads WHERE campaign_id = $1 AND phone = ANY($2)`
	err = amongBlocks(conn, func(blocks blockReader) error {
		entries, err := blocks.find(campaign, phones)
		list = unfinishedOf(entries)
		return err
	}, func() error {
		err := conn.query(sqlLeadsByPhone, func(r row) error {
			list = append(list, scanUnfinished(r))
			return nil
		}, campaign, integers(phones))
		slices.SortFunc(list, func(a, b UnfinishedLead) int { return cmp.Compare(a.ID, b.ID) })
		return err
	})
	return list, err
}

// amongBlocks runs the one where the store of a session has blocks, else the other.
func amongBlocks(conn session, blocks func(blockReader) error, indexes func() error) error {
	reader, ok := conn.(blockReader)
	if !ok {
		return indexes()
	}
	return reader.still(func(packed bool) error {
		if packed {
			return blocks(reader)
		}
		return indexes()
	})
}

func unfinishedOf(entries []phoneblock.Entry) []UnfinishedLead {
	list := make([]UnfinishedLead, len(entries))
	for i, e := range entries {
		list[i] = UnfinishedLead{ID: e.ID, Phone: e.Phone, Status: e.State.Status(), Reason: e.State.Reason()}
	}
	return list
}

// unfinishedStates are those of leads that something may still happen to.
var unfinishedStates = phoneblock.Where(func(s saaf.LeadStatus, _ saaf.VerdictReason) bool { return !s.Finished() })

// inStates lists leads of a campaign by id, from above the given one, at most limit of
// them: those in some states, or what a statement finds.
func (s *Store) inStates(ctx context.Context, campaign saaf.CampaignID, states phoneblock.States, above saaf.LeadID, limit int, sql string, args ...any) (list []UnfinishedLead, err error) {
	err = s.read(ctx, func(conn session) error {
		list = nil
		return amongBlocks(conn, func(blocks blockReader) error {
			return blocks.walk(campaign, question{states: states, above: above}, func(entries []phoneblock.Entry) (bool, error) {
				list = append(list, unfinishedOf(entries)...)
				if len(list) < limit {
					return true, nil
				}
				list = list[:limit]
				return false, nil
			})
		}, func() error {
			return conn.query(sql, func(r row) error {
				list = append(list, scanUnfinished(r))
				return nil
			}, args...)
		})
	})
	return list, err
}

// ownedCampaign reports whether a campaign is the tenant's and not deleted.
func ownedCampaign(conn session, tenant saaf.TenantID, campaign saaf.CampaignID) (owned bool, err error) {
	const sqlOwned = `SELECT id FROM campaigns WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL`
	err = conn.query(sqlOwned, func(row) error { owned = true; return nil }, campaign, tenant)
	return owned, err
}

// candidates hands out the ids of the leads that a question is about, many at a time,
// until take says stop: those of which the rows must be read.
func candidates(blocks blockReader, campaign saaf.CampaignID, q question, atOnce int, take func(ids []int64) (more bool, err error)) error {
	var ids []int64
	stopped := false
	err := blocks.walk(campaign, q, func(entries []phoneblock.Entry) (bool, error) {
		for _, e := range entries {
			ids = append(ids, int64(e.ID))
		}
		if len(ids) < atOnce {
			return true, nil
		}
		more, err := take(ids)
		ids, stopped = ids[:0], !more
		return more, err
	})
	if err != nil || stopped || len(ids) == 0 {
		return err
	}
	_, err = take(ids)
	return err
}
