package dnd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
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
	full := newFullSet(today, sets, memory, 1)
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
	if _, err := write(context.Background(), out, c, o, 2, func(int64, int64) {}); err != nil {
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

// BenchmarkLookup reports how many times a lookup takes as long as a load from a
// random place in an array of the size of the file: x-load for loads that the
// processor overlaps as it likes, x-call for loads behind a call, as a lookup is.
func BenchmarkLookup(b *testing.B) {
	for _, c := range []struct {
		name    string
		count   int
		partial bool
	}{{"1M", 1e6, false}, {"100M", 1e8, false}, {"100M partial", 1e8, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, randomSnapshot(b, scale(c.count), c.partial))
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
	s := open(b, randomSnapshot(b, scale(1e8), false))
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
}

// BenchmarkOpen opens a file that is in the page cache.
func BenchmarkOpen(b *testing.B) {
	path := randomSnapshot(b, scale(1e8), false)
	for b.Loop() {
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(s.Info().Bytes)
	}
}

// BenchmarkRows reads a file into rows, and reports as x-split how many times that
// takes as long as reading the file and splitting it into lines.
func BenchmarkRows(b *testing.B) {
	for _, quoted := range []bool{false, true} {
		format := "13,%d,0,A,2\n"
		if quoted {
			format = "\"13\",\"%d\",\"0\",\"A\",\"2\"\n"
		}
		b.Run(fmt.Sprintf("quoted=%v", quoted), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "full.csv")
			var text bytes.Buffer
			random := rand.New(rand.NewPCG(5, 6))
			rows := scale(5e6)
			for range rows {
				fmt.Fprintf(&text, format, randomPhone(random))
			}
			if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				if got := readRows(b, path); got != rows {
					b.Fatalf("%d rows of %d", got, rows)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			start := time.Now()
			for range b.N {
				splitLines(b, path)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(time.Since(start)), "x-split")
		})
	}
}

// readRows reads the rows of a file as an import does.
func readRows(b *testing.B, path string) int {
	s, err := openSource(path)
	if err != nil {
		b.Fatal(err)
	}
	defer s.file.Close()
	lines, buf, p := &lineReader{r: s}, make([]byte, chunkSize), newParser(newSetTable(), func(int64, saaf.Reason) {})
	var rows []row
	for {
		chunk, end := lines.next(buf)
		if rows, err = p.parse(chunk, rows[:0]); err != nil {
			b.Fatal(err)
		}
		if end == io.EOF {
			return int(p.counts.Active)
		} else if end != nil {
			b.Fatal(end)
		}
	}
}

func splitLines(b *testing.B, path string) (lines int) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, buf := &lineReader{r: f}, make([]byte, chunkSize)
	for {
		chunk, end := r.next(buf)
		for len(chunk) > 0 {
			i := bytes.IndexByte(chunk, '\n')
			if i < 0 {
				i = len(chunk) - 1
			}
			chunk = chunk[i+1:]
			lines++
		}
		if end == io.EOF {
			return lines
		} else if end != nil {
			b.Fatal(end)
		}
	}
}

// BenchmarkImport is a whole import of a file, and of a delta on 100 million
// numbers.
func BenchmarkImport(b *testing.B) {
	text := func(rows int) string {
		var t bytes.Buffer
		random := rand.New(rand.NewPCG(7, 8))
		for i := range rows {
			op := byte('A')
			if i%10 == 0 {
				op = 'D'
			}
			fmt.Fprintf(&t, "\"13\",\"%d\",\"0\",\"%c\",\"2\"\n", randomPhone(random), op)
		}
		return t.String()
	}
	b.Run("full 10M", func(b *testing.B) {
		rows := scale(1e7)
		im := setup(b).file("full.csv", text(rows))
		for b.Loop() {
			if _, err := im.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	for name, rows := range map[string]int{"delta 100k": 1e5, "delta 1M": 1e6} {
		b.Run(name, func(b *testing.B) {
			base := open(b, randomSnapshot(b, scale(1e8), false))
			im := setup(b).delta(base).file("delta.csv", text(scale(rows)))
			im.Override = "random"
			for b.Loop() {
				if _, err := im.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
