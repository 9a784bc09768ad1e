package scrub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"saaf"
	"saaf/store"
)

// checkpointWalk is a walk over the checkpoints in their order.
type checkpointWalk struct {
	page    []store.StoredCheckpoint
	seq     int64       // of the last one that was read and is good in itself
	hash    saaf.SHA256 // of the same
	pending *saaf.Checkpoint
	unmet   map[int64]saaf.CheckpointHead // what pending names and is still to come, by the writer
	heads   []saaf.CheckpointHead         // what the last one names that is good altogether
	until   time.Time                     // when that was made; zero: there is none yet
	broken  bool
}

// nextCheckpoint reads checkpoints up to one that names what is still to come, and holds
// them against the entries that were read. whole is false when they name others, and
// nothing more can be told.
func (v *verifier) nextCheckpoint(ctx context.Context) (whole bool, err error) {
	for w := &v.signed; ; {
		w.pending, w.unmet = nil, nil
		if len(w.page) == 0 {
			after := w.seq
			if after == 0 {
				after = math.MinInt64
			}
			if w.page, err = v.st.CheckpointsAfter(ctx, after); err != nil || len(w.page) == 0 {
				return err == nil, err
			}
		}
		row := w.page[0]
		w.page = w.page[1:]
		c, what := v.opens(&row)
		if what != "" {
			w.broken = true
			v.problem(Problem{Checkpoint: w.seq + 1, At: c.At, What: what})
			return true, nil
		}
		w.pending, w.seq, w.hash = &c, c.Seq, row.Hash()
		if whole, err := v.endChains(ctx); err != nil || !whole {
			return false, err
		}
		if whole, err := v.expect(ctx); err != nil || !whole || len(w.unmet) > 0 {
			return whole, err
		}
		if !v.complete() {
			return false, nil
		}
	}
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
	case len(c.Heads) == 0:
		return c, "it names no chain"
	case v.only != 0 && (len(c.Heads) > 1 || c.Heads[0].Writer != v.only):
		return c, fmt.Sprintf("it names %d chains, and this store has the chain %d alone", len(c.Heads), v.only)
	}
	for i, h := range c.Heads {
		chain := v.chains[h.Writer]
		switch {
		case i > 0 && h.Writer <= c.Heads[i-1].Writer:
			return c, "it names chains twice, or not in their order"
		case h.Seq < 1 || chain != nil && h.Seq < chain.signed.Seq:
			return c, "it signed less than the checkpoint before"
		case chain != nil && chain.sealed != 0:
			return c, fmt.Sprintf("it names the chain %d, which had ended with checkpoint %d", h.Writer, chain.sealed)
		}
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

// endChains ends the chains that the pending checkpoint does not name any more.
func (v *verifier) endChains(ctx context.Context) (whole bool, err error) {
	w := &v.signed
	for _, last := range w.heads {
		if headOfChain(w.pending, last.Writer).Seq > 0 {
			continue
		}
		c := v.chains[last.Writer]
		c.sealed = w.pending.Seq - 1
		if c.head.Seq == last.Seq {
			continue
		}
		e, _, err := v.st.ChainEntry(ctx, last.Writer, last.Seq+1)
		if err != nil {
			return false, err
		}
		v.problem(Problem{Entry: e.ID, Writer: v.several(last.Writer), Seq: last.Seq + 1, At: writtenAt(&e), Checkpoint: w.pending.Seq, What: c.added()})
		return false, nil
	}
	return true, nil
}

// headOfChain is what a checkpoint names of a chain, zero for nothing.
func headOfChain(c *saaf.Checkpoint, writer int64) saaf.CheckpointHead {
	i, named := slices.BinarySearchFunc(c.Heads, writer, func(h saaf.CheckpointHead, writer int64) int { return cmp.Compare(h.Writer, writer) })
	if !named {
		return saaf.CheckpointHead{}
	}
	return c.Heads[i]
}

// added says what an entry is that stands behind the end of its chain.
func (c *chain) added() string {
	return fmt.Sprintf("its chain had ended with seq %d, which checkpoint %d is the last to name: the entry was added", c.signed.Seq, c.sealed)
}

// expect looks which entries the pending checkpoint names that are still to come, and
// compares the others.
func (v *verifier) expect(ctx context.Context) (whole bool, err error) {
	w := &v.signed
	w.unmet = make(map[int64]saaf.CheckpointHead)
	for _, h := range w.pending.Heads {
		c := v.chains[h.Writer]
		switch {
		case c == nil || c.head.Seq < h.Seq:
			w.unmet[h.Writer] = h
			continue
		case h == c.signed || h == c.head:
			continue
		}
		found := c.head
		if found.Seq != h.Seq { // the chain was read further, beside another that was still to come
			e, _, err := v.st.ChainEntry(ctx, h.Writer, h.Seq)
			if err != nil {
				return false, err
			}
			found = headOf(&e)
		}
		if !v.same(h, found) {
			return false, nil
		}
	}
	return true, nil
}

// same compares what the pending checkpoint names with what is there.
func (v *verifier) same(signed, found saaf.CheckpointHead) bool {
	if found == signed {
		return true
	}
	c, by := v.chains[signed.Writer], v.signed.pending
	v.problem(Problem{Entry: found.Entry, Writer: v.several(signed.Writer), Seq: signed.Seq, At: by.At, Checkpoint: by.Seq,
		What: fmt.Sprintf("the entries follow from each other, but they are not those that were signed: they were written anew behind seq %d", c.signed.Seq)})
	return false
}

// reached holds an entry that was just read against the pending checkpoint, if that names
// it. whole is false when it signed something else.
func (v *verifier) reached(ctx context.Context, c *chain) (whole bool, err error) {
	w := &v.signed
	signed, named := w.unmet[c.head.Writer]
	if !named || signed.Seq != c.head.Seq {
		return true, nil
	}
	if !v.same(signed, c.head) {
		return false, nil
	}
	if delete(w.unmet, signed.Writer); len(w.unmet) > 0 {
		return true, nil
	}
	if !v.complete() {
		return false, nil
	}
	return v.nextCheckpoint(ctx)
}

// complete is called when everything that the pending checkpoint names was found. It is
// false when there is a chain too much.
func (v *verifier) complete() bool {
	w := &v.signed
	by := w.pending
	newest := saaf.EntryID(0)
	for _, h := range by.Heads {
		newest = max(newest, h.Entry)
		if c := v.chains[h.Writer]; c.signed.Seq == 0 && v.inserted(c) {
			return false
		}
	}
	for _, h := range by.Heads {
		c := v.chains[h.Writer]
		v.report.Signed += h.Seq - c.signed.Seq
		c.signed = h
	}
	v.report.Checkpoints++
	for i := range v.lodged {
		if v.lodged[i].Seq == by.Seq {
			v.report.Lodged++
		}
	}
	// Made when a clock was far ahead, it must not make chains old that begin behind it.
	w.heads, w.until = by.Heads, by.At
	if at := time.UnixMilli(madeAt(newest)); at.Before(by.At) {
		w.until = at
	}
	return true
}

// inserted reports whether a chain that no good checkpoint names yet is so old that the
// last one should have named it.
func (v *verifier) inserted(c *chain) bool {
	w := &v.signed
	at := time.UnixMilli(madeAt(c.began)).UTC()
	if w.until.IsZero() || !at.Before(w.until.Add(-unnamedFor)) {
		return false
	}
	p := Problem{Entry: c.began, Writer: v.several(c.head.Writer), Seq: 1, At: at, What: fmt.Sprintf(
		"its chain is older than checkpoint %d, which does not name it: the chain was inserted, or the clock of its process was more than %s behind",
		v.report.Checkpoints, unnamedFor)}
	if w.pending != nil {
		p.Checkpoint = w.pending.Seq
	}
	v.problem(p)
	return true
}

// end is called behind the last entry.
func (v *verifier) end() {
	w := &v.signed
	if w.pending != nil {
		for _, h := range w.pending.Heads {
			if _, unmet := w.unmet[h.Writer]; unmet {
				v.problem(v.missing(h, w.pending))
			}
		}
		return
	}
	for _, writer := range v.writers() {
		if c := v.chains[writer]; c.signed.Seq == 0 && v.inserted(c) {
			return
		}
	}
	for i := range v.lodged {
		l := &v.lodged[i]
		if l.found || w.broken {
			continue
		}
		p := Problem{Checkpoint: l.Seq, At: l.At, What: fmt.Sprintf("it was lodged and is not in the store, which ends with checkpoint %d: the ledger was cut off or written anew", w.seq)}
		for _, h := range l.Heads {
			if h.Entry > p.Entry {
				p.Entry, p.Writer, p.Seq = h.Entry, v.several(h.Writer), h.Seq
			}
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
