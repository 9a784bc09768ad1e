package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// partialSuffix is behind the name of a backup while it is made.
const partialSuffix = ".partial"

// target is the directory that a backup is written into, under a name that says it is
// not whole. A lock on it, which the kernel drops with the process, tells one that is
// being written from one that was cut short.
type target struct {
	dir     string // how it is to be called
	partial string
	lock    *os.File
}

// newTarget makes the directory. What is left of a backup of that name that was cut short
// is removed.
func newTarget(dir, dataDir string) (*target, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := checkPlace(dir, dataDir); err != nil {
		return nil, err
	}
	t := &target{dir: dir, partial: dir + partialSuffix}
	for {
		made := true
		if err := os.Mkdir(t.partial, 0o700); errors.Is(err, fs.ErrExist) {
			made = false
		} else if err != nil {
			return nil, err
		}
		mine, err := t.take()
		if err != nil {
			return nil, err
		}
		switch {
		case mine && made:
			return t, nil
		case mine:
			if err := errors.Join(t.clear(), t.lock.Close()); err != nil {
				return nil, err
			}
		}
	}
}

// checkPlace refuses a directory that something is in, or that cannot be put in place in
// one step.
func checkPlace(dir, dataDir string) error {
	parent, err := os.Stat(filepath.Dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s for the backup to be in: make it, or mount the disk that it is on", filepath.Dir(dir))
	}
	if err != nil {
		return err
	}
	if in, err := within(filepath.Dir(dir), dataDir); err != nil || in {
		return errors.Join(err, fmt.Errorf("a backup in the data directory %s would be lost with it: name a directory elsewhere", dataDir))
	}
	if whole, err := around(filepath.Dir(dir)); err != nil || whole != "" {
		return errors.Join(err, fmt.Errorf("%s is a backup, and one within it would be lost with it: name a directory beside it, such as %s", whole, whole+"-2"))
	}
	there, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !there.IsDir() {
		return fmt.Errorf("%s is a file: name a directory that is not there yet", dir)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if isBackup(dir) {
		return fmt.Errorf("%s is a backup already: name a directory that is not there yet beside it, such as %s", dir, dir+"-2")
	}
	if len(list) > 0 {
		return fmt.Errorf("the directory %s is not empty: name one that is not there yet, such as %s", dir, filepath.Join(dir, "monday"))
	}
	if device(there) != device(parent) {
		return fmt.Errorf("a disk is mounted at %s: name a directory on it, such as %s", dir, filepath.Join(dir, "monday"))
	}
	return nil
}

// isBackup reports whether a directory is a finished backup.
func isBackup(dir string) bool {
	for _, name := range []string{manifestName, sumsName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// around is the backup that a directory is, or is in, "" for none.
func around(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if isBackup(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

func device(info os.FileInfo) uint64 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(stat.Dev)
}

// within reports whether a directory is another one or below it.
func within(dir, other string) (bool, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	if other, err = filepath.Abs(other); err != nil {
		return false, err
	}
	if other, err = filepath.EvalSymlinks(other); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(other, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../"), err
}

// take takes the lock. mine is false when the directory has gone meanwhile.
func (t *target) take() (mine bool, err error) {
	f, err := os.Open(t.partial)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, errors.Join(fmt.Errorf("another saaf backup is writing %s: wait until it is done", t.dir), f.Close())
	}
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	opened, err := f.Stat()
	named, nerr := os.Stat(t.partial)
	if errors.Is(nerr, fs.ErrNotExist) || err == nil && nerr == nil && !os.SameFile(opened, named) {
		return false, f.Close()
	}
	if err := errors.Join(err, nerr); err != nil {
		return false, errors.Join(err, f.Close())
	}
	t.lock = f
	return true, nil
}

// clear removes what is there of a backup, and nothing else.
func (t *target) clear() error {
	list, err := os.ReadDir(t.partial)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !known(e.Name()) {
			return fmt.Errorf("%s is in the way, and %s in it is of no backup: move it away", t.partial, e.Name())
		}
	}
	return os.RemoveAll(t.partial)
}

// publish gives the directory its name. Whatever has that name by now is left alone.
func (t *target) publish() error {
	if err := syncDir(t.partial); err != nil {
		return err
	}
	// os.Rename would not take the place of an empty directory, and rename(2) takes that
	// of no other.
	if err := syscall.Rename(t.partial, t.dir); err != nil {
		return fmt.Errorf("name the backup %s: %w: the directory was used meanwhile, name another one", t.dir, err)
	}
	return syncDir(filepath.Dir(t.dir))
}

// close gives the lock up, and removes what was not published.
func (t *target) close(published bool) error {
	var err error
	if !published {
		err = t.clear()
	}
	return errors.Join(err, t.lock.Close())
}
