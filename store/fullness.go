package store

import (
	"sync"
	"time"
)

// fullFor is how long after the last write that found no room the disk counts as full.
const fullFor = 30 * time.Second

// fullness remembers which writes found no room. Small ones may go through beside them, in
// what the log of the database has left: none that did proves that there is room.
type fullness struct {
	mu      sync.Mutex
	refused int64     // guarded by mu
	last    time.Time // guarded by mu; of a refusal
}

func (f *fullness) note(err error) {
	if err != error(errFull) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused++
	f.last = time.Now()
}

// Full reports whether writes were refused in the last 30 seconds because the disk of the
// store is full, and how many have been since it was opened.
func (s *Store) Full() (full bool, refused int64) {
	s.fullness.mu.Lock()
	defer s.fullness.mu.Unlock()
	return s.fullness.refused > 0 && time.Since(s.fullness.last) < fullFor, s.fullness.refused
}
