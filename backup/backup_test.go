package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// bench is a store to be backed up, with two snapshots in its register and files for them.
type bench struct {
	t        *testing.T
	dir      string
	files    []string // registry files, by name
	snapshot saaf.Snapshot
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "data")}
	st, err := store.Open(t.Context(), store.Config{Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	b.run(st, func(ctx context.Context) error {
		if _, err := st.CreateTenant(ctx, "Asha"); err != nil {
			return err
		}
		base := b.file("the base of a registry")
		for _, snap := range []saaf.Snapshot{
			{Mode: saaf.FullSet, SHA256: base},
			{Mode: saaf.Delta, SHA256: b.file("what is otherwise"), BaseSHA256: base},
		} {
			snap.EffectiveDate = saaf.DateOf(time.Now())
			if b.snapshot, _, err = st.ActivateSnapshot(ctx, snap, b.snapshot.ID, store.Cause{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs fn while the writer of the store runs.
func (b *bench) run(st *store.Store, fn func(context.Context) error) {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- st.Run(ctx) }()
	if err := fn(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) registry() string { return filepath.Join(b.dir, "registry") }

// file puts a registry file there.
func (b *bench) file(content string) saaf.SHA256 {
	b.t.Helper()
	sum := saaf.SHA256(sha256.Sum256([]byte(content)))
	if err := os.MkdirAll(b.registry(), 0o700); err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(b.registry(), sum.String()+dnd.Extension)
	if err := os.WriteFile(path, []byte(content), 0o400); err != nil {
		b.t.Fatal(err)
	}
	b.files = append(b.files, path)
	return sum
}

func (b *bench) request(dir string) Request {
	return Request{DataDir: b.dir, Registry: b.registry(), Keep: 3, Keys: b.dir, Dir: dir, Program: "test"}
}

// made is a backup with keys.
func (b *bench) made() string {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "backup")
	if _, err := Make(b.t.Context(), b.request(dir)); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

func restoreTo(t *testing.T, dir, to string) error {
	t.Helper()
	_, err := Restore(t.Context(), RestoreRequest{Dir: dir, DataDir: to, Registry: filepath.Join(to, "registry"), Keys: to})
	return err
}

// names are all files below a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRestoreIsWhatWasBackedUp opens what was restored, and compares its files.
func TestRestoreIsWhatWasBackedUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir, to := b.made(), filepath.Join(t.TempDir(), "new")
	if err := restoreTo(t, dir, to); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(b.files, filepath.Join(b.dir, "pepper"), filepath.Join(b.dir, "signing.pem")) {
		rel, err := filepath.Rel(b.dir, path)
		if err != nil {
			t.Fatal(err)
		}
		was, err := os.ReadFile(path)
		is, rerr := os.ReadFile(filepath.Join(to, rel))
		if err := errors.Join(err, rerr); err != nil || string(was) != string(is) {
			t.Errorf("%s is not as it was: %v", rel, err)
		}
	}
	st, err := store.Open(t.Context(), store.Config{Dir: to, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	reg, err := st.Registry(t.Context())
	if err != nil || reg.Active == nil || reg.Active.ID != b.snapshot.ID {
		t.Errorf("the restored store answers from %+v, %v; want %s", reg.Active, err, b.snapshot.ID)
	}
	if st.Fresh() {
		t.Error("the store is a new one")
	}
}

// TestDamagedBackup turns one bit of each file of a backup, at its beginning, in its middle
// and at its end, and cuts and removes it. None of these is restored, and nothing of it is
// left in the data directory.
func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	whole := b.made()
	list := names(t, whole)
	if len(list) != 7 {
		t.Fatalf("a backup has the files %v", list)
	}
	for _, name := range list {
		content, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		damage := map[string]func([]byte) []byte{
			"first": func(c []byte) []byte { c[0] ^= 1; return c },
			"mid":   func(c []byte) []byte { c[len(c)/2] ^= 1; return c },
			"last":  func(c []byte) []byte { c[len(c)-1] ^= 1; return c },
			"cut":   func(c []byte) []byte { return c[:len(c)-1] },
			"more":  func(c []byte) []byte { return append(c, '\n') },
			"empty": func([]byte) []byte { return nil },
			"gone":  nil,
		}
		for how, change := range damage {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				dir, to := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "new")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, name)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if change != nil {
					if err := os.WriteFile(path, change(slices.Clone(content)), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				err := restoreTo(t, dir, to)
				// What is missing of the keys, and of the manifest, is not called damage.
				if err == nil || !errors.Is(err, errDamaged) && how != "gone" {
					t.Errorf("restored: %v", err)
				}
				if _, err := os.Stat(to); err == nil {
					if left := names(t, to); !slices.Equal(left, []string{"serve.lock"}) {
						t.Errorf("%v is left", left)
					}
				}
			})
		}
	}
}

// TestManifestOfAnotherKind holds names and versions of a manifest, whose sums are right,
// against what this program may do with them.
func TestManifestOfAnotherKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	whole := b.made()
	for name, c := range map[string]struct {
		change func(*Manifest)
		want   string
	}{
		"format": {func(m *Manifest) { m.Format = 2 }, "the backup has format 2, made by saaf test, and this program reads format 1"},
		"schema": {func(m *Manifest) { m.Schema = "9999_future.sql" }, "use that version or a newer one"},
		"above":  {func(m *Manifest) { m.Files[0].Name = "../saaf.db" }, "which no backup has"},
		"other":  {func(m *Manifest) { m.Files[0].Name = "serve.lock" }, "which no backup has"},
		"keys":   {func(m *Manifest) { m.Keys = false }, "which no backup has"},
		"none":   {func(m *Manifest) { m.Files = m.Files[:2] }, "names no saaf.db"},
		"pepper": {func(m *Manifest) { m.Pepper[0]++ }, "pepper is not the one of this store"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, to := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "new")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, manifestName))
			if err != nil {
				t.Fatal(err)
			}
			var m Manifest
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			c.change(&m)
			manifest, sums, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string][]byte{manifestName: manifest, sumsName: sums} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := restoreTo(t, dir, to); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("restored: %v; want %q", err, c.want)
			}
		})
	}
}

