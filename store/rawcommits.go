package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"saaf"
)

// Commits is what [RawCommits] found.
type Commits struct {
	Took      time.Duration
	Latencies []time.Duration // of each call, ascending
}

// RawCommits measures what group commit is worth on a disk whose fsync takes longer by
// slow: so many callers add so many leads each, one to a call, to a new embedded store in
// dir. With alone each call gets a transaction of its own. The time is spent inside the
// transaction, just before its COMMIT, where a slower disk would spend it, and where
// everybody else waits for it. There are no requests in it.
func RawCommits(ctx context.Context, dir string, slow time.Duration, alone bool, callers, each int, lead func(i int) NewLead) (c Commits, err error) {
	cfg := Config{Dir: dir, commitDelay: slow}
	if alone {
		cfg.groupRows = 1
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	tenant, err := s.CreateTenant(ctx, "bench")
	if err != nil {
		return c, err
	}
	campaign, err := s.CreateCampaign(ctx, tenant.ID, saaf.Live, saaf.CampaignSettings{Name: "bench", DialMode: saaf.DialModes[0]})
	if err != nil {
		return c, err
	}
	var mu sync.Mutex
	var failed error
	var group sync.WaitGroup
	start := time.Now()
	for caller := range callers {
		group.Go(func() {
			took := make([]time.Duration, 0, each)
			var err error
			for i := 0; i < each && err == nil; i++ {
				batch := &LeadBatch{Campaign: campaign.ID, Leads: []NewLead{lead(caller*each + i)}}
				began := time.Now()
				err = s.AddLeads(ctx, tenant.ID, saaf.Live, batch)
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			c.Latencies, failed = append(c.Latencies, took...), errors.Join(failed, err)
		})
	}
	group.Wait()
	c.Took = time.Since(start)
	slices.Sort(c.Latencies)
	return c, failed
}

// slowLink is a link whose commits take longer.
type slowLink struct {
	link
	by time.Duration
}

func slowed(l link, by time.Duration) link {
	if by == 0 {
		return l
	}
	return slowLink{l, by}
}

func (l slowLink) commit() error {
	time.Sleep(l.by)
	return l.link.commit()
}
