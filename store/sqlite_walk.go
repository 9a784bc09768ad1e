package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"saaf"
	"saaf/phoneblock"
)

// blockReader is a session that finds leads among the blocks of their campaign, where
// the store has blocks. The embedded store has no index of its leads: one would cost half
// of the rate at which they come in.
type blockReader interface {
	session

	// still runs fn while the database stands still for this session. packed says
	// whether there are blocks.
	still(fn func(packed bool) error) error

	// walk hands the leads of a campaign that a question is about to visit, a block at a
	// time, until that says stop. It is called within still.
	walk(campaign saaf.CampaignID, q question, visit func([]phoneblock.Entry) (more bool, err error)) error

	// find finds the leads of a campaign that have one of the phones, by id. It is called
	// within still.
	find(campaign saaf.CampaignID, phones []saaf.Phone) ([]phoneblock.Entry, error)
}

// question is which leads of a campaign are looked for among its blocks. More may be
// found than it asks for, where it is about more than states and ids.
type question struct {
	states phoneblock.States
	above  saaf.LeadID // from above this one
	below  saaf.LeadID // from below this one, 0: all
	newest bool        // by id, the highest first
	maybe  func(phoneblock.Head, func(blockHash) bool) bool
}

// still of a reader holds one state of the database; a writer's transaction does so anyway.
func (c sqliteConn) still(fn func(packed bool) error) (err error) {
	if c.AutocommitEnabled() {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		defer func() {
			if rerr := c.rollback(); err == nil {
				err = rerr
			}
		}()
	}
	packed, _, err := readPacked(c)
	if err != nil {
		return err
	}
	return fn(packed)
}

// readPacked reads how phones are kept once, and how often other processes have
// changed which there are.
func readPacked(conn session) (packed bool, seq int64, err error) {
	const sqlPacked = `SELECT packed, roster_seq FROM deployment`
	err = conn.query(sqlPacked, func(r row) error { packed, seq = r.bool(), r.int64(); return nil })
	return packed, seq, err
}

// errSeen ends a query from within.
var errSeen = errors.New("seen enough")

// lastBlock reads the block of a campaign that leads are appended to; its number is 0 when
// there is none.
func (c sqliteConn) lastBlock(campaign saaf.CampaignID) (n uint32, b phoneblock.Block, err error) {
	const sqlLastBlock = `SELECT block, body FROM lead_blocks WHERE campaign_id = $1 ORDER BY block DESC LIMIT 1`
	err = c.query(sqlLastBlock, func(r row) (err error) {
		n = uint32(r.int64())
		b, err = phoneblock.Parse(r.bytes())
		return err
	}, campaign)
	return n, b, damaged(campaign, n, err)
}

// block reads a block; one that is not there is empty.
func (c sqliteConn) block(campaign saaf.CampaignID, n uint32) (b phoneblock.Block, err error) {
	const sqlBlock = `SELECT body FROM lead_blocks WHERE campaign_id = $1 AND block = $2`
	err = c.query(sqlBlock, func(r row) (err error) {
		b, err = phoneblock.Parse(r.bytes())
		return err
	}, campaign, int64(n))
	return b, damaged(campaign, n, err)
}

const headColumns = `block, first_id, states, created_min, created_max, checked_min, checked_max, unfounded FROM lead_block_heads`

func scanHead(r row) (block uint32, h phoneblock.Head) {
	block = uint32(r.int64())
	h.First, h.States = saaf.LeadID(r.int64()), phoneblock.States(r.int64())
	h.Created, h.Checked = phoneblock.Bounds{Min: r.int64(), Max: r.int64()}, phoneblock.Bounds{Min: r.int64(), Max: r.int64()}
	h.Unfounded = r.bool()
	return block, h
}

func (c sqliteConn) walk(campaign saaf.CampaignID, q question, visit func([]phoneblock.Entry) (more bool, err error)) error {
	const (
		sqlHeadsUp = `SELECT ` + headColumns + ` WHERE campaign_id = $1 AND states & $2 <> 0
			AND first_id >= coalesce((SELECT max(first_id) FROM lead_block_heads WHERE campaign_id = $1 AND first_id <= $3), 0)
			ORDER BY campaign_id, first_id`
		sqlHeadsDown = `SELECT ` + headColumns + ` WHERE campaign_id = $1 AND states & $2 <> 0
			AND first_id < $3 ORDER BY campaign_id DESC, first_id DESC`
	)
	last, open, err := c.lastBlock(campaign)
	if err != nil || last == 0 {
		return err
	}
	var entries []phoneblock.Entry
	look := func(n uint32, b phoneblock.Block) (more bool, err error) {
		entries = slices.DeleteFunc(b.Entries(entries[:0]), func(e phoneblock.Entry) bool {
			return !q.states.Has(e.State) || e.ID <= q.above || q.below != 0 && e.ID >= q.below
		})
		if len(entries) == 0 {
			return true, nil
		}
		if q.newest {
			slices.Reverse(entries)
		}
		return visit(entries)
	}
	if q.newest {
		if more, err := look(last, open); err != nil || !more {
			return err
		}
	}
	sql, from := sqlHeadsUp, q.above
	if q.newest {
		sql, from = sqlHeadsDown, cmp.Or(q.below, 1<<63-1)
	}
	seen := false
	err = c.query(sql, func(r row) error {
		n, head := scanHead(r)
		if q.maybe != nil && !q.maybe(head, func(h blockHash) bool { return c.hasExternal(campaign, n, h) }) {
			return nil
		}
		b, err := c.block(campaign, n)
		if err != nil {
			return err
		}
		more, err := look(n, b)
		if seen = !more; err == nil && seen {
			err = errSeen
		}
		return err
	}, campaign, int64(q.states), from)
	if err != nil {
		return ignore(err, errSeen)
	}
	if !q.newest && !seen {
		_, err = look(last, open)
	}
	return err
}

func (c sqliteConn) find(campaign saaf.CampaignID, phones []saaf.Phone) (found []phoneblock.Entry, err error) {
	in, known := c.rosters.blocks(campaign, phones)
	if !known {
		return c.scan(campaign, phones)
	}
	for n, phones := range in {
		b, err := c.block(campaign, n)
		if err != nil {
			return nil, err
		}
		for _, p := range phones {
			if e, ok := b.ByPhone(p); ok {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b phoneblock.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// scan is find without the roster: it looks through all blocks, which for a few phones
// costs less than to load it.
func (c sqliteConn) scan(campaign saaf.CampaignID, phones []saaf.Phone) (found []phoneblock.Entry, err error) {
	wanted := make(map[saaf.Phone]bool, len(phones))
	for _, p := range phones {
		wanted[p] = true
	}
	err = c.walk(campaign, question{states: phoneblock.Every}, func(list []phoneblock.Entry) (bool, error) {
		for _, e := range list {
			if wanted[e.Phone] {
				found = append(found, e)
			}
		}
		return len(found) < len(wanted), nil
	})
	return found, err
}

// damaged names the block that an error is about.
func damaged(campaign saaf.CampaignID, block uint32, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("block %d of %s: %w", block, campaign, err)
}
