package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// The benchmarks below share one shape, so that their leads/s compare: rows with
// 140 bytes of metadata and random phones, in campaigns of 50,000 leads.
const benchCampaign = 50_000

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

// benchTarget hands out the campaign that the next n leads go to.
type benchTarget struct {
	b *bundle

	mu   sync.Mutex
	id   saaf.CampaignID // guarded by mu
	room int             // guarded by mu
}

func (t *benchTarget) next(n int) saaf.CampaignID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room < n {
		t.id, t.room = t.b.newCampaign(t.b.tenant, saaf.Live), benchCampaign
	}
	t.room -= n
	return t.id
}

// benchAdd adds batches of the given size from many goroutines.
func benchAdd(b *testing.B, goroutines, size int) {
	s := setup(b)
	target := &benchTarget{b: s}
	var left, added atomic.Int64
	left.Store(int64(b.N))
	target.next(size)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for left.Add(-1) >= 0 {
				batch := &LeadBatch{Campaign: target.next(size), Leads: benchLeads(r, size)}
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

// BenchmarkRawLoop is the ceiling: one prepared statement in a loop on one
// connection, the schema, indexes and rows of the product, one commit for each
// batch of 500, and nothing else.
func BenchmarkRawLoop(b *testing.B) {
	const size = 500
	s := setup(b)
	s.stop()
	conn, err := openConn(b.Context(), filepath.Join(s.dir, fileName), sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if err := keepMemory(conn); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(0, 1))
	begin, commit, stmt := conn.Prep("BEGIN IMMEDIATE"), conn.Prep("COMMIT"), conn.Prep(sqlInsertLead)
	step := func(s *sqlite.Stmt) {
		if _, err := s.Step(); err != nil {
			b.Fatal(err)
		}
		if err := s.Reset(); err != nil {
			b.Fatal(err)
		}
	}
	id := time.Now().UnixMilli() << 21 // as large as real ids are
	campaign, rows := id, 0
	b.ReportAllocs()
	for b.Loop() {
		if rows%benchCampaign == 0 {
			campaign++
		}
		leads := benchLeads(r, size)
		step(begin)
		for i := range leads {
			l := &leads[i]
			id++
			stmt.BindInt64(1, campaign)
			stmt.BindInt64(2, id)
			stmt.BindInt64(3, int64(l.Phone))
			stmt.BindText(4, *l.Input.Name)
			stmt.BindNull(5)
			stmt.BindNull(6)
			stmt.BindBytes(7, l.Input.Metadata)
			stmt.BindInt64(8, int64(saaf.LeadPending))
			stmt.BindInt64(9, int64(l.Verdict.Reason))
			stmt.BindInt64(10, int64(l.Verdict.Snapshot.ID))
			stmt.BindInt64(11, l.Verdict.CheckedAt.UnixMilli())
			stmt.BindInt64(12, l.Verdict.CheckedAt.UnixMilli())
			step(stmt)
		}
		step(commit)
		rows += size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "leads/s")
}
