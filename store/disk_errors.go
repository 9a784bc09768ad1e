package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"zombiezen.com/go/sqlite"
)

// explainedDisk says what is wrong with a data directory and what to do, where the error is
// one of the disk: SQLite says little more than that something failed.
func explainedDisk(dir string, err error) error {
	var errno syscall.Errno
	switch code := sqlite.ErrCode(err).ToPrimary(); {
	case err == nil:
		return nil
	case errors.As(err, &errno):
	case code == sqlite.ResultFull:
		errno = syscall.ENOSPC
	case code == sqlite.ResultIOErr, code == sqlite.ResultCantOpen, code == sqlite.ResultReadOnly, code == sqlite.ResultPerm:
		errors.As(probe(dir), &errno)
	default:
		return err
	}
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT:
		return fmt.Errorf("the disk of %s is full: make room there and run it again (%w)", dir, err)
	case syscall.EROFS:
		return fmt.Errorf("%s is on a disk that is mounted read-only: mount it for writing, or pass another --data-dir (%w)", dir, err)
	case syscall.EACCES, syscall.EPERM:
		return fmt.Errorf("the user %d may not write to %s: run it as the user who owns the directory, or pass another --data-dir (%w)", os.Geteuid(), dir, err)
	case syscall.ENOTDIR:
		return fmt.Errorf("%s is, or is in, a file and not a directory: pass a directory with --data-dir (%w)", dir, err)
	}
	return err
}

// probe writes a little into the directory, to see why the database could not.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, "probe-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 256<<10)) // more than a database begins with
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
