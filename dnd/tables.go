package dnd

import (
	"errors"
	"fmt"

	"saaf"
)

// newSnapshot reads everything in a snapshot file but its blocks, whose checksum
// is the name of the file. An error says what is wrong as the end of a sentence
// that begins with the name of the file.
func newSnapshot(data []byte) (*Snapshot, error) {
	info, tables, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	end := int64(minFile) + int64(info.Sets)*setSize
	if end > int64(len(data)) || checksum(data[headerSize:end]) != tables {
		return nil, errDamaged
	}
	s := &Snapshot{file: &file{data: data}, info: info}
	if err := s.readDirectory(end); err != nil {
		return nil, err
	}
	return s, s.readDictionary(data[minFile:end])
}

var errDamaged = errors.New("is damaged: restore it, or import the registry files again")

// readHeader reads the header of a file, and the checksum of its tables.
func readHeader(h []byte) (in Info, tables uint32, err error) {
	switch {
	case isOverlay(h):
		return in, 0, errors.New("is an overlay, which is opened together with its base")
	case len(h) < len(magic) || string(h[:len(magic)]) != magic:
		return in, 0, errors.New("is not a registry snapshot")
	case len(h) < minFile:
		return in, 0, fmt.Errorf("has %d bytes where a registry snapshot has at least %d: it %w", len(h), minFile, errDamaged)
	case le.Uint32(h[atVersion:]) != version:
		return in, 0, fmt.Errorf("has format version %d and this program reads version %d: import the registry files again",
			le.Uint32(h[atVersion:]), version)
	case le.Uint32(h[atCheck:]) != checksum(h[:atCheck]):
		return in, 0, errDamaged
	}
	in = Info{
		EffectiveDate: saaf.Date(int32(le.Uint32(h[atDate:]))),
		Numbers:       int64(le.Uint64(h[atNumbers:])),
		Partial:       int64(le.Uint64(h[atPartial:])),
		Heads:         int(le.Uint32(h[atHeads:])),
		Sets:          int(le.Uint32(h[atSets:])),
		Bytes:         int64(le.Uint64(h[atBytes:])),
	}
	switch {
	case in.Bytes != int64(len(h)):
		return in, 0, fmt.Errorf("has %d bytes where its header says %d: it %w", len(h), in.Bytes, errDamaged)
	case in.Sets > maxSets || in.EffectiveDate <= 0 || h[atZero] != 0:
		return in, 0, errDamaged
	}
	return in, le.Uint32(h[atTables:]), nil
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
