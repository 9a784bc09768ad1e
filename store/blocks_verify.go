package store

import (
	"context"
	"fmt"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// BlockFault is something that the blocks of a campaign say otherwise than its leads.
type BlockFault struct {
	Campaign saaf.CampaignID
	Block    int64       // 0: none in particular
	Lead     saaf.LeadID // 0: none in particular
	Problem  string
}

// maxBlockFaults is how many faults of a campaign are told.
const maxBlockFaults = 20

// VerifyBlocks compares the blocks of a campaign with its leads, row by row, and what is
// in memory with the blocks. There are none where the phones of the store are kept once
// by an index; ok is false then.
func (s *Store) VerifyBlocks(ctx context.Context, campaign saaf.CampaignID) (faults []BlockFault, ok bool, err error) {
	err = s.read(ctx, func(conn session) error {
		c, embedded := conn.(sqliteConn)
		if !embedded {
			return nil
		}
		return c.still(func(packed bool) error {
			if ok = packed; !packed {
				return nil
			}
			v := blockCheck{conn: c, campaign: campaign, seen: phoneblock.NewTable(0)}
			faults, err = v.run()
			return err
		})
	})
	return faults, ok, wrap("verify blocks", err)
}

// blockCheck compares one campaign.
type blockCheck struct {
	conn     sqliteConn
	campaign saaf.CampaignID
	faults   []BlockFault
	seen     *phoneblock.Table // where the phones are
	leads    int64
	heads    map[uint32]phoneblock.Head
	last     uint32
	before   saaf.LeadID
}

func (v *blockCheck) fault(block uint32, lead saaf.LeadID, format string, args ...any) {
	if len(v.faults) < maxBlockFaults {
		v.faults = append(v.faults, BlockFault{v.campaign, int64(block), lead, fmt.Sprintf(format, args...)})
	}
}

func (v *blockCheck) run() ([]BlockFault, error) {
	const (
		sqlHeads      = `SELECT ` + headColumns + ` WHERE campaign_id = $1 ORDER BY campaign_id, first_id`
		sqlAllBlocks  = `SELECT block, body FROM lead_blocks WHERE campaign_id = $1 ORDER BY block`
		sqlCountLeads = `SELECT CAST(coalesce(sum(pending + dialing + dnd + held + completed + failed + no_answer), 0) AS BIGINT) FROM campaign_counts WHERE campaign_id = $1`
	)
	v.heads = make(map[uint32]phoneblock.Head)
	err := v.conn.query(sqlHeads, func(r row) error {
		n, h := scanHead(r)
		v.heads[n] = h
		return nil
	}, v.campaign)
	if err != nil {
		return nil, err
	}
	if v.last, _, err = v.conn.lastBlock(v.campaign); err != nil {
		return nil, err
	}
	before := uint32(0)
	err = v.conn.query(sqlAllBlocks, func(r row) error {
		n := uint32(r.int64())
		if before != 0 && n != before+1 {
			v.fault(n, 0, "it follows block %d", before)
		}
		before = n
		return v.block(n, r.bytes())
	}, v.campaign)
	if err != nil {
		return nil, err
	}
	counted := int64(0)
	if err := v.conn.query(sqlCountLeads, func(r row) error { counted = r.int64(); return nil }, v.campaign); err != nil {
		return nil, err
	}
	if counted != v.leads {
		v.fault(0, 0, "the campaign has %d leads, and the blocks %d", counted, v.leads)
	}
	_, seq, err := readPacked(v.conn)
	v.memory(seq)
	return v.faults, err
}

// block compares one block with its head and its leads.
func (v *blockCheck) block(n uint32, body []byte) error {
	const sqlRows = `SELECT id, phone, status, reason, snapshot_id, checked_at, created_at, external_id FROM leads WHERE campaign_id = $1 AND id = ANY($2)`
	b, err := phoneblock.Parse(body)
	if err != nil {
		v.fault(n, 0, "%v", err)
		return nil
	}
	head := b.Head()
	if head.First <= v.before {
		v.fault(n, head.First, "its first lead is not behind those of the block before")
	}
	v.before = b.Last()
	if kept, there := v.heads[n]; there != (n != v.last) {
		v.fault(n, 0, "it has a head and is the last one, or is not and has none")
	} else if there {
		if kept.First != head.First || head.States&^kept.States != 0 {
			v.fault(n, 0, "its head says too little")
		}
		head = kept
	}
	entries := b.Entries(nil)
	v.leads += int64(len(entries))
	there := make(map[saaf.LeadID]phoneblock.Entry, len(entries))
	ids := make([]int64, len(entries))
	for i, e := range entries {
		there[e.ID], ids[i] = e, int64(e.ID)
		if err := v.seen.Put(e.Phone, n); err != nil {
			v.fault(n, e.ID, "%v", err)
		}
	}
	err = v.conn.query(sqlRows, func(r row) error {
		id, phone := saaf.LeadID(r.int64()), saaf.Phone(r.int64())
		status, reason := saaf.LeadStatus(r.int64()), saaf.VerdictReason(r.int64())
		unfounded, checked, created, external := r.int64() == 0, r.time(), r.time(), r.optionalText()
		e := there[id]
		delete(there, id)
		if e.Phone != phone {
			v.fault(n, id, "its phone is another one in the row")
		}
		if e.State != phoneblock.Of(status, reason) {
			v.fault(n, id, "it is %s and %s in the block, %s and %s in the row", e.State.Status(), e.State.Reason(), status, reason)
		}
		if outside(head.Created, created) || e.State.Dated() && outside(head.Checked, checked) || reason.Clean() && unfounded && !head.Unfounded {
			v.fault(n, id, "the bounds of the block do not hold it")
		}
		if external != nil && !v.conn.hasExternal(v.campaign, n, hashOf(*external)) {
			v.fault(n, id, "its external id is not among those of the block")
		}
		return nil
	}, v.campaign, ids)
	for id := range there {
		v.fault(n, id, "it has no row")
	}
	return err
}

func outside(b phoneblock.Bounds, at time.Time) bool {
	ms := at.UnixMilli()
	return ms < b.Min || ms > b.Max
}

// memory compares the roster, if there is one that no other process has overtaken.
func (v *blockCheck) memory(seq int64) {
	r, table := v.conn.rosters.asOf(v.campaign, seq)
	if r == nil {
		return
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !table.Equal(v.seen) {
		v.fault(0, 0, "what is in memory of its phones is not what is in the blocks")
	}
}
