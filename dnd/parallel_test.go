package dnd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// manyRows are rows over several chunks, some of them in odd forms, some malformed,
// about few enough numbers that they meet.
func manyRows(random *rand.Rand, rows int) string {
	var b strings.Builder
	b.WriteString("\n\nService Area Code,Phone Numbers,Preferences,Opstype,Phone Type\n")
	for range rows {
		p := 6000000000 + random.IntN(4)*500_000_000 + random.IntN(50_000)
		switch random.IntN(1000) {
		case 0:
			b.WriteString("13,123,0,A,2\n")
		case 1:
			b.WriteString("\r\n")
		case 2:
			fmt.Fprintf(&b, "13,\"0%d\", 2#44 ,U\n", p)
		case 3:
			b.WriteString(strings.Repeat("x", 2*maxLine) + "\n")
		default:
			fmt.Fprintf(&b, "13,%d,%s,%c,2\n", p, []string{"0", "0", "0", "2#3", "7", "1#2#4"}[random.IntN(6)], "AAAD"[random.IntN(4)])
		}
	}
	return b.String()
}

// What an import finds and makes does not depend on how many goroutines read.
func TestWorkers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	full, more := manyRows(random, 60_000), manyRows(random, 20_000)
	var first [2]*Report
	for workers := range 4 {
		b := setup(t).file("full.csv", full).file("full.zip", zipOf("a.csv", more, "b.csv", full[:len(full)/2]))
		b.Override, b.workers = "drawn at random", workers+1
		base, r := b.run()
		d := setup(t).overlaid(base).file("1.csv", more).file("2.csv.gz", gzipOf(full))
		d.Override, d.workers = "drawn at random", workers+1
		_, delta := d.run()
		r.Result.Path, delta.Result.Path = "", ""
		if workers == 0 {
			first = [2]*Report{r, delta}
			if len(r.MalformedRows) != maxMalformedRows || r.Conflicts == 0 || delta.Changes.Removed == 0 {
				t.Errorf("the rows are no test: %+v", r.Total)
			}
			if diff := cmp.Diff(malformedLines(full)[:maxMalformedRows/2], reportedLines(r)[:maxMalformedRows/2]); diff != "" {
				t.Error(diff)
			}
		}
		if diff := cmp.Diff(first, [2]*Report{r, delta}); diff != "" {
			t.Errorf("%d workers: %s", workers+1, diff)
		}
	}
}

// malformedLines are the malformed lines of a text, read as a whole.
func malformedLines(text string) (at []int64) {
	p := newParser(newSetTable(), func(line int64, _ saaf.Reason) { at = append(at, line) })
	_, _ = p.parse([]byte(text), nil)
	return at
}

func reportedLines(r *Report) (at []int64) {
	for _, m := range r.MalformedRows {
		at = append(at, m.Line)
	}
	return at
}

// The hash of a file is the same whether it was needed before its rows or not.
func TestHashBesideRows(t *testing.T) {
	t.Parallel()
	rows := manyRows(rand.New(rand.NewPCG(3, 4)), 20_000)
	sums := map[saaf.SHA256]int{}
	for _, again := range []bool{false, true} {
		b := setup(t).file("a.csv", rows)
		if again {
			b.file("b.csv", strings.Repeat("13,6000000000,0,A,2\n", len(rows)/20)+strings.Repeat("\n", len(rows)%20))
		}
		b.Override = "drawn at random"
		_, r := b.run()
		sums[r.Files[0].SHA256]++
	}
	if len(sums) != 1 {
		t.Errorf("%v", sums)
	}
}

// An import that is told to end in the middle of a large file reads no more than
// what is under way.
func TestCancelInTheMiddle(t *testing.T) {
	t.Parallel()
	rows := manyRows(rand.New(rand.NewPCG(5, 6)), 200_000)
	for _, mode := range []saaf.ImportMode{saaf.FullSet, saaf.Delta} {
		base, _ := setup(t).file("full.csv", numbers(6000000000, 10, "A")).run()
		b := setup(t).overlaid(base).file("rows.csv", rows)
		b.Mode, b.workers = mode, 2
		ctx, cancel := context.WithCancel(t.Context())
		after := 0
		b.Progress = func(p Progress) {
			if p.Stage == Reading && p.BytesDone > int64(len(rows)/4) {
				cancel()
				after++
			}
		}
		if _, err := b.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", mode, err)
		}
		if after != 1 {
			t.Errorf("%s: %d chunks came after the end", mode, after-1)
		}
		if names := b.visible(); len(names) > 0 {
			t.Errorf("%s: it left %v", mode, names)
		}
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	type slot struct{ n, square int }
	slots := []*slot{{}, {}, {}}
	var running atomic.Int32
	run := func(end error, at int) (sum int, err error) {
		n := 0
		last := 0
		err = pipeline(crew{size: 2}, slots, func(s *slot) bool {
			n++
			s.n = n
			return n <= 100
		}, func(_ int, s *slot) {
			running.Add(1)
			s.square = s.n * s.n
			running.Add(-1)
		}, func(s *slot) error {
			if s.n != last+1 {
				t.Errorf("%d after %d", s.n, last)
			}
			last = s.n
			sum += s.square
			if s.n == at {
				return end
			}
			return nil
		})
		if running.Load() != 0 {
			t.Error("somebody is still at work")
		}
		return sum, err
	}
	if sum, err := run(nil, 0); sum != 338350 || err != nil {
		t.Errorf("%d, %v", sum, err)
	}
	if sum, err := run(errDamaged, 3); sum != 14 || !errors.Is(err, errDamaged) {
		t.Errorf("%d, %v", sum, err)
	}
}
