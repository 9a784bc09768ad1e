package dnd

import (
	"context"
	"fmt"
	"slices"

	"saaf"
)

// deltaSet is a base file with changes: those of the overlay that the base
// snapshot has, and those of a delta. The last row of a number decides: A makes it
// active with the preferences of that row, D takes it out. Whoever uses it keeps
// the base alive.
type deltaSet struct {
	date   saaf.Date
	base   *Snapshot // with its overlay
	sets   *setTable // begins with the dictionary of the base file, so that its places are ids
	memory *scratch
	rows   [numHeads]list[change]

	// changes is known after resolve: for each head, ascending, what is otherwise
	// than in the base file, and nothing that is as there.
	changes [numHeads][]change
	entries int // in all heads
}

// change is what becomes of a number within a head: the number in the upper bits,
// whether the overlay of the base says so, then as in a row.
type change uint64

const (
	changeOverlaid change = 1 << (setBits + 1)
	changeShift           = setBits + 2 // where the number begins
)

func newChange(r row, overlaid bool) (head int, c change) {
	head, n := r.split()
	c = change(n)<<changeShift | change(r&(rowDeletes|maxSets))
	if overlaid {
		c |= changeOverlaid
	}
	return head, c
}

func (c change) number() uint32 { return uint32(c >> changeShift) }
func (c change) deletes() bool  { return row(c).deletes() }
func (c change) set() uint16    { return row(c).set() }
func (c change) overlaid() bool { return c&changeOverlaid != 0 }

// holding is what a snapshot holds about a number, by the id of its set.
type holding struct {
	listed bool
	set    uint16
}

func (c change) holding() holding { return holding{!c.deletes(), c.set()} }

func (b *block) holding(n uint32) (h holding) {
	if h.listed = b.listed(n); h.listed {
		h.set = b.set(n)
	}
	return h
}

func newDeltaSet(date saaf.Date, base *Snapshot, sets *setTable, memory *scratch) (*deltaSet, error) {
	for i, u := range base.sets {
		if sets.id(u.categories) != uint16(i+1) {
			return nil, errDamaged // the dictionary names a set twice
		}
	}
	d := &deltaSet{date: date, base: base, sets: sets, memory: memory}
	if base.overlay == nil {
		return d, nil
	}
	ids := []uint16{0}
	for _, u := range base.overlay.dict {
		ids = append(ids, sets.id(u.categories))
	}
	for r := range base.overlay.rows() {
		head, c := newChange(r&^maxSets|row(ids[r.set()]), true)
		if err := d.rows[head].append(memory, c); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *deltaSet) add(_ int, rows []row) error {
	for _, r := range rows {
		head, c := newChange(r, false)
		if err := d.rows[head].append(d.memory, c); err != nil {
			return err
		}
	}
	return nil
}

func (d *deltaSet) resolve(ctx context.Context, r *Report) (*outline, error) {
	o := &outline{date: d.date, sets: d.sets, heads: d.base.counts}
	for i, u := range d.base.sets {
		o.uses[i+1] = u.numbers
	}
	var rows, scratch []change
	for head := range numHeads {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if d.rows[head].empty() {
			continue
		}
		rows = d.rows[head].appendTo(rows[:0])
		scratch = sortStable(rows, scratch, changeShift)
		changes := d.settle(rows, head, o, r)
		kept, err := allocOf[change](d.memory, len(changes))
		if err != nil {
			return nil, err
		}
		copy(kept, changes)
		d.changes[head] = kept
		d.entries += len(kept)
		counts := o.heads[head]
		counts.overflow = 0 // which is counted when a file is written
		if !counts.possible() {
			return nil, fmt.Errorf("the active snapshot %w", errDamaged)
		}
	}
	if slices.ContainsFunc(o.uses[:], func(n int64) bool { return n < 0 }) {
		return nil, fmt.Errorf("the active snapshot %w", errDamaged)
	}
	return o, nil
}

// settle makes of the sorted rows of a head, in their place, what is otherwise
// than in the base file.
func (d *deltaSet) settle(rows []change, head int, o *outline, r *Report) []change {
	b, to := d.base.block(head), &o.heads[head]
	kept := rows[:0]
	for len(rows) > 0 {
		first, n := rows[0], rows[0].number()
		last := first
		for len(rows) > 0 && rows[0].number() == n {
			last, rows = rows[0], rows[1:]
		}
		base, after := b.holding(n), last.holding()
		before := base
		if first.overlaid() {
			before = first.holding()
		}
		if !last.overlaid() {
			r.Changes.count(before, after)
		}
		if after == base {
			continue
		}
		o.replace(to, base, after)
		kept = append(kept, last&^changeOverlaid)
	}
	return kept
}

// count counts what one number becomes by its last row.
func (c *Changes) count(before, after holding) {
	switch {
	case !after.listed && !before.listed:
		c.NotListed++
	case !after.listed:
		c.Removed++
	case !before.listed:
		c.Added++
	case before.set != after.set:
		c.Changed++
	}
}

// replace counts a number of a head anew.
func (o *outline) replace(head *headCounts, before, after holding) {
	if before.listed {
		head.active--
	}
	if before.set != 0 {
		head.partial--
		o.uses[before.set]--
	}
	if after.listed {
		head.active++
	}
	if after.set != 0 {
		head.partial++
		o.uses[after.set]++
	}
}

func (d *deltaSet) head(head int, to *spread) {
	b := d.base.block(head)
	b.spread(to)
	for _, c := range d.changes[head] {
		if c.deletes() {
			to.remove(c.number())
		} else {
			to.list(c.number(), c.set())
		}
	}
}

func (d *deltaSet) unchanged(head int) []byte {
	if len(d.changes[head]) > 0 {
		return nil
	}
	return d.base.raw(head)
}
