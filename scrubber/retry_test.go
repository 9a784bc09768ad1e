package scrubber

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// script answers attempts one after the other and notes when they came.
type script struct {
	results []error
	began   time.Time
	at      []time.Duration
	again   int
}

func (s *script) run(ctx context.Context, retries int) ([]byte, error) {
	s.began = time.Now()
	return retry(ctx, retries, func() { s.again++ }, func(context.Context) ([]byte, error) {
		s.at = append(s.at, time.Since(s.began))
		err := s.results[len(s.at)-1]
		if err != nil {
			return nil, err
		}
		return []byte("yes"), nil
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	busy := &failure{text: "busy", again: true}
	wrong := &failure{text: "wrong"}
	asked := &failure{text: "asked to wait", again: true, wait: 7 * time.Second}
	for name, c := range map[string]struct {
		results  []error
		retries  int
		budget   time.Duration
		attempts int
		err      error
	}{
		"at once":                  {[]error{nil}, 5, time.Minute, 1, nil},
		"the third time":           {[]error{busy, busy, nil}, 5, time.Minute, 3, nil},
		"never":                    {[]error{busy, busy, busy, busy}, 3, time.Minute, 4, busy},
		"without retries":          {[]error{busy}, 0, time.Minute, 1, busy},
		"not what cannot get well": {[]error{busy, wrong}, 5, time.Minute, 2, wrong},
		"not what is unknown":      {[]error{errBusy}, 5, time.Minute, 1, errBusy},
		"after the wait":           {[]error{asked, nil}, 5, 8 * time.Second, 2, nil},
		"the wait does not fit":    {[]error{asked}, 5, 7 * time.Second, 1, asked},
		"the pause does not fit":   {[]error{busy}, 5, firstPause / 2, 1, busy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.budget)
				defer cancel()
				s := &script{results: c.results}
				answer, err := s.run(ctx, c.retries)
				if !errors.Is(err, c.err) || (string(answer) == "yes") != (c.err == nil) {
					t.Errorf("%q, %v", answer, err)
				}
				if len(s.at) != c.attempts || s.again != c.attempts-1 {
					t.Errorf("%d attempts, %d told of, want %d", len(s.at), s.again, c.attempts)
				}
				if c.attempts == 1 && time.Since(s.began) != 0 {
					t.Errorf("returned only after %v", time.Since(s.began))
				}
			})
		})
	}
}

func TestRetryWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy := &failure{text: "busy", again: true}
		told := &failure{text: "busy", again: true, wait: 3 * time.Second}
		s := &script{results: []error{busy, busy, told, busy, busy, busy}}
		if _, err := s.run(t.Context(), 5); !errors.Is(err, busy) {
			t.Error(err)
		}
		for i, most := range []time.Duration{200, 400, 3800, 1600, 3200} {
			most *= time.Millisecond
			least := most / 2
			if i == 2 {
				least = told.wait + 400*time.Millisecond
			}
			if wait := s.at[i+1] - s.at[i]; wait < least || wait > most {
				t.Errorf("pause %d: %v, want %v to %v", i, wait, least, most)
			}
		}
	})
}

func TestRetryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		busy := &failure{text: "busy", again: true, wait: time.Hour}
		s := &script{results: []error{busy}}
		if _, err := s.run(ctx, 5); !errors.Is(err, busy) {
			t.Error(err)
		}
		if waited := time.Since(s.began); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestPauses(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 100 {
		for n := range 10 {
			p := pause(n)
			if span := min(firstPause<<n, maxPause); p < span/2 || p > span {
				t.Errorf("pause %d is %v", n, p)
			}
			seen[p] = true
		}
	}
	if len(seen) < 500 {
		t.Errorf("only %d different pauses in 1000", len(seen))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"12":                            12 * time.Second,
		"-1":                            0,
		"+1":                            0,
		"1.5":                           0,
		"soon":                          0,
		"99999999999999999999":          0,
		"2147483647":                    2147483647 * time.Second,
		now.Format(http.TimeFormat):     0,
		"Fri, 20 Nov 2026 09:00:30 GMT": 30 * time.Second,
		"Fri, 20 Nov 2026 08:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
