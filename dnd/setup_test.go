package dnd

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf"
)

// today is the day of the tests. Numbers are made up: 60000..., 99999...
const today = saaf.Date(20_000) // 2024-10-04

var noon = today.Start().Add(12 * time.Hour)

// bundle is an import and a place for its files.
type bundle struct {
	t     testing.TB
	files string // registry files
	Import
}

// setup returns a full import of today into an empty directory.
func setup(t testing.TB) *bundle {
	t.Helper()
	return &bundle{t: t, files: t.TempDir(), Import: Import{
		Mode:          saaf.FullSet,
		EffectiveDate: today,
		Now:           noon,
		Dir:           filepath.Join(t.TempDir(), "snapshots"),
	}}
}

// file writes a registry file and adds it to the import.
func (b *bundle) file(name, content string) *bundle {
	b.t.Helper()
	path := filepath.Join(b.files, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.Files = append(b.Files, path)
	return b
}

// delta turns the import into a delta on s, without files yet.
func (b *bundle) delta(s *Snapshot) *bundle {
	b.Mode, b.Base, b.BaseDate, b.Files = saaf.Delta, s, s.Info().EffectiveDate, nil
	return b
}

// overlaid is a delta on s that writes an overlay. What s maps must be a file.
func (b *bundle) overlaid(s *Snapshot) *bundle {
	b.BaseSHA256 = sha256.Sum256(s.data)
	return b.delta(s)
}

// run imports and opens what came out.
func (b *bundle) run() (*Snapshot, *Report) {
	b.t.Helper()
	r, err := b.Run(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if r.Result.BaseSHA256 == (saaf.SHA256{}) {
		return open(b.t, r.Result.Path), r
	}
	s, err := OpenOverlay(r.Result.Path, b.Base.Base(), r.Result.BaseSHA256)
	if err != nil {
		b.t.Fatal(err)
	}
	return s, r
}

// build imports into memory: for tests of many imports, which a disk would slow.
func (b *bundle) build() (*Snapshot, *Report) {
	b.t.Helper()
	j := newJob(&b.Import)
	defer j.close()
	o, err := j.build(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var file bytes.Buffer
	r, err := j.writeTo(b.t.Context(), &file, o)
	if err != nil {
		b.t.Fatal(err)
	}
	r.SHA256 = sha256.Sum256(file.Bytes())
	j.report.Result = r
	var s *Snapshot
	if r.BaseSHA256 == (saaf.SHA256{}) {
		s, err = newSnapshot(file.Bytes())
	} else {
		s, err = newOverlay(file.Bytes(), b.Base.Base(), r.BaseSHA256)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if s.Info() != r.Info {
		b.t.Fatalf("the file says %+v, the import %+v", s.Info(), r.Info)
	}
	return s, j.report
}

func open(t testing.TB, path string) *Snapshot {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visible is what is in the directory for snapshots.
func (b *bundle) visible() (names []string) {
	b.t.Helper()
	entries, err := os.ReadDir(b.Dir)
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func gzipOf(parts ...string) string {
	var b bytes.Buffer
	for _, part := range parts {
		w := gzip.NewWriter(&b)
		w.Write([]byte(part))
		w.Close()
	}
	return b.String()
}

// zipOf makes an archive of names and contents, in turn.
func zipOf(namesAndContents ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(namesAndContents); i += 2 {
		f, err := w.Create(namesAndContents[i])
		if err != nil {
			panic(err)
		}
		f.Write([]byte(namesAndContents[i+1]))
	}
	w.Close()
	return b.String()
}

// numbers is rows for count numbers from the first on.
func numbers(first saaf.Phone, count int, op string) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "13,%d,0,%s,2\n", first+saaf.Phone(i), op)
	}
	return b.String()
}

// want is what a lookup is to find: "" for a number that is not listed, otherwise
// its categories as in [Categories.String].
type want map[saaf.Phone]string

func (w want) check(t testing.TB, s *Snapshot) {
	t.Helper()
	for p, categories := range w {
		e := s.Lookup(p)
		if e.Listed != (categories != "") || e.Listed && e.Categories.String() != categories {
			t.Errorf("%d: listed %v with %v, want %q", p, e.Listed, e.Categories, categories)
		}
	}
}
