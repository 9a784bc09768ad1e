package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"saaf"
)

// leads is how many leads were acknowledged.
func (e *engine) leads() (n int64) {
	for _, c := range e.is.Campaigns {
		n += c.acknowledged()
	}
	return n
}

// measureRoom finds what a lead takes in memory and on the disk of the embedded store.
func (e *engine) measureRoom(ctx context.Context) error {
	if e.at.url != "" {
		return nil
	}
	memory, err := e.to.metric(ctx, "saaf_store_phone_memory_bytes")
	if err != nil {
		return err
	}
	e.add(row(15, "memory", "memory for each lead, to keep phones once", memory/float64(e.leads()), "B").must(atMost, 16).
		noted("of %s leads in %d campaigns", thousands(e.leads()), len(e.is.Campaigns)))
	if err := e.stop(); err != nil {
		return err
	}
	bytes, err := e.at.fileBytes()
	if err != nil {
		return err
	}
	e.add(row(15, "disk", "bytes on the disk for each lead, with its evidence", float64(bytes-e.fileWas)/float64(e.leads()), "B").must(atMost, 260).
		noted("%d bytes of metadata", len(leadMetadata)))
	return e.start(ctx)
}

// metric reads one value of /metrics.
func (t *target) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", t.url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if value, ok := bytes.CutPrefix(lines.Bytes(), []byte(name+" ")); ok {
			return strconv.ParseFloat(string(value), 64)
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

// measureStart starts the server with all that it has, some times over.
func (e *engine) measureStart(ctx context.Context) error {
	e.say("%s: starting the server", e.name)
	var listening, answered []float64
	for range rounds {
		if err := e.stop(); err != nil {
			return err
		}
		began := time.Now()
		if err := e.start(ctx); err != nil {
			return err
		}
		listening = append(listening, time.Since(began).Seconds())
		if _, err := e.to.send(ctx, wave{to: e.main, clients: 1, size: 1, requests: 1}); err != nil {
			return err
		}
		answered = append(answered, time.Since(began).Seconds())
	}
	e.add(row(16, "listening", "start, until it listens", median(listening), "s").must(atMost, 0.5))
	e.add(row(16, "start", "start, until the full campaign has taken a lead", median(answered), "s").must(atMost, 4))
	return nil
}

const (
	killSingles = 16
	killAfter   = 250 * time.Millisecond // of the first answers
)

// measureKill kills the server while it takes pushes.
func (e *engine) measureKill(ctx context.Context) error {
	e.say("%s: kill -9 under load", e.name)
	many, err := e.campaign(ctx, "killed, bulk")
	if err != nil {
		return err
	}
	one, err := e.campaign(ctx, "killed, single")
	if err != nil {
		return err
	}
	var answers [2]atomic.Bool
	both := make(chan struct{})
	var once sync.Once
	sent := func(i int) func(int64) {
		return func(int64) {
			if answers[i].Store(true); answers[1-i].Load() {
				once.Do(func() { close(both) })
			}
		}
	}
	var group sync.WaitGroup
	var errs [2]error
	for i, w := range []wave{
		{to: many, clients: bulkClients, size: saaf.MaxBulk, fragile: true, sent: sent(0)},
		{to: one, clients: killSingles, size: 1, fragile: true, sent: sent(1)},
	} {
		group.Go(func() { _, errs[i] = e.to.send(ctx, w) })
	}
	select {
	case <-both:
		err = wait(ctx, killAfter)
	case <-ctx.Done():
		err = ctx.Err()
	}
	srv := e.srv
	e.srv = nil
	err = errors.Join(err, srv.kill())
	group.Wait()
	e.to.close()
	if err := errors.Join(err, errs[0], errs[1]); err != nil {
		return err
	}
	e.say("%s: %s leads were acknowledged, %d requests had no answer", e.name,
		thousands(many.acknowledged()+one.acknowledged()), len(many.Unanswered)+len(one.Unanswered))
	return e.start(ctx)
}

// verify checks what is stored.
func (e *engine) verify(ctx context.Context) error {
	if err := e.stop(); err != nil {
		return err
	}
	e.say("%s: checking %s leads, and the ledger", e.name, thousands(e.leads()))
	if err := e.is.save(e.at); err != nil {
		return err
	}
	found, err := e.is.check(ctx, e.Host, e.at, e.registry)
	if err != nil {
		return err
	}
	for _, p := range found.problems {
		e.report.Problems = append(e.report.Problems, e.name+": "+p)
	}
	e.add(row(17, "kill", "acknowledged leads that are lost or there twice, after kill -9 under load", float64(found.lost), "leads").
		must(atMost, 0).noted("of %s", thousands(e.leads())))
	return nil
}
