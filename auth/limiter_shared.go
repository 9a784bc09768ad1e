package auth

import (
	"context"
	"time"

	"saaf"
	"saaf/store"
)

// spend adds requests to those of all processes in a minute, and returns the totals,
// as [store.Store.UseKeys] does.
type spend func(ctx context.Context, minute int64, used []store.KeyUse) (totals []store.KeyUse, err error)

// word is what comes from the database about all keys. Its members are guarded by the
// mutex of the limiter.
type word struct {
	came    chan struct{} // closed when it is heard
	minute  int64         // of the requests that it is about
	told    bool          // they are on the way
	heard   bool
	failed  bool               // the database did not answer
	granted map[saaf.KeyID]int // how many of those that waited are let through
}

const (
	// tellEvery is how often what was let through is told, and what others let through
	// is heard, when nobody waits for it.
	tellEvery = 250 * time.Millisecond
	// tellLimit is how long that may take, and waitLimit how long a request waits.
	tellLimit = 2 * time.Second
	waitLimit = time.Second
	// aloneFor is for how long a process counts for itself when that was not enough.
	aloneFor = 5 * time.Second
	// drain is more than requests take to end that are under way when the rest stops.
	drain = time.Hour
)

// sharedLimiter counts together with other processes. Its run must be running.
func sharedLimiter(s spend) *Limiter { return &Limiter{spend: s, wanted: make(chan struct{}, 1)} }

// run tells and hears other processes until ctx ends.
func (l *Limiter) run(ctx context.Context) {
	if l.spend == nil {
		return
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-l.wanted:
		case <-ctx.Done():
		}
		l.tell(ctx)
	}
	l.goAlone(drain)
	l.tell(ctx) // nobody waits any more
}

// want asks for a word from the database; l.mu is held.
func (l *Limiter) want() *word {
	if l.next == nil {
		l.next = &word{came: make(chan struct{}), minute: l.minute}
	}
	select {
	case l.wanted <- struct{}{}:
	default:
	}
	return l.next
}

// goAlone lets nobody wait for a while.
func (l *Limiter) goAlone(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alone = time.Now().Add(d)
}

// tell adds to the total of each key what was let through here since it was told
// last, and behind that what waits. So every request that waits gets a place in one
// row of all, and is let through when that is within the limit.
func (l *Limiter) tell(ctx context.Context) {
	w, used := l.begin()
	var totals []store.KeyUse
	var err error
	if len(used) > 0 {
		limited, cancel := context.WithTimeout(ctx, tellLimit)
		totals, err = l.spend(limited, w.minute, used)
		cancel()
	}
	l.end(w, totals, err)
}

// begin collects what is to be told.
func (l *Limiter) begin() (w *word, used []store.KeyUse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w = l.next
	if w == nil || w.minute != l.minute {
		if w != nil { // those who waited over the turn of the minute are decided by the new one
			w.failed = true
			close(w.came)
		}
		w = &word{came: make(chan struct{}), minute: l.minute}
	}
	l.next, w.told = nil, true
	for id, k := range l.keys {
		if n := k.untold + k.asking; n > 0 {
			used = append(used, store.KeyUse{Key: id, Requests: int64(n)})
			k.told, k.untold = k.untold, 0
			k.asked, k.asking = k.asking, 0
		}
	}
	return w, used
}

// end takes what came of it. Of a minute that is over nothing is kept.
func (l *Limiter) end(w *word, totals []store.KeyUse, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(w.came)
	w.heard, w.failed, w.granted = true, err != nil, make(map[saaf.KeyID]int)
	if err != nil {
		l.alone = time.Now().Add(aloneFor)
	}
	if w.minute != l.minute {
		w.failed = true // those who wait are decided by the new one
		return
	}
	for _, total := range totals {
		if k := l.keys[total.Key]; k != nil {
			k.known = int(total.Requests)
			w.granted[total.Key] = k.asked - min(k.asked, max(0, k.known-k.limit))
		}
	}
	for _, k := range l.keys {
		if err != nil {
			k.untold += k.told // what was not told, as far as that is known, is told again
		}
		k.told, k.asked = 0, 0
	}
}
