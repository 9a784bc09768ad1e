package auth

import (
	"context"
	"sync"
	"time"

	"saaf"
)

// Limiter counts requests per key in fixed windows of one minute of the wall
// clock. The zero Limiter is ready, and counts what this process lets through. It is
// safe for concurrent use.
//
// Where several processes serve, all of them count in the database, see
// [Limiter.tell]. Of what it believes to be left a process lets a small part through
// before it says so; requests beyond that wait until they are counted with those of
// all others. So a key that uses one process gets its whole limit there, and one that
// uses all of them at once gets little more. When the database does not answer, each
// process counts for itself.
type Limiter struct {
	spend spend // nil: there are no others

	mu     sync.Mutex
	minute int64                   // guarded by mu; the minute that keys hold
	keys   map[saaf.KeyID]*keyUsed // guarded by mu; requests in that minute
	next   *word                   // guarded by mu; the word that is waited for, nil when nobody does
	alone  time.Time               // guarded by mu; until then nobody waits
	wanted chan struct{}           // holds one when somebody waits
}

// keyUsed is what a key has used in a minute. What is let through is counted here at
// once and in the database a little later; what waits is counted there first.
type keyUsed struct {
	limit  int
	known  int // everywhere, by the last word
	told   int // let through here, on the way to the database
	untold int // let through here since
	asked  int // waiting, on the way to the database
	asking int // waiting since
}

// left is how many more can be let through, as far as is known here.
func (k *keyUsed) left() int { return k.limit - k.known - k.told - k.untold - k.asked - k.asking }

// blind is how many may be let through between two words: a 32nd of what is left.
func (k *keyUsed) blind() int { return (k.limit - k.known) / 32 }

// Take counts one request of a key at the instant now. It returns how many are
// left in this minute; when none was left, it returns RateLimited with the time
// to the next minute.
func (l *Limiter) Take(ctx context.Context, key *saaf.Key, now time.Time) (remaining int, err error) {
	remaining, wait, err := l.take(key, now)
	if wait == nil {
		return remaining, err
	}
	late := time.NewTimer(waitLimit)
	defer late.Stop()
	select {
	case <-wait.came:
	case <-late.C:
		l.goAlone(aloneFor)
	case <-ctx.Done():
	}
	return l.settle(wait, key, now)
}

// take is Take for a request that need not wait. It lets one that must join those
// that wait for the next word.
func (l *Limiter) take(key *saaf.Key, now time.Time) (remaining int, wait *word, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.used(key, now)
	switch left := k.left(); {
	case left <= 0:
		return 0, nil, l.exceeded(now)
	// While some wait for a word, what would be let through beside it comes on top of a
	// limit that these may fill.
	case l.spend != nil && (k.asked > 0 || k.told+k.untold >= k.blind()) && !now.Before(l.alone):
		k.asking++
		return 0, l.want(), nil
	default:
		k.untold++
		return left - 1, nil, nil
	}
}

// settle is Take for a request that has waited. When the word has not come, or was
// that the database does not answer, it is decided by what is known here.
func (l *Limiter) settle(w *word, key *saaf.Key, now time.Time) (remaining int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.used(key, now)
	switch {
	case w.failed || w.minute != l.minute && !w.heard:
	case w.heard && w.granted[key.ID] <= 0:
		return 0, l.exceeded(now)
	case w.heard:
		w.granted[key.ID]--
		return max(0, k.left()) + w.granted[key.ID], nil
	case w.told: // it is counted
		return max(0, k.left()), nil
	default:
		k.asking--
	}
	left := k.left()
	if left <= 0 {
		return 0, l.exceeded(now)
	}
	k.untold++
	return left - 1, nil
}

func (l *Limiter) exceeded(now time.Time) error {
	return &saaf.Error{Code: saaf.RateLimited, Word: "rate_limited", Message: "Rate limit exceeded",
		RetryAfter: min(time.Unix((l.minute+1)*60, 0).Sub(now), time.Minute)}
}

// used is what a key has used in the minute of now; l.mu is held.
func (l *Limiter) used(key *saaf.Key, now time.Time) *keyUsed {
	minute := now.Unix() / 60
	if minute == l.minute-1 {
		// It read the clock before the turn of the minute and came here after it:
		// going back would forget what the new minute has counted.
		minute = l.minute
	}
	if minute != l.minute || l.keys == nil {
		l.minute = minute
		l.keys = make(map[saaf.KeyID]*keyUsed, len(l.keys))
	}
	k := l.keys[key.ID]
	if k == nil {
		k = new(keyUsed)
		l.keys[key.ID] = k
	}
	k.limit = key.RateLimit
	return k
}
