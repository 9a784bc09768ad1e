package dnd

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"saaf"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// snapshotFile is a small snapshot file with every part.
func snapshotFile(t testing.TB) (path string, content []byte) {
	t.Helper()
	rows := numbers(6000000000, 3, "A") + numbers(9999999990, 10, "A")
	_, r := setup(t).file("full.csv", rows+"13,6000000001,2#3,A,2\n13,6100000000,4,A,2\n13,6100000001,4,A,2\n").run()
	content, err := os.ReadFile(r.Result.Path)
	if err != nil {
		t.Fatal(err)
	}
	return r.Result.Path, content
}

func TestInfo(t *testing.T) {
	t.Parallel()
	path, content := snapshotFile(t)
	want := Info{EffectiveDate: today, Numbers: 15, Partial: 2, Heads: 3, Sets: 1, Bytes: int64(len(content))}
	if diff := cmp.Diff(want, open(t, path).Info()); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	path, content := snapshotFile(t)
	if _, err := newSnapshot(content); err != nil {
		t.Fatal(err)
	}
	refused := func(t *testing.T, what string, data []byte) {
		t.Helper()
		if _, err := newSnapshot(data); err == nil {
			t.Errorf("%s: it is accepted", what)
		}
	}
	t.Run("a changed header", func(t *testing.T) {
		t.Parallel()
		damaged := []byte(string(content))
		for at := range headerSize {
			for bit := range 8 {
				damaged[at] ^= 1 << bit
				if _, err := newSnapshot(damaged); err == nil {
					t.Fatalf("with bit %d of byte %d changed it is accepted", bit, at)
				}
				damaged[at] ^= 1 << bit
			}
		}
	})
	t.Run("a changed table", func(t *testing.T) {
		t.Parallel()
		damaged := []byte(string(content))
		for at := headerSize; at < minFile+setSize; at += 97 {
			damaged[at] ^= 0x10
			refused(t, "a changed table", damaged)
			damaged[at] ^= 0x10
		}
	})
	t.Run("another length", func(t *testing.T) {
		t.Parallel()
		for n := 0; n < len(content); n += 1 + n/7 {
			refused(t, "a truncated file", content[:n:n])
		}
		refused(t, "a file without its last byte", content[:len(content)-1])
		refused(t, "a longer file", append(content[:len(content):len(content)], 0))
	})
	t.Run("with a sentence", func(t *testing.T) {
		t.Parallel()
		otherVersion := []byte(string(content))
		otherVersion[atVersion]++
		for name, c := range map[string]struct {
			content []byte
			says    string
		}{
			"empty.dnd":     {nil, "is not a registry snapshot"},
			"foreign.dnd":   {[]byte(strings.Repeat("13,6000000000,0,A,2\n", 10_000)), "is not a registry snapshot"},
			"truncated.dnd": {content[:200_000], "has 200000 bytes where its header says"},
			"short.dnd":     {content[:5000], "has 5000 bytes where a registry snapshot has at least 124096: it is damaged"},
			"version.dnd":   {otherVersion, "has format version 2 and this program reads version 1: import the registry files again"},
		} {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
			if _, err := Open(path); err == nil {
				t.Errorf("%s is opened", path)
			}
		}
	})
	t.Run("what Verify finds", func(t *testing.T) {
		t.Parallel()
		sum := saaf.SHA256(sha256.Sum256(content))
		if filepath.Base(path) != sum.String()+Extension {
			t.Errorf("the file is named %s", path)
		}
		if err := Verify(t.Context(), path, sum); err != nil {
			t.Error(err)
		}
		damaged := filepath.Join(t.TempDir(), "damaged.dnd")
		if err := os.WriteFile(damaged, []byte(flipped(string(content), -1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), damaged, sum); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("damage: %v", err)
		}
	})
}

// Damage inside a block is not found on opening. A lookup survives it, and never
// forgets that a number is listed for what is wrong beside its bit.
func TestDamagedBlocks(t *testing.T) {
	t.Parallel()
	_, content := snapshotFile(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		damaged := []byte(string(content))
		s, err := newSnapshot(damaged)
		if err != nil {
			t.Fatal(err)
		}
		first := int(s.first[6100]/8) + bitmapSize
		for range 20 {
			damaged[first+random.IntN(ranksSize+8)] = byte(random.Uint32())
		}
		if !s.Lookup(6100000001).Listed || s.Lookup(6100000002).Listed {
			t.Fatal("damage to the codes changed who is listed")
		}
	}
}

