package scrub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"saaf"
	"saaf/dnd"
)

// shelf is the snapshots that this process can answer from at once: their files were
// read whole, and are mapped.
type shelf struct {
	dir string

	mu      sync.Mutex
	opened  map[saaf.SHA256]*dnd.Snapshot // guarded by mu; by the newest file
	using   []saaf.SHA256                 // guarded by mu; files of what this process answers from
	damaged damagedFile                   // guarded by mu
}

// damagedFile is a file that was read whole and did not match the hash of its
// snapshot: it is not read again before it changes.
type damagedFile struct {
	sha  saaf.SHA256
	file os.FileInfo
	err  error // what was found
}

// get is an opened snapshot by its newest file, nil for none.
func (s *shelf) get(sha saaf.SHA256) *dnd.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened[sha]
}

// holds reports whether all files of a snapshot are open, so that it can be answered
// from at once.
func (s *shelf) holds(snap *saaf.Snapshot) bool {
	for _, sha := range filesOf(snap) {
		if s.get(sha) == nil {
			return false
		}
	}
	return true
}

// open opens the files of a snapshot when they are what was imported. Those that are
// open are not read again: a delta costs no more than its overlay. mend, unless it is
// nil, is given a file that cannot be opened, once, to put another in its place.
func (s *shelf) open(ctx context.Context, snap *saaf.Snapshot, mend func(saaf.SHA256) error) (*dnd.Snapshot, error) {
	base, err := s.file(ctx, baseOf(snap), mend, dnd.Open)
	if err != nil || snap.BaseSHA256 == (saaf.SHA256{}) {
		return base, err
	}
	return s.file(ctx, snap.SHA256, mend, func(path string) (*dnd.Snapshot, error) {
		return dnd.OpenOverlay(path, base, snap.BaseSHA256)
	})
}

func (s *shelf) file(ctx context.Context, sha saaf.SHA256, mend func(saaf.SHA256) error, open func(path string) (*dnd.Snapshot, error)) (*dnd.Snapshot, error) {
	if snap := s.get(sha); snap != nil {
		return snap, nil
	}
	read := func() (snap *dnd.Snapshot, err error) {
		if err = s.verify(ctx, sha); err == nil {
			snap, err = open(snapshotPath(s.dir, sha))
		}
		return snap, err
	}
	snap, err := read()
	if err != nil && mend != nil && ctx.Err() == nil {
		if err := mend(sha); err != nil {
			return nil, err
		}
		snap, err = read()
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == nil {
		s.opened = make(map[saaf.SHA256]*dnd.Snapshot)
	}
	s.opened[sha] = snap
	return snap, nil
}

// verify reads a file whole and holds it against its hash. The hash comes before
// the mapping, because an import may put another file of the same content in place
// of this one.
func (s *shelf) verify(ctx context.Context, sha saaf.SHA256) error {
	path := snapshotPath(s.dir, sha)
	file, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	damaged := s.damaged
	s.mu.Unlock()
	if damaged.sha == sha && unchanged(damaged.file, file) {
		return damaged.err
	}
	err = dnd.Verify(ctx, path, sha)
	if _, unread := errors.AsType[*fs.PathError](err); err != nil && !unread && ctx.Err() == nil {
		s.mu.Lock()
		s.damaged = damagedFile{sha, file, err}
		s.mu.Unlock()
	}
	return err
}

// unchanged reports whether a file is as it was.
func unchanged(was, is os.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// use notes from which snapshot this process answers; its files stay open.
func (s *shelf) use(snap *saaf.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.using = filesOf(snap)
}

// keep closes all but these files and those of the snapshot in use.
func (s *shelf) keep(files ...saaf.SHA256) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make(map[saaf.SHA256]*dnd.Snapshot)
	for _, list := range [][]saaf.SHA256{files, s.using} {
		for _, sha := range list {
			if snap := s.opened[sha]; snap != nil {
				kept[sha] = snap
			}
		}
	}
	s.opened = kept
}
