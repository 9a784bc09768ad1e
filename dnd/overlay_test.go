package dnd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// overlayFile is a base file, an overlay file that was made for it, and what is in
// the overlay.
func overlayFile(t testing.TB) (basePath, path string, content []byte) {
	t.Helper()
	base, r := setup(t).file("full.csv", numbers(6000000000, 1000, "A")+"13,6100000001,2#3,A,2\n").run()
	b := setup(t).overlaid(base).file("delta.csv", "13,6000000001,0,D,2\n13,6100000001,0,A,2\n13,6000000003,99,A,2\n13,7000000000,2#3,A,2\n")
	_, made := b.run()
	content, err := os.ReadFile(made.Result.Path)
	if err != nil {
		t.Fatal(err)
	}
	return r.Result.Path, made.Result.Path, content
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	basePath, path, content := overlayFile(t)
	base := open(t, basePath)
	sum := saaf.SHA256(sha256.Sum256(base.data))
	s := openOverlay(t, path, base)
	want{6000000000: "0", 6000000001: "", 6000000003: "99", 6100000001: "0", 7000000000: "2#3", 7000000001: ""}.check(t, s)
	want{6000000000: "0", 6000000001: "0", 6000000003: "0", 6100000001: "2#3", 7000000000: ""}.check(t, base)
	want := Info{EffectiveDate: today, Numbers: 1001, Partial: 2, Heads: 3, Sets: 2, Overlay: 4, Bytes: int64(len(base.data) + len(content))}
	if diff := cmp.Diff(want, s.Info()); diff != "" {
		t.Error(diff)
	}
	if s.Base() != base || base.Base() != base {
		t.Error("it has another base")
	}
	if filepath.Base(path) != saaf.SHA256(sha256.Sum256(content)).String()+Extension {
		t.Errorf("it is named %s", path)
	}
	for path, want := range map[string]saaf.SHA256{path: sum, basePath: {}} {
		if got, err := BaseOf(path); got != want || err != nil {
			t.Errorf("the base of %s is %s, %v", path, got, err)
		}
	}
}

func TestOpenOverlayRefuses(t *testing.T) {
	t.Parallel()
	basePath, path, content := overlayFile(t)
	base := open(t, basePath)
	sum := saaf.SHA256(sha256.Sum256(base.data))
	refused := func(t *testing.T, path string, base *Snapshot, sum saaf.SHA256, says string) {
		t.Helper()
		if _, err := OpenOverlay(path, base, sum); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	t.Run("what is none", func(t *testing.T) {
		t.Parallel()
		refused(t, basePath, base, sum, "is not a registry overlay")
		refused(t, filepath.Join(t.TempDir(), "missing"), base, sum, "no such file")
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "is an overlay, which is opened together with its base") {
			t.Errorf("Open: %v", err)
		}
		if _, err := BaseOf(filepath.Join(t.TempDir(), "missing")); err == nil {
			t.Error("a missing file has a base")
		}
	})
	t.Run("another base", func(t *testing.T) {
		t.Parallel()
		refused(t, path, base, saaf.SHA256{1}, "belongs to the registry snapshot "+sum.String())
		other, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
		refused(t, path, other, sum, "belongs to the registry snapshot")
		s := openOverlay(t, path, base)
		refused(t, path, s, sum, "its base has an overlay itself")
	})
	t.Run("damage", func(t *testing.T) {
		t.Parallel()
		for at := range content {
			if at > 128 && at < headerSize-8 && at%64 != 0 {
				continue
			}
			damaged := bytes.Clone(content)
			damaged[at] ^= 0x10
			if _, err := newOverlay(damaged, base, sum); err == nil {
				t.Errorf("a bit of byte %d", at)
			}
		}
		for size := range len(content) {
			if _, err := newOverlay(content[:size:size], base, sum); err == nil {
				t.Errorf("cut to %d bytes", size)
			}
		}
		if _, err := newOverlay(append(bytes.Clone(content), make([]byte, bucketSize)...), base, sum); err == nil {
			t.Error("a bucket more")
		}
	})
}

