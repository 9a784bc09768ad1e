package auth

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// take counts one request now.
func take(t *testing.T, l *Limiter, key *saaf.Key, remaining int) {
	t.Helper()
	if got, err := l.Take(context.Background(), key, time.Now()); err != nil || got != remaining {
		t.Errorf("%d left, %v, want %d", got, err, remaining)
	}
}

// refuse counts one request that must be refused for so long.
func refuse(t *testing.T, l *Limiter, key *saaf.Key, retryAfter time.Duration) {
	t.Helper()
	got, err := l.Take(context.Background(), key, time.Now())
	want := &saaf.Error{Code: saaf.RateLimited, Word: "rate_limited", Message: "Rate limit exceeded", RetryAfter: retryAfter}
	if diff := cmp.Diff(error(want), err); diff != "" || got != 0 {
		t.Errorf("%d left, %s", got, diff)
	}
}

// The clock of a bubble starts at 00:00:00, the beginning of a minute.
func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		key := &saaf.Key{ID: 1, RateLimit: 3}
		take(t, &l, key, 2)
		time.Sleep(20 * time.Second)
		take(t, &l, key, 1)
		take(t, &l, key, 0)
		refuse(t, &l, key, 40*time.Second)
		time.Sleep(39*time.Second + 500*time.Millisecond)
		refuse(t, &l, key, 500*time.Millisecond)
		time.Sleep(500*time.Millisecond - time.Nanosecond)
		refuse(t, &l, key, time.Nanosecond)
		time.Sleep(time.Nanosecond)
		for remaining := 2; remaining >= 0; remaining-- { // refused requests did not count
			take(t, &l, key, remaining)
		}
		refuse(t, &l, key, time.Minute)
		time.Sleep(24 * time.Hour)
		take(t, &l, key, 2)
	})
}

// Windows are those of the wall clock: one that begins late ends no later.
func TestWindowIsFixed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		key := &saaf.Key{ID: 1, RateLimit: 1}
		time.Sleep(59 * time.Second)
		take(t, &l, key, 0)
		refuse(t, &l, key, time.Second)
		time.Sleep(time.Second)
		take(t, &l, key, 0)
		refuse(t, &l, key, time.Minute)
	})
}

func TestKeysDoNotShareALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		one, two := &saaf.Key{ID: 1, RateLimit: 1}, &saaf.Key{ID: 2, RateLimit: 2}
		take(t, &l, one, 0)
		refuse(t, &l, one, time.Minute)
		take(t, &l, two, 1)
		take(t, &l, two, 0)
		refuse(t, &l, two, time.Minute)
		refuse(t, &l, one, time.Minute)
		time.Sleep(time.Minute)
		take(t, &l, two, 1)
		take(t, &l, one, 0)
	})
}

// A limit that was changed counts what was used under the old one.
func TestLimitIsThatOfTheKeyAtHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		take(t, &l, &saaf.Key{ID: 1, RateLimit: 5}, 4)
		take(t, &l, &saaf.Key{ID: 1, RateLimit: 5}, 3)
		refuse(t, &l, &saaf.Key{ID: 1, RateLimit: 2}, time.Minute)
		take(t, &l, &saaf.Key{ID: 1, RateLimit: 9}, 6)
	})
}

func TestLimitHoldsForManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		key := &saaf.Key{ID: 1, RateLimit: 600}
		var mu sync.Mutex
		var remaining []int
		refused := 0
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 20 {
					n, err := l.Take(context.Background(), key, time.Now())
					mu.Lock()
					if err == nil {
						remaining = append(remaining, n)
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(remaining)
		if len(remaining) != 600 || refused != 400 {
			t.Errorf("%d taken, %d refused", len(remaining), refused)
		}
		for want, got := range remaining {
			if got != want {
				t.Fatalf("no answer said that %d are left", want)
			}
		}
	})
}

// Requests read the clock before they get the lock: one that still saw the old
// minute must not give the new one back what it has used.
func TestLateRequestAtTheTurnOfTheMinute(t *testing.T) {
	t.Parallel()
	var l Limiter
	key := &saaf.Key{ID: 1, RateLimit: 3}
	turn := time.Date(2026, 11, 20, 9, 1, 0, 0, time.UTC)
	before := turn.Add(-time.Millisecond)
	taken := 0
	for _, now := range []time.Time{turn, before, turn, before, turn, before, turn, before} {
		remaining, err := l.Take(context.Background(), key, now)
		if err == nil {
			taken++
			if remaining != 3-taken {
				t.Errorf("%d left after %d", remaining, taken)
			}
		} else if e := err.(*saaf.Error); e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
			t.Errorf("retry after %v", e.RetryAfter)
		}
	}
	if taken != 3 {
		t.Errorf("%d were let through", taken)
	}
}

// A clock that was set back far begins a new window, not a ban of an hour.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	var l Limiter
	key := &saaf.Key{ID: 1, RateLimit: 1}
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{now, now.Add(-time.Hour), now.Add(-2 * time.Minute), time.Unix(0, 0)} {
		if _, err := l.Take(context.Background(), key, at); err != nil {
			t.Errorf("%v: %v", at, err)
		}
		if _, err := l.Take(context.Background(), key, at); saaf.ErrorCode(err) != saaf.RateLimited {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// The zero Limiter works at any time, also on a machine whose clock was never set.
func TestLimiterInTheFirstMinuteOfTime(t *testing.T) {
	t.Parallel()
	var l Limiter
	if n, err := l.Take(context.Background(), &saaf.Key{ID: 1, RateLimit: 2}, time.Unix(5, 0)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
