package dnd

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"saaf"
)

// scale is a size, or a hundredth of it where benchmarks are only to be kept
// from rotting.
func scale(n int) int {
	if os.Getenv("SAAF_BENCH_SMALL") != "" {
		return n / 100
	}
	return n
}

// snapshots of random numbers are made once for all benchmarks.
var snapshots struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// randomSnapshot is a file of count random numbers from 6000000000 on, all heads
// from there, as a large registry has them. With partial every number has a list
// of categories.
func randomSnapshot(b *testing.B, count int, partial bool) string {
	b.Helper()
	snapshots.Lock()
	defer snapshots.Unlock()
	name := fmt.Sprintf("%d %v", count, partial)
	if path := snapshots.paths[name]; path != "" {
		return path
	}
	if snapshots.paths == nil {
		dir, err := os.MkdirTemp("", "saaf-bench")
		if err != nil {
			b.Fatal(err)
		}
		snapshots.dir, snapshots.paths = dir, map[string]string{}
	}
	sets := newSetTable()
	memory := &scratch{dir: snapshots.dir}
	defer memory.close()
	full := newFullSet(today, sets, memory, crew{size: 1})
	lists := []uint16{0}
	if partial {
		lists = nil
		for low := range uint64(100) {
			lists = append(lists, sets.id(Categories{low: (low + 1) << 1}))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]row, 0, 1<<16)
	for i := range count {
		rows = append(rows, newRow(randomPhone(random), false, lists[i%len(lists)]))
		if len(rows) == cap(rows) || i == count-1 {
			if err := full.add(0, rows); err != nil {
				b.Fatal(err)
			}
			rows = rows[:0]
		}
	}
	path := filepath.Join(snapshots.dir, name)
	writeContent(b, path, full)
	snapshots.paths[name] = path
	return path
}

// writeContent writes a content to a file without the ceremony of an import.
func writeContent(b testing.TB, path string, c content) {
	b.Helper()
	o, err := c.resolve(context.Background(), &Report{})
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, chunkSize)
	if _, err := write(context.Background(), out, c, o, crew{size: 2}, func(int64, int64) {}); err != nil {
		b.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
}

func randomPhone(r *rand.Rand) saaf.Phone { return saaf.Phone(6e9 + r.Uint64N(4e9)) }

func randomPhones(n int) []saaf.Phone {
	r := rand.New(rand.NewPCG(3, 4))
	phones := make([]saaf.Phone, n)
	for i := range phones {
		phones[i] = randomPhone(r)
	}
	return phones
}

// benchSnapshots are what lookups are measured in: with categories for no number
// and for all, with an overlay and without.
var benchSnapshots = []struct {
	name    string
	count   int
	partial bool
	overlay int
}{
	{"1M", 1e6, false, 0}, {"100M", 1e8, false, 0}, {"100M partial", 1e8, true, 0},
	{"100M overlay", 1e8, false, 1e6}, {"100M partial overlay", 1e8, true, 1e6},
}

// eachSnapshot runs a benchmark for all of them.
func eachSnapshot(b *testing.B, run func(b *testing.B, s *Snapshot)) {
	for _, c := range benchSnapshots {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, randomSnapshot(b, scale(c.count), c.partial))
			if c.overlay > 0 {
				s = randomOverlay(b, s, scale(c.overlay), c.partial)
			}
			run(b, s)
		})
	}
}

// randomOverlay is s with an overlay of nearly count entries.
func randomOverlay(b *testing.B, s *Snapshot, count int, partial bool) *Snapshot {
	b.Helper()
	memory := &scratch{dir: b.TempDir()}
	defer memory.close()
	d, err := newDeltaSet(today, s, newSetTable(), memory)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(11, 12))
	for range count {
		set := uint16(0)
		if partial {
			set = d.sets.id(Categories{low: 1 << (1 + random.UintN(8))})
		}
		p := randomPhone(random)
		r := newRow(p, false, set)
		if s.Lookup(p).Listed {
			r = newRow(p, true, 0)
		}
		if err := d.add(0, []row{r}); err != nil {
			b.Fatal(err)
		}
	}
	o, err := d.resolve(b.Context(), &Report{})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "overlay")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := writeOverlay(b.Context(), f, d, o, saaf.SHA256{1}, func(int64, int64) {}); err != nil {
		b.Fatal(err)
	}
	over, err := OpenOverlay(path, s, saaf.SHA256{1})
	if err != nil {
		b.Fatal(err)
	}
	return over
}

