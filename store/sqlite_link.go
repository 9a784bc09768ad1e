package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/phoneblock"
)

// sqliteLink is the transaction of the one writer.
type sqliteLink struct {
	sqliteConn
	exclusive bool // no other process adds leads or removes them without a word, see rosterSeq

	packed  bool  // phones are kept once by blocks
	seq     int64 // roster_seq, as the transaction has found it
	told    int64 // and as it leaves it
	version int64 // of the database, as SQLite counts what others write
	work    map[saaf.CampaignID]*blockWork
	purged  []saaf.CampaignID // of which the transaction has removed blocks
}

// begin refuses when the store was moved since it was opened.
func (l *sqliteLink) begin(context.Context, scope) error {
	if _, err := l.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	moved, err := readMoved(l, "")
	if err == nil && moved != nil {
		err = errMovedMeanwhile
	}
	if err == nil {
		err = l.look()
	}
	if err != nil {
		return errors.Join(err, l.rollback())
	}
	return nil
}

// look finds out how phones are kept, and whether another process has changed which
// there are. The server is told of it by a number; another process, which lives for a
// moment, takes any change for one.
func (l *sqliteLink) look() (err error) {
	l.work, l.purged = nil, nil
	if l.packed, l.seq, err = readPacked(l); err != nil || !l.packed {
		return err
	}
	l.told = l.seq
	others := false
	if !l.exclusive {
		version, err := l.dataVersion()
		if err != nil {
			return err
		}
		others = version != l.version
		l.version = version
	}
	l.rosters.moved(l.seq, others)
	return nil
}

func (l *sqliteLink) dataVersion() (v int64, err error) {
	err = sqlitex.Execute(l.Conn, "PRAGMA data_version", &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { v = stmt.ColumnInt64(0); return nil },
	})
	return v, err
}

func (l *sqliteLink) later(sql string, args ...any) error {
	_, err := l.exec(sql, args...)
	return err
}

// flush writes the blocks that have changed.
func (l *sqliteLink) flush() error {
	if !l.packed {
		return nil
	}
	changed := len(l.purged) > 0
	for _, campaign := range slices.Sorted(maps.Keys(l.work)) {
		w := l.work[campaign]
		if err := l.write(campaign, w); err != nil {
			return err
		}
		changed = changed || len(w.changes) > 0
	}
	if !changed || l.exclusive {
		return nil
	}
	const sqlRosterSeq = `UPDATE deployment SET roster_seq = $1`
	l.told = l.seq + 1
	_, err := l.exec(sqlRosterSeq, l.told)
	return err
}

func (l *sqliteLink) commit() error {
	if _, err := l.exec("COMMIT"); err != nil {
		return err
	}
	for campaign, w := range l.work {
		if len(w.changes) > 0 {
			l.rosters.apply(campaign, w.changes)
		}
	}
	for _, campaign := range l.purged {
		l.rosters.drop(campaign)
	}
	l.work, l.purged = nil, nil
	l.rosters.own(l.told)
	return nil
}

func (l *sqliteLink) rollback() error {
	l.work, l.purged = nil, nil
	return l.sqliteConn.rollback()
}

// rollback undoes the open transaction, if SQLite has not done so by itself. Whoever
// asked may have gone meanwhile, and SQLite runs no statement for those: the transaction
// would stay, and the next one to read on this connection see a store of long ago.
func (c sqliteConn) rollback() error {
	if c.AutocommitEnabled() {
		return nil
	}
	gone := c.SetInterrupt(nil)
	defer c.SetInterrupt(gone)
	_, err := c.exec("ROLLBACK")
	return err
}

func (*sqliteLink) failure(err error) failure {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultCantOpen:
		return broken
	case sqlite.ResultFull:
		return full
	case sqlite.ResultBusy:
		return busy
	}
	return failed
}

// blockWork is what the open transaction does to the blocks of a campaign. It works on
// copies: nothing outside of it changes before the commit.
type blockWork struct {
	table   *phoneblock.Table      // as committed; nil while nothing was added
	last    uint32                 // number of the block that leads are appended to, 0: none yet
	blocks  map[uint32]*openBlock  // that were looked at
	phones  map[saaf.Phone]uint32  // where those are that came in, 0 for those that left
	changes []rosterChange         // the same, in their order
	outside map[uint32][]blockHash // external ids that are new in a block
}

func newBlockWork() *blockWork {
	return &blockWork{blocks: make(map[uint32]*openBlock), phones: make(map[saaf.Phone]uint32)}
}

// openBlock is a block as the transaction has it.
type openBlock struct {
	phoneblock.Block
	pending []phoneblock.Change
	dirty   bool
}

