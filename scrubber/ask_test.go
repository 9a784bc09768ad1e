package scrubber

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
)

// answers is a source that answers as verdictOf says, and collects what it was asked.
func answers(t *testing.T, mode saaf.SourceMode) (s *Source, asked *[]string) {
	t.Helper()
	c := config("http://localhost")
	c.Mode = mode
	s = newSource(t, c)
	asked = new([]string)
	s.exchange = func(_ context.Context, body []byte) ([]byte, error) {
		n := numbers(t, body)
		*asked = append(*asked, n...)
		return answer(n), nil
	}
	return s, asked
}

// Nobody is asked about a number whose verdict the answer cannot change.
func TestAskOnlyWhatMatters(t *testing.T) {
	t.Parallel()
	file := map[saaf.Phone]saaf.VerdictReason{
		6000000001: clean, 6000000011: unknown, 6000000021: saaf.RegistryStale, 6000000031: full, 6000000041: partial, 6000000051: saaf.Suppressed,
		6000000002: clean, 6000000012: unknown, 6000000022: full,
	}
	phones := make([]saaf.Phone, 0, len(file))
	known := make([]saaf.Verdict, 0, len(file))
	for p, r := range file {
		phones, known = append(phones, p), append(known, saaf.Verdict{Reason: r})
	}
	for mode, want := range map[saaf.SourceMode][]string{
		saaf.Beside:  {"6000000001", "6000000002", "6000000011", "6000000012", "6000000021"},
		saaf.Instead: {"6000000001", "6000000002", "6000000011", "6000000012", "6000000021", "6000000022", "6000000031", "6000000041"},
	} {
		s, asked := answers(t, mode)
		a := s.Ask(t.Context(), phones, known)
		slices.Sort(*asked)
		if !slices.Equal(*asked, want) {
			t.Errorf("%s: asked about %v, want %v", mode, *asked, want)
		}
		verdicts := slices.Clone(known)
		a.Join(phones, verdicts)
		for i, p := range phones {
			outside := verdictOf(p)
			if !slices.Contains(want, p.National()) {
				outside = unknown
			}
			if got, want := verdicts[i].Reason, mode.Combine(known[i].Reason, outside); got != want {
				t.Errorf("%s: file %s of ...%d: %s, want %s", mode, known[i].Reason, p%100, got, want)
			}
		}
	}
}

func TestNoSource(t *testing.T) {
	t.Parallel()
	var s *Source
	verdicts := []saaf.Verdict{{Reason: clean}, {Reason: full}}
	a := s.Ask(t.Context(), []saaf.Phone{ann, bob}, verdicts)
	a.Join([]saaf.Phone{ann, bob}, verdicts)
	if verdicts[0].Reason != clean || verdicts[1].Reason != full || s.Instead() || s.Evidence() != saaf.SourceFile {
		t.Errorf("%v, instead: %v, %s", verdicts, s.Instead(), s.Evidence())
	}
}

// What a source says that was not asked is unknown, not what the file says.
func TestSilenceIsUnknown(t *testing.T) {
	t.Parallel()
	for _, mode := range []saaf.SourceMode{saaf.Beside, saaf.Instead} {
		s, _ := answers(t, mode)
		a, verdicts := s.Silence(), []saaf.Verdict{{Reason: clean}}
		a.Join([]saaf.Phone{ann}, verdicts)
		if verdicts[0].Reason != unknown {
			t.Errorf("%s: %v", mode, verdicts)
		}
	}
}

// Many callers of a checker that hangs: each has its answer within the timeout, and
// soon nobody waits any more.
func TestHangingUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := answers(t, saaf.Beside)
		s.exchange = func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, networkFailure(ctx.Err())
		}
		start := time.Now()
		var wg sync.WaitGroup
		var opened time.Duration
		for s.State().Circuit == Closed && time.Since(start) < time.Hour {
			wg.Go(func() {
				began := time.Now()
				a := s.Ask(t.Context(), []saaf.Phone{ann}, []saaf.Verdict{{Reason: clean}})
				if took := time.Since(began); took > s.timeout || a.found[ann] != unknown {
					t.Errorf("%s after %v", a.found[ann], took)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		if opened = time.Since(start); opened > 4*s.timeout {
			t.Errorf("the circuit is open after %v", opened)
		}
		wg.Wait()
		began := time.Now()
		s.Ask(t.Context(), []saaf.Phone{ann}, []saaf.Verdict{{Reason: clean}})
		if took := time.Since(began); took != 0 {
			t.Errorf("with an open circuit an answer takes %v", took)
		}
	})
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	s, _ := answers(t, saaf.Beside)
	if got := s.Capacity(); got != 200 {
		t.Errorf("%d numbers at a time", got)
	}
	for range s.breaker.Failures {
		a, err := s.breaker.admit()
		if err != nil {
			t.Fatal(err)
		}
		s.breaker.report(a, failed)
	}
	if got := s.Capacity(); got != 100 {
		t.Errorf("%d numbers at a time after failures", got)
	}
}
