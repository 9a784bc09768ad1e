package dnd

import (
	"errors"

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
