package dnd

import (
	"errors"
	"fmt"
	"runtime"

	"saaf"
)

// Snapshot is one snapshot file, mapped into memory and never changed. It is safe
// for concurrent use without a lock, and there is nothing to close: the file is
// unmapped some time after the last reference to the Snapshot is gone. That is
// why every reader of data keeps the Snapshot alive until it has read.
type Snapshot struct {
	data   []byte               // the mapped file
	first  [numHeads]uint64     // the bit of the first number of a head; 0 where there is no block
	counts [numHeads]headCounts // the directory
	sets   []usedSet            // the dictionary; the first is at 1
	info   Info
}

// Entry is what a snapshot holds about one number.
type Entry struct {
	Listed     bool       // there is an active row
	Categories Categories // what the row lists; empty for a full block
}

// Info returns what the snapshot says about itself.
func (s *Snapshot) Info() Info { return s.info }

// Lookup returns what the snapshot holds about p. A number outside 1000000000 to
// 9999999999 is not listed.
func (s *Snapshot) Lookup(p saaf.Phone) (e Entry) {
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

// fetch brings the bits of at most [batch] phones near the processor. Their loads
// are on their way together: they take as long as a few that wait for each other.
func (s *Snapshot) fetch(phones []saaf.Phone) {
	var places [batch]uint64
	for i, p := range phones {
		places[i] = s.bit(p) / 8
	}
	var sum byte
	for _, at := range places[:len(phones)] {
		sum += s.data[at]
	}
	runtime.KeepAlive(sum) // so that it is computed
	runtime.KeepAlive(s)
}

// batch is how many numbers are looked up together.
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

// block is the block of a head; the caller keeps s alive while it uses it.
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

// newSnapshot reads everything in a snapshot file but its blocks, whose checksum
// is the name of the file. An error says what is wrong as the end of a sentence
// that begins with the name of the file.
func newSnapshot(data []byte) (*Snapshot, error) {
	s := &Snapshot{data: data}
	tables, err := s.readHeader()
	if err != nil {
		return nil, err
	}
	end := int64(minFile) + int64(s.info.Sets)*setSize
	if end > int64(len(data)) || checksum(data[headerSize:end]) != tables {
		return nil, errDamaged
	}
	if err := s.readDirectory(end); err != nil {
		return nil, err
	}
	return s, s.readDictionary(data[minFile:end])
}

var errDamaged = errors.New("is damaged: restore it, or import the registry files again")

func (s *Snapshot) readHeader() (tables uint32, err error) {
	h := s.data
	switch {
	case len(h) < len(magic) || string(h[:len(magic)]) != magic:
		return 0, errors.New("is not a registry snapshot")
	case len(h) < minFile:
		return 0, fmt.Errorf("has %d bytes where a registry snapshot has at least %d: it %w", len(h), minFile, errDamaged)
	case le.Uint32(h[atVersion:]) != version:
		return 0, fmt.Errorf("has format version %d and this program reads version %d: import the registry files again",
			le.Uint32(h[atVersion:]), version)
	case le.Uint32(h[atCheck:]) != checksum(h[:atCheck]):
		return 0, errDamaged
	}
	s.info = Info{
		EffectiveDate: saaf.Date(int32(le.Uint32(h[atDate:]))),
		Numbers:       int64(le.Uint64(h[atNumbers:])),
		Partial:       int64(le.Uint64(h[atPartial:])),
		Heads:         int(le.Uint32(h[atHeads:])),
		Sets:          int(le.Uint32(h[atSets:])),
		Bytes:         int64(le.Uint64(h[atBytes:])),
	}
	switch {
	case s.info.Bytes != int64(len(h)):
		return 0, fmt.Errorf("has %d bytes where its header says %d: it %w", len(h), s.info.Bytes, errDamaged)
	case s.info.Sets > maxSets || s.info.EffectiveDate <= 0 || h[atZero] != 0:
		return 0, errDamaged
	}
	return le.Uint32(h[atTables:]), nil
}

// readDirectory finds the blocks, the first of which begins at the given offset,
// and checks that they fill the file and add up to its header.
func (s *Snapshot) readDirectory(at int64) error {
	var sum Info
	for head := range s.counts {
		c := readHeadCounts(s.data[headerSize+head*headSize:])
		if !c.possible() {
			return errDamaged
		}
		s.counts[head] = c
		if c.active == 0 {
			continue
		}
		s.first[head] = uint64(at) * 8
		at += c.size()
		sum.Heads++
		sum.Numbers += int64(c.active)
		sum.Partial += int64(c.partial)
	}
	in := s.info
	if at != in.Bytes || sum.Heads != in.Heads || sum.Numbers != in.Numbers || sum.Partial != in.Partial {
		return errDamaged
	}
	return nil
}

// readDictionary reads the category sets and checks that they add up.
func (s *Snapshot) readDictionary(b []byte) error {
	s.sets = make([]usedSet, s.info.Sets)
	var numbers int64
	for i := range s.sets {
		u := readUsedSet(b[i*setSize:])
		if u.categories.Empty() || u.numbers <= 0 || u.numbers > s.info.Partial {
			return errDamaged
		}
		s.sets[i] = u
		numbers += u.numbers
	}
	if numbers != s.info.Partial {
		return errDamaged
	}
	return nil
}
