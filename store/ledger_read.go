package store

import (
	"context"
	"slices"

	"saaf"
	"saaf/phoneblock"
)

// CheckpointFrom reads the first checkpoint from a number on; its own number is 0
// when there is none.
func (s *Store) CheckpointFrom(ctx context.Context, seq int64) (c StoredCheckpoint, err error) {
	const sqlCheckpointFrom = `SELECT ` + checkpointColumns + ` WHERE seq >= $1 ORDER BY seq LIMIT 1`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlCheckpointFrom, func(r row) error {
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
	err = s.read(ctx, func(conn session) error {
		ids = nil
		return conn.query(sqlCampaignIDs, func(r row) error {
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
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlErasuresByPhone, func(r row) error {
			list = append(list, scanErasure(r))
			return nil
		}, tenant, hash[:])
	})
	return list, wrap("list erasures", err)
}

// LeadEntry is what a lead says of itself, and where the ledger must say the same.
type LeadEntry struct {
	Lead   saaf.LeadID
	Phone  saaf.Phone
	Reason saaf.VerdictReason
	First  saaf.EntryID // how it came in; 0: before there was a ledger
	Last   saaf.EntryID // its latest decision; 0: the first is
}

// LeadEntries lists leads of a campaign with the entries they name, from above the
// given lead, a page at a time.
func (s *Store) LeadEntries(ctx context.Context, campaign saaf.CampaignID, above saaf.LeadID) (list []LeadEntry, err error) {
	const leadPage = 5000
	const (
		leadEntries    = `SELECT id, phone, reason, first_entry, last_entry FROM leads WHERE campaign_id = $1`
		sqlLeadEntries = leadEntries + ` AND id > $2 ORDER BY id LIMIT $3`
		sqlEntriesOf   = leadEntries + ` AND id = ANY($2) ORDER BY id`
	)
	err = s.read(ctx, func(conn session) error {
		list = nil
		keep := func(r row) error {
			list = append(list, LeadEntry{Lead: saaf.LeadID(r.int64()), Phone: saaf.Phone(r.int64()), Reason: saaf.VerdictReason(r.int64()),
				First: saaf.EntryID(r.int64()), Last: saaf.EntryID(r.int64())})
			return nil
		}
		return amongBlocks(conn, func(blocks blockReader) error {
			return candidates(blocks, campaign, question{states: phoneblock.Every, above: above}, leadPage, func(ids []int64) (bool, error) {
				return false, conn.query(sqlEntriesOf, keep, campaign, ids)
			})
		}, func() error {
			return conn.query(sqlLeadEntries, keep, campaign, above, leadPage)
		})
	})
	return list, wrap("read the entries of leads", err)
}

// EntryOf reads an entry of a campaign; there is false when it has none with the id.
func (s *Store) EntryOf(ctx context.Context, campaign saaf.CampaignID, id saaf.EntryID) (e saaf.EntryRow, there bool, err error) {
	const sqlEntryOf = `SELECT ` + ledgerColumns + ` WHERE id = $1 AND campaign_id = $2`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlEntryOf, func(r row) error {
			e, there = scanEntry(r), true
			return nil
		}, id, campaign)
	})
	return e, there, wrap("read entry", err)
}
