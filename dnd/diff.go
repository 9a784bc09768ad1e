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
		d := &differ{ctx: ctx, yield: yield, a: a.side(), b: b.side()}
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
}

func (s *Snapshot) side() *side {
	if s == nil {
		return &side{}
	}
	return &side{Snapshot: s, cells: s.overlay.sorted()}
}

// head spreads the numbers of a head out, with the overlay. Places of its
// dictionary are ids above those of the base. It reports false when there is none.
func (s *side) head(head int) bool {
	if s.Snapshot == nil {
		return false
	}
	if s.counts[head].active == 0 && (len(s.cells) == 0 || s.cells[0].head() != head) {
		return false
	}
	b := s.block(head)
	b.spread(&s.numbers)
	for len(s.cells) > 0 && s.cells[0].head() == head {
		r := s.cells[0]
		s.cells = s.cells[1:]
		_, n := r.split()
		switch {
		case r.deletes():
			s.numbers.remove(n)
		case r.set() == 0:
			s.numbers.list(n, 0)
		default:
			s.numbers.list(n, uint16(len(s.sets))+r.set())
		}
	}
	return true
}

// entry is what the side holds about a number of the head that was spread out.
func (s *side) entry(n uint32) Entry {
	if !s.numbers.listed(n) {
		return Entry{}
	}
	e := Entry{Listed: true}
	if id := int(s.numbers.set(n)); id > len(s.sets) {
		e.Categories = s.overlay.dict[id-len(s.sets)-1].categories
	} else {
		e.Categories = s.set(uint16(id))
	}
	return e
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
		if !inA && !inB {
			continue
		}
		if !inA {
			d.a.numbers.clear()
		}
		if !inB {
			d.b.numbers.clear()
		}
		d.head(head)
	}
}

// head compares a head that both sides have spread out.
func (d *differ) head(head int) {
	first := saaf.Phone(head) * headSpan
	partial := d.a.numbers.partial || d.b.numbers.partial
	for i, word := range d.a.numbers.bits {
		differs := word ^ d.b.numbers.bits[i]
		if partial {
			differs |= word & d.b.numbers.bits[i] // which may have other categories
		}
		for ; differs != 0; differs &= differs - 1 {
			n := uint32(64*i + bits.TrailingZeros64(differs))
			if d.tell(first+saaf.Phone(n), d.a.entry(n), d.b.entry(n)); d.ended {
				return
			}
		}
	}
}
