//go:build unix && !linux

package dnd

import "os"

// populate reads all of a mapping into memory.
func populate(data []byte) error {
	touch(data)
	return nil
}

// prefault makes pages ready to be written where the system has such a wish.
func prefault([]byte) {}

// reserve gives a range of a file its place on the disk where that costs no writing.
func reserve(*os.File, int64, int64) (ok bool, err error) { return false, nil }

// writeBack has a range written to the disk where the system has such a wish.
func writeBack(*os.File, int64, int64, bool) {}