// A delta that is undone leaves no entry, whatever was in between, and one that
// changes nothing makes the overlay again that there was.
func TestUndoneDelta(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")+"13,6100000001,2#3,A,2\n").run()
	sum := sha256.Sum256(base.data)
	s := base
	var made []*Report
	for _, rows := range []string{
		"13,6000000001,0,D,2\n13,6100000001,7,A,2\n13,7000000000,0,A,2\n",
		"13,6000000001,0,D,2\n13,7000000000,0,A,2\n",
		"13,6000000001,0,A,2\n13,6100000001,3#2,A,2\n13,7000000000,0,D,2\n",
	} {
		b := setup(t).delta(s)
		b.BaseSHA256 = sum
		var r *Report
		s, r = b.file("delta.csv", rows).run()
		made = append(made, r)
	}
	if n := made[0].Result.Overlay; n != 3 {
		t.Errorf("%d entries", n)
	}
	if diff := cmp.Diff(made[0].Result.SHA256, made[1].Result.SHA256); diff != "" {
		t.Error("rows that change nothing change the overlay:", diff)
	}
	if diff := cmp.Diff([]Changes{{Added: 1, Removed: 1, Changed: 1}, {NotListed: 1}, {Added: 1, Removed: 1, Changed: 1}},
		[]Changes{made[0].Changes, made[1].Changes, made[2].Changes}); diff != "" {
		t.Error(diff)
	}
	in := s.Info()
	if in.Overlay != 0 || in.Numbers != 1001 || in.Sets != 1 || in.Partial != 1 {
		t.Errorf("it is left with %+v", in)
	}
}

// Where an overlay gets too large, or nothing names the base, a whole file is made.
func TestFold(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
	sum := sha256.Sum256(base.data)
	for _, c := range []struct {
		name  string
		sum   saaf.SHA256
		limit int
		asked bool
		whole bool
	}{
		{"below", sum, 21, false, false}, {"at the limit", sum, 20, false, false}, {"above", sum, 19, false, true},
		{"no hash", saaf.SHA256{}, 20, false, true}, {"asked for", sum, 20, true, true},
	} {
		b := setup(t).delta(base).file("delta.csv", numbers(6000000995, 25, "A"))
		b.BaseSHA256, b.foldLimit, b.whole = c.sum, c.limit, c.asked
		s, r := b.run()
		if whole := s.Base() == s; whole != c.whole || whole != (r.Result.BaseSHA256 == (saaf.SHA256{})) || s.Info().Numbers != 1020 {
			t.Errorf("%s: %+v", c.name, r.Result)
		}
	}
}

// An overlay says itself which base it has, and no import is led to another.
func TestOverlayOfAnotherBase(t *testing.T) {
	t.Parallel()
	basePath, path, _ := overlayFile(t)
	base := open(t, basePath)
	s := openOverlay(t, path, base)
	b := setup(t).delta(s).file("delta.csv", "13,7000000001,0,A,2\n")
	b.BaseSHA256 = saaf.SHA256{1}
	if _, err := b.Run(t.Context()); saaf.ErrorCode(err) != saaf.Invalid {
		t.Errorf("%v", err)
	}
	b.BaseSHA256 = saaf.SHA256{}
	if s, r := b.run(); r.Result.BaseSHA256 != sha256.Sum256(base.data) || s.Info().Overlay != 5 {
		t.Errorf("%+v", r.Result)
	}
}

