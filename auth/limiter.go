package auth

import (
	"sync"
	"time"

	"saaf"
)

// Limiter counts requests per key in fixed windows of one minute of the wall
// clock. The zero Limiter is ready. It is safe for concurrent use.
type Limiter struct {
	mu     sync.Mutex
	minute int64              // guarded by mu; the minute that counts holds
	counts map[saaf.KeyID]int // guarded by mu; requests in that minute
}

// Take counts one request of a key at the instant now. It returns how many are
// left in this minute; when none was left, it returns RateLimited with the time
// to the next minute.
func (l *Limiter) Take(key *saaf.Key, now time.Time) (remaining int, err error) {
	minute := now.Unix() / 60
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute == l.minute-1 {
		// It read the clock before the turn of the minute and came here after it:
		// going back would forget what the new minute has counted.
		minute = l.minute
	}
	if minute != l.minute || l.counts == nil {
		l.minute = minute
		l.counts = make(map[saaf.KeyID]int, len(l.counts))
	}
	if l.counts[key.ID] >= key.RateLimit {
		return 0, &saaf.Error{Code: saaf.RateLimited, Word: "rate_limited", Message: "Rate limit exceeded",
			RetryAfter: min(time.Unix((minute+1)*60, 0).Sub(now), time.Minute)}
	}
	l.counts[key.ID]++
	return key.RateLimit - l.counts[key.ID], nil
}
