package dnd

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkGenerate writes a full set of 10 million rows.
func BenchmarkGenerate(b *testing.B) {
	for _, c := range []struct {
		name      string
		uniform   bool
		ascending bool
	}{
		{"full.csv", false, false}, {"full.csv", true, false}, {"full.csv", true, true}, {"full.csv.gz", true, false}, {"full.zip", true, false},
	} {
		b.Run(fmt.Sprintf("%s uniform=%v ascending=%v", c.name, c.uniform, c.ascending), func(b *testing.B) {
			rows := int64(scale(1e7))
			s, err := NewSynthetic(SyntheticConfig{Numbers: rows, Deleted: 0.3, Preferences: 0.1, Uniform: c.uniform})
			if err != nil {
				b.Fatal(err)
			}
			g := Generate{Path: filepath.Join(b.TempDir(), c.name), Registry: s, Ascending: c.ascending, Force: true}
			for b.Loop() {
				r, err := g.Run(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(r.Bytes)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkSynthetic is the numbering alone.
func BenchmarkSynthetic(b *testing.B) {
	s, err := NewSynthetic(SyntheticConfig{Numbers: 3e8, Deleted: 0.3, Preferences: 0.1, Uniform: true})
	if err != nil {
		b.Fatal(err)
	}
	i, listed := int64(0), 0
	for b.Loop() {
		if s.Entry(s.Number(i)).Listed {
			listed++
		}
		i = (i + 1_000_003) % s.Capacity()
	}
	b.ReportMetric(float64(listed)/float64(b.N), "listed")
}
