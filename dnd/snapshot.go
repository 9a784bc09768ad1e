package dnd

import (
	"runtime"

	"saaf"
)

// Snapshot is one snapshot file, mapped into memory and never changed, or such a
// base file and one overlay file that says what is otherwise. It is safe for
// concurrent use without a lock, and there is nothing to close: files are unmapped
// some time after the last reference to a Snapshot that uses them is gone. That is
// why every reader of data keeps the Snapshot alive until it has read.
type Snapshot struct {
	*file
	overlay *overlay  // nil when there is none
	plain   *Snapshot // the base without the overlay, nil when there is none
	info    Info
}

// file is a snapshot file that is mapped. Several Snapshots may use it.
type file struct {
	data   []byte               // the mapped file
	first  [numHeads]uint64     // the bit of the first number of a head; 0 where there is no block
	counts [numHeads]headCounts // the directory
	sets   []usedSet            // the dictionary; the first is at 1
}

// Entry is what a snapshot holds about one number.
type Entry struct {
	Listed     bool       // there is an active row
	Categories Categories // what the row lists; empty for a full block
}

// Info returns what the snapshot says about itself.
func (s *Snapshot) Info() Info { return s.info }

// Base is the snapshot of the base file alone, s itself when s has no overlay.
func (s *Snapshot) Base() *Snapshot {
	if s.plain != nil {
		return s.plain
	}
	return s
}

// Lookup returns what the snapshot holds about p. A number outside 1000000000 to
// 9999999999 is not listed.
func (s *Snapshot) Lookup(p saaf.Phone) (e Entry) {
	if s.overlay != nil && s.overlay.table.sieve(p) != 0 {
		if e, ok := s.overlay.lookup(p); ok {
			runtime.KeepAlive(s)
			return e
		}
	}
	if at := s.bit(p); s.data[at/8]>>(at%8)&1 != 0 {
		e = s.listed(p)
	}
	runtime.KeepAlive(s)
	return e
}

// bit is where in the file the bit of p is, counted from the least bit of the
// first byte.
func (s *Snapshot) bit(p saaf.Phone) uint64 {
	head, n := uint64(p)/headSpan, uint64(p)%headSpan // of a negative number, a head far beyond
	if head < numHeads && s.first[head] != 0 {
		return s.first[head] + n
	}
	return 8 * atZero
}

// glance looks at the bits of at most [batch] phones: bit i of the result is clear
// when phones[i] is not listed, and otherwise [Snapshot.Lookup] must be asked. The
// loads are on their way together, so that they take as long as a few that wait
// for each other.
func (s *Snapshot) glance(phones []saaf.Phone) (ask uint64) {
	var places [batch]uint64
	for i, p := range phones {
		places[i] = s.bit(p)
	}
	for i, at := range places[:len(phones)] {
		ask |= uint64(s.data[at/8]>>(at%8)&1) << i
	}
	if o := s.overlay; o != nil {
		for i, p := range phones {
			ask |= uint64(o.table.sieve(p)) << i
		}
	}
	runtime.KeepAlive(s)
	return ask
}

// batch is how many numbers are looked up together: the bits of a word.
const batch = 64

// listed is the entry of an active number.
func (s *Snapshot) listed(p saaf.Phone) Entry {
	head, n := int(p/headSpan), uint32(p%headSpan)
	if s.counts[head].partial == 0 {
		return Entry{Listed: true}
	}
	b := s.block(head)
	return Entry{Listed: true, Categories: s.set(b.set(n))}
}

// block is the block of a head in the base file; the caller keeps s alive while it uses it.
func (s *Snapshot) block(head int) block {
	return newBlock(s.raw(head), s.counts[head])
}

// raw is the bytes of a block; the caller keeps s alive while it uses them.
func (s *Snapshot) raw(head int) []byte {
	at := int64(s.first[head] / 8)
	return s.data[at : at+s.counts[head].size()]
}

// set is the category set at a place of the dictionary, empty for place 0 and for
// a place that does not exist.
func (s *Snapshot) set(place uint16) Categories {
	if place == 0 || int(place) > len(s.sets) {
		return Categories{}
	}
	return s.sets[place-1].categories
}
