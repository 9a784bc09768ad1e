package store

import (
	"context"
	"slices"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// LedgerHead is the last entry of the chain, zero before the first.
func (s *Store) LedgerHead(ctx context.Context) (head saaf.CheckpointHead, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		head, err = readChainHead(conn)
		return err
	})
	return head, wrap("read ledger", err)
}

// CheckpointFrom reads the first checkpoint from a number on; its own number is 0
// when there is none.
func (s *Store) CheckpointFrom(ctx context.Context, seq int64) (c StoredCheckpoint, err error) {
	const sqlCheckpointFrom = `SELECT ` + checkpointColumns + ` WHERE seq >= $1 ORDER BY seq LIMIT 1`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return query(conn, sqlCheckpointFrom, func(r row) error {
			c = scanCheckpoint(r)
			return nil
		}, seq)
	})
	return c, wrap("read checkpoint", err)
}

// CampaignIDs lists the campaigns of a tenant, oldest first, those too that are
// deleted and still have leads.
func (s *Store) CampaignIDs(ctx context.Context, tenant saaf.TenantID) (ids []saaf.CampaignID, err error) {
	const sqlCampaignIDs = `SELECT id FROM campaigns WHERE tenant_id = $1`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		ids = nil
		return query(conn, sqlCampaignIDs, func(r row) error {
			ids = append(ids, saaf.CampaignID(r.int64()))
			return nil
		}, tenant)
	})
	slices.Sort(ids)
	return ids, wrap("list campaigns", err)
}

// ErasuresByPhone lists the erasures of a person by a tenant, oldest first.
func (s *Store) ErasuresByPhone(ctx context.Context, tenant saaf.TenantID, phone saaf.Phone) (list []Erasure, err error) {
	const sqlErasuresByPhone = `SELECT ` + erasureColumns + ` WHERE tenant_id = $1 AND phone_hash = $2 ORDER BY id`
	hash := s.Hasher(tenant).Hash(phone)
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		list = nil
		return query(conn, sqlErasuresByPhone, func(r row) error {
			list = append(list, scanErasure(r))
			return nil
		}, tenant, hash[:])
	})
	return list, wrap("list erasures", err)
}

// LeadEntries is what a page of leads names in the ledger.
type LeadEntries struct {
	Leads   int         // on the page; none: there are no more
	Last    saaf.LeadID // where the next page begins
	Unnamed int         // leads that name no entry: they came in before there was a ledger
	Missing []LeadEntry // entries that are named and are not there
}

// LeadEntry is an entry of the ledger that a lead names.
type LeadEntry struct {
	Lead  saaf.LeadID
	Entry saaf.EntryID
}

// LeadEntries looks up the entries that leads of a campaign name, from above the
// given lead, a page at a time. An entry of another campaign counts as missing.
func (s *Store) LeadEntries(ctx context.Context, campaign saaf.CampaignID, above saaf.LeadID) (page LeadEntries, err error) {
	const leadPage = 5000
	const sqlLeadEntries = `
		SELECT l.id, l.first_entry, l.last_entry,
		  EXISTS (SELECT 1 FROM ledger e WHERE e.id = l.first_entry AND e.campaign_id = l.campaign_id),
		  EXISTS (SELECT 1 FROM ledger e WHERE e.id = l.last_entry AND e.campaign_id = l.campaign_id)
		  FROM leads l WHERE l.campaign_id = $1 AND l.id > $2 ORDER BY l.id LIMIT $3`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		page = LeadEntries{}
		return query(conn, sqlLeadEntries, func(r row) error {
			lead, first, last := saaf.LeadID(r.int64()), saaf.EntryID(r.int64()), saaf.EntryID(r.int64())
			firstThere, lastThere := r.bool(), r.bool()
			page.Leads, page.Last = page.Leads+1, lead
			if first == 0 && last == 0 {
				page.Unnamed++
			}
			if first != 0 && !firstThere {
				page.Missing = append(page.Missing, LeadEntry{lead, first})
			}
			if last != 0 && !lastThere {
				page.Missing = append(page.Missing, LeadEntry{lead, last})
			}
			return nil
		}, campaign, above, leadPage)
	})
	return page, wrap("read the entries of leads", err)
}
