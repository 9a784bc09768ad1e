package bench

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bytes that a run takes on the disk for each number: rows of the two full sets in
// text, and what an import of each works with besides the finished file.
const (
	plainRowBytes   = 32
	listedRowBytes  = 44
	scratchBytes    = 4
	leadBytes       = 700 // of a lead in the database, its log and the ledger
	leadsPerNumber  = 0.02
	reserveForOther = 1 << 30
)

// need is how much room the run takes at most at one time.
func (b *registry) need() int64 {
	n, file := b.Numbers, int64(len(b.heads))*headBytes
	first := n*(plainRowBytes+scratchBytes) + 3*file
	second := n*(listedRowBytes+scratchBytes+2) + 5*file
	if b.Keep {
		second += n * plainRowBytes
	}
	leads := float64(n)*leadsPerNumber + float64(2*b.Seconds)*float64(leadsPerSecond)
	return max(first, second) + int64(leads)*leadBytes + reserveForOther
}

// room says how much a run takes on the disk, and refuses when it is not there.
func (h *Host) room(need int64) error {
	dir := h.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return &os.PathError{Op: "look for room in", Path: dir, Err: err}
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	h.say("this takes up to %.1f GB in %s, of which %.1f GB are free", float64(need)/1e9, dir, float64(free)/1e9)
	return enough(need, free, dir)
}

// enough refuses a run that has not the room it needs.
func enough(need, free int64, dir string) error {
	if free >= need {
		return nil
	}
	return fmt.Errorf("there is not enough room in %s: it takes up to %.1f GB and %.1f GB are free; name another place with --dir, or fewer --numbers",
		dir, float64(need)/1e9, float64(free)/1e9)
}