// A block answers as its bitmap and its list of categories, whatever their shape.
func TestBlocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		random := rand.New(rand.NewPCG(seed, seed))
		gap := rapid.SampledFrom([]int{1, 2, 3000, 100_000}).Draw(rt, "gap")
		run := rapid.SampledFrom([]int{1, 2, 100, 5000}).Draw(rt, "run")
		sets := rapid.SampledFrom([]int{1, 254, 255, 256, maxSets}).Draw(rt, "sets")
		memory := &scratch{dir: t.TempDir()}
		defer memory.close()
		f := newFullSet(today, newSetTable(), memory, crew{size: 2})
		var rows []row
		want := map[uint32]uint16{}
		for i := range sets {
			f.sets.id(Categories{low: uint64(i+1) << 1})
		}
		for n := uint32(random.IntN(gap)); n < headSpan && len(want) < 2000; n += uint32(1 + random.IntN(gap)) {
			for end := min(n+uint32(random.IntN(run)), headSpan-1); n <= end; n++ {
				want[n] = uint16(random.IntN(sets + 1))
				rows = append(rows, newRow(7777*headSpan+saaf.Phone(n), false, want[n]))
			}
		}
		for i, some := range [][]row{rows[:len(rows)/3], rows[len(rows)/3:]} {
			if err := f.add(i, some); err != nil {
				rt.Fatal(err)
			}
		}
		o, err := f.resolve(t.Context(), &Report{})
		if err != nil {
			rt.Fatal(err)
		}
		var file writerTo
		if _, err := write(t.Context(), &file, f, o, crew{size: 2}, func(int64, int64) {}); err != nil {
			rt.Fatal(err)
		}
		s, err := newSnapshot(file)
		if err != nil {
			rt.Fatal(err)
		}
		check := func(n uint32) {
			id, listed := want[n]
			if e := s.Lookup(7777*headSpan + saaf.Phone(n)); e.Listed != listed || listed && e.Categories != f.sets.sets[id] {
				rt.Fatalf("%d: listed %v with %v, want %v with %v", n, e.Listed, e.Categories, listed, f.sets.sets[id])
			}
		}
		for range 200 {
			check(uint32(random.IntN(headSpan)))
		}
		for n := range want {
			check(n)
		}
		b := s.block(7777)
		var all spread
		var uses setUses
		b.spread(&all)
		if got := all.count(&uses); int64(got.partial) != s.Info().Partial || int64(got.active) != s.Info().Numbers {
			rt.Fatalf("%+v when spread out, and %+v in the header", got, s.Info())
		}
	})
}

type writerTo []byte

func (w *writerTo) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

// The size of a registry of 300 million numbers from 6000000000 on.
func TestSize(t *testing.T) {
	t.Parallel()
	const heads, each = 4000, 75_000
	for _, c := range []struct {
		partial uint32
		limit   float64 // bytes a number
	}{{0, 1.7}, {each, 2.7}} {
		size := minFile + maxSets*setSize + heads*headCounts{active: each, partial: c.partial}.size()
		if per := float64(size) / (heads * each); per > c.limit {
			t.Errorf("%d of %d numbers with categories: %.4f bytes a number, want at most %v", c.partial, each, per, c.limit)
		}
	}
}

func TestLookupOutsideThePhones(t *testing.T) {
	t.Parallel()
	path, _ := snapshotFile(t)
	s := open(t, path)
	for _, p := range []saaf.Phone{0, 1, -1, -6000000000, 999_999_999, 10_000_000_000, 1<<63 - 1, -1 << 63} {
		if s.Lookup(p).Listed {
			t.Errorf("%d is listed", int64(p))
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	path, _ := snapshotFile(t)
	s := open(t, path)
	for _, p := range []saaf.Phone{6000000000, 6100000000, 7000000000} {
		if n := testing.AllocsPerRun(100, func() { s.Lookup(p) }); n > 0 {
			t.Errorf("%v allocations for %d", n, p)
		}
	}
}

// A file is unmapped when nobody can look anything up in it any more.
func TestUnmapping(t *testing.T) {
	t.Parallel()
	path, _ := snapshotFile(t)
	s := open(t, path)
	for range 3 {
		runtime.GC()
	}
	if !mapped(t, path) || !s.Lookup(6000000000).Listed {
		t.Error("it is gone while it is in use")
	}
	runtime.KeepAlive(s)
	for start := time.Now(); mapped(t, path); runtime.GC() {
		if time.Since(start) > time.Minute {
			t.Fatal("it stays mapped")
		}
	}
}

// mapped reports whether the file at path is mapped into this process.
func mapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), path)
}
