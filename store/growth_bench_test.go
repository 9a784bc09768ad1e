package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
	"saaf/internal/pgtest"
)

// BenchmarkGrowth fills one campaign with five million leads with random phones, in
// requests of 500 by 8 callers, and says for each million how many came in a second.
func BenchmarkGrowth(b *testing.B) {
	b.Run("engine=embedded", func(b *testing.B) {
		grow(b, Config{Dir: b.TempDir()})
	})
	b.Run("engine=postgres", func(b *testing.B) {
		server := pgtest.New(b, pgtest.Options{Fsync: true})
		grow(b, Config{Dir: b.TempDir(), URL: server.Database(b, "growth", prepareTemplate)})
	})
}

func grow(b *testing.B, cfg Config) {
	const callers, size = 8, 500
	steps, step := 5, int64(1_000_000)
	if small() {
		steps, step = 2, 2_000
	}
	for range b.N {
		s := openIdleAt(b, cfg)
		s.run()
		s.tenant = s.newTenant("Asha Finance")
		s.campaign = s.newCampaign(s.tenant, saaf.Live)
		snap := s.activate(20_000)
		for n := range steps {
			var begun, added atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			for g := range callers {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(n), uint64(g)))
					for begun.Add(size) <= step {
						batch := &LeadBatch{Campaign: s.campaign, Leads: benchLeads(r, size)}
						for i := range batch.Leads {
							batch.Leads[i].Verdict.Snapshot = snap
						}
						if err := s.AddLeads(s.ctx, s.tenant, saaf.Live, batch); err != nil {
							b.Error(err)
							return
						}
						added.Add(size)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(added.Load())/time.Since(start).Seconds(), fmt.Sprintf("leads/s@%d", int64(n+1)*step))
		}
		s.stop()
	}
}
