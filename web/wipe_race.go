//go:build race

package web

// wipe overwrites memory that is about to be used again, so that whoever still reads it
// gets nonsense, and the race detector sees it. It has its price, and so is done only
// where that detector runs.
func wipe(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
