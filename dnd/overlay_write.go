package dnd

import (
	"context"
	"io"

	"saaf"
)

// writeOverlay writes the overlay file that a resolved delta makes of the base
// file with the given hash.
func writeOverlay(ctx context.Context, out io.Writer, d *deltaSet, o *outline, base saaf.SHA256, progress func(done, total int64)) (Info, error) {
	var uses setUses
	for _, changes := range d.changes {
		for _, c := range changes {
			uses[c.set()]++
		}
	}
	dict, places := d.sets.dictionary(&uses)
	h := overlayHeader{info: o.info(), sets: len(dict), entries: d.entries, base: base, length: int64(len(d.base.data))}
	h.info.Bytes = h.size()
	rest, err := d.memory.alloc(int(h.size() - headerSize)) // with the zeros of free cells
	if err != nil {
		return Info{}, err
	}
	dictionary := rest[:0]
	for _, u := range dict {
		dictionary = u.append(dictionary)
	}
	t := h.tableOf(rest[h.sievesAt()-headerSize:])
	for head, changes := range d.changes {
		if err := ctx.Err(); err != nil {
			return Info{}, err
		}
		for _, c := range changes {
			p := saaf.Phone(head)*headSpan + saaf.Phone(c.number())
			t.insert(newRow(p, c.deletes(), places[c.set()]))
		}
	}
	h.rest = checksum(rest)
	for _, part := range [][]byte{h.append(nil), rest} {
		if _, err := out.Write(part); err != nil {
			return Info{}, err
		}
	}
	progress(h.info.Bytes, h.info.Bytes)
	in := h.info
	in.Bytes += int64(len(d.base.data))
	in.Overlay = int64(h.entries)
	return in, nil
}
