//go:build unix && !linux

package dnd

// populate reads all of a mapping into memory.
func populate(data []byte) error {
	touch(data)
	return nil
}

// hugePages asks for large pages where the system has such a wish.
func hugePages([]byte) {}
