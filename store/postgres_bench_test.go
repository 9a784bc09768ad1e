package store

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"saaf"
	"saaf/internal/pgtest"
)

// BenchmarkPostgres measures the write path on PostgreSQL against the bare loop of its
// statement over as many connections, with fsync, in one run: bulk requests of 500
// leads by 8 callers, and single ones by 64.
func BenchmarkPostgres(b *testing.B) {
	const connections = 4
	server := pgtest.New(b, pgtest.Options{Fsync: true})
	migrate := func(url string) error { return prepareTemplate(url) }
	for range b.N {
		batches := 400
		if small() {
			batches = 8
		}
		var taken atomic.Int64
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(3, 4))
		took, err := RawUnnest(b.Context(), server.Database(b, "raw", migrate), b.TempDir(), connections, func() []NewLead {
			if taken.Add(1) > int64(batches) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			return benchLeads(r, 500)
		})
		if err != nil {
			b.Fatal(err)
		}
		raw := float64(batches*500) / took.Seconds()
		bulk := postgresAdds(b, server.Database(b, "raw", migrate), connections, 8, batches, 500)
		single := postgresAdds(b, server.Database(b, "raw", migrate), connections, 64, batches*25, 1)
		b.ReportMetric(raw, "raw-leads/s")
		b.ReportMetric(bulk, "bulk-leads/s")
		b.ReportMetric(bulk/raw, "bulk/raw")
		b.ReportMetric(single, "single-leads/s")
	}
}

// postgresAdds is how many leads a second come in over a store of so many writers.
func postgresAdds(b *testing.B, url string, writers, callers, batches, size int) float64 {
	b.Helper()
	s := openIdleAt(b, Config{Dir: b.TempDir(), URL: url, Writers: writers})
	s.run()
	defer s.stop()
	s.tenant = s.newTenant("Asha Finance")
	s.campaign = s.newCampaign(s.tenant, saaf.Live)
	snap := s.activate(20_000)
	var begun atomic.Int64
	var wg sync.WaitGroup
	start := b.Elapsed()
	for g := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for begun.Add(1) <= int64(batches) {
				batch := &LeadBatch{Campaign: s.campaign, Leads: benchLeads(r, size)}
				for i := range batch.Leads {
					batch.Leads[i].Verdict.Snapshot = snap
				}
				if err := s.AddLeads(s.ctx, s.tenant, saaf.Live, batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(batches*size) / (b.Elapsed() - start).Seconds()
}
