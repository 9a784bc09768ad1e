package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"saaf"
)

// phase is when a request was due.
type phase int32

const (
	warming    phase = iota
	alone            // nothing else goes on
	during           // the registry is imported and activated
	rechecking       // leads are re-checked, of which half turn
)

// pushes sends leads at a steady rate, whether or not earlier ones are answered, and
// counts the time of each from when it was due. What it pushes it knows the verdict
// of.
type pushes struct {
	bench  *registry
	url    string // of the campaign
	key    string
	client *http.Client
	phase  atomic.Int32
	next   atomic.Int64 // leads made so far
	senders,
	requests sync.WaitGroup

	mu     sync.Mutex // guards what follows
	took   map[phase]map[bool][]time.Duration
	failed int
	wrong  int
	first  string // what the first failure was
	leads  int64
}

func newPushes(b *registry, url, key string) *pushes {
	return &pushes{
		bench: b, url: url, key: key,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: time.Minute},
		took:   map[phase]map[bool][]time.Duration{alone: {}, during: {}, rechecking: {}},
	}
}

// start sends until ctx ends.
func (p *pushes) start(ctx context.Context) {
	p.senders.Go(func() { p.send(ctx, bulkEvery, true) })
	p.senders.Go(func() { p.send(ctx, singleEvery, false) })
}

// wait returns when everything that was sent is answered.
func (p *pushes) wait() {
	p.senders.Wait()
	p.requests.Wait()
	p.client.CloseIdleConnections()
}

// enter says what goes on from now on.
func (p *pushes) enter(ph phase) { p.phase.Store(int32(ph)) }

// send sends a request whenever one is due.
func (p *pushes) send(ctx context.Context, every time.Duration, bulk bool) {
	due := time.Now()
	for ctx.Err() == nil {
		path, body, blocked := "/leads", []byte(nil), []bool(nil)
		if bulk {
			path = "/leads:bulk"
			body, blocked = p.bulkBody()
		} else {
			body, blocked = p.lead(nil, nil)
		}
		due = due.Add(every)
		if wait(ctx, time.Until(due)) != nil {
			return
		}
		ph, due := phase(p.phase.Load()), due
		p.requests.Go(func() {
			wrong, err := p.post(context.WithoutCancel(ctx), path, body, blocked)
			p.count(ph, bulk, time.Since(due), len(blocked), wrong, err)
		})
	}
}

// lead appends a lead, and whether its number is blocked. Every other one is on the
// registry, in the plain one as well as in the listed one and after their deltas.
func (p *pushes) lead(body []byte, blocked []bool) ([]byte, []bool) {
	b := p.bench
	for {
		n := p.next.Add(1) - 1
		isListed, i := n%2 == 0, n/2
		if !isListed {
			i += b.Numbers + 2*b.Delta // behind those that deltas add
		}
		phone := b.plain.Number(i % b.plain.Capacity())
		if isListed && (i >= b.Numbers || !b.deltas[0].Entry(phone).Listed || !b.deltas[1].Entry(phone).Listed) {
			continue
		}
		return fmt.Appendf(body, `{"phone":"%s","name":"Lead %d","email":"lead%d@example.com","metadata":{"plan":"enterprise","source":"website","city":"Pune","score":%d}}`,
			phone.National(), n, n, n%100), append(blocked, isListed)
	}
}

func (p *pushes) bulkBody() (body []byte, blocked []bool) {
	body = []byte(`{"leads":[`)
	for i := range saaf.MaxBulk {
		if i > 0 {
			body = append(body, ',')
		}
		body, blocked = p.lead(body, blocked)
	}
	return append(body, "]}"...), blocked
}

// post sends leads and returns how many got a verdict that is not theirs.
func (p *pushes) post(ctx context.Context, path string, body []byte, blocked []bool) (wrong int, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", p.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		return 0, fmt.Errorf("status %d: %.200s", resp.StatusCode, answer)
	}
	return wrongVerdicts(answer, blocked)
}

