package scrubber

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
)

// scripted is a source whose attempts are made by exchange instead of HTTP.
func scripted(t *testing.T, c *Config, exchange func(context.Context, []byte) ([]byte, error)) *Source {
	t.Helper()
	s := newSource(t, c)
	s.exchange = exchange
	return s
}

// span is n numbers from 6000000000.
func span(n int) (phones []saaf.Phone) {
	for i := range n {
		phones = append(phones, 6000000000+saaf.Phone(i))
	}
	return phones
}

func TestCheckKeepsLengthAndOrder(t *testing.T) {
	t.Parallel()
	c := config(serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(answer(asked(t, r))) }).URL)
	c.Batch = 7
	s := newSource(t, c)
	phones := append(span(50), 0, ann, 999_999_999, 10_000_000_000, -ann, bob)
	found, err := s.Check(t.Context(), phones)
	if len(found) != len(phones) {
		t.Fatalf("%d findings of %d phones", len(found), len(phones))
	}
	for i, p := range phones {
		want := unknown
		if p >= 6000000000 && p < 6000000050 {
			want = verdictOf(p)
		}
		if found[i] != want {
			t.Errorf("%d: %v is %s, want %s", i, p, found[i], want)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "4 phones are no numbers") || !strings.Contains(err.Error(), "in none of the lists") {
		t.Error(err)
	} else {
		checkQuiet(t, err.Error())
	}
	st := s.State()
	if st.Batches != 8 || st.Clean != 5 || st.Blocked != 5 || st.Partial != 5 || st.Unknown != 35 || st.Failed != 0 || st.Circuit != Closed {
		t.Errorf("%+v", st)
	}
	if s.Name() != "tester" || s.Mode() != saaf.Beside || s.MaxAge() != 24*time.Hour {
		t.Error(s.Name(), s.Mode(), s.MaxAge())
	}
}

func TestCheckOfNothing(t *testing.T) {
	t.Parallel()
	s := scripted(t, config("https://scrub.example.com"), func(context.Context, []byte) ([]byte, error) {
		return nil, errors.New("asked")
	})
	if found, err := s.Check(t.Context(), nil); len(found) != 0 || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	found, err := s.Check(t.Context(), []saaf.Phone{0})
	checkFound(t, found, unknown)
	if err == nil || strings.Contains(err.Error(), "asked: ") {
		t.Error(err)
	}
}

// One batch that fails makes its own numbers unknown, not those of others.
func TestBatchesFailAlone(t *testing.T) {
	t.Parallel()
	c := config(serve(t, func(w http.ResponseWriter, r *http.Request) {
		numbers := asked(t, r)
		if numbers[0] == "6000000010" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write(answer(numbers))
	}).URL)
	c.Batch = 10
	found, err := newSource(t, c).Check(t.Context(), span(30))
	for i, f := range found {
		want := verdictOf(saaf.Phone(i))
		if i/10 == 1 {
			want = unknown
		}
		if f != want {
			t.Errorf("%d is %s, want %s", i, f, want)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "400") {
		t.Error(err)
	}
}

// Of all callers together, no more than the configured number are under way.
func TestParallelIsForAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("https://scrub.example.com")
		c.Batch, c.Parallel = 1, 3
		var now, most atomic.Int64
		s := scripted(t, c, func(_ context.Context, body []byte) ([]byte, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			return answer(numbers(t, body)), nil
		})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				p := ann + saaf.Phone(10*i)
				found, err := s.Check(t.Context(), []saaf.Phone{p, p + 1, p + 2})
				checkFound(t, found, clean, full, partial)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 3 || time.Since(began) != 4*time.Second {
			t.Errorf("%d at the same time, %v", most.Load(), time.Since(began))
		}
	})
}

// Waiting for a turn ends after the timeout, and is not the checker's failure.
func TestWaitForATurnIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("https://scrub.example.com")
		c.Parallel, c.Timeout, c.Breaker.Failures = 1, 10*time.Second, 1
		s := scripted(t, c, func(_ context.Context, body []byte) ([]byte, error) {
			time.Sleep(15 * time.Second)
			return answer(numbers(t, body)), nil
		})
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			found, _ := s.Check(t.Context(), []saaf.Phone{ann})
			checkFound(t, found, clean)
		})
		synctest.Wait()
		began := time.Now()
		found, err := s.Check(t.Context(), []saaf.Phone{ann})
		checkFound(t, found, unknown)
		if !errors.Is(err, errBusy) || time.Since(began) != c.Timeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if st := s.State(); st.Circuit != Closed || st.NotAsked != 1 || st.LastError != "" {
			t.Errorf("%+v", st)
		}
	})
}

