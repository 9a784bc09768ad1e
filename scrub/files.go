package scrub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"saaf"
	"saaf/dnd"
	"saaf/fileowner"
	"saaf/store"
)

// KeepSnapshots is how many snapshots are kept: the active one and two to go back
// to. Overlays keep their base.
const KeepSnapshots = 3

// RegistryDir is where snapshot files live in a data directory.
func RegistryDir(dataDir string) string { return filepath.Join(dataDir, "registry") }

// snapshotPath is where the file of a snapshot is.
func snapshotPath(dir string, sha saaf.SHA256) string {
	return filepath.Join(dir, sha.String()+dnd.Extension)
}

// dirLock is a lock on a directory of snapshot files, which the kernel drops with
// the process. Imports share it until their file is recorded; who removes files
// must have it alone, or a file could go that is just becoming the active one.
type dirLock struct{ dir *os.File }

// shareDir takes the lock together with others. It makes the directory when it is
// missing.
func shareDir(dir string) (*dirLock, error) {
	if err := fileowner.Mkdir(dir); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &dirLock{dir: f}
	if err := l.take(syscall.LOCK_SH); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// alone tries to have the lock for this process alone. It does not wait, and when
// it fails the lock is gone.
func (l *dirLock) alone() (bool, error) {
	err := l.take(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func (l *dirLock) take(how int) error {
	for {
		err := syscall.Flock(int(l.dir.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "lock", Path: l.dir.Name(), Err: err}
		}
		return nil
	}
}

func (l *dirLock) release() error { return l.dir.Close() }

// HoldFiles keeps all snapshot files in a directory from being removed until release is
// called. Imports go on meanwhile. It makes the directory when it is missing.
func HoldFiles(dir string) (release func() error, err error) {
	lock, err := shareDir(dir)
	if err != nil {
		return nil, err
	}
	return lock.release, nil
}

// prune removes all files but those of the active snapshot, of as many behind it as
// are kept to go back to, and, where servers share the store, of all that is in it.
// So it removes those of imports that came to nothing, too. Records stay. While another import is under way it does
// nothing: that one does it at its end.
func (l *dirLock) prune(ctx context.Context, st *store.Store, keep int) error {
	if alone, err := l.alone(); !alone {
		return err
	}
	list, err := st.KeptSnapshots(ctx, keep)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(list))
	for i := range list {
		for _, sha := range filesOf(&list[i]) {
			wanted[filepath.Base(snapshotPath("", sha))] = true
		}
	}
	if st.Shared() {
		uploads, err := st.Uploads(ctx)
		if err != nil {
			return err
		}
		for _, u := range uploads {
			wanted[filepath.Base(snapshotPath("", u.SHA256))] = true
		}
	}
	entries, err := os.ReadDir(l.dir.Name())
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if name := e.Name(); isSnapshotFile(name) && !wanted[name] {
			errs = append(errs, os.Remove(filepath.Join(l.dir.Name(), name)))
		}
	}
	return errors.Join(errs...)
}

// isSnapshotFile reports whether a name is one that imports give.
func isSnapshotFile(name string) bool {
	sum, ours := strings.CutSuffix(name, dnd.Extension)
	return ours && len(sum) == 2*len(saaf.SHA256{}) && strings.Trim(sum, "0123456789abcdef") == ""
}