// TestRestoreGoesOn restores where a restoration was cut short at each of its last steps.
func TestRestoreGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := b.made()
	whole := filepath.Join(t.TempDir(), "whole")
	if err := restoreTo(t, dir, whole); err != nil {
		t.Fatal(err)
	}
	want := names(t, whole)
	for _, left := range [][]string{
		{workName + "/saaf.db", workName + "/keys/pepper"},
		{workName + "/saaf.db", "registry"},
		{workName + "/saaf.db", "registry", "pepper", "signing.pem.partial"},
		{workName + "/saaf.db", "registry", "pepper", "signing.pem"},
	} {
		to := filepath.Join(t.TempDir(), "new")
		for _, name := range left {
			path := filepath.Join(to, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			var err error
			switch from := filepath.Join(whole, name); name {
			case "registry":
				err = os.CopyFS(path, os.DirFS(from))
			case "pepper", "signing.pem":
				err = os.Link(from, path)
			default:
				err = os.WriteFile(path, []byte("in part"), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := restoreTo(t, dir, to); err != nil {
			t.Errorf("after %v: %v", left, err)
		}
		if diff := cmp.Diff(want, names(t, to)); diff != "" {
			t.Errorf("after %v (-whole +there):\n%s", left, diff)
		}
	}
}

// TestBackupsOfOneName makes backups with one name at once: one of them is made, and is
// whole.
func TestBackupsOfOneName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 10 {
		parent := t.TempDir()
		dir := filepath.Join(parent, "backup")
		if err := os.Mkdir(dir+partialSuffix, 0o700); err != nil { // all of them want to remove
			t.Fatal(err)
		}
		var group sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			group.Go(func() { _, errs[i] = Make(t.Context(), b.request(dir)) })
		}
		group.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else if !strings.Contains(err.Error(), "another saaf backup is writing") && !strings.Contains(err.Error(), "not empty") {
				t.Errorf("another one: %v", err)
			}
		}
		if made != 1 {
			t.Errorf("%d backups were made in one place", made)
		}
		if err := restoreTo(t, dir, filepath.Join(parent, "new")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir + partialSuffix); err == nil {
			t.Error("something is left beside it")
		}
	}
}

// TestNameThatIsTakenMeanwhile puts something in the place of a backup before it is done.
func TestNameThatIsTakenMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := filepath.Join(t.TempDir(), "backup")
	req := b.request(dir)
	mine := filepath.Join(dir, "mine")
	req.Aside = func() {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(mine, nil, 0o600)); err != nil {
			t.Error(err)
		}
	}
	if _, err := Make(t.Context(), req); err == nil || !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
		t.Errorf("made: %v", err)
	}
	if diff := cmp.Diff([]string{"mine"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(dir + partialSuffix); err == nil {
		t.Error("the backup that has no name is still there")
	}
}

// TestBackupIsInterrupted cancels a backup while it copies: nothing is left.
func TestBackupIsInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	req := b.request(filepath.Join(t.TempDir(), "backup"))
	req.Aside = cancel
	if _, err := Make(ctx, req); !errors.Is(err, context.Canceled) {
		t.Errorf("made: %v", err)
	}
	if left := names(t, filepath.Dir(req.Dir)); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestRegistryFileThatIsDamaged leaves such a file out, says so, and keeps the others.
func TestRegistryFileThatIsDamaged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := os.Remove(b.files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.files[0], []byte("the base of a registrx"), 0o400); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	m, err := Make(t.Context(), b.request(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], filepath.Base(b.files[0])) || !strings.Contains(m.Warnings[0], "damaged") {
		t.Errorf("the warnings are %q", m.Warnings)
	}
	list := names(t, filepath.Join(dir, registryDir))
	if diff := cmp.Diff([]string{filepath.Base(b.files[1])}, list); diff != "" {
		t.Error(diff)
	}
	if err := restoreTo(t, dir, filepath.Join(t.TempDir(), "new")); err != nil {
		t.Error(err)
	}
}

// TestSnapshotsAreCopied: who gives a backup to another owner, or damages it, does nothing to
// the store.
func TestSnapshotsAreCopied(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := filepath.Join(b.t.TempDir(), "backup")
	req := b.request(dir)
	var said int64
	req.Begin = func(bytes int64) { said = bytes }
	m, err := Make(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range b.files {
		was, err := os.Stat(path)
		is, ierr := os.Stat(filepath.Join(dir, registryDir, filepath.Base(path)))
		if err := errors.Join(err, ierr); err != nil || os.SameFile(was, is) {
			t.Errorf("%s is no copy (%v)", filepath.Base(path), err)
		}
	}
	if said <= 0 || said > 2*m.Bytes() {
		t.Errorf("said that it takes %d bytes, and it takes %d", said, m.Bytes())
	}
}
