package dnd

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// generate runs g into an empty directory and returns what it wrote.
func generate(t testing.TB, g Generate) *GenerateReport {
	t.Helper()
	g.Path = filepath.Join(t.TempDir(), g.Path)
	r, err := g.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func paths(r *GenerateReport) (list []string) {
	for _, f := range r.Files {
		list = append(list, f.Path)
	}
	return list
}

func contents(t testing.TB, r *GenerateReport) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths(r) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func head(text string, lines int) string {
	return strings.Join(strings.SplitAfterN(text, "\n", lines+1)[:lines], "")
}

func TestGenerateLayout(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 1000, Seed: 1, Deleted: 0.3, Preferences: 0.4})
	d, err := s.Delta(SyntheticDeltaConfig{Rows: 4, Removed: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		generate Generate
		want     string
	}{
		"full": {Generate{}, `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"
"18","6624769293","0","A","2"
"18","6624709984","0","D","2"
"18","6624771760","0","A","2"
"18","6624789437","1#2#3#4#5#8","A","2"
`},
		"bare": {Generate{Bare: true}, `18,6624769293,0,A,2
18,6624709984,0,D,2
18,6624771760,0,A,2
18,6624789437,1#2#3#4#5#8,A,2
18,6624781020,1#2#3#4#5#6#7,A,2
`},
		"ascending": {Generate{Ascending: true}, `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"
"18","6624700122","1#2#3#5#6#8","A","2"
"18","6624700147","1#4#5#6#7#8","D","2"
"18","6624700264","2#3#4#6#7","A","2"
"18","6624700406","2#3#4#6","A","2"
`},
		"delta": {Generate{Delta: d}, `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"
"18","6624784980","0","A","2"
"18","6624769293","0","D","2"
"18","6624749955","0","A","2"
"18","6624744744","0","D","2"
`},
	} {
		g := c.generate
		g.Path, g.Registry = "x.csv", s
		if diff := cmp.Diff(c.want, head(contents(t, generate(t, g)), 5)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The bytes follow from the fields: not from the number of processors, the time, or
// who is quicker.
func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x.csv", "x.csv.gz", "x.zip"} {
		c := SyntheticConfig{Numbers: 100_000, Seed: 5, Deleted: 0.1, Preferences: 0.1}
		a := generate(t, Generate{Path: name, Registry: synthetic(t, c)})
		b := generate(t, Generate{Path: name, Registry: synthetic(t, c)})
		c.Seed++
		other := generate(t, Generate{Path: name, Registry: synthetic(t, c)})
		if a.Files[0].SHA256 != b.Files[0].SHA256 || a.Bytes != b.Bytes {
			t.Errorf("%s: two runs differ", name)
		}
		if a.Files[0].SHA256 == other.Files[0].SHA256 {
			t.Errorf("%s: two seeds do not differ", name)
		}
		if text := contents(t, a); a.Files[0].SHA256 != sha256.Sum256([]byte(text)) || a.Bytes != int64(len(text)) {
			t.Errorf("%s: the report has another hash or length", name)
		}
	}
}

// In whatever order, packing and parts: the same rows.
func TestGenerateWritesTheSameRows(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 120_000, Seed: 3, Deleted: 0.2, Preferences: 0.2})
	want := strings.Split(contents(t, generate(t, Generate{Path: "x.csv", Registry: s, Bare: true})), "\n")
	for i, row := range want[:len(want)-1] {
		if got := fmt.Sprintf("%d", int64(s.Number(int64(i)))); !strings.Contains(row, got) {
			t.Fatalf("row %d is not of number %d", i, i)
		}
	}
	byNumber := func(a, b string) int {
		_, a, _ = strings.Cut(a, ",")
		_, b, _ = strings.Cut(b, ",")
		return strings.Compare(a, b)
	}
	for _, rows := range []int64{1_000, 50_000, 119_999, 120_000} {
		parts := generate(t, Generate{Path: "x.csv", Registry: s, Bare: true, RowsPerFile: rows})
		if got := contents(t, parts); got != strings.Join(want, "\n") {
			t.Errorf("%d rows a file: other rows", rows)
		}
	}
	ascending := generate(t, Generate{Path: "x.csv", Registry: s, Bare: true, Ascending: true, RowsPerFile: 33_333})
	slices.SortFunc(want, byNumber)
	if diff := cmp.Diff(want[1:], strings.Split(strings.TrimSuffix(contents(t, ascending), "\n"), "\n")); diff != "" {
		t.Errorf("in ascending order:\n%.2000s", diff)
	}
}