// checked returns when all leads have been re-checked by the active snapshot.
func (p *pushes) checked(ctx context.Context, url string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", url+"/api/v1/dnd/registry", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+p.key)
		resp, err := p.client.Do(req)
		if err != nil {
			return err
		}
		var registry struct {
			Checked bool `json:"all_leads_checked"`
		}
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&registry), resp.Body.Close())
		if err != nil || registry.Checked {
			return err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// wrongVerdicts counts the leads of an answer that are not marked as they must be.
func wrongVerdicts(answer []byte, blocked []bool) (wrong int, err error) {
	var a struct {
		Status  string `json:"status"` // of a single push
		Results []struct {
			Status string `json:"status"`
			DND    bool   `json:"dnd"`
		} `json:"results"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, err
	}
	if a.Results == nil {
		if want := map[bool]string{true: "dnd", false: "pending"}[blocked[0]]; a.Status != want {
			wrong++
		}
		return wrong, nil
	}
	if len(a.Results) != len(blocked) {
		return len(blocked), nil
	}
	for i, r := range a.Results {
		if r.Status != "added" || r.DND != blocked[i] {
			wrong++
		}
	}
	return wrong, nil
}

func (p *pushes) count(ph phase, bulk bool, took time.Duration, leads, wrong int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads += int64(leads)
	p.wrong += wrong
	if err != nil {
		p.failed++
		if p.first == "" {
			p.first = saaf.MaskNumbers(err.Error())
		}
	}
	if p.took[ph] != nil {
		p.took[ph][bulk] = append(p.took[ph][bulk], took)
	}
}

// report adds what was found. Nothing is sent any more.
func (p *pushes) report() {
	for _, kind := range []struct {
		name, what, told string
		bulk             bool
	}{{"bulk", fmt.Sprintf("p99 of pushes of %d leads during import and activation", saaf.MaxBulk), "the same while leads are re-checked", true},
		{"single", "p99 of pushes of one lead during import and activation", "the same while leads are re-checked", false}} {
		was, is := p.took[alone][kind.bulk], p.took[during][kind.bulk]
		then := p.took[rechecking][kind.bulk]
		p.bench.add(against(kind.name+"_p99", kind.what, percentile(is, 99), percentile(was, 99), "ms", 2).
			noted("of %s requests, against %s before and after; median %.3g ms, %.3g ms then", thousands(int64(len(is))), thousands(int64(len(was))),
				percentile(is, 50), percentile(was, 50)))
		p.bench.add(told(kind.name+"_p99_rechecking", kind.told, percentile(then, 99), "ms").
			noted("of %s requests; every other lead turns", thousands(int64(len(then)))))
	}
	failed := within("failed", "requests that failed", float64(p.failed), "requests", 0)
	if p.first != "" {
		failed = failed.noted("the first: %s", p.first)
	}
	p.bench.add(failed)
	p.bench.add(within("wrong_verdicts", "leads that were not marked as they must be", float64(p.wrong), "leads", 0).
		noted("of %s", thousands(p.leads)))
}

// percentile is in milliseconds; 0 of nothing.
func percentile(list []time.Duration, p int) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return float64(sorted[min(len(sorted)-1, len(sorted)*p/100)]) / 1e6
}

// spotChecks is how many listed numbers, and as many others, are looked up at the end.
const spotChecks = 1_000_000

// verify looks into the snapshot that is active in the end for numbers whose entries
// are known: listed ones, unlisted ones, and all of the delta.
func (b *registry) verify(ctx context.Context) error {
	b.say("checking what the registry holds")
	snap, opened, err := b.active(ctx)
	if err != nil {
		return err
	}
	d, checked, wrong := b.deltas[1], int64(0), 0
	check := func(p saaf.Phone) {
		checked++
		if opened.Lookup(p) != d.Entry(p) {
			wrong++
		}
	}
	stride := func(from, to int64) {
		step := max(1, (to-from)/spotChecks)
		for i := from; i < to; i += step {
			check(b.listed.Number(i))
		}
	}
	stride(0, b.Numbers)
	stride(b.Numbers, b.listed.Capacity())
	for k := range b.Delta {
		p, removes := d.Row(k)
		if check(p); d.Entry(p).Listed == removes {
			return fmt.Errorf("the delta contradicts itself about row %d", k)
		}
	}
	b.add(within("wrong_entries", "numbers that are not in the registry as they must be", float64(wrong), "numbers", 0).
		noted("of %s; %s are listed", thousands(checked), thousands(snap.Numbers)))
	return ctx.Err()
}