// workOn is the work of the transaction on a campaign.
func (l *sqliteLink) workOn(campaign saaf.CampaignID) (*blockWork, error) {
	if w := l.work[campaign]; w != nil {
		return w, nil
	}
	last, b, err := l.lastBlock(campaign)
	if err != nil {
		return nil, err
	}
	w := newBlockWork()
	if w.last = last; last != 0 {
		w.blocks[last] = &openBlock{Block: b}
	}
	if l.work == nil {
		l.work = make(map[saaf.CampaignID]*blockWork)
	}
	l.work[campaign] = w
	return w, nil
}

// open is a block to be changed.
func (l *sqliteLink) open(campaign saaf.CampaignID, w *blockWork, n uint32) (*openBlock, error) {
	if o := w.blocks[n]; o != nil {
		return o, nil
	}
	b, err := l.block(campaign, n)
	if err != nil {
		return nil, err
	}
	o := &openBlock{Block: b}
	w.blocks[n] = o
	return o, nil
}

// smallRoster is up to how many blocks a roster is loaded inside of a transaction: some
// ten thousand leads, a millisecond.
const smallRoster = 64

// ready makes sure that the phones of a campaign are in memory, errCold when that would
// take too long here.
func (l *sqliteLink) ready(campaign saaf.CampaignID) error {
	if !l.packed {
		return nil
	}
	w, err := l.workOn(campaign)
	if err != nil || w.table != nil {
		return err
	}
	if _, w.table = l.rosters.resident(campaign); w.table != nil {
		return nil
	}
	if w.last > smallRoster || len(w.changes) > 0 {
		return errCold
	}
	if w.table, err = l.readRoster(campaign); err == nil {
		l.rosters.put(campaign, w.table)
	}
	return err
}

// holds reports whether a phone is in the campaign, as the transaction has it.
func (w *blockWork) holds(p saaf.Phone) bool {
	if block, changed := w.phones[p]; changed {
		return block != 0
	}
	return w.table.Block(p) != 0
}

// walk and find see what the transaction itself has done.
func (l *sqliteLink) walk(campaign saaf.CampaignID, q question, visit func([]phoneblock.Entry) (more bool, err error)) error {
	if err := l.flush(); err != nil {
		return err
	}
	return l.sqliteConn.walk(campaign, q, visit)
}

func (l *sqliteLink) find(campaign saaf.CampaignID, phones []saaf.Phone) ([]phoneblock.Entry, error) {
	if err := l.flush(); err != nil {
		return nil, err
	}
	if w := l.work[campaign]; w != nil && len(w.changes) > 0 {
		return l.scan(campaign, phones)
	}
	return l.sqliteConn.find(campaign, phones)
}

// noted notes where a phone is now, 0: nowhere.
func (w *blockWork) noted(p saaf.Phone, block uint32) {
	w.phones[p] = block
	w.changes = append(w.changes, rosterChange{p, block})
}

// append puts a lead into the last block.
func (w *blockWork) append(a phoneblock.Addition) {
	o := w.blocks[w.last]
	if o == nil || !o.Append(a) {
		if o != nil {
			o.dirty = true // it gets its head
		}
		w.last++
		o = &openBlock{}
		w.blocks[w.last] = o
		o.Append(a)
	}
	o.dirty = true
	w.noted(a.Phone, w.last)
}

// locate finds a lead among the blocks of its campaign.
func (l *sqliteLink) locate(campaign saaf.CampaignID, w *blockWork, id saaf.LeadID, phone saaf.Phone) (*openBlock, phoneblock.Entry, error) {
	const sqlBlockOf = `SELECT block FROM lead_block_heads WHERE campaign_id = $1 AND first_id <= $2 ORDER BY first_id DESC LIMIT 1`
	try := func(n uint32) (*openBlock, phoneblock.Entry, error) {
		o, err := l.open(campaign, w, n)
		if err != nil {
			return nil, phoneblock.Entry{}, err
		}
		e, ok := o.ByID(id)
		if !ok {
			o = nil
		}
		return o, e, nil
	}
	n := w.phones[phone]
	if n == 0 {
		if _, table := l.rosters.resident(campaign); table != nil {
			n = table.Block(phone)
		}
	}
	if n != 0 {
		if o, e, err := try(n); err != nil || o != nil {
			return o, e, err
		}
	}
	n = 0
	err := l.query(sqlBlockOf, func(r row) error { n = uint32(r.int64()); return nil }, campaign, id)
	if err != nil {
		return nil, phoneblock.Entry{}, err
	}
	// The last block has no head, and neither have those that the transaction has begun.
	for ; n <= w.last; n++ {
		if n == 0 {
			continue
		}
		if o, e, err := try(n); err != nil || o != nil {
			return o, e, err
		}
		if o := w.blocks[n]; o.Last() > id {
			break
		}
	}
	return nil, phoneblock.Entry{}, fmt.Errorf("the blocks of %s lack its lead %s: run saaf audit verify", campaign, id)
}