// Every entry of a large overlay is found, and no other number is.
func TestLargeOverlay(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
	random := rand.New(rand.NewPCG(1, 2))
	model := map[saaf.Phone]string{}
	var rows strings.Builder
	for range 20_000 {
		p := randomPhone(random)
		if random.IntN(2) == 0 {
			p = 7000000000 + saaf.Phone(random.IntN(30_000)) // neighbours
		}
		model[p] = []string{"0", "2", "3#4"}[random.IntN(3)]
		rows.WriteString("13," + p.National() + "," + model[p] + ",A,2\n")
	}
	s, _ := setup(t).overlaid(base).file("delta.csv", rows.String()).run()
	want(model).check(t, s)
	if n := s.Info().Overlay; n != int64(len(model)) {
		t.Errorf("%d entries of %d", n, len(model))
	}
	for p := saaf.Phone(7000000000); p < 7000030000; p++ {
		if got := s.Lookup(p); got.Listed != (model[p] != "") {
			t.Fatalf("%d: %v", p, got)
		}
	}
	far := 0
	for p := range model {
		at, _ := s.overlay.table.find(p)
		if home, _ := s.overlay.table.home(p); at/bucketSize != home {
			far++
		}
	}
	if far*25 > len(model) {
		t.Errorf("%d of %d entries are not in their bucket", far, len(model))
	}
	passed := 0
	for _, p := range randomPhones(10_000) {
		if model[p] == "" && s.overlay.table.sieve(p) == 1 {
			passed++
		}
	}
	if passed > 300 {
		t.Errorf("the sieve lets %d of 10,000 other numbers pass", passed)
	}
	v := use(t, Config{}, s, &Report{EffectiveDate: today}).View()
	phones := randomPhones(1000)
	for p := range model {
		phones = append(phones, p)
	}
	for i, got := range v.CheckAll(nil, phones, noon) {
		if diff := cmp.Diff(v.Check(phones[i], noon), got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// A base stays mapped as long as one of its overlays is in use, and goes with the
// last one.
func TestOverlayKeepsItsBase(t *testing.T) {
	t.Parallel()
	basePath, path, _ := overlayFile(t)
	s := openOverlay(t, path, open(t, basePath))
	for range 3 {
		runtime.GC()
	}
	if !mapped(t, basePath) || !mapped(t, path) {
		t.Error("a file in use is not mapped")
	}
	want{6000000000: "0", 6000000001: "", 7000000000: "2#3"}.check(t, s)
	runtime.KeepAlive(s)
	for start := time.Now(); mapped(t, basePath) || mapped(t, path); runtime.GC() {
		if time.Since(start) > time.Minute {
			t.Fatal("they stay mapped")
		}
	}
}

// openOverlay opens an overlay with the base it was made for.
func openOverlay(t testing.TB, path string, base *Snapshot) *Snapshot {
	t.Helper()
	s, err := OpenOverlay(path, base, sha256.Sum256(base.data))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOverlayLookupDoesNotAllocate(t *testing.T) {
	basePath, path, _ := overlayFile(t)
	s := openOverlay(t, path, open(t, basePath))
	for _, p := range []saaf.Phone{6000000000, 6000000001, 6000000003, 6100000001, 7000000000, 7000000001} {
		if n := testing.AllocsPerRun(100, func() { s.Lookup(p) }); n > 0 {
			t.Errorf("%v allocations for %d", n, p)
		}
	}
}

// What finds no place in the last bucket goes on in the first one.
func TestOverlayGoesRound(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
	const entries = 20
	last := table{buckets: uint64((&overlayHeader{entries: entries}).buckets())}
	all, rows := want{}, ""
	for p := saaf.Phone(7000000000); len(all) < entries; p++ {
		if bucket, _ := last.home(p); bucket == int(last.buckets)-1 {
			all[p] = "0"
			rows += "13," + p.National() + ",0,A,2\n"
		}
	}
	s, _ := setup(t).overlaid(base).file("delta.csv", rows).run()
	if n := s.Info().Overlay; n != entries {
		t.Errorf("%d entries", n)
	}
	all.check(t, s)
}

// A delta may leave fewer numbers with categories than the base has in a list of
// those whose set has no code, and counts nothing that it does not name.
func TestDeltaOfFewerSets(t *testing.T) {
	t.Parallel()
	rows, gone := "", ""
	for i := range 400 {
		p := saaf.Phone(6000000000 + i)
		rows += fmt.Sprintf("13,%d,%d#%d,A,2\n", p, 1+i%20, 30+i/20)
		if i >= 50 {
			gone += fmt.Sprintf("13,%d,0,D,2\n", p)
		}
	}
	base, _ := setup(t).file("full.csv", rows).run()
	for _, whole := range []bool{false, true} {
		b := setup(t).overlaid(base).file("delta.csv", gone)
		b.Override, b.whole = "most of it goes", whole
		s, r := b.run()
		if s.Info().Numbers != 50 || s.Info().Partial != 50 || r.Changes != (Changes{Removed: 350}) {
			t.Errorf("%+v, %+v", s.Info(), r.Changes)
		}
		if whole {
			continue
		}
		if _, r = setup(t).overlaid(s).file("next.csv", "13,6000000000,0,A,2\n").run(); r.Changes != (Changes{Changed: 1}) {
			t.Errorf("the next one: %+v", r.Changes)
		}
	}
}
