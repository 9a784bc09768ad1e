package dnd

import (
	"context"
	"fmt"
	"io"
	"math/bits"
)

// writer writes one snapshot file from front to back.
type writer struct {
	out      io.Writer
	content  content
	outline  *outline
	dict     []usedSet
	places   setPlaces
	codes    []byte // of the head at work
	overflow []byte
}

// write writes the file that content and its outline make. It calls progress with
// the bytes written so far and their final number.
func write(ctx context.Context, out io.Writer, c content, o *outline, progress func(done, total int64)) (Info, error) {
	w := &writer{out: out, content: c, outline: o}
	w.dict, w.places = o.sets.dictionary(&o.uses)
	w.countOverflow()
	info, tables := w.tables()
	if err := w.put(info.appendHeader(nil, checksum(tables)), tables); err != nil {
		return Info{}, err
	}
	done := int64(headerSize + len(tables))
	for head, counts := range o.heads {
		if err := ctx.Err(); err != nil {
			return Info{}, err
		}
		if err := w.block(head); err != nil {
			return Info{}, err
		}
		if done += counts.size(); counts.active > 0 {
			progress(done, info.Bytes)
		}
	}
	return info, nil
}

func (w *writer) put(parts ...[]byte) error {
	for _, b := range parts {
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// tables is the directory and the dictionary, and what the header says.
func (w *writer) tables() (in Info, tables []byte) {
	in = Info{EffectiveDate: w.outline.date, Sets: len(w.dict)}
	for _, c := range w.outline.heads {
		tables = c.append(tables)
		if c.active > 0 {
			in.Heads++
		}
		in.Numbers += int64(c.active)
		in.Partial += int64(c.partial)
		in.Bytes += c.size()
	}
	for _, u := range w.dict {
		tables = u.append(tables)
	}
	in.Bytes += headerSize + int64(len(tables))
	return in, tables
}

// same reports whether every set keeps its place, so that unchanged blocks can be
// copied as they are.
func (w *writer) same() bool {
	for id, place := range w.places {
		if place != 0 && int(place) != id {
			return false
		}
	}
	return true
}

// countOverflow counts the numbers of each head whose set has no code, because
// the blocks can be placed only then.
func (w *writer) countOverflow() {
	if !w.same() {
		w.content = reordered{w.content}
	}
	for head := range w.outline.heads {
		to := &w.outline.heads[head]
		if w.content.unchanged(head) != nil {
			continue
		}
		to.overflow = 0
		if len(w.dict) <= maxCode || to.partial == 0 {
			continue
		}
		_, partial := w.content.head(head)
		for _, p := range partial {
			if w.places[p.set()] > maxCode {
				to.overflow++
			}
		}
	}
}

// reordered is a content whose sets get other places than they had, so that every
// block changes.
type reordered struct{ content }

func (reordered) unchanged(int) []byte { return nil }

// block writes the block of a head.
func (w *writer) block(head int) error {
	if b := w.content.unchanged(head); b != nil {
		return w.put(b)
	}
	counts := w.outline.heads[head]
	if counts.active == 0 {
		return nil
	}
	bitmap, partial := w.content.head(head)
	if countOnes(bitmap) != counts.active || len(partial) != int(counts.partial) {
		return fmt.Errorf("the active snapshot %w", errDamaged)
	}
	if counts.partial == 0 {
		return w.put(bitmap)
	}
	w.encode(bitmap, partial, counts)
	return w.put(bitmap, ranks(bitmap), w.codes, w.overflow)
}

// encode makes the codes and the overflow list of a head.
func (w *writer) encode(bitmap []byte, partial []placed, counts headCounts) {
	w.codes = append(w.codes[:0], make([]byte, filled(int64(counts.active)))...)
	w.overflow = w.overflow[:0]
	at, before := 0, 0 // active numbers before the eight bytes at at
	for _, p := range partial {
		n := p.number()
		for ; at < int(n/64*8); at += 8 {
			before += bits.OnesCount64(le.Uint64(bitmap[at:]))
		}
		code := before + bits.OnesCount64(le.Uint64(bitmap[at:])&(1<<(n%64)-1))
		place := w.places[p.set()]
		if place <= maxCode {
			w.codes[code] = byte(place)
			continue
		}
		w.codes[code] = codeBeyond
		w.overflow = le.AppendUint32(w.overflow, n<<setBits|uint32(place))
	}
	for len(w.overflow)%8 != 0 {
		w.overflow = append(w.overflow, 0)
	}
}

// ranks is the rank table of a bitmap.
func ranks(bitmap []byte) []byte {
	table := make([]byte, 0, ranksSize)
	before := uint32(0)
	for len(bitmap) > 0 {
		var group, within uint64
		for part := range rankGroup / rankPart {
			piece := bitmap[:min(len(bitmap), rankPart/8)]
			bitmap = bitmap[len(piece):]
			within += uint64(countOnes(piece))
			if part < rankGroup/rankPart-1 {
				group |= within << (part * rankBits)
			}
		}
		table = le.AppendUint64(table, group|uint64(before)<<rankBefore)
		before += uint32(within)
	}
	return table
}
