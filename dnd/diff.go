package dnd

import (
	"context"
	"iter"
	"math/bits"
	"runtime"

	"saaf"
)

// Difference is a number that two snapshots hold different things about.
type Difference struct {
	Phone         saaf.Phone
	Before, After Entry
}

// Diff yields every number that a and b hold different things about, ascending:
// whether it is listed, or its categories. A nil snapshot holds nothing. Of two
// snapshots with the same base only the overlays are read, of others all of both.
// When ctx ends, its error is the last thing that is yielded.
func Diff(ctx context.Context, a, b *Snapshot) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		common := map[Categories]uint16{}
		d := &differ{ctx: ctx, yield: yield, a: newSide(a, common), b: newSide(b, common)}
		if a.sameBase(b) {
			d.overlays(a)
		} else {
			d.bases()
		}
		if err := ctx.Err(); err != nil && !d.ended {
			yield(Difference{}, err)
		}
		runtime.KeepAlive(a)
		runtime.KeepAlive(b)
	}
}

// sameBase reports whether two snapshots have the same base file, as far as that
// can be told.
func (s *Snapshot) sameBase(o *Snapshot) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.file == o.file || s.overlay != nil && o.overlay != nil && s.overlay.base == o.overlay.base
}

// side is one of the snapshots of a difference. Its cells are those of the
// overlay that are still to come.
type side struct {
	*Snapshot
	cells   []row
	numbers spread // of the head at work
	sets    [overlaySets + maxSets + 1]Categories
	common  [overlaySets + maxSets + 1]uint16 // the ids of the sets that both sides use
}

// overlaySets is the id of place 0 in the dictionary of an overlay. Those of the
// base are below, also where damage makes places that it does not have.
const overlaySets = maxSets + 1

// newSide is a side that knows its sets by the ids in common, which gets what it
// lacks.
func newSide(s *Snapshot, common map[Categories]uint16) *side {
	d := &side{Snapshot: s}
	if s == nil {
		return d
	}
	for i, u := range s.file.sets {
		d.sets[i+1] = u.categories
	}
	if s.overlay != nil {
		d.cells = s.overlay.sorted()
		for i, u := range s.overlay.dict {
			d.sets[overlaySets+i+1] = u.categories
		}
	}
	for id, c := range d.sets {
		if _, known := common[c]; !known {
			common[c] = uint16(len(common))
		}
		d.common[id] = common[c]
	}
	return d
}

// head spreads the numbers of a head out, with the overlay. It reports whether
// there can be any.
func (s *side) head(head int) bool {
	s.numbers.clear()
	if s.Snapshot == nil {
		return false
	}
	any := s.counts[head].active > 0
	if any {
		b := s.block(head)
		b.spread(&s.numbers)
	}
	for ; len(s.cells) > 0 && s.cells[0].head() == head; s.cells = s.cells[1:] {
		any = true
		r := s.cells[0]
		_, n := r.split()
		switch {
		case r.deletes():
			s.numbers.remove(n)
		case r.set() == 0:
			s.numbers.list(n, 0)
		default:
			s.numbers.list(n, overlaySets+r.set())
		}
	}
	return any
}

// entry is what the side holds about a number of the head that was spread out.
func (s *side) entry(n uint32) Entry {
	if !s.numbers.listed(n) {
		return Entry{}
	}
	return Entry{Listed: true, Categories: s.sets[s.numbers.set(n)]}
}

// differ yields differences.
type differ struct {
	ctx   context.Context
	yield func(Difference, error) bool
	a, b  *side
	ended bool // nobody listens any more
}

// tell yields a number when there is a difference.
func (d *differ) tell(p saaf.Phone, before, after Entry) {
	if before != after && !d.yield(Difference{p, before, after}, nil) {
		d.ended = true
	}
}

// goesOn reports whether somebody listens.
func (d *differ) goesOn() bool { return !d.ended && d.ctx.Err() == nil }

// overlays compares snapshots of one base, each with an overlay or without.
func (d *differ) overlays(base *Snapshot) {
	a, b := d.a.cells, d.b.cells
	for count := 0; len(a)+len(b) > 0; count++ {
		if count%1024 == 0 && d.ctx.Err() != nil || d.ended {
			return
		}
		p := lower(a, b)
		var before, after Entry
		inA, inB := len(a) > 0 && a[0].phone() == p, len(b) > 0 && b[0].phone() == p
		if !inA || !inB {
			before = base.Base().Lookup(p)
			after = before
		}
		if inA {
			before, a = d.a.overlay.entry(a[0]), a[1:]
		}
		if inB {
			after, b = d.b.overlay.entry(b[0]), b[1:]
		}
		d.tell(p, before, after)
	}
}

// lower is the first number of two ascending lists, one of which may be empty.
func lower(a, b []row) saaf.Phone {
	switch {
	case len(a) == 0:
		return b[0].phone()
	case len(b) == 0:
		return a[0].phone()
	}
	return min(a[0].phone(), b[0].phone())
}

// bases compares snapshots of different bases, head by head.
func (d *differ) bases() {
	for head := 0; head < numHeads && d.goesOn(); head++ {
		inA, inB := d.a.head(head), d.b.head(head)
		if inA || inB {
			d.head(head)
		}
	}
}

// head compares a head that both sides have spread out.
func (d *differ) head(head int) {
	first := saaf.Phone(head) * headSpan
	a, b := &d.a.numbers, &d.b.numbers
	for i, word := range a.bits {
		differs := word ^ b.bits[i]
		if a.partial || b.partial {
			differs |= d.otherSets(i, word&b.bits[i])
		}
		for ; differs != 0; differs &= differs - 1 {
			n := uint32(64*i + bits.TrailingZeros64(differs))
			if d.tell(first+saaf.Phone(n), d.a.entry(n), d.b.entry(n)); d.ended {
				return
			}
		}
	}
}

// otherSets are those of the listed numbers of word i that the sides have other
// categories for.
func (d *differ) otherSets(i int, listed uint64) (differs uint64) {
	for word := listed; word != 0; word &= word - 1 {
		bit := bits.TrailingZeros64(word)
		n := uint32(64*i + bit)
		if d.a.common[d.a.numbers.set(n)] != d.b.common[d.b.numbers.set(n)] {
			differs |= 1 << bit
		}
	}
	return differs
}
