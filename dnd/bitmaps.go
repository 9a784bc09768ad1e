//go:build unix

package dnd

import "golang.org/x/sys/unix"

// bitmaps is memory for bitmaps of heads, mapped from the system in pieces as it
// is needed. An import holds up to a gigabyte of them inside a serving process:
// outside the Go heap they do not delay its garbage collection, and go back at
// once when the import ends. A bitmap must not be used after free.
type bitmaps struct {
	pieces [][]byte
	left   []byte // of the last piece
}

// pieceSize holds 134 bitmaps.
const pieceSize = 16 << 20

// at is the byte with bit n of a bitmap, which is made when it is nil.
func (m *bitmaps) at(bitmap *[]byte, n uint32) *byte {
	if *bitmap == nil {
		*bitmap = m.next()
	}
	return &(*bitmap)[n/8]
}

// next is a bitmap without a bit.
func (m *bitmaps) next() []byte {
	if len(m.left) < bitmapSize {
		piece, err := unix.Mmap(-1, 0, pieceSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return make([]byte, bitmapSize) // Go may still have some
		}
		hugePages(piece)
		m.pieces, m.left = append(m.pieces, piece), piece
	}
	b := m.left[:bitmapSize:bitmapSize]
	m.left = m.left[bitmapSize:]
	return b
}

func (m *bitmaps) free() {
	for _, piece := range m.pieces {
		_ = unix.Munmap(piece) // cannot fail for a mapping of ours
	}
	*m = bitmaps{}
}
