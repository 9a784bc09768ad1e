package dnd

import (
	"math"

	"saaf"
)

// SyntheticDeltaConfig says which delta to a synthetic registry is wanted.
type SyntheticDeltaConfig struct {
	Rows    int64   // 1 or more
	Removed float64 // share of rows that remove a number, 0 to 1; the others add one
	// Sequence is which of several deltas of this size it is, from 1; 0 stands for 1.
	// Each builds on the one before.
	Sequence int64
}

// SyntheticDelta is the changes of one delta. No number is twice in it, and none is
// added by two of a sequence.
type SyntheticDelta struct {
	SyntheticDeltaConfig
	full    *Synthetic
	removed int64 // rows that remove
	bucket  int64 // numbers of the full set among which each of them chooses
}

// Delta returns a delta to the full set, or a [saaf.Error] with the word "invalid".
func (s *Synthetic) Delta(c SyntheticDeltaConfig) (*SyntheticDelta, error) {
	c.Sequence = max(c.Sequence, 1)
	switch {
	case c.Rows < 1 || c.Rows > s.Capacity():
		return nil, invalidSynthetic("A delta to this registry has 1 to %s rows.", grouped(s.Capacity()))
	case !isShare(c.Removed):
		return nil, invalidSynthetic("A share is a number from 0 to 1.")
	}
	d := &SyntheticDelta{SyntheticDeltaConfig: c, full: s, removed: int64(math.Round(float64(c.Rows) * c.Removed))}
	if d.removed > s.Numbers {
		return nil, invalidSynthetic("A delta cannot remove %s numbers of %s.", grouped(d.removed), grouped(s.Numbers))
	}
	if room := s.Capacity() - s.Numbers; d.added() > room/c.Sequence {
		return nil, invalidSynthetic("There is room for %s more numbers and not for all that the deltas add: make them smaller, the full set larger, or the spread uniform.", grouped(room))
	}
	if d.removed > 0 {
		d.bucket = s.Numbers / d.removed
	}
	return d, nil
}

func (d *SyntheticDelta) added() int64 { return d.Rows - d.removed }

// Row is the number of row k, from 0 to Rows-1, and whether the row removes it.
func (d *SyntheticDelta) Row(k int64) (p saaf.Phone, removes bool) {
	p, removes, _ = d.row(k)
	return p, removes
}

// row reports beside [SyntheticDelta.Row] whether a number that it removes is
// listed. It is not when there are so many removals that the choice has run out.
func (d *SyntheticDelta) row(k int64) (p saaf.Phone, removes, listed bool) {
	before := d.removalsBefore(k)
	if d.removalsBefore(k+1) > before {
		i, listed := d.removal(before)
		return d.full.Number(i), true, listed
	}
	return d.full.Number(d.full.Numbers + (d.Sequence-1)*d.added() + k - before), false, false
}

// removalsBefore spreads the removals evenly over the rows.
func (d *SyntheticDelta) removalsBefore(k int64) int64 {
	return int64(uint64(k) * uint64(d.removed) / uint64(d.Rows))
}

// removal chooses removal r: the first active number of its bucket, the second in
// the second delta of a sequence.
func (d *SyntheticDelta) removal(r int64) (i int64, listed bool) {
	turn := d.Sequence
	for i := range d.bucket {
		i += r * d.bucket
		if !d.full.kind(d.full.Number(i)).deleted() {
			if turn--; turn == 0 {
				return i, true
			}
		}
	}
	return r * d.bucket, false
}

// Entry is what a snapshot has for p after the full set and the deltas of the
// sequence up to this one.
func (d *SyntheticDelta) Entry(p saaf.Phone) Entry {
	i, ok := d.full.Index(p)
	if ok && i >= d.full.Numbers && i < d.full.Numbers+d.Sequence*d.added() {
		return Entry{Listed: true, Categories: d.full.kind(p).categories()}
	}
	e := d.full.Entry(p)
	if !e.Listed || d.removed == 0 {
		return e
	}
	if r := i / d.bucket; r < d.removed {
		// The last one chosen, or none left, means that all before it were chosen.
		if last, listed := d.removal(r); !listed || i <= last {
			return Entry{}
		}
	}
	return e
}
