package dnd

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"saaf"
)

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

// benchRows is a file of rows about random numbers, one in ten of which deletes.
func benchRows(b *testing.B, format string, rows int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "rows.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range rows {
		fmt.Fprintf(out, format, randomPhone(random), "AAAAAAAAAD"[i%10])
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkImport is a whole import of a full set, and reports as x-split how many
// times that takes as long as reading the file and splitting it into lines. Below
// some 100 million rows that is mostly the half gigabyte it writes.
func BenchmarkImport(b *testing.B) {
	rows := scale(1e7)
	for _, c := range []struct{ name, format string }{
		{"plain", "13,%d,0,%c,2\n"}, {"quoted", "\"13\",\"%d\",\"0\",\"%c\",\"2\"\n"}, {"partial", "13,%d,2#3,%c,2\n"},
	} {
		b.Run(c.name+" 10M", func(b *testing.B) {
			im := setup(b)
			im.Files = []string{benchRows(b, c.format, rows)}
			for b.Loop() {
				if _, err := im.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			start := time.Now()
			for range b.N {
				splitLines(b, im.Files[0])
			}
			b.ReportMetric(float64(b.Elapsed())/float64(time.Since(start)), "x-split")
		})
	}
}

// BenchmarkDelta applies a delta to 100 million numbers, alone, on top of an
// overlay of a million, and into a whole new file.
func BenchmarkDelta(b *testing.B) {
	path := randomSnapshot(b, scale(1e8), false)
	for _, c := range []struct {
		name          string
		rows, overlay int
		whole         bool
	}{{"100k", 1e5, 0, false}, {"100k on 1M", 1e5, 1e6, false}, {"1M", 1e6, 0, false}, {"100k whole", 1e5, 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			base := open(b, path)
			sum := saaf.SHA256(sha256.Sum256(base.data))
			if c.overlay > 0 {
				base = randomOverlay(b, base, scale(c.overlay), false)
				sum = saaf.SHA256{}
			}
			im := setup(b).delta(base)
			im.Files = []string{benchRows(b, "13,%d,0,%c,2\n", scale(c.rows))}
			im.BaseSHA256, im.whole = sum, c.whole
			im.Override = "random"
			for b.Loop() {
				if _, err := im.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDiff compares snapshots of 100 million numbers: two overlays of one
// base, and two bases.
func BenchmarkDiff(b *testing.B) {
	for _, partial := range []bool{false, true} {
		path := randomSnapshot(b, scale(1e8), partial)
		base, again := open(b, path), open(b, path)
		s := randomOverlay(b, base, scale(1e6), partial)
		for _, c := range []struct {
			name string
			a    *Snapshot
		}{{"one base", base}, {"two bases", again}} {
			b.Run(fmt.Sprintf("%s partial=%v", c.name, partial), func(b *testing.B) {
				for b.Loop() {
					count := 0
					for _, err := range Diff(b.Context(), c.a, s) {
						if err != nil {
							b.Fatal(err)
						}
						count++
					}
					if count != int(s.Info().Overlay) {
						b.Fatalf("%d differences of %d", count, s.Info().Overlay)
					}
				}
			})
		}
	}
}