// The standard reader of gzip finds what the plain file has, in one stream.
func TestGenerateGzip(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 50_000, Seed: 3, Preferences: 0.2})
	r, err := gzip.NewReader(strings.NewReader(contents(t, generate(t, Generate{Path: "x.csv.gz", Registry: s}))))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != contents(t, generate(t, Generate{Path: "x.csv", Registry: s})) {
		t.Error("another text than in the plain file")
	}
	if r.Comment != madeUp {
		t.Errorf("remark %q", r.Comment)
	}
}

// What is generated is imported without a word against it, counts the same, and
// lists what Entry says, nothing else.
func TestGeneratedFilesImport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		config  SyntheticConfig
		g       Generate
		members int // of all files
	}{
		{"plain", SyntheticConfig{Numbers: 100_000, Deleted: 0.3, Preferences: 0.1}, Generate{Path: "full.csv"}, 1},
		{"uniform, gzip", SyntheticConfig{Numbers: 20_000, Deleted: 0.3, Preferences: 1}, Generate{Path: "full.csv.gz"}, 1},
		{"zip", SyntheticConfig{Numbers: 100_000, Preferences: 0.1}, Generate{Path: "full.zip"}, 4},
		{"three zips", SyntheticConfig{Numbers: 100_000, Deleted: 0.5}, Generate{Path: "full.zip", RowsPerFile: 40_000}, 12},
		{"bare", SyntheticConfig{Numbers: 30_000, Deleted: 0.1, Preferences: 0.5}, Generate{Path: "full.csv", Bare: true}, 1},
		{"one row", SyntheticConfig{Numbers: 1}, Generate{Path: "full.zip"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.config.Seed = 4
			c.config.Uniform = strings.HasPrefix(c.name, "uniform")
			s := synthetic(t, c.config)
			c.g.Registry = s
			made := generate(t, c.g)
			b := setup(t)
			b.Files = paths(made)
			snap, r := b.build()
			members := 0
			for i, f := range r.Files {
				members += f.Members
				if g := made.Files[i]; g.Rows != f.Rows || g.SHA256 != f.SHA256 || g.Bytes != f.Bytes {
					t.Errorf("generated %+v, imported %+v", g, f)
				}
			}
			want := Counts{Rows: s.Numbers, Active: made.Active, Deleted: made.Deleted, Partial: made.Partial, Headers: int64(c.members)}
			if c.g.Bare {
				want.Headers = 0
			}
			if diff := cmp.Diff(want, r.Total); diff != "" || members != c.members || len(r.Warnings) > 0 {
				t.Errorf("%s%d members, warnings %q", diff, members, r.Warnings)
			}
			if r.Numbers != made.Active || r.Conflicts != 0 || made.Rows != s.Numbers {
				t.Errorf("generated %+v, imported %d numbers with %d conflicts", made, r.Numbers, r.Conflicts)
			}
			near(t, "D rows", made.Deleted, s.Numbers, c.config.Deleted)
			near(t, "rows with categories", made.Partial, made.Active, c.config.Preferences)
			sameEntries(t, s, s.Entry, snap)
		})
	}
}

// sameEntries compares a snapshot with what is expected of numbers of the registry,
// and of others.
func sameEntries(t *testing.T, s *Synthetic, want func(saaf.Phone) Entry, snap *Snapshot) {
	t.Helper()
	listed := int64(0)
	for i := range min(s.Capacity(), 200_000) {
		p := s.Number(i)
		e := snap.Lookup(p)
		if w := want(p); e != w {
			t.Fatalf("number %d is %+v, want %+v", i, e, w)
		}
		if e.Listed {
			listed++
		}
	}
	if n := snap.Info().Numbers; listed != n {
		t.Errorf("%d numbers found of %d", listed, n)
	}
}

func TestGeneratedDeltasImport(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 100_000, Seed: 11, Deleted: 0.3, Preferences: 0.2})
	full := setup(t)
	full.Files = paths(generate(t, Generate{Path: "full.csv", Registry: s}))
	snap, _ := full.build()
	for sequence := int64(1); sequence <= 3; sequence++ {
		d, err := s.Delta(SyntheticDeltaConfig{Rows: 20_000, Removed: 0.03, Sequence: sequence})
		if err != nil {
			t.Fatal(err)
		}
		made := generate(t, Generate{Path: "delta.csv", Registry: s, Delta: d})
		im := setup(t).delta(snap)
		im.Files = paths(made)
		next, r := im.build()
		if diff := cmp.Diff(Changes{Added: 19_400, Removed: 600}, r.Changes); diff != "" || made.Deleted != 600 || made.NotListed != 0 {
			t.Errorf("delta %d: %s%+v", sequence, diff, made)
		}
		sameEntries(t, s, d.Entry, next)
		snap = next
	}
}

