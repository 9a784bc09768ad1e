//go:build unix && !linux

package dnd

// populate reads all of a mapping into memory.
func populate(data []byte) error {
	touch(data)
	return nil
}

// prefault makes pages ready to be written where the system has such a wish.
func prefault([]byte) {}
