package store

import (
	"context"
	"errors"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// purgeChunk is how many leads of a deleted campaign go in one transaction:
// few enough that a push beside it does not notice.
const purgeChunk = 500

// bell wakes a worker; rings while it works are not lost and not counted.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

const (
	purgeLease = "purge"
	// purgeEvery is how often campaigns are looked for that were deleted elsewhere.
	purgeEvery = 10 * time.Second
)

// RunPurge removes the leads of deleted campaigns until ctx ends. Work that a
// crash left behind is found at the next start, or by another process: what is
// still there is what is still to do. What keeps it from that is told to failed,
// and tried again.
func (s *Store) RunPurge(ctx context.Context, failed func(error)) error {
	for {
		err := s.purgeDeleted(ctx)
		if ctx.Err() != nil {
			return nil
		}
		again := purgeEvery
		if err != nil {
			again = time.Second
			if code := saaf.ErrorCode(err); code != saaf.Unavailable && !errors.Is(err, ErrLeaseLost) {
				failed(wrap("purge", err))
			}
		}
		select {
		case <-s.purge:
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Store) purgeDeleted(ctx context.Context) error {
	ids, err := s.deletedCampaigns(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.Leased(ctx, purgeLease, func(ctx context.Context, l Lease) error {
		for _, id := range ids {
			if err := s.purgeCampaign(ctx, l, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// stopped names the operation of an error, and hides that of work that was cut short
// by ctx.
func stopped(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return wrap(op, err)
}

func (s *Store) deletedCampaigns(ctx context.Context) (ids []saaf.CampaignID, err error) {
	const sqlDeletedCampaigns = `SELECT id FROM campaigns WHERE deleted_at IS NOT NULL ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		ids = nil
		return conn.query(sqlDeletedCampaigns, func(r row) error {
			ids = append(ids, saaf.CampaignID(r.int64()))
			return nil
		})
	})
	return ids, err
}

func (s *Store) purgeCampaign(ctx context.Context, l Lease, id saaf.CampaignID) error {
	for {
		if n, err := s.purgeSome(ctx, l, id); err != nil || n == 0 {
			return err
		}
	}
}

// purgeSome removes some leads of a deleted campaign in one transaction, or the campaign
// when there are none left: n is 0 then.
func (s *Store) purgeSome(ctx context.Context, l Lease, id saaf.CampaignID) (n int, err error) {
	err = s.write(ctx, alone(id), purgeChunk, func(t *tx) (err error) {
		const sqlPurgeLeads = `
			DELETE FROM leads WHERE campaign_id = $1
			   AND id IN (SELECT id FROM leads WHERE campaign_id = $1 ORDER BY id LIMIT $2)`
		n = 0
		if err := t.fenced(l); err != nil {
			return err
		}
		err = amongBlocks(t.conn, func(blocks blockReader) error {
			n, err = t.purgeBlocks(blocks, id)
			return err
		}, func() error {
			n, err = t.exec(sqlPurgeLeads, id, purgeChunk)
			return err
		})
		if err != nil || n > 0 {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM campaign_counts WHERE campaign_id = $1`,
			`DELETE FROM campaign_changes WHERE campaign_id = $1`,
		} {
			if _, err := t.exec(sql, id); err != nil {
				return err
			}
		}
		_, err = t.exec(`DELETE FROM campaigns WHERE id = $1 AND deleted_at IS NOT NULL`, id)
		return err
	})
	return n, err
}

// purgeBlocks removes the next blocks of a deleted campaign with their leads. What is
// left of the blocks is what is still to do.
func (t *tx) purgeBlocks(blocks blockReader, campaign saaf.CampaignID) (n int, err error) {
	const (
		sqlPurgePacked    = `DELETE FROM leads WHERE campaign_id = $1 AND id = ANY($2)`
		sqlPurgeBlocks    = `DELETE FROM lead_blocks WHERE campaign_id = $1 AND block <= $2`
		sqlPurgeHeads     = `DELETE FROM lead_block_heads WHERE campaign_id = $1 AND block <= $2`
		sqlPurgeExternals = `DELETE FROM lead_block_externals WHERE campaign_id = $1 AND block <= $2`
		sqlNextBlocks     = `SELECT block, body FROM lead_blocks WHERE campaign_id = $1 ORDER BY block LIMIT $2`
		atOnce            = 4
	)
	if err := t.conn.flush(); err != nil { // what another job of this transaction has changed
		return 0, err
	}
	var ids []int64
	last := int64(0)
	err = blocks.query(sqlNextBlocks, func(r row) error {
		last = r.int64()
		b, err := phoneblock.Parse(r.bytes())
		for _, e := range b.Entries(nil) {
			ids = append(ids, int64(e.ID))
			// The counts say how many leads the blocks must have.
			t.count(campaign, e.State.Status(), e.State.Reason(), -1)
		}
		return damaged(campaign, uint32(last), err)
	}, campaign, atOnce)
	if err != nil || last == 0 {
		return 0, err
	}
	if _, err := t.exec(sqlPurgePacked, campaign, ids); err != nil {
		return 0, err
	}
	for _, sql := range []string{sqlPurgeBlocks, sqlPurgeHeads, sqlPurgeExternals} {
		if _, err := t.exec(sql, campaign, last); err != nil {
			return 0, err
		}
	}
	t.conn.forgetBlocks(campaign)
	return max(1, len(ids)), nil
}
