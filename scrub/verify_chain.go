package scrub

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"saaf"
	"saaf/store"
)

// chain walks the entries, and beside them the checkpoints, whose heads stand in the
// same order. It ends with the first entry that is broken: behind it nothing can be
// told.
//
// The store may grow meanwhile. Checkpoints are read before the entries they are
// looked for in, so that one of them is beyond the end only where entries are gone.
func (v *verifier) chain(ctx context.Context) error {
	if err := v.nextCheckpoint(ctx); err != nil {
		return err
	}
	for after := saaf.EntryID(math.MinInt64); ; {
		page, err := v.st.LedgerAfter(ctx, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			v.end()
			return nil
		}
		for i := range page {
			e := &page[i]
			if what := v.follows(e); what != "" {
				v.problem(Problem{Entry: e.ID, Seq: v.report.Head.Seq + 1, At: writtenAt(e), What: what})
				return nil
			}
			v.count(e)
			if whole, err := v.atCheckpoint(ctx); err != nil || !whole {
				return err
			}
		}
		after = page[len(page)-1].ID
		v.tell()
	}
}

// follows says what is wrong with an entry behind the last good one, "" for
// nothing.
func (v *verifier) follows(e *saaf.EntryRow) string {
	last := v.report.Head
	if e.Seq != last.Seq+1 {
		return fmt.Sprintf("behind seq %d stands an entry with seq %d: one is missing, was added or was moved", last.Seq, e.Seq)
	}
	if err := e.Check(v.report.Deployment, last.Hash); err != nil {
		return err.Error()
	}
	return ""
}

func (v *verifier) count(e *saaf.EntryRow) {
	v.report.Entries++
	for range e.Decisions() {
		v.report.Decisions++
	}
	v.report.Head = saaf.CheckpointHead{Writer: e.Writer, Seq: e.Seq, Entry: e.ID, Hash: e.Hash}
}

// writtenAt is when an entry was written, as it says itself or else by its id.
func writtenAt(e *saaf.EntryRow) time.Time {
	if head, err := e.ParseHead(); err == nil && !head.At.IsZero() {
		return head.At
	}
	const idBitsBelowTime = 21
	return time.UnixMilli(int64(e.ID) >> idBitsBelowTime).UTC()
}

// checkpointWalk is a walk over the checkpoints in their order.
type checkpointWalk struct {
	page    []store.StoredCheckpoint
	pending *saaf.Checkpoint // good in itself, its head is still to come; nil: there are no more, or one was broken
	seq     int64            // of the last one that was read
	hash    saaf.SHA256      // of the same
	head    int64            // seq of the entry that the same signed
	broken  bool
}