// restate has the blocks say what became of a lead.
func (l *sqliteLink) restate(campaign saaf.CampaignID, m *move) error {
	if !l.packed {
		return nil
	}
	w, err := l.workOn(campaign)
	if err != nil {
		return err
	}
	o, e, err := l.locate(campaign, w, m.was.ID, m.was.Phone)
	if err != nil {
		return err
	}
	o.pending = append(o.pending, phoneblock.Change{
		Entry: e, State: phoneblock.Of(m.status, m.reason),
		Checked: m.verdict.CheckedAt.UnixMilli(), Unfounded: m.verdict.Snapshot.ID == 0,
	})
	o.dirty = true
	return nil
}

// reconcile has the blocks say what the row of a lead says, when they do not: else
// whoever found the lead by them would find it like that for ever. The row is right, and
// only somebody who changed it by hand can have made a difference.
func (l *sqliteLink) reconcile(campaign saaf.CampaignID, was UnfinishedLead) error {
	const sqlLeadStands = `SELECT status, reason, snapshot_id, checked_at FROM leads WHERE campaign_id = $1 AND id = $2`
	if !l.packed {
		return nil
	}
	m := &move{was: was}
	err := l.query(sqlLeadStands, func(r row) error {
		m.status, m.reason = saaf.LeadStatus(r.int64()), saaf.VerdictReason(r.int64())
		m.verdict.Snapshot.ID, m.verdict.CheckedAt = saaf.SnapshotID(r.int64()), r.time()
		m.moved = true
		return nil
	}, campaign, was.ID)
	if err != nil || !m.moved {
		return err // a lead that has gone has left its block, too
	}
	w, err := l.workOn(campaign)
	if err != nil {
		return err
	}
	_, e, err := l.locate(campaign, w, was.ID, was.Phone)
	if err != nil || e.State == phoneblock.Of(m.status, m.reason) {
		return err
	}
	return l.restate(campaign, m)
}

// forgetLead removes a lead that was deleted from the blocks of its campaign.
func (l *sqliteLink) forgetLead(campaign saaf.CampaignID, lead UnfinishedLead) error {
	if !l.packed {
		return nil
	}
	w, err := l.workOn(campaign)
	if err != nil {
		return err
	}
	o, e, err := l.locate(campaign, w, lead.ID, lead.Phone)
	if err != nil {
		return err
	}
	o.settle()
	o.Remove(e)
	o.dirty = true
	w.noted(lead.Phone, 0)
	return nil
}

// forgetBlocks follows the removal of blocks of a campaign that was deleted.
func (l *sqliteLink) forgetBlocks(campaign saaf.CampaignID) { l.purged = append(l.purged, campaign) }

// settle makes the changes that are pending.
func (o *openBlock) settle() {
	if len(o.pending) > 0 {
		o.Change(o.pending...)
		o.pending = o.pending[:0]
	}
}

// write writes the blocks of a campaign that have changed, and the heads of all but the
// last.
func (l *sqliteLink) write(campaign saaf.CampaignID, w *blockWork) error {
	for _, n := range slices.Sorted(maps.Keys(w.blocks)) {
		o := w.blocks[n]
		if !o.dirty {
			continue
		}
		o.settle()
		if err := writeBlock(l, campaign, n, &o.Block, n == w.last); err != nil {
			return err
		}
		o.dirty = false
	}
	for _, n := range slices.Sorted(maps.Keys(w.outside)) {
		if err := addExternals(l, campaign, n, w.outside[n]); err != nil {
			return err
		}
	}
	clear(w.outside)
	return nil
}

// writeBlock stores a block, and its head unless it is the last.
func writeBlock(conn session, campaign saaf.CampaignID, n uint32, b *phoneblock.Block, last bool) error {
	const (
		sqlWriteBlock = `INSERT INTO lead_blocks (campaign_id, block, body) VALUES ($1, $2, $3)
			ON CONFLICT (campaign_id, block) DO UPDATE SET body = excluded.body`
		sqlWriteHead = `INSERT INTO lead_block_heads (campaign_id, first_id, block, states, created_min, created_max, checked_min, checked_max, unfounded)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (campaign_id, first_id) DO UPDATE SET states = excluded.states, checked_min = excluded.checked_min,
			  checked_max = excluded.checked_max, unfounded = excluded.unfounded`
	)
	if _, err := conn.exec(sqlWriteBlock, campaign, int64(n), b.Bytes()); err != nil || last {
		return err
	}
	h := b.Head()
	_, err := conn.exec(sqlWriteHead, campaign, h.First, int64(n), int64(h.States),
		h.Created.Min, h.Created.Max, h.Checked.Min, h.Checked.Max, h.Unfounded)
	return err
}
