package scrubber

import (
	"sync"
	"time"

	"saaf"
)

// State is how a source is doing, for status pages and metrics. Counts are since
// the start of the process; numbers that a caller repeats in one Check count once.
type State struct {
	Circuit      Circuit
	OpenUntil    time.Time // when a batch is let through again; zero while the circuit is closed
	LastAnswerAt time.Time // of the last answer that could be read; zero before the first
	LastError    string    // why numbers of a batch that was asked were last unknown; never holds numbers or secrets
	LastErrorAt  time.Time

	Batches  int64 // asked
	Failed   int64 // of these, without an answer that could be read
	NotAsked int64 // not sent: the circuit was open, or other batches took too long
	Retries  int64 // attempts after the first of a batch

	Clean, Blocked, Partial, Unknown int64 // numbers by finding
}

// record collects a State.
type record struct {
	mu    sync.Mutex
	state State // guarded by mu
}

func (r *record) retried() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Retries++
}

// batch notes what became of one batch. asked says whether it was sent, and o how
// that went; err is why numbers of it are unknown.
func (r *record) batch(asked bool, o outcome, found []saaf.VerdictReason, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, now := &r.state, time.Now()
	switch {
	case asked:
		s.Batches++
	case err != nil:
		s.NotAsked++
	}
	switch o {
	case success:
		s.LastAnswerAt = now
	case failed:
		s.Failed++
	}
	if asked && err != nil { // not being asked has its cause in one that was
		s.LastError, s.LastErrorAt = err.Error(), now
	}
	for _, f := range found {
		switch f {
		case saaf.NotRegistered:
			s.Clean++
		case saaf.FullBlock:
			s.Blocked++
		case saaf.PartialBlock:
			s.Partial++
		default:
			s.Unknown++
		}
	}
}

func (r *record) get() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}
