package dnd

import (
	"context"
	"math/bits"
	"slices"

	"saaf"
)

// content is what a snapshot file is made from: a full set, or a base snapshot
// with a delta applied. Rows go in first, in the order of the files; then it is
// resolved once; then its heads are read, in order, as often as need be.
type content interface {
	// add takes rows.
	add(rows []row)
	// resolve settles what the rows come to and counts it into the report. It
	// returns the error of ctx when that ends.
	resolve(ctx context.Context, r *Report) (*outline, error)
	// head is the bitmap of a head and those of its numbers that have categories,
	// ascending, with the ids of their sets. They hold until the next call.
	head(head int) (bitmap []byte, partial []placed)
	// unchanged is the block of a head as it stands in the file that the content
	// derives from, nil when there is none or the head is no longer the same. The
	// sets in it are places in the dictionary of that file, which are their ids.
	unchanged(head int) []byte
	// close gives back what is not garbage collected.
	close()
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
