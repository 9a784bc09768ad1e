package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http/httptest"
	"runtime"
	"slices"
	"time"

	"saaf"
	"saaf/api"
	"saaf/dnd"
)

// inProcess measures the parts of a push that need no server.
func (r *run) inProcess(ctx context.Context, reg *registry) error {
	r.say("reading, normalising and checking, without a store")
	for _, step := range []func() error{
		func() error { return r.scrubShare(ctx, reg) },
		r.parsing,
		r.phones,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

const sharePushes = 400

// scrubShare finds which part of a bulk push without its transaction the registry is.
func (r *run) scrubShare(ctx context.Context, reg *registry) error {
	snap, opened, err := reg.active(ctx)
	if err != nil {
		return err
	}
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		return err
	}
	registry.Use(opened, saaf.SnapshotRef{ID: snap.ID, EffectiveDate: snap.EffectiveDate})
	raw, handler := api.NewRawPush(registry.View().CheckAll, slog.New(slog.NewJSONHandler(io.Discard, nil)))
	server := httptest.NewServer(handler)
	defer server.Close()
	s := newSequence(r.registry, 4)
	var whole []time.Duration
	var body []byte
	for i := range int64(sharePushes) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var listed int
		body, listed = s.appendBulk(body[:0], i*saaf.MaxBulk, saaf.MaxBulk)
		began := time.Now()
		resp, err := server.Client().Post(server.URL, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(resp.Body)
		whole = append(whole, time.Since(began))
		if err := errors.Join(err, resp.Body.Close(), expect(resp.StatusCode, answer, saaf.MaxBulk, listed)); err != nil {
			return err
		}
	}
	server.Close() // the last request has ended when it was answered, and a moment more
	middle := func(list []time.Duration) float64 {
		slices.Sort(list)
		return percentile(list, 50) * 1000
	}
	r.add(row(11, "scrub", "asking the registry about 500 numbers", middle(raw.Checks), "µs").beside(middle(whole)).must(atMost, 0.08).
		noted("against a bulk push without its transaction, over loopback; the handler alone takes %.3g µs", middle(raw.Requests)))
	return nil
}

// turns is how often two things that are compared take turns.
const turns = 100

// quickest has functions take turns, and returns of each the quickest time, so that it
// matters little what else the machine does.
func quickest(fs ...func() error) (best []time.Duration, err error) {
	best = slices.Repeat([]time.Duration{math.MaxInt64}, len(fs))
	for range turns {
		for i, f := range fs {
			start := time.Now()
			if err := f(); err != nil {
				return nil, err
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	return best, nil
}

// allocations is how often f asks for memory, on average.
func allocations(f func() error) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range turns {
		if err := f(); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return math.Floor(float64(after.Mallocs-before.Mallocs) / turns), nil // others ask, too
}

// parsing compares the reading of a bulk push with encoding/json.
func (r *run) parsing() error {
	s := newSequence(r.registry, 5)
	body, _ := s.appendBulk(nil, 0, saaf.MaxBulk)
	ours := func() error {
		n, err := api.RawRead(body)
		if err == nil && n != saaf.MaxBulk {
			err = fmt.Errorf("%d leads were read", n)
		}
		return err
	}
	theirs := func() error {
		var push struct {
			Leads []struct {
				Phone      string          `json:"phone"`
				Name       *string         `json:"name"`
				Email      *string         `json:"email"`
				ExternalID *string         `json:"external_id"`
				Metadata   json.RawMessage `json:"metadata"`
			} `json:"leads"`
		}
		return json.Unmarshal(body, &push)
	}
	best, err := quickest(ours, theirs)
	if err != nil {
		return err
	}
	allocs, err := allocations(ours)
	if err != nil {
		return err
	}
	perSecond := func(d time.Duration) float64 { return float64(len(body)) / 1e6 / d.Seconds() }
	r.add(row(13, "parse", "reading the body of a bulk push", perSecond(best[0]), "MB/s").beside(perSecond(best[1])).must(atLeast, 5).
		noted("against encoding/json; the quickest of %d runs of each", turns))
	r.add(row(13, "parse_allocations", "allocations while a body is read", allocs, "allocations").must(atMost, 10))
	return nil
}

// phones measures the normalising of phones.
func (r *run) phones() error {
	s := newSequence(r.registry, 6)
	texts := make([]string, 10_000)
	for i := range texts {
		p, _ := s.lead(int64(i))
		texts[i] = []string{"%d", "+91%d", "0%d", "+91-%d"}[i%4]
		texts[i] = fmt.Sprintf(texts[i], int64(p))
	}
	ours := func() error {
		for _, text := range texts {
			if _, reason := (saaf.PhonePolicy{}).Parse(text); reason != saaf.ReasonNone {
				return reason.Err()
			}
		}
		return nil
	}
	bare := func() error {
		sum := int64(0)
		for _, text := range texts {
			n := int64(0)
			for i := range len(text) {
				if d := text[i] - '0'; d <= 9 {
					n = 10*n + int64(d)
				}
			}
			sum += n
		}
		runtime.KeepAlive(sum)
		return nil
	}
	best, err := quickest(ours, bare)
	if err != nil {
		return err
	}
	allocs, err := allocations(ours)
	if err != nil {
		return err
	}
	each := func(d time.Duration) float64 { return float64(d) / float64(len(texts)) }
	r.add(row(14, "phone", "normalising a phone", each(best[0]), "ns").beside(each(best[1])).
		noted("against a bare loop over its digits; the library it is held against is no part of the program: BenchmarkPhoneParse"))
	r.add(row(14, "phone_allocations", "allocations for 10,000 phones", allocs, "allocations").must(atMost, 0))
	return nil
}
