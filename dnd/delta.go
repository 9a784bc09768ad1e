package dnd

import (
	"context"

	"saaf"
)

// deltaSet is a base snapshot with changes. The last row of a number decides: A
// makes it active with the preferences of that row, D takes it out. Whoever uses
// it keeps the base alive.
type deltaSet struct {
	date    saaf.Date
	base    *Snapshot
	sets    *setTable // begins with the dictionary of the base, so that its places are ids
	changes [numHeads][]change

	bitmap  []byte // of the head that was asked for last
	partial []placed
	had     []placed
}

// change is a row without the head of its number: the number in the upper bits,
// then as in a row.
type change uint64

func (c change) number() uint32 { return uint32(c >> (setBits + 1)) }
func (c change) deletes() bool  { return row(c).deletes() }
func (c change) set() uint16    { return row(c).set() }

func newDeltaSet(date saaf.Date, base *Snapshot, sets *setTable) (*deltaSet, error) {
	for i, u := range base.sets {
		if sets.id(u.categories) != uint16(i+1) {
			return nil, errDamaged // the dictionary names a set twice
		}
	}
	return &deltaSet{date: date, base: base, sets: sets, bitmap: make([]byte, bitmapSize)}, nil
}

func (d *deltaSet) add(rows []row) {
	for _, r := range rows {
		head, n := r.split()
		c := change(n)<<(setBits+1) | change(r&(rowDeletes|maxSets))
		d.changes[head] = append(d.changes[head], c)
	}
}

func (d *deltaSet) resolve(ctx context.Context, r *Report) (*outline, error) {
	o := &outline{date: d.date, sets: d.sets, heads: d.base.counts}
	for i, u := range d.base.sets {
		o.uses[i+1] = u.numbers
	}
	var scratch []change
	for head := range numHeads {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		scratch = sortStable(d.changes[head], scratch, setBits+1)
		d.changes[head] = lastOfEach(d.changes[head])
		b := d.base.block(head)
		for _, c := range d.changes[head] {
			d.count(c, &b, o, head, r)
		}
	}
	return o, nil
}

// lastOfEach keeps the last change of each number in a sorted list.
func lastOfEach(list []change) []change {
	kept := list[:0]
	for i, c := range list {
		if i+1 == len(list) || list[i+1].number() != c.number() {
			kept = append(kept, c)
		}
	}
	return kept
}

// count settles what one change does to a head whose block in the base is b.
func (d *deltaSet) count(c change, b *block, o *outline, head int, r *Report) {
	n, to := c.number(), &o.heads[head]
	listed := b.listed(n)
	var had uint16
	if listed {
		had = b.set(n)
	}
	switch {
	case c.deletes() && !listed:
		r.Changes.NotListed++
	case c.deletes():
		r.Changes.Removed++
		to.active--
	case !listed:
		r.Changes.Added++
		to.active++
	case had != c.set():
		r.Changes.Changed++
	}
	if had != 0 {
		o.uses[had]--
		to.partial--
	}
	if c.set() != 0 {
		o.uses[c.set()]++
		to.partial++
	}
}

func (d *deltaSet) head(head int) ([]byte, []placed) {
	b := d.base.block(head)
	clear(d.bitmap)
	copy(d.bitmap, b.bits)
	d.had = b.appendPartial(d.had[:0])
	had := d.had
	d.partial = d.partial[:0]
	for _, c := range d.changes[head] {
		n := c.number()
		for len(had) > 0 && had[0].number() < n {
			d.partial, had = append(d.partial, had[0]), had[1:]
		}
		if len(had) > 0 && had[0].number() == n {
			had = had[1:]
		}
		if c.deletes() {
			d.bitmap[n/8] &^= 1 << (n % 8)
			continue
		}
		d.bitmap[n/8] |= 1 << (n % 8)
		if c.set() != 0 {
			d.partial = append(d.partial, place(n, c.set()))
		}
	}
	d.partial = append(d.partial, had...)
	return d.bitmap, d.partial
}

func (d *deltaSet) unchanged(head int) []byte {
	if len(d.changes[head]) > 0 {
		return nil
	}
	return d.base.raw(head)
}

func (d *deltaSet) close() {}
