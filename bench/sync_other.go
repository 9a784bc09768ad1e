//go:build !linux

package bench

import "os"

// dataSync has what was written on the disk.
func dataSync(f *os.File) error { return f.Sync() }
