package dnd

import (
	"context"
	"fmt"
	"io"
	"math/bits"
)

// writer writes one snapshot file from front to back.
type writer struct {
	out     io.Writer
	content content
	outline *outline
	crew    crew
	dict    []usedSet
	places  setPlaces
}

// write writes the file that content and its outline make. It calls progress with
// the bytes written so far and their final number.
func write(ctx context.Context, out io.Writer, c content, o *outline, hands crew, progress func(done, total int64)) (Info, error) {
	w := &writer{out: out, content: c, outline: o, crew: hands}
	w.dict, w.places = o.sets.dictionary(&o.uses)
	if !w.same() {
		w.content = reordered{w.content}
	}
	if err := w.countOverflow(ctx); err != nil {
		return Info{}, err
	}
	info, tables := w.tables()
	if err := w.put(info.appendHeader(nil, checksum(tables)), tables); err != nil {
		return Info{}, err
	}
	done := int64(headerSize + len(tables))
	return info, w.eachHead(ctx, w.encode, func(b *encoded) error {
		if b.err != nil {
			return b.err
		}
		if b.whole != nil {
			b.parts = [][]byte{b.whole}
		}
		if err := w.put(b.parts...); err != nil {
			return err
		}
		done += w.outline.heads[b.head].size()
		progress(done, info.Bytes)
		return nil
	})
}

func (w *writer) put(parts ...[]byte) error {
	for _, b := range parts {
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// encoded is a head on its way to its block.
type encoded struct {
	spread
	head     int
	err      error
	parts    [][]byte // of the block
	whole    []byte   // the block as it stands in another file
	bitmap   []byte
	codes    []byte
	overflow []byte
}

// eachHead passes every head with active numbers through work, on several
// goroutines, and done, in order.
func (w *writer) eachHead(ctx context.Context, work func(*encoded), done func(*encoded) error) error {
	slots := make([]*encoded, w.crew.size+1)
	for i := range slots {
		slots[i] = &encoded{bitmap: make([]byte, bitmapSize)}
	}
	head := 0
	err := pipeline(w.crew, slots, func(b *encoded) bool {
		for head < numHeads && w.outline.heads[head].active == 0 {
			head++
		}
		b.head = head
		head++
		return b.head < numHeads && ctx.Err() == nil
	}, func(_ int, b *encoded) { work(b) }, func(b *encoded) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return done(b)
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// tables is the directory and the dictionary, and what the header says.
func (w *writer) tables() (in Info, tables []byte) {
	in = w.outline.info()
	for _, c := range w.outline.heads {
		tables = c.append(tables)
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
func (w *writer) countOverflow(ctx context.Context) error {
	for head := range w.outline.heads {
		if w.content.unchanged(head) == nil {
			w.outline.heads[head].overflow = 0
		}
	}
	if len(w.dict) <= maxCode {
		return nil
	}
	return w.eachHead(ctx, func(b *encoded) {
		if b.whole = w.content.unchanged(b.head); b.whole == nil {
			w.encode(b)
		}
	}, func(b *encoded) error {
		if b.whole == nil {
			w.outline.heads[b.head].overflow = uint32(len(b.overflow) / 4)
		}
		return nil
	})
}

// reordered is a content whose sets get other places than they had, so that every
// block changes.
type reordered struct{ content }

func (reordered) unchanged(int) []byte { return nil }

// encode makes the parts of the block of a head.
func (w *writer) encode(b *encoded) {
	if b.whole = w.content.unchanged(b.head); b.whole != nil {
		return
	}
	w.content.head(b.head, &b.spread)
	counts := w.outline.heads[b.head]
	b.err = nil
	if b.bitCount() != counts.active {
		b.err = fmt.Errorf("the active snapshot %w", errDamaged)
		return
	}
	for i, word := range b.bits {
		le.PutUint64(b.bitmap[8*i:], word)
	}
	b.overflow = b.overflow[:0]
	b.parts = append(b.parts[:0], b.bitmap)
	if counts.partial == 0 {
		return
	}
	if w.encodeSets(b) != counts.partial {
		b.err = fmt.Errorf("the active snapshot %w", errDamaged)
	}
	b.parts = append(b.parts, ranks(b.bitmap), b.codes, padding(len(b.codes), 8), b.overflow, padding(len(b.overflow), 8))
}

// padding fills n bytes up to a multiple of size, at most 64.
func padding(n, size int) []byte { return zeros[:(size-n%size)%size] }

// encodeSets makes the codes and the overflow list of a head and returns how many
// numbers have categories.
func (w *writer) encodeSets(b *encoded) (partial uint32) {
	b.codes = b.codes[:0]
	for i, word := range b.bits {
		for ; word != 0; word &= word - 1 {
			n := uint32(64*i + bits.TrailingZeros64(word))
			id := b.set(n)
			place := w.places[id]
			if id != 0 {
				partial++
			}
			if place <= maxCode {
				b.codes = append(b.codes, byte(place))
				continue
			}
			b.codes = append(b.codes, codeBeyond)
			b.overflow = le.AppendUint32(b.overflow, n<<setBits|uint32(place))
		}
	}
	return partial
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