// atCheckpoint holds the checkpoints that signed the last good entry against it.
// whole is false when they signed something else.
func (v *verifier) atCheckpoint(ctx context.Context) (whole bool, err error) {
	for w := &v.signed; w.pending != nil && w.pending.Heads[0].Seq == v.report.Head.Seq; {
		if w.pending.Heads[0] != v.report.Head {
			v.problem(Problem{Entry: v.report.Head.Entry, Seq: v.report.Head.Seq, At: w.pending.At, Checkpoint: w.pending.Seq,
				What: fmt.Sprintf("the entries follow from each other, but they are not those that were signed: they were written anew behind seq %d", v.report.Signed)})
			return false, nil
		}
		v.report.Checkpoints++
		v.report.Signed = v.report.Head.Seq
		for i := range v.lodged {
			if v.lodged[i].Seq == w.pending.Seq {
				v.report.Lodged++
			}
		}
		if err := v.nextCheckpoint(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// end is called behind the last entry.
func (v *verifier) end() {
	w := &v.signed
	if c := w.pending; c != nil {
		p := Problem{Seq: v.report.Head.Seq + 1, At: c.At, Checkpoint: c.Seq}
		if c.Heads[0].Seq == p.Seq {
			p.Entry = c.Heads[0].Entry
		}
		p.What = fmt.Sprintf("the ledger ends with seq %d, and entries up to seq %d were signed: those between were removed", v.report.Head.Seq, c.Heads[0].Seq)
		v.problem(p)
		return
	}
	for i := range v.lodged {
		l := &v.lodged[i]
		if l.found || w.broken {
			continue
		}
		p := Problem{Checkpoint: l.Seq, At: l.At, What: fmt.Sprintf("it was lodged and is not in the store, which ends with checkpoint %d: the ledger was cut off or written anew", w.seq)}
		if len(l.Heads) > 0 {
			p.Entry, p.Seq = l.Heads[0].Entry, l.Heads[0].Seq
		}
		v.problem(p)
	}
}

// lodgedCheckpoint is a checkpoint that was kept elsewhere.
type lodgedCheckpoint struct {
	saaf.Checkpoint
	hash  saaf.SHA256
	found bool // in the store, unchanged
}

// openLodged reads the checkpoints that were kept elsewhere.
func (v *verifier) openLodged() {
	for i := range v.opts.Lodged {
		c, err := v.opts.Lodged[i].Open(v.key)
		if err != nil {
			// Its own number helps to find it, though nothing vouches for it.
			_ = json.Unmarshal(v.opts.Lodged[i].Text, &c)
			v.problem(Problem{Checkpoint: c.Seq, At: c.At, What: "it was lodged and cannot be checked, because it is of another deployment or this one was given another key: " + err.Error()})
			continue
		}
		v.lodged = append(v.lodged, lodgedCheckpoint{Checkpoint: c, hash: v.opts.Lodged[i].Hash()})
	}
}

// nextCheckpoint reads the checkpoint behind the last and checks all of it but its
// head.
func (v *verifier) nextCheckpoint(ctx context.Context) (err error) {
	w := &v.signed
	w.pending = nil
	if len(w.page) == 0 {
		after := w.seq
		if after == 0 {
			after = math.MinInt64
		}
		if w.page, err = v.st.CheckpointsAfter(ctx, after); err != nil || len(w.page) == 0 {
			return err
		}
	}
	row := w.page[0]
	w.page = w.page[1:]
	c, what := v.opens(&row)
	if what != "" {
		w.broken = true
		v.problem(Problem{Checkpoint: w.seq + 1, At: c.At, What: what})
		return nil
	}
	w.pending, w.seq, w.hash, w.head = &c, c.Seq, row.Hash(), c.Heads[0].Seq
	return nil
}

// opens reads a checkpoint and says what is wrong with it, "" for nothing.
func (v *verifier) opens(row *store.StoredCheckpoint) (c saaf.Checkpoint, what string) {
	w := &v.signed
	if row.Seq != w.seq+1 {
		return c, fmt.Sprintf("behind checkpoint %d stands number %d: one is missing or was added", w.seq, row.Seq)
	}
	c, err := row.Open(v.key)
	switch {
	case err != nil:
		return c, err.Error()
	case c.Deployment != v.report.Deployment:
		return c, fmt.Sprintf("it was signed for the deployment %s", c.Deployment)
	case c.Seq != row.Seq:
		return c, fmt.Sprintf("it was signed as checkpoint %d", c.Seq)
	case c.Before != w.hash:
		return c, "it does not follow from the checkpoint before"
	case len(c.Heads) != 1:
		return c, fmt.Sprintf("it names %d chains, and this store has one", len(c.Heads))
	case c.Heads[0].Seq < max(w.head, 1):
		return c, "it signed less than the checkpoint before"
	}
	for i := range v.lodged {
		switch l := &v.lodged[i]; {
		case l.Seq != c.Seq:
		case l.hash != row.Hash():
			return c, "it is not the one that was lodged: the ledger was written anew"
		default:
			l.found = true
		}
	}
	return c, ""
}
