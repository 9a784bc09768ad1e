package scrub

import (
	"context"
	"fmt"
	"math"
	"time"

	"saaf"
)

// chain is how far one chain of the ledger was followed.
type chain struct {
	head   saaf.CheckpointHead // its last good entry
	began  saaf.EntryID        // its first one
	signed saaf.CheckpointHead // what the last good checkpoint that names it names; Seq 0: none does yet
	sealed int64               // that checkpoint, when a later one does not name the chain: it has ended there
}

// unnamedFor is how much older the first entry of a chain may be than a checkpoint that
// does not name the chain. Its transaction may have been under way then, and clocks
// differ.
const unnamedFor = time.Hour

// walk follows the entries of all chains, and beside them the checkpoints. It ends with
// the first entry that is broken: behind it nothing can be told.
//
// An embedded store may grow meanwhile. Checkpoints are read before the entries they are
// looked for in, so that one of them is beyond the end only where entries are gone.
func (v *verifier) walk(ctx context.Context) error {
	if whole, err := v.nextCheckpoint(ctx); err != nil || !whole {
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
			c := v.chainOf(e)
			if what := v.follows(c, e); what != "" {
				v.problem(Problem{Entry: e.ID, Writer: v.several(c.head.Writer), Seq: c.head.Seq + 1, At: writtenAt(e), What: what})
				return nil
			}
			v.count(c, e)
			if whole, err := v.reached(ctx, c); err != nil || !whole {
				return err
			}
		}
		after = page[len(page)-1].ID
		v.tell()
	}
}

// chainOf is the chain that an entry must be in.
func (v *verifier) chainOf(e *saaf.EntryRow) *chain {
	writer := e.Writer
	if v.only != 0 {
		writer = v.only
	}
	if c := v.chains[writer]; c != nil {
		return c
	}
	return &chain{head: saaf.CheckpointHead{Writer: writer}}
}

// several is how a problem names a chain: not at all where there is one.
func (v *verifier) several(writer int64) int64 {
	if v.only != 0 {
		return 0
	}
	return writer
}

// follows says what is wrong with an entry behind the last good one of its chain, "" for
// nothing.
func (v *verifier) follows(c *chain, e *saaf.EntryRow) string {
	switch {
	case e.Writer != c.head.Writer:
		return fmt.Sprintf("it is of the chain %d, and this store has one chain", e.Writer)
	case e.Seq != c.head.Seq+1:
		return fmt.Sprintf("behind seq %d stands an entry with seq %d: one is missing, was added or was moved", c.head.Seq, e.Seq)
	case c.sealed != 0:
		return c.added()
	case v.report.Entries > 0 && e.ID == v.report.Head.Entry:
		return "there is another entry with its id"
	}
	if err := e.Check(v.report.Deployment, c.head.Hash); err != nil {
		return err.Error()
	}
	return ""
}

func (v *verifier) count(c *chain, e *saaf.EntryRow) {
	v.report.Entries++
	for range e.Decisions() {
		v.report.Decisions++
	}
	if c.head.Seq == 0 {
		c.began = e.ID
		v.chains[c.head.Writer] = c
	}
	c.head = headOf(e)
	v.report.Head = ChainHead(c.head)
}

// headOf is how a checkpoint names an entry.
func headOf(e *saaf.EntryRow) saaf.CheckpointHead {
	return saaf.CheckpointHead{Writer: e.Writer, Seq: e.Seq, Entry: e.ID, Hash: e.Hash}
}

// writtenAt is when an entry was written, as it says itself or else by its id.
func writtenAt(e *saaf.EntryRow) time.Time {
	if head, err := e.ParseHead(); err == nil && !head.At.IsZero() {
		return head.At
	}
	return time.UnixMilli(madeAt(e.ID)).UTC()
}

// missing is the problem of a chain that ends before what a checkpoint names.
func (v *verifier) missing(signed saaf.CheckpointHead, by *saaf.Checkpoint) Problem {
	which, last := "the ledger", int64(0)
	if c := v.chains[signed.Writer]; c != nil {
		last = c.head.Seq
	}
	p := Problem{Writer: v.several(signed.Writer), Seq: last + 1, At: by.At, Checkpoint: by.Seq}
	if signed.Seq == p.Seq {
		p.Entry = signed.Entry
	}
	if p.Writer != 0 {
		which = "the chain"
	}
	p.What = fmt.Sprintf("%s ends with seq %d, and entries up to seq %d were signed: those between were removed", which, last, signed.Seq)
	return p
}
