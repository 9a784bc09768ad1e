package dnd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// populate reads all of a mapping into memory. A page that cannot be read is an
// error here, where it would kill the process later.
func populate(data []byte) error {
	err := unix.Madvise(data, unix.MADV_POPULATE_READ)
	if errors.Is(err, unix.EINVAL) { // before Linux 5.14
		touch(data)
		err = nil
	}
	if err == nil {
		// Numbers come in no order: should pages be dropped for want of memory,
		// reading ahead would make each lookup wait for its neighbours too.
		err = unix.Madvise(data, unix.MADV_RANDOM)
	}
	if err != nil {
		return errors.Join(errors.New("cannot be read into memory"), err)
	}
	return nil
}

// prefault makes the pages of a mapping ready to be written, many at once: one by
// one that takes a quarter of the time that rows need. It is a wish.
func prefault(data []byte) { _ = unix.Madvise(data, unix.MADV_POPULATE_WRITE) }

// reserve gives a range of a file its place on the disk without writing it; it reads
// as zeros. ok is false where the file system cannot do that.
func reserve(f *os.File, at, size int64) (ok bool, err error) {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, at, size)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
			return false, nil
		default:
			return false, &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
		}
	}
}

// writeBack has the system write a range of a file to the disk; with wait it returns
// when that is done. It is a wish: what is not written now is written with the rest.
func writeBack(f *os.File, at, size int64, wait bool) {
	flags := unix.SYNC_FILE_RANGE_WRITE
	if wait {
		flags |= unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	}
	_ = unix.SyncFileRange(int(f.Fd()), at, size, flags)
}
