//go:build unix

package dnd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"saaf"
	"saaf/fileowner"
)

// Extension is how the names of snapshot files end, after the hexadecimal SHA-256
// of their content.
const Extension = ".dnd"

const tempPattern = "import-*.tmp"

// tempFile is a snapshot file that is being written. A lock on it tells other
// processes that it is; the system drops the lock with the process.
type tempFile struct {
	*os.File
	dir string
}

// createTemp makes a file in dir that only its owner can read.
func createTemp(dir string) (*tempFile, error) {
	for {
		f, err := os.CreateTemp(dir, tempPattern)
		if err != nil {
			return nil, err
		}
		locked, err := lock(f)
		if err == nil && locked {
			err = fileowner.Settle(f, dir) // whoever serves must be able to read it
		}
		if err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
		if locked {
			return &tempFile{f, dir}, nil
		}
		f.Close() // a removeLeftovers was quicker: take another
	}
}

// lock takes the lock on a file without waiting. It fails when somebody has it,
// or has removed the file.
func lock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	opened, errOpened := f.Stat()
	if err := errors.Join(err, errOpened); err != nil {
		return false, err
	}
	return os.SameFile(named, opened), nil
}

// publish makes the file durable and gives it the name that belongs to its
// content. Nothing is visible before that. When only the last step fails, making
// the name durable, the complete file stays: one of the same content may have been
// there and in use.
func (f *tempFile) publish(sum saaf.SHA256) (path string, err error) {
	path = filepath.Join(f.dir, sum.String()+Extension)
	if err := errors.Join(f.Chmod(0o400), f.Sync()); err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	return path, syncDir(f.dir)
}

// discard removes the file unless it was published, and closes it.
func (f *tempFile) discard() error {
	err := os.Remove(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeLeftovers removes from dir what imports left there that were killed:
// nothing that is still being written, and nothing of another user.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if ours, _ := filepath.Match(tempPattern, e.Name()); !ours {
			continue
		}
		name := filepath.Join(dir, e.Name())
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return err
		}
		locked, err := lock(f)
		if locked {
			err = os.Remove(name)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
