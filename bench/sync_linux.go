package bench

import (
	"os"
	"syscall"
)

// dataSync has what was written on the disk, and of the file's state what is needed to
// read it.
func dataSync(f *os.File) error {
	return os.NewSyscallError("fdatasync", syscall.Fdatasync(int(f.Fd())))
}
