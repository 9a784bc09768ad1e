package bench

import (
	"context"
	"errors"
	"time"

	"saaf"
	"saaf/client"
)

// What is sent while the registry moves: an ordinary busy hour and no race, since a
// server that is given more than it can do has no latency to compare.
const (
	bulkEvery      = 50 * time.Millisecond
	singleEvery    = 5 * time.Millisecond
	leadsPerSecond = int64(time.Second/bulkEvery)*saaf.MaxBulk + int64(time.Second/singleEvery)
)

// measureRequests pushes leads to a real server and compares how long it takes
// while nothing else goes on and while a full set and a delta are imported and activated beside it.
func (b *registry) measureRequests(ctx context.Context) (err error) {
	if _, err := b.generate(ctx, "listed.csv", b.listed, nil); err != nil {
		return err
	}
	if _, err := b.generate(ctx, "listed_delta.csv", b.listed, b.deltas[1]); err != nil {
		return err
	}
	_, keys, err := b.data.keys(ctx, 1)
	if err != nil {
		return err
	}
	key := keys[0]
	srv, err := b.serve(ctx, b.data, b.path("serve.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.end()) }()
	anonymous, err := anonymousMemory(srv.pid)
	if err != nil {
		return err
	}
	b.add(within("serve_memory", "anonymous memory of the server that answers from it", megabytes(anonymous), "MB", 50))
	campaign, err := client.New(srv.URL, key).CreateCampaign(ctx, client.NewCampaign{Name: "bench", DialMode: "preview"})
	if err != nil {
		return err
	}
	p := newPushes(b, srv.URL+"/api/v1/campaigns/"+campaign.ID, key)
	pushing, stop := context.WithCancel(ctx)
	p.start(pushing)
	defer func() { stop(); p.wait() }()

	b.say("pushing leads, %s a second, for %d s", thousands(leadsPerSecond), b.Seconds)
	if err := wait(ctx, time.Second); err != nil { // until connections are made and caches warm
		return err
	}
	p.enter(alone)
	if err := wait(ctx, time.Duration(b.Seconds)*time.Second); err != nil {
		return err
	}
	p.enter(during)
	b.say("importing listed.csv beside them")
	seconds, memory, err := b.importFile(ctx, "listed.csv", "--full")
	if err != nil {
		return err
	}
	p.enter(rechecking)
	if err := b.addFileSize(ctx, "file_categories", "snapshot file with categories for all, bytes per number", 2.7, 1.02); err != nil {
		return err
	}
	b.say("waiting until all leads are re-checked")
	if err := p.checked(ctx, srv.URL); err != nil {
		return err
	}
	p.enter(during)
	b.say("importing listed_delta.csv beside them")
	deltaSeconds, _, err := b.importFile(ctx, "listed_delta.csv", "--delta")
	if err != nil {
		return err
	}
	p.enter(rechecking)
	if err := p.checked(ctx, srv.URL); err != nil {
		return err
	}
	// What else the machine does changes: what is compared with is from both sides.
	p.enter(alone)
	b.say("pushing leads for %d s more", b.Seconds)
	if err := wait(ctx, time.Duration(b.Seconds)*time.Second); err != nil {
		return err
	}
	stop()
	p.wait()
	if anonymous, err = anonymousMemory(srv.pid); err != nil {
		return err
	}
	b.add(within("import_memory_categories", "anonymous memory of the import of categories, at most", megabytes(memory), "MB", 50))
	p.report()
	b.add(told("import_beside", "that import, activated, beside requests", seconds, "s"))
	b.add(told("delta_beside", "that delta, activated, beside requests", deltaSeconds, "s"))
	b.add(told("serve_memory_after", "anonymous memory of the server after all that", megabytes(anonymous), "MB"))
	return errors.Join(b.drop("listed.csv"), b.drop("listed_delta.csv"))
}

// wait returns after d.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
