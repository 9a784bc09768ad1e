package auth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"saaf"
	"saaf/store"
)

// everybody is what the database knows: the totals of each minute and key.
type everybody struct {
	sleep func(time.Duration) // that of the bubble
	takes time.Duration       // each word
	fails error
	words atomic.Int64

	mu   sync.Mutex
	used map[int64]map[saaf.KeyID]int64 // guarded by mu
}

func (e *everybody) spend(ctx context.Context, minute int64, used []store.KeyUse) (totals []store.KeyUse, err error) {
	e.words.Add(1)
	e.sleep(e.takes / 2)
	if e.fails != nil {
		return nil, e.fails
	}
	e.mu.Lock()
	if e.used == nil {
		e.used = make(map[int64]map[saaf.KeyID]int64)
	}
	if e.used[minute] == nil {
		e.used[minute] = make(map[saaf.KeyID]int64)
	}
	for _, u := range used {
		e.used[minute][u.Key] += u.Requests
		totals = append(totals, store.KeyUse{Key: u.Key, Requests: e.used[minute][u.Key]})
	}
	e.mu.Unlock()
	e.sleep(e.takes - e.takes/2)
	return totals, nil
}

// load is requests of one key to one process.
type load struct {
	process int
	at      time.Duration // of the first
	every   time.Duration // 0: all at once
	count   int
}

// outcome is what became of them in each minute.
type outcome struct{ offered, admitted map[int64]int }

// together has processes take loads at the same time.
func (e *everybody) together(processes int, key *saaf.Key, loads []load) outcome {
	ctx, stop := context.WithCancel(context.Background())
	var running, requests sync.WaitGroup
	limiters := make([]*Limiter, processes)
	for i := range limiters {
		limiters[i] = sharedLimiter(e.spend)
		running.Go(func() { limiters[i].run(ctx) })
	}
	begin := time.Now()
	var mu sync.Mutex
	out := outcome{make(map[int64]int), make(map[int64]int)}
	for _, load := range loads {
		for n := range load.count {
			at := load.at + time.Duration(n)*load.every
			if at%time.Minute > 55*time.Second {
				break // every request ends in the minute in which it began
			}
			requests.Go(func() {
				e.sleep(time.Until(begin.Add(at)))
				now := time.Now()
				_, err := limiters[load.process].Take(ctx, key, now)
				mu.Lock()
				defer mu.Unlock()
				out.offered[now.Unix()/60]++
				if err == nil {
					out.admitted[now.Unix()/60]++
				}
			})
		}
	}
	requests.Wait()
	stop()
	running.Wait()
	return out
}

// However requests come to several processes, together they let the limit through
// where so many are made, and never much more.
func TestProcessesShareALimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		processes := rapid.IntRange(1, 5).Draw(rt, "processes")
		limit := rapid.OneOf(rapid.IntRange(1, 40), rapid.Just(600)).Draw(rt, "limit")
		e := &everybody{takes: time.Duration(rapid.IntRange(0, 100).Draw(rt, "word takes ms")) * time.Millisecond}
		loads := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) load {
			return load{
				process: rapid.IntRange(0, processes-1).Draw(rt, "process"),
				at:      time.Duration(rapid.IntRange(0, 2*60_000).Draw(rt, "at ms")) * time.Millisecond,
				every:   time.Duration(rapid.SampledFrom([]int{0, 0, 1, 7, 50}).Draw(rt, "every ms")) * time.Millisecond,
				count:   rapid.IntRange(1, 2*limit).Draw(rt, "count"),
			}
		}), 1, 6).Draw(rt, "loads")
		var out outcome
		synctest.Test(t, func(*testing.T) {
			e.sleep = time.Sleep
			out = e.together(processes, &saaf.Key{ID: 1, RateLimit: limit}, loads)
		})
		for minute, offered := range out.offered {
			admitted := out.admitted[minute]
			// Each may let through a 32nd that the others do not know of, but that the word
			// which fills the limit brings at least one request that is within it.
			most := limit
			if processes > 1 {
				most += max(0, processes*(limit/32)-1)
			}
			if admitted > most || admitted < min(limit, offered) {
				rt.Errorf("minute %d: %d requests, %d let through, limit %d", minute, offered, admitted, limit)
			}
		}
	})
}

// Nobody is let through beside those who wait for a word on the way: they may fill the
// limit.
func TestNobodyOvertakesAWord(t *testing.T) {
	t.Parallel()
	l := sharedLimiter((&everybody{}).spend)
	key, now := &saaf.Key{ID: 1, RateLimit: 36}, time.Date(2026, 11, 20, 9, 0, 30, 0, time.UTC)
	next := func(waits bool) {
		t.Helper()
		if _, wait, err := l.take(key, now); err != nil || (wait != nil) != waits {
			t.Errorf("it waits: %v, %v; want %v", wait != nil, err, waits)
		}
	}
	next(false) // a 32nd of the limit
	first, _ := l.begin()
	next(true)
	l.end(first, []store.KeyUse{{Key: 1, Requests: 1}}, nil)
	_, used := l.begin()
	if len(used) != 1 || used[0].Requests != 1 {
		t.Errorf("told are %v", used)
	}
	next(true)
}

// A process that serves a key alone says how much is left as if there were no others.
func TestRemainingOfASharedLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &everybody{sleep: time.Sleep, takes: 2 * time.Millisecond}
		l := sharedLimiter(e.spend)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { l.run(ctx); close(ended) }()
		key := &saaf.Key{ID: 1, RateLimit: 100}
		for want := 99; want >= 0; want-- {
			take(t, l, key, want)
		}
		refuse(t, l, key, time.Minute-time.Since(time.Unix(time.Now().Unix()/60*60, 0)))
		// What another process uses is heard with the next word.
		time.Sleep(time.Minute)
		take(t, l, key, 99)
		if _, err := e.spend(ctx, time.Now().Unix()/60, []store.KeyUse{{Key: 1, Requests: 50}}); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * tellEvery)
		take(t, l, key, 48)
		stop()
		<-ended
	})
}

// While the database does not answer each process counts for itself, and requests do
// not wait for it one after the other.
func TestLimitsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*everybody{
		"fails": {fails: errors.New("no database")},
		"hangs": {takes: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e.sleep = time.Sleep
				begin := time.Now()
				out := e.together(2, &saaf.Key{ID: 1, RateLimit: 600}, []load{
					{process: 0, count: 700, every: 5 * time.Millisecond},
					{process: 1, count: 5, every: time.Second},
				})
				for _, admitted := range out.admitted {
					if admitted != 605 {
						t.Errorf("%d let through", admitted)
					}
				}
				if took := time.Since(begin); e.takes == 0 && took > 5*time.Second {
					t.Errorf("the requests took %v", took)
				}
				if n := e.words.Load(); n > 60 {
					t.Errorf("the database was asked %d times in five seconds", n)
				}
			})
		})
	}
}

// A request waits a second at most, and then others do not wait at all.
func TestHowLongRequestsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &everybody{sleep: time.Sleep, takes: time.Minute}
		l := sharedLimiter(e.spend)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { l.run(ctx); close(ended) }()
		key := &saaf.Key{ID: 1, RateLimit: 10}
		begin := time.Now()
		take(t, l, key, 9)
		if took := time.Since(begin); took != waitLimit {
			t.Errorf("the first waited %v", took)
		}
		begin = time.Now()
		for want := 8; want >= 0; want-- {
			take(t, l, key, want)
		}
		refuse(t, l, key, time.Minute-waitLimit)
		if took := time.Since(begin); took != 0 {
			t.Errorf("the others waited %v", took)
		}
		stop()
		<-ended
	})
}
