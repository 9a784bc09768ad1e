package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"saaf"
)

// target is a server that takes pushes.
type target struct {
	url    string   // of the server
	keys   []string // each client has its own, as long as there are enough
	client *http.Client
}

func newTarget(url string, keys []string) *target {
	return &target{url: url, keys: keys, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{}).DialContext},
		Timeout:   time.Minute,
	}}
}

func (t *target) close() { t.client.CloseIdleConnections() }

// wave is pushes by clients that each send the next one when the one before is answered.
type wave struct {
	to       *campaign
	clients  int
	size     int64       // leads in a request; 1: a single push
	requests int64       // how many; 0: until the context ends, which is then no error
	fragile  bool        // the server may go: a request without an answer is noted, and ends its client
	sent     func(int64) // told how many leads were answered so far; may be nil
}

// took is what a wave took.
type took struct {
	wall      time.Duration
	latencies []time.Duration // of requests, ascending
	leads     int64           // that were acknowledged
}

func (r took) rate() float64 { return float64(r.leads) / r.wall.Seconds() }

// p is a percentile in milliseconds.
func (r took) p(percent int) float64 { return percentile(r.latencies, percent) }

// send sends a wave. An answer that is not as it must be is an error: what was
// acknowledged would no longer be known.
func (t *target) send(ctx context.Context, w wave) (took, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	path, first := "/leads:bulk", w.to.Leads
	if w.size == 1 {
		path = "/leads"
	}
	url := t.url + "/api/v1/campaigns/" + w.to.ID + path
	var next, answered atomic.Int64
	var mu sync.Mutex
	var all took
	var failed error
	var group sync.WaitGroup
	start := time.Now()
	for c := range w.clients {
		key := t.keys[c%len(t.keys)]
		group.Go(func() {
			var body []byte
			var latencies []time.Duration
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				all.latencies = append(all.latencies, latencies...)
			}()
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if w.requests > 0 && i >= w.requests {
					return
				}
				from := first + i*w.size
				var listed int
				if w.size > 1 {
					body, listed = w.to.seq.appendBulk(body[:0], from, w.size)
				} else {
					p, is := w.to.seq.lead(from)
					if body = appendLead(body[:0], p); is {
						listed = 1
					}
				}
				began := time.Now()
				// One that was sent must be known to be answered or not.
				status, answer, err := t.post(context.WithoutCancel(ctx), url, key, body)
				latencies = append(latencies, time.Since(began))
				if err == nil {
					err = expect(status, answer, w.size, listed)
				}
				if err == nil {
					if n := answered.Add(w.size); w.sent != nil {
						w.sent(n)
					}
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if w.fragile && status == 0 || w.fragile && status == http.StatusServiceUnavailable {
					w.to.Unanswered = append(w.to.Unanswered, span{from, w.size})
					return
				}
				failed = errors.Join(failed, err)
				stop()
				return
			}
		})
	}
	group.Wait()
	all.wall = time.Since(start)
	all.leads = answered.Load()
	sent := next.Load()
	if w.requests > 0 {
		sent = min(sent, w.requests)
	}
	w.to.Leads = first + sent*w.size
	slices.Sort(all.latencies)
	if failed != nil {
		return all, fmt.Errorf("a push failed: %w", failed)
	}
	if w.requests == 0 {
		return all, nil
	}
	return all, ctx.Err()
}

// post sends a request. status is 0 when there was no answer.
func (t *target) post(ctx context.Context, url, key string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, answer, nil
}

// expect holds an answer against what must be in it: leads that were added, of which so
// many are on the registry.
func expect(status int, answer []byte, leads int64, listed int) error {
	switch {
	case status >= 300:
		return fmt.Errorf("status %d: %.200s", status, saaf.MaskNumbers(string(answer)))
	case leads == 1:
		if want := []byte(`"status":"` + map[bool]string{true: "dnd", false: "pending"}[listed == 1] + `"`); !bytes.Contains(answer, want) {
			return fmt.Errorf("a lead was not answered with %s", want)
		}
	default:
		added, found := bytes.Count(answer, []byte(`"status":"added"`)), bytes.Count(answer, []byte(`"dnd":true`))
		if int64(added) != leads || found != listed {
			return fmt.Errorf("of %d leads %d were added, and %d marked, not %d", leads, added, found, listed)
		}
	}
	return nil
}