// A caller that gives up is not a failure of the checker, and gets what came.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	for name, deadline := range map[string]bool{"cancelled": false, "deadline": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := config("https://scrub.example.com")
				c.Parallel, c.Batch, c.Breaker.Failures = 1, 1, 1
				s := scripted(t, c, func(ctx context.Context, body []byte) ([]byte, error) {
					if strings.Contains(string(body), ann.National()) {
						return answer(numbers(t, body)), nil
					}
					<-ctx.Done()
					return nil, networkFailure(ctx.Err())
				})
				ctx, cancel := context.WithCancel(t.Context())
				want := context.Canceled
				if deadline {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					want = context.DeadlineExceeded
				} else {
					time.AfterFunc(time.Second, cancel)
				}
				defer cancel()
				found, err := s.Check(ctx, []saaf.Phone{ann, bob, cyd})
				checkFound(t, found, clean, unknown, unknown)
				if !errors.Is(err, want) {
					t.Error(err)
				}
				if st := s.State(); st.Circuit != Closed || st.Failed != 0 || st.NotAsked != 0 || st.Batches != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A checker that does not answer costs each batch the timeout, then the circuit opens.
func TestTimeoutIsForAllAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("https://scrub.example.com")
		c.Retries, c.Timeout = 5, 5*time.Second
		attempts := 0
		s := scripted(t, c, func(ctx context.Context, _ []byte) ([]byte, error) {
			attempts++
			if attempts < 3 {
				return nil, &failure{text: "busy", again: true}
			}
			<-ctx.Done()
			return nil, networkFailure(ctx.Err())
		})
		began := time.Now()
		found, err := s.Check(t.Context(), []saaf.Phone{ann})
		checkFound(t, found, unknown)
		if err == nil || !strings.Contains(err.Error(), "within the timeout") || time.Since(began) != c.Timeout || attempts != 3 {
			t.Errorf("%v after %v and %d attempts", err, time.Since(began), attempts)
		}
		if st := s.State(); st.Failed != 1 || st.Retries != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// An answer about others counts as a failure; one that knows no verdict does not.
func TestWhatTheCircuitCounts(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Circuit{
		`{"data": {"results": []}}`:                                               Open,
		`{"data": {"results": [{"number": "6000000002", "status": "ok"}]}}`:       Open,
		`{"data": {"results": [{"number": "6000000001", "status": "pending"}]}}`:  Closed,
		`{"data": {"results": [{"number": "6000000001", "status": "dnd"}]}}`:      Closed,
		`{"data": {"results": [{"number": "6000000001", "status": "dnd"}], "x":0`: Open,
	} {
		c := config("https://scrub.example.com")
		c.Breaker.Failures = 1
		s := scripted(t, c, func(context.Context, []byte) ([]byte, error) { return []byte(body), nil })
		if _, err := s.Check(t.Context(), []saaf.Phone{ann}); err != nil {
			checkQuiet(t, err.Error())
		}
		if got := s.State().Circuit; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// Errors that say the same are told once, and many different ones are cut.
func TestErrorsAreFew(t *testing.T) {
	t.Parallel()
	c := config("https://scrub.example.com")
	c.Batch, c.Breaker.Failures = 1, 100
	s := scripted(t, c, func(context.Context, []byte) ([]byte, error) { return nil, &failure{text: "down"} })
	_, err := s.Check(t.Context(), span(40))
	if want := "scrubber tester: down (40 times)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	var n atomic.Int64
	s = scripted(t, c, func(context.Context, []byte) ([]byte, error) {
		return nil, &failure{text: fmt.Sprint("down ", n.Add(1))}
	})
	_, err = s.Check(t.Context(), span(40))
	if err == nil || strings.Count(err.Error(), "\n") != maxErrors || !strings.HasSuffix(err.Error(), "and 30 more like these") {
		t.Error(err)
	}
}

// Many callers at once each get their own findings.
func TestConcurrentChecks(t *testing.T) {
	t.Parallel()
	c := config(serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(answer(asked(t, r))) }).URL)
	c.Batch, c.Parallel = 5, 4
	s := newSource(t, c)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			phones := span(20 + i)[i:]
			found, _ := s.Check(t.Context(), phones)
			for j, p := range phones {
				if found[j] != verdictOf(p) {
					t.Errorf("%v is %s", p, found[j])
				}
			}
			_ = s.State()
		})
	}
	wg.Wait()
}
