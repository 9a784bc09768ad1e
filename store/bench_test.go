package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
)

// The benchmarks below share one shape, so that their leads/s compare: rows with
// 140 bytes of metadata and random phones in one campaign.

// benchLeads gives n new leads whose phones do not repeat in practice.
func benchLeads(r *rand.Rand, n int) []NewLead {
	metadata := []byte(`{"source":"` + strings.Repeat("x", 140-13) + `"}`)
	verdict := saaf.Verdict{
		Reason:    saaf.NotRegistered,
		Snapshot:  saaf.SnapshotRef{ID: 7, EffectiveDate: 20_000},
		CheckedAt: time.Now(),
	}
	leads := make([]NewLead, n)
	for i := range leads {
		leads[i] = NewLead{
			Phone:   saaf.Phone(6_000_000_000 + r.Int64N(4_000_000_000)),
			Input:   saaf.LeadInput{Name: new("Asha Rao"), Metadata: metadata},
			Verdict: verdict,
		}
	}
	return leads
}

// benchAdd adds batches of the given size from many goroutines.
func benchAdd(b *testing.B, goroutines, size int) {
	s := setup(b)
	var begun, added atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for begun.Add(1) <= int64(b.N) {
				batch := &LeadBatch{Campaign: s.campaign, Leads: benchLeads(r, size)}
				if err := s.AddLeads(s.ctx, s.tenant, saaf.Live, batch); err != nil {
					b.Error(err)
					return
				}
				added.Add(int64(size))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(added.Load())/b.Elapsed().Seconds(), "leads/s")
}

// BenchmarkAddLeads is the whole write path of the store. Compare its leads/s
// with those of BenchmarkRawLoop, in the same run.
func BenchmarkAddLeads(b *testing.B) {
	for _, bb := range []struct{ goroutines, size int }{{1, 500}, {8, 500}, {64, 1}} {
		b.Run(fmt.Sprintf("goroutines=%d/batch=%d", bb.goroutines, bb.size), func(b *testing.B) {
			benchAdd(b, bb.goroutines, bb.size)
		})
	}
}

// BenchmarkRawLoop is the ceiling: [RawLoop], one commit for each batch of 500.
func BenchmarkRawLoop(b *testing.B) {
	const size = 500
	r := rand.New(rand.NewPCG(0, 1))
	batches := 0
	b.ReportAllocs()
	took, err := RawLoop(b.Context(), b.TempDir(), func() []NewLead {
		if !b.Loop() {
			return nil
		}
		batches++
		return benchLeads(r, size)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(batches*size)/took.Seconds(), "leads/s")
}
