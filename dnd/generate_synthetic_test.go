package dnd

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

func synthetic(t testing.TB, c SyntheticConfig) *Synthetic {
	t.Helper()
	s, err := NewSynthetic(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// near fails unless got is within five standard deviations of a share of n.
func near(t *testing.T, what string, got, n int64, share float64) {
	t.Helper()
	want := float64(n) * share
	if tolerance := 5 * math.Sqrt(want*(1-share)); math.Abs(float64(got)-want) > tolerance {
		t.Errorf("%s: %d of %d, want %.0f within %.0f", what, got, n, want, tolerance)
	}
}

// Number and Index undo each other, over everything there is to deal.
func TestSyntheticNumbersAreDistinct(t *testing.T) {
	t.Parallel()
	for _, uniform := range []bool{false, true} {
		s := synthetic(t, SyntheticConfig{Numbers: 250_001, Seed: 9, Uniform: uniform})
		seen := make(map[saaf.Phone]bool, 300_000)
		for i := range min(s.Capacity(), 300_000) {
			p := s.Number(i)
			if seen[p] || p < 6e9 || p > 9_999_999_999 || !uniform && p >= 7e9 {
				t.Fatalf("number %d is %d: twice, or out of range", i, int64(p))
			}
			seen[p] = true
			if got, ok := s.Index(p); !ok || got != i {
				t.Fatalf("index of number %d is %d %v", i, got, ok)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewSynthetic(SyntheticConfig{Numbers: rapid.Int64Range(1, 1e9).Draw(t, "numbers"), Seed: rapid.Uint64().Draw(t, "seed"), Uniform: rapid.Bool().Draw(t, "uniform")})
		if err != nil {
			t.Fatal(err)
		}
		if s.Capacity() < s.Numbers {
			t.Fatalf("room for %d numbers of %d", s.Capacity(), s.Numbers)
		}
		i := rapid.Int64Range(0, s.Capacity()-1).Draw(t, "i")
		if got, ok := s.Index(s.Number(i)); !ok || got != i {
			t.Fatalf("index of number %d is %d %v", i, got, ok)
		}
	})
}

func TestSyntheticIndexOfOthers(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 1000})
	for _, p := range []saaf.Phone{-1, 0, 1123456789, 5_999_999_999, 7_000_000_000, 9_999_999_999, 10_000_000_000, math.MaxInt64} {
		if i, ok := s.Index(p); ok {
			t.Errorf("%d is number %d", int64(p), i)
		}
		if e := s.Entry(p); e.Listed {
			t.Errorf("%d is listed", int64(p))
		}
	}
}

// What a seed means is kept: files of it may be in use as test data.
func TestSyntheticSeedsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	first := func(c SyntheticConfig) (list []int64) {
		s := synthetic(t, c)
		for i := range int64(3) {
			list = append(list, int64(s.Number(i)))
		}
		return append(list, int64(s.Number(s.Capacity()-1)))
	}
	for _, c := range []struct {
		config SyntheticConfig
		want   []int64
	}{
		{SyntheticConfig{Numbers: 100_000, Seed: 1}, []int64{6624769293, 6245179207, 6559555248, 6491573185}},
		{SyntheticConfig{Numbers: 100_000, Seed: 2}, []int64{6478856042, 6998374072, 6229240409, 6842088047}},
		{SyntheticConfig{Numbers: 100_000, Seed: 1, Uniform: true}, []int64{6034197012, 6041479743, 6969287651, 7836802344}},
	} {
		if diff := cmp.Diff(c.want, first(c.config)); diff != "" {
			t.Errorf("%+v: %s", c.config, diff)
		}
	}
}

// A quarter of a block is used when clustered; evenly all blocks when uniform.
func TestSyntheticSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config SyntheticConfig
		blocks int
		each   int // numbers, at least
	}{
		{SyntheticConfig{Numbers: 200_000}, 8, 25_000},
		{SyntheticConfig{Numbers: 200_000, Uniform: true}, 40_000, 5},
		{SyntheticConfig{Numbers: 300_000_000}, 10_000, 30_000},
	} {
		s := synthetic(t, c.config)
		blocks := map[int64]int{}
		for i := range min(c.config.Numbers, 200_000) {
			blocks[int64(s.Number(i))/blockSpan]++
		}
		if len(blocks) != c.blocks {
			t.Errorf("%+v: %d blocks, want %d", c.config, len(blocks), c.blocks)
		}
		for block, n := range blocks {
			if c.config.Numbers == 200_000 && n != c.each {
				t.Errorf("%+v: block %d has %d numbers, want %d", c.config, block, n, c.each)
			}
		}
	}
}

func TestSyntheticRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []SyntheticConfig{
		{}, {Numbers: -1}, {Numbers: 1_000_000_001}, {Numbers: 4_000_000_001, Uniform: true},
		{Numbers: 1, Deleted: -0.1}, {Numbers: 1, Preferences: 1.1}, {Numbers: 1, Deleted: math.NaN()},
	} {
		if _, err := NewSynthetic(c); saaf.ErrorCode(err) != saaf.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s := synthetic(t, SyntheticConfig{Numbers: 100_000})
	for _, c := range []SyntheticDeltaConfig{
		{}, {Rows: -1}, {Rows: 300_001}, {Rows: 100_001, Sequence: 3}, {Rows: 100_001, Removed: 1},
		{Rows: 1, Removed: math.NaN()}, {Rows: 1, Removed: 2}, {Rows: 1, Sequence: math.MaxInt64},
	} {
		if _, err := s.Delta(c); saaf.ErrorCode(err) != saaf.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := s.Delta(SyntheticDeltaConfig{Rows: 100_000, Sequence: 3}); err != nil {
		t.Errorf("the whole room: %v", err)
	}
}