// A delta may remove more than there is to choose from; it says how much of it came
// to nothing, and an import that is made to take it agrees.
func TestGeneratedDeltaRunsOut(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 10_000, Seed: 12, Deleted: 0.6})
	full := setup(t)
	full.Files = paths(generate(t, Generate{Path: "full.csv", Registry: s}))
	snap, before := full.build()
	d, err := s.Delta(SyntheticDeltaConfig{Rows: 5000, Removed: 1})
	if err != nil {
		t.Fatal(err)
	}
	made := generate(t, Generate{Path: "delta.csv", Registry: s, Delta: d})
	im := setup(t).delta(snap)
	im.Files, im.Override = paths(made), "to see what is left"
	next, r := im.build()
	if made.NotListed == 0 || r.Changes.NotListed != made.NotListed || r.Numbers != before.Numbers-(5000-made.NotListed) {
		t.Errorf("generated %+v, imported %+v: %d numbers of %d", made, r.Changes, r.Numbers, before.Numbers)
	}
	sameEntries(t, s, d.Entry, next)
}

func TestGenerateNames(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 11})
	r := generate(t, Generate{Path: "full.csv.gz", Registry: s, RowsPerFile: 1})
	var names []string
	for _, f := range r.Files {
		names = append(names, filepath.Base(f.Path))
		info, err := os.Stat(f.Path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if names[0] != "full_00.csv.gz" || names[10] != "full_10.csv.gz" || len(names) != 11 {
		t.Errorf("%q", names)
	}
	if entries, err := os.ReadDir(filepath.Dir(r.Files[0].Path)); err != nil || len(entries) != 11 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	for _, g := range []Generate{
		{Path: "full"}, {Path: "full.gz"}, {Path: ".csv"}, {Path: ".zip"}, {Path: ""}, {Path: "full.CSV"},
		{Path: "x.csv", RowsPerFile: -1}, {Path: "x.csv", Ascending: true, Delta: &SyntheticDelta{}},
	} {
		g.Registry = s
		if _, err := g.Run(t.Context()); saaf.ErrorCode(err) != saaf.Invalid {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

func TestGenerateOverwritesWhenForced(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 100})
	g := Generate{Path: filepath.Join(t.TempDir(), "full.csv"), Registry: s}
	if err := os.WriteFile(g.Path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := g.Run(t.Context())
	if saaf.ErrorCode(err) != saaf.Conflict {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(g.Path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	g.Force = true
	r, err := g.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(contents(t, r), syntheticHeader) {
		t.Error("the file is the old one")
	}
}

// A file that appears while others are written is not overwritten either, and what
// was written is removed, as after every error.
func TestGenerateLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := synthetic(t, SyntheticConfig{Numbers: 500_000})
	for _, c := range []struct {
		name  string
		spoil func(dir string, cancel context.CancelFunc)
		left  []string
		err   func(error) bool
	}{
		{"cancelled", func(_ string, cancel context.CancelFunc) { cancel() }, nil,
			func(err error) bool { return errors.Is(err, context.Canceled) }},
		{"a file appears", func(dir string, _ context.CancelFunc) {
			_ = os.WriteFile(filepath.Join(dir, "x_2.zip"), nil, 0o600)
		}, []string{"x_2.zip"}, func(err error) bool { return saaf.ErrorCode(err) == saaf.Conflict }},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var last GenerateProgress
		g := Generate{Path: filepath.Join(dir, "x.zip"), Registry: s, RowsPerFile: 200_000, Progress: func(p GenerateProgress) {
			if p.Rows <= last.Rows || p.RowsTotal != 500_000 {
				t.Errorf("progress %+v after %+v", p, last)
			}
			if last = p; p.File == "x_1.zip" {
				c.spoil(dir, cancel)
			}
		}}
		_, err := g.Run(ctx)
		cancel()
		if !c.err(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		var left []string
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if diff := cmp.Diff(c.left, left); diff != "" || err != nil {
			t.Errorf("%s: %s%v", c.name, diff, err)
		}
	}
}

// The progress of a run that ends well ends at the end.
func TestGenerateProgress(t *testing.T) {
	t.Parallel()
	var last GenerateProgress
	r := generate(t, Generate{Path: "x.csv.gz", Registry: synthetic(t, SyntheticConfig{Numbers: 100_000}), Progress: func(p GenerateProgress) { last = p }})
	if last.Rows != 100_000 || last.RowsTotal != 100_000 || last.File != "x.csv.gz" || last.Bytes > r.Bytes || last.Bytes < r.Bytes/2 {
		t.Errorf("%+v of %d bytes", last, r.Bytes)
	}
	if bytes.Count([]byte(contents(t, r)), []byte(madeUp)) != 1 {
		t.Error("the file does not say that its numbers are made up")
	}
}