// BenchmarkLookup reports how many times a lookup takes as long as a load from a
// random place in an array of the size of the file: x-load for loads that the
// processor overlaps as it likes, x-call for loads behind a call, as a lookup is.
func BenchmarkLookup(b *testing.B) {
	eachSnapshot(b, func(b *testing.B, s *Snapshot) {
		phones := randomPhones(1 << 20)
		listed, i := 0, 0
		for b.Loop() {
			if s.Lookup(phones[i]).Listed {
				listed++
			}
			i = (i + 1) % len(phones)
		}
		b.ReportMetric(float64(listed)/float64(b.N), "listed")
		loads, calls := loads(len(s.data), phones, b.N)
		b.ReportMetric(float64(b.Elapsed())/float64(loads), "x-load")
		b.ReportMetric(float64(b.Elapsed())/float64(calls), "x-call")
	})
}

// loads is how long count loads from random places of an array take, as they stand
// and each behind a call.
func loads(size int, phones []saaf.Phone, count int) (loads, calls time.Duration) {
	array := make([]byte, size)
	for i := range array {
		array[i] = byte(i)
	}
	places := make([]uint32, len(phones))
	for i, p := range phones {
		places[i] = uint32(uint64(p-6e9) * uint64(size) / 4e9)
	}
	var sum byte
	start := time.Now()
	for i := range count {
		sum += array[places[i%len(places)]]
	}
	loads = time.Since(start)
	start = time.Now()
	for i := range count {
		sum += load(array, places[i%len(places)])
	}
	calls = time.Since(start)
	runtime.KeepAlive(sum)
	return loads, calls
}

//go:noinline
func load(array []byte, at uint32) byte { return array[at] }

// BenchmarkCheck500 is the registry's part of a push of 500 leads.
func BenchmarkCheck500(b *testing.B) {
	eachSnapshot(b, func(b *testing.B, s *Snapshot) {
		v := use(b, Config{}, s, &Report{EffectiveDate: today}).View()
		phones := randomPhones(1 << 20)
		verdicts := make([]saaf.Verdict, saaf.MaxBulk)
		for _, c := range []struct {
			name  string
			check func(phones []saaf.Phone)
		}{
			{"one by one", func(phones []saaf.Phone) {
				for i, p := range phones {
					verdicts[i] = v.Check(p, noon)
				}
			}},
			{"together", func(phones []saaf.Phone) { verdicts = v.CheckAll(verdicts[:0], phones, noon) }},
		} {
			b.Run(c.name, func(b *testing.B) {
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					c.check(phones[i : i+saaf.MaxBulk])
					i = (i + saaf.MaxBulk) % (len(phones) - saaf.MaxBulk)
				}
				loads, _ := loads(len(s.data), phones, b.N*saaf.MaxBulk)
				b.ReportMetric(float64(b.Elapsed())/float64(loads), "x-load")
			})
		}
	})
}

// BenchmarkOpen opens files that are in the page cache.
func BenchmarkOpen(b *testing.B) {
	path := randomSnapshot(b, scale(1e8), false)
	b.Run("base", func(b *testing.B) {
		for b.Loop() {
			b.SetBytes(open(b, path).Info().Bytes)
		}
	})
	b.Run("overlay 2M", func(b *testing.B) {
		s := randomOverlay(b, open(b, path), scale(2e6), false)
		data := s.overlay.data
		for b.Loop() {
			if _, err := newOverlay(data, s.Base(), s.overlay.base); err != nil {
				b.Fatal(err)
			}
		}
		runtime.KeepAlive(s)
	})
}
