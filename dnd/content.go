package dnd

import (
	"context"
	"math/bits"
	"slices"

	"saaf"
)

// content is what a snapshot file is made from: a full set, or a base snapshot
// with a delta applied. Rows go in first; then it is resolved once; then its heads
// are read as often as need be, also by several goroutines at once.
type content interface {
	// add takes rows. Those of a full set come from many workers at once, each
	// with its number from 0, those of a delta from one, in the order of the files.
	add(worker int, rows []row) error
	// resolve settles what the rows come to and counts it into the report. It
	// returns the error of ctx when that ends.
	resolve(ctx context.Context, r *Report) (*outline, error)
	// head spreads the numbers of a head out.
	head(head int, to *spread)
	// unchanged is the block of a head as it stands in the file that the content
	// derives from, nil when there is none or the head is no longer the same. The
	// sets in it are places in the dictionary of that file, which are their ids.
	unchanged(head int) []byte
}

// outline is what must be known about a content before its first byte is written.
type outline struct {
	date  saaf.Date
	heads [numHeads]headCounts
	sets  *setTable
	uses  setUses
}

// numbers is how many numbers are active.
func (o *outline) numbers() (n int64) {
	for i := range o.heads {
		n += int64(o.heads[i].active)
	}
	return n
}

// info is what a snapshot of the content says about itself, without its length.
func (o *outline) info() Info {
	in := Info{EffectiveDate: o.date}
	for _, c := range o.heads {
		if c.active > 0 {
			in.Heads++
		}
		in.Numbers += int64(c.active)
		in.Partial += int64(c.partial)
	}
	for id := 1; id < len(o.uses); id++ {
		if o.uses[id] > 0 {
			in.Sets++
		}
	}
	return in
}

// countOnes counts the set bits of b, whose length is a multiple of 8.
func countOnes(b []byte) (n uint32) {
	for ; len(b) >= 8; b = b[8:] {
		n += uint32(bits.OnesCount64(le.Uint64(b)))
	}
	return n
}

// sortStable sorts list by the 20 bits from shift on, the number within a head,
// and leaves equal ones in their order. It returns its working memory, for the
// next call.
func sortStable[T ~uint32 | ~uint64](list, scratch []T, shift int) []T {
	if len(list) < 2 {
		return scratch
	}
	const digit = 10 // two rounds of ten bits, there and back
	scratch = slices.Grow(scratch[:0], len(list))[:len(list)]
	from, to := list, scratch
	for range 2 {
		var at [1 << digit]int
		for _, v := range from {
			at[v>>shift&(1<<digit-1)]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, v := range from {
			i := &at[v>>shift&(1<<digit-1)]
			to[*i] = v
			*i++
		}
		from, to, shift = to, from, shift+digit
	}
	return scratch
}
