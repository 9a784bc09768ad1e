package dnd

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"saaf"
)

// overlay is an overlay file that is mapped. Its slices are the mapped file.
type overlay struct {
	overlayHeader
	data  []byte
	table table
	dict  []usedSet
}

// BaseOf is the SHA-256 of the file that the overlay file at path belongs to, zero
// for a snapshot file, which stands alone. It looks at the beginning only.
func BaseOf(path string) (saaf.SHA256, error) {
	f, err := os.Open(path)
	if err != nil {
		return saaf.SHA256{}, fmt.Errorf("open registry snapshot: %w", err)
	}
	defer f.Close()
	h := make([]byte, headerSize)
	n, err := io.ReadFull(f, h)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return saaf.SHA256{}, fmt.Errorf("open registry snapshot: %w", err)
	}
	if h = h[:n]; !isOverlay(h) {
		return saaf.SHA256{}, nil
	}
	o, err := readOverlayHeader(h)
	if err != nil {
		return saaf.SHA256{}, fmt.Errorf("registry snapshot %s %w", path, err)
	}
	return o.base, nil
}

func isOverlay(h []byte) bool {
	return len(h) >= len(overlayMagic) && string(h[:len(overlayMagic)]) == overlayMagic
}

// newOverlay reads an overlay file that was made for base. An error says what is
// wrong as the end of a sentence that begins with the name of the file.
func newOverlay(data []byte, base *Snapshot, baseSHA saaf.SHA256) (*Snapshot, error) {
	if !isOverlay(data) {
		return nil, errors.New("is not a registry overlay")
	}
	h, err := readOverlayHeader(data)
	if err != nil {
		return nil, err
	}
	switch {
	case h.base != baseSHA || h.length != int64(len(base.data)):
		return nil, fmt.Errorf("belongs to the registry snapshot %s and to no other: it cannot be used with %s", h.base, baseSHA)
	case h.info.Bytes != int64(len(data)):
		return nil, fmt.Errorf("has %d bytes where its header says %d: it %w", len(data), h.info.Bytes, errDamaged)
	case h.size() != h.info.Bytes || h.rest != checksum(data[headerSize:]):
		return nil, errDamaged
	}
	o := &overlay{overlayHeader: h, data: data, table: h.tableOf(data[h.sievesAt():])}
	if err := o.readDictionary(); err != nil {
		return nil, err
	}
	if err := o.checkTable(); err != nil {
		return nil, err
	}
	s := &Snapshot{file: base.file, overlay: o, plain: base, info: h.info}
	s.info.Bytes += int64(len(base.data))
	s.info.Overlay = int64(h.entries)
	return s, nil
}

// readOverlayHeader reads the header of an overlay without comparing it with the
// rest.
func readOverlayHeader(h []byte) (o overlayHeader, err error) {
	switch {
	case len(h) < headerSize:
		return o, fmt.Errorf("has %d bytes where a registry overlay has at least %d: it %w", len(h), headerSize+bucketSize, errDamaged)
	case le.Uint32(h[atVersion:]) != overlayVersion:
		return o, fmt.Errorf("has format version %d and this program reads version %d: import the registry files again",
			le.Uint32(h[atVersion:]), overlayVersion)
	case le.Uint32(h[atCheck:]) != checksum(h[:atCheck]):
		return o, errDamaged
	}
	o = overlayHeader{
		info: Info{
			EffectiveDate: saaf.Date(int32(le.Uint32(h[atDate:]))),
			Numbers:       int64(le.Uint64(h[atNumbers:])),
			Partial:       int64(le.Uint64(h[atPartial:])),
			Heads:         int(le.Uint32(h[atHeads:])),
			Sets:          int(le.Uint32(h[atOverlaySets:])),
			Bytes:         int64(le.Uint64(h[atBytes:])),
		},
		sets:    int(le.Uint32(h[atOverlayDict:])),
		entries: int(le.Uint32(h[atOverlayEntries:])),
		rest:    le.Uint32(h[atOverlayRest:]),
		base:    saaf.SHA256(h[atOverlayBase:]),
		length:  int64(le.Uint64(h[atOverlayLength:])),
	}
	in := o.info
	if in.EffectiveDate <= 0 || in.Numbers < 0 || in.Numbers > numHeads*headSpan || in.Partial < 0 || in.Partial > in.Numbers ||
		in.Heads > numHeads || in.Sets > maxSets || o.sets > maxSets || o.entries > maxOverlay {
		return o, errDamaged
	}
	return o, nil
}

func (o *overlay) readDictionary() error {
	o.dict = make([]usedSet, o.sets)
	for i := range o.dict {
		u := readUsedSet(o.data[headerSize+i*setSize:])
		if u.categories.Empty() || u.numbers <= 0 || u.numbers > int64(o.entries) {
			return errDamaged
		}
		o.dict[i] = u
	}
	return nil
}

// checkTable checks that every entry can be and is found, so that none is there
// twice, and that they are as many as the header says.
func (o *overlay) checkTable() error {
	entries := 0
	for at := 0; at < len(o.table.cells); at += cellSize {
		r := row(le.Uint64(o.table.cells[at:]))
		if r == 0 {
			continue
		}
		p := r.phone()
		where, found := o.table.find(p)
		if !found || where != at || o.table.sieve(p) == 0 || p >= numHeads*headSpan || int(r.set()) > len(o.dict) || r.deletes() && r.set() != 0 {
			return errDamaged
		}
		entries++
	}
	if entries != o.entries {
		return errDamaged
	}
	return nil
}

// lookup is what the overlay says about a p that its sieve lets pass. ok is false when
// it says nothing.
func (o *overlay) lookup(p saaf.Phone) (e Entry, ok bool) {
	at, ok := o.table.find(p)
	if !ok {
		return Entry{}, false
	}
	return o.entry(row(le.Uint64(o.table.cells[at:]))), true
}

// entry is what a cell says.
func (o *overlay) entry(r row) (e Entry) {
	if e.Listed = !r.deletes(); e.Listed && r.set() != 0 {
		e.Categories = o.dict[r.set()-1].categories
	}
	return e
}

// rows yields the cells in the order of the table.
func (o *overlay) rows() iter.Seq[row] {
	return func(yield func(row) bool) {
		for at := 0; at < len(o.table.cells); at += cellSize {
			if r := row(le.Uint64(o.table.cells[at:])); r != 0 && !yield(r) {
				return
			}
		}
	}
}

// sorted is the cells in the order of their numbers. A nil overlay has none.
func (o *overlay) sorted() []row {
	if o == nil {
		return nil
	}
	return slices.Sorted(o.rows())
}
