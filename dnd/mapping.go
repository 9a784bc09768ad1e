//go:build unix

package dnd

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"saaf"
)

// mappings counts the snapshot files that are mapped.
var mappings atomic.Int64

// Open maps the snapshot file at path and reads all of it into memory, so that no
// lookup waits for a disk. A file that is truncated, damaged in its header or
// something else is refused with a sentence; damage further inside is found by
// [Verify]. The file may be renamed or removed afterwards, but must never be
// changed. An overlay file is refused as well: [BaseOf] tells it, [OpenOverlay]
// opens it.
func Open(path string) (*Snapshot, error) {
	return openFile(path, newSnapshot, func(s *Snapshot, unmap func(data []byte), data []byte) {
		runtime.AddCleanup(s.file, unmap, data)
	})
}

// OpenOverlay maps the overlay file at path as [Open] does a snapshot file. base
// must be the snapshot of the file it was made for, without an overlay, and
// baseSHA the SHA-256 of that file; an overlay that was made for another is
// refused. Any damage of the overlay is found. The new Snapshot shares the mapping
// of base.
func OpenOverlay(path string, base *Snapshot, baseSHA saaf.SHA256) (*Snapshot, error) {
	if base.overlay != nil {
		return nil, fmt.Errorf("open registry overlay %s: its base has an overlay itself", path)
	}
	return openFile(path, func(data []byte) (*Snapshot, error) { return newOverlay(data, base, baseSHA) },
		func(s *Snapshot, unmap func(data []byte), data []byte) { runtime.AddCleanup(s.overlay, unmap, data) })
}

// openFile maps a file, reads it, and has it unmapped when what owns it is gone.
func openFile(path string, read func(data []byte) (*Snapshot, error), own func(s *Snapshot, unmap func(data []byte), data []byte)) (*Snapshot, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("open registry snapshot: %w", err)
	}
	s, err := read(data)
	if err == nil {
		err = populate(data)
	}
	if err != nil {
		unmap(data)
		return nil, fmt.Errorf("registry snapshot %s %w", path, err)
	}
	own(s, unmap, data)
	return s, nil
}

// mapFile maps a whole regular file for reading.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() == 0: // which cannot be mapped
		return nil, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	mappings.Add(1)
	return data, nil
}

// unmap runs when a Snapshot is gone. Munmap fails only for what was never mapped.
func unmap(data []byte) {
	if unix.Munmap(data) == nil {
		mappings.Add(-1)
	}
}

// touch reads a byte of every page.
func touch(data []byte) {
	var sum byte
	for at := 0; at < len(data); at += os.Getpagesize() {
		sum += data[at]
	}
	runtime.KeepAlive(sum)
}
