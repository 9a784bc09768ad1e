package store

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/phoneblock"
)

// Uniqueness is how the embedded store keeps a phone once in a campaign.
type Uniqueness string

// By blocks the cost of a lead stays the same however many there are. The index is what
// the blocks are compared with.
const (
	AsItIs   Uniqueness = ""       // as the store was made or was last served, and by blocks when it is new
	ByBlocks Uniqueness = "blocks" // packed blocks and a table in memory, see package phoneblock
	ByIndex  Uniqueness = "index"  // a unique index of the database
)

// The indexes of leads that a store without blocks needs.
var leadIndexes = []struct{ name, sql string }{
	{"leads_campaign", `CREATE INDEX leads_campaign ON leads (campaign_id, id)`},
	{"leads_phone", `CREATE UNIQUE INDEX leads_phone ON leads (campaign_id, phone)`},
	{"leads_suppressed", `CREATE INDEX leads_suppressed ON leads (campaign_id, id) WHERE reason = 5`},
}

// settle brings the store to the way in which phones are to be kept once, in one
// transaction.
func (e *embedded) settle(conn sqliteConn, want Uniqueness) (err error) {
	packed, _, err := readPacked(conn)
	if err != nil {
		return err
	}
	if want == AsItIs && !packed {
		const sqlAnyLead = `SELECT id FROM leads LIMIT 1`
		empty := true
		err = conn.query(sqlAnyLead, func(row) error { empty = false; return nil })
		if err != nil || !empty {
			return err
		}
		want = ByBlocks
	}
	if want == AsItIs || packed == (want == ByBlocks) {
		return nil
	}
	end, err := sqlitex.ImmediateTransaction(conn.Conn)
	if err != nil {
		return err
	}
	defer end(&err)
	// Another process may have done it meanwhile.
	if packed, _, err = readPacked(conn); err != nil || packed == (want == ByBlocks) {
		return err
	}
	if say := e.store.cfg.ChangingOver; say != nil {
		const sqlCountToPack = `SELECT count(*) FROM leads`
		var leads int64
		if err := conn.query(sqlCountToPack, func(r row) error { leads = r.int64(); return nil }); err != nil {
			return err
		}
		if leads > 0 {
			say(want, leads)
		}
	}
	if want == ByBlocks {
		return pack(conn)
	}
	return unpack(conn)
}

// pack makes the blocks out of the leads and drops their indexes.
func pack(conn sqliteConn) error {
	const sqlLeadsToPack = `
		SELECT campaign_id, id, phone, status, reason, snapshot_id, checked_at, created_at, external_id
		  FROM leads ORDER BY campaign_id, id`
	var campaign saaf.CampaignID
	w := newBlockWork()
	done := func() error {
		for n, o := range w.blocks {
			if err := writeBlock(conn, campaign, n, &o.Block, n == w.last); err != nil {
				return err
			}
		}
		for n, hashes := range w.outside {
			if err := addExternals(conn, campaign, n, hashes); err != nil {
				return err
			}
		}
		return nil
	}
	err := conn.query(sqlLeadsToPack, func(r row) error {
		of, id, phone := saaf.CampaignID(r.int64()), saaf.LeadID(r.int64()), saaf.Phone(r.int64())
		status, reason := saaf.LeadStatus(r.int64()), saaf.VerdictReason(r.int64())
		a := phoneblock.Addition{ID: id, Phone: phone, State: phoneblock.Of(status, reason), Unfounded: r.int64() == 0}
		checked, created, external := r.time(), r.time(), r.optionalText()
		a.Checked, a.Created = checked.UnixMilli(), created.UnixMilli()
		if of != campaign {
			if err := done(); err != nil {
				return err
			}
			campaign, w = of, newBlockWork()
		}
		if len(w.blocks) > 1 { // all but the last are whole
			last := w.blocks[w.last]
			delete(w.blocks, w.last)
			if err := done(); err != nil {
				return err
			}
			clear(w.blocks)
			w.blocks[w.last] = last
			clear(w.outside)
		}
		w.append(a)
		clear(w.phones)
		w.changes = w.changes[:0]
		if external != nil {
			w.outsideOf(*external)
		}
		return nil
	})
	if err == nil {
		err = done()
	}
	if err != nil {
		return fmt.Errorf("pack the leads of the store: %w", err)
	}
	for _, index := range leadIndexes {
		if _, err := conn.exec("DROP INDEX " + index.name); err != nil {
			return err
		}
	}
	_, err = conn.exec(`UPDATE deployment SET packed = 1`)
	return err
}

// unpack makes the indexes and drops the blocks.
func unpack(conn sqliteConn) error {
	for _, index := range leadIndexes {
		if _, err := conn.exec(index.sql); err != nil {
			return err
		}
	}
	for _, sql := range []string{
		`DELETE FROM lead_blocks`, `DELETE FROM lead_block_heads`, `DELETE FROM lead_block_externals`,
		`UPDATE deployment SET packed = 0`,
	} {
		if _, err := conn.exec(sql); err != nil {
			return err
		}
	}
	return nil
}

// readRoster makes the table of a campaign from its blocks.
func (c sqliteConn) readRoster(campaign saaf.CampaignID) (*phoneblock.Table, error) {
	const (
		sqlLastNumber = `SELECT coalesce(max(block), 0) FROM lead_blocks WHERE campaign_id = $1`
		sqlBlocks     = `SELECT block, body FROM lead_blocks WHERE campaign_id = $1 ORDER BY block`
		perBlock      = 150
	)
	last := 0
	if err := c.query(sqlLastNumber, func(r row) error { last = r.int(); return nil }, campaign); err != nil {
		return nil, err
	}
	filler := phoneblock.NewFiller(last * perBlock)
	var entries []phoneblock.Entry
	err := c.query(sqlBlocks, func(r row) error {
		n := uint32(r.int64())
		b, err := phoneblock.Parse(r.bytes())
		if err != nil {
			return damaged(campaign, n, err)
		}
		entries = b.Entries(entries[:0])
		return filler.Add(n, entries)
	}, campaign)
	if err == nil {
		var table *phoneblock.Table
		if table, err = filler.Table(); err == nil {
			return table, nil
		}
	}
	if _, twice := errors.AsType[*phoneblock.TwiceError](err); twice {
		err = fmt.Errorf("%s takes no leads: %w. Run saaf audit verify", campaign, err)
	}
	return nil, err
}

// loadRoster is readRoster beside the writer.
func (e *embedded) loadRoster(ctx context.Context, campaign saaf.CampaignID) (table *phoneblock.Table, seq int64, err error) {
	err = e.read(ctx, func(conn session) error {
		c := conn.(sqliteConn)
		return c.still(func(packed bool) error {
			if _, seq, err = readPacked(c); err != nil {
				return err
			}
			table, err = c.readRoster(campaign)
			return err
		})
	})
	return table, seq, err
}

// admit has the phones of a campaign in memory until leave is called.
func (e *embedded) admit(ctx context.Context, campaign saaf.CampaignID, rows int) (leave func(), err error) {
	r, err := e.rosters.pin(ctx, campaign, rows)
	if err != nil {
		return nil, err
	}
	return func() { e.rosters.unpin(r) }, nil
}
