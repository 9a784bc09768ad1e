//go:build unix

package dnd

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"saaf/fileowner"
)

// scratch is the working memory of an import: a file without a name in the
// directory of the snapshots, mapped shared and grown in pieces as it is needed.
// An import of the whole country holds up to two gigabytes of it. As anonymous
// memory that could push a serving process out of the machine; the pages of a
// file the system can write out and drop. They go back at once when the import
// ends, and with the process when it is killed.
//
// What that costs: as much free disk as the import needs memory, and writes to
// it, because the system writes changed pages out after half a minute even
// though nobody will read them. Every piece gets its place on the disk before it
// is mapped. A disk that is full is an error there; a page without a place on the
// disk would kill the process later. Pages that are written out cost another
// fault when they change again.
//
// Memory must not be used after close. It is safe for concurrent use.
type scratch struct {
	dir    string
	mu     sync.Mutex
	file   *os.File // nil before the first piece
	size   int64
	pieces [][]byte
	left   []byte // of the last piece
}

const (
	firstPiece = 256 << 10 // bytes, doubled with every piece
	lastPiece  = 16 << 20
)

// alloc returns n bytes of zeros that begin at a multiple of 8.
func (s *scratch) alloc(n int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int(filled(int64(n)))
	if len(s.left) < size {
		if err := s.grow(size); err != nil {
			return nil, err
		}
	}
	b := s.left[:n:size]
	s.left = s.left[size:]
	return b, nil
}

// grow adds a piece of at least n bytes.
func (s *scratch) grow(n int) error {
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	page := os.Getpagesize()
	size := min(firstPiece<<min(len(s.pieces), 16), lastPiece)
	size = (max(size, n) + page - 1) / page * page
	if err := s.room(int64(size)); err != nil {
		return err
	}
	piece, err := unix.Mmap(int(s.file.Fd()), s.size, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return &os.PathError{Op: "mmap", Path: s.file.Name(), Err: err}
	}
	prefault(piece)
	s.size += int64(size)
	s.pieces, s.left = append(s.pieces, piece), piece
	return nil
}

// room gives the next bytes of the file their place on the disk.
func (s *scratch) room(size int64) error {
	if ok, err := reserve(s.file, s.size, size); ok || err != nil {
		return err
	}
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(int64(len(zeros)), size-at)], s.size+at); err != nil {
			return err
		}
	}
	return nil
}

var zeros [256 << 10]byte

// create makes the file. Until its name is gone it looks like any other that an
// import leaves behind when it is killed.
func (s *scratch) create() error {
	if err := fileowner.Mkdir(s.dir); err != nil {
		return err
	}
	f, err := createTemp(s.dir)
	if err != nil {
		return err
	}
	s.file = f.File
	return os.Remove(f.Name())
}

func (s *scratch) close() {
	for _, piece := range s.pieces {
		_ = unix.Munmap(piece) // cannot fail for a mapping of ours
	}
	if s.file != nil {
		s.file.Close()
	}
	*s = scratch{dir: s.dir}
}

// allocOf returns n zero values. T holds no pointers: the garbage collector does
// not look here.
func allocOf[T uint32 | uint64 | placed | change](s *scratch, n int) ([]T, error) {
	if n == 0 {
		return nil, nil
	}
	b, err := s.alloc(n * int(unsafe.Sizeof(T(0))))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n), nil
}

// list is values in scratch memory, in the order of arrival.
type list[T placed | change] struct {
	full [][]T
	last []T
}

// The room of a list doubles with every part, within these limits.
const (
	firstPart = 32
	lastPart  = 4096
)

func (l *list[T]) append(s *scratch, v T) error {
	if len(l.last) == cap(l.last) {
		room := min(max(firstPart, 2*cap(l.last)), lastPart)
		if len(l.last) > 0 {
			l.full = append(l.full, l.last)
		}
		part, err := allocOf[T](s, room)
		if err != nil {
			l.last = nil
			return err
		}
		l.last = part[:0]
	}
	l.last = append(l.last, v)
	return nil
}

func (l *list[T]) empty() bool { return len(l.last) == 0 }

// appendTo appends all values to dst.
func (l *list[T]) appendTo(dst []T) []T {
	for _, part := range l.full {
		dst = append(dst, part...)
	}
	return append(dst, l.last...)
}
