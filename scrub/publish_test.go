package scrub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// An importer that is cut short anywhere in the middle leaves nothing that is taken
// for the file, and the next one goes on where it was, also when a block was spoilt
// meanwhile.
func TestPublishGoesOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	active := m.imports(m.large(0)).Snapshot
	sha := active.SHA256
	blocks := m.published()[sha].Blocks()
	for stop := range blocks {
		d.sql(`TRUNCATE snapshot_uploads, snapshot_blocks`)
		ctx, cancel := context.WithCancel(t.Context())
		n := int64(0)
		err := publish(ctx, m.store, m.dir, &active, func(_, _ int64) {
			if n++; n > stop {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stopped after %d: %v", stop, err)
		}
		if err := fetch(t.Context(), m.store, t.TempDir(), sha, nil); !errors.Is(err, store.ErrNotPublished) {
			t.Errorf("stopped after %d, fetching ended with %v", stop, err)
		}
		if stop%2 == 1 {
			d.flip(sha, stop-1)
		}
		versions := d.versions(sha)
		if err := publish(t.Context(), m.store, m.dir, &active, func(_, _ int64) {}); err != nil {
			t.Fatal(err)
		}
		for seq, was := range versions {
			if again := d.versions(sha)[seq] != was; again != (stop%2 == 1 && seq == stop-1) {
				t.Errorf("stopped after %d, block %d was written again: %v", stop, seq, again)
			}
		}
		to := t.TempDir()
		if err := fetch(t.Context(), m.store, to, sha, nil); err != nil {
			t.Error(err)
		}
		if err := dnd.Verify(t.Context(), snapshotPath(to, sha), sha); err != nil {
			t.Error(err)
		}
	}
}

// versions says of each block of a file which row it is.
func (d *deployment) versions(sha saaf.SHA256) map[int64]string {
	d.t.Helper()
	versions := make(map[int64]string)
	d.rows(`SELECT seq, CAST(xmin AS TEXT) || CAST(ctid AS TEXT) FROM snapshot_blocks WHERE sha256 = $1`, func(seq int64, version string) {
		versions[seq] = version
	}, sha[:])
	return versions
}

// Of two importers at once, of the same files or others, each finds all nodes
// prepared; one wins, and the other has left nothing that is in anybody's way.
func TestTwoImportersOfOneStore(t *testing.T) {
	t.Parallel()
	for name, salts := range map[string][2]int{"the same files": {1, 1}, "others": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			n, a, b := d.node(), d.machine(), d.machine()
			a.imports(a.large(0))
			var both sync.WaitGroup
			both.Add(2)
			results, errs := [2]ImportResult{}, [2]error{}
			var group sync.WaitGroup
			for i, m := range []*bundle{a, b} {
				group.Go(func() {
					req := m.large(salts[i])
					begun := sync.OnceFunc(both.Done)
					req.Spread.Progress = func(p SpreadProgress) {
						if p.Stage == Publishing { // both are built, neither is active
							begun()
							both.Wait()
						}
					}
					results[i], errs[i] = m.importInto(req)
					begun()
				})
			}
			group.Wait()
			won := 0
			if errs[0] != nil {
				won = 1
			}
			if errs[won] != nil || !overtaken(errs[1-won]) {
				t.Fatalf("they ended with %v", errs)
			}
			n.answersFrom(results[won].Snapshot.ID)
			for i := range results {
				if w := results[i].Report.Warnings; strings.Contains(strings.Join(w, " "), "server") {
					t.Errorf("%d was left without a node: %q", i, w)
				}
			}
			for sha, u := range n.published() {
				if u.Pending || sha == results[won].Snapshot.SHA256 && !u.Ready {
					t.Errorf("%v is %+v", sha, u)
				}
			}
		})
	}
}

// The store and every directory keep the files of the active snapshot and of two
// behind it, with their bases, and a roll-back finds them everywhere.
func TestFilesThatAreKeptEverywhere(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, n := d.machine(), d.node()
	var list []saaf.Snapshot
	for salt := range 3 {
		list = append(list, m.imports(m.large(salt)).Snapshot)
	}
	for i := range 2 {
		list = append(list, m.imports(m.delta(rows("A", saaf.Phone(7_000_000_001+i)))).Snapshot)
	}
	want := map[saaf.SHA256]bool{list[2].SHA256: true, list[3].SHA256: true, list[4].SHA256: true}
	agree := func(what string, files map[saaf.SHA256]bool) {
		t.Helper()
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	inStore := make(map[saaf.SHA256]bool)
	for sha, u := range m.published() {
		inStore[sha] = u.Ready && !u.Pending
	}
	agree("the store", inStore)
	agree("the importer", m.inDir())
	n.answersFrom(list[4].ID)
	n.waits("the node has tidied up", func() bool { return len(n.inDir()) == len(want) })
	agree("the node", n.inDir())

	// A node that came later has only what it needed, and fetches what is gone back to.
	late := d.node()
	late.answersFrom(list[4].ID)
	if late.hasFile(list[3].SHA256) || !late.hasFile(list[2].SHA256) {
		t.Errorf("the late node has %v", late.inDir())
	}
	if err := n.RollBack(t.Context(), saaf.By{Actor: "test"}, "a wrong file"); err != nil || n.registry.View().Ref().ID != list[3].ID {
		t.Fatalf("rolled back over the API to %v: %v", n.registry.View().Ref().ID, err)
	}
	late.answersFrom(list[3].ID)
	if late.events.count("the active snapshot cannot be used") > 1 { // when it started
		t.Error("the late node was without the active snapshot")
	}
	operator, prepared := d.machine(), false
	how := Spreading{Warn: func(w string) { t.Error(w) }, Progress: func(p SpreadProgress) {
		prepared = p.Stage == Preparing && p.Servers == 2 && len(p.Waiting) == 0
	}}
	back, _, err := RollBack(t.Context(), operator.store, operator.dir, saaf.By{Actor: "test"}, "a wrong file", how)
	if err != nil || back.ID != list[2].ID || !prepared {
		t.Fatalf("rolled back to %v, prepared %v: %v", back.ID, prepared, err)
	}
	n.answersFrom(back.ID)
	late.answersFrom(back.ID)
	// Those that were left are still there, for the re-check of the leads.
	if len(m.published()) != len(want) {
		t.Errorf("%d files are published", len(m.published()))
	}
	if kept, err := operator.Kept(t.Context()); err != nil || len(kept) != 1 {
		t.Errorf("%d snapshots are kept, %v", len(kept), err)
	}
	_, _, err = RollBack(t.Context(), operator.store, operator.dir, saaf.By{Actor: "test"}, "too far", Spreading{})
	if e, ok := errors.AsType[*saaf.Error](err); !ok || e.Word != "nothing_to_roll_back" || !strings.Contains(e.Message, "no longer kept") {
		t.Errorf("one too far ended with %v", err)
	}
	if n.events.count("the active snapshot cannot be used") > 0 {
		t.Error("the node answered unknown")
	}
}

// inDir are the snapshot files in the directory, true when they are sound.
func (b *bundle) inDir() map[saaf.SHA256]bool {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	files := make(map[saaf.SHA256]bool)
	for _, e := range entries {
		var sha saaf.SHA256
		if isSnapshotFile(e.Name()) && sha.UnmarshalText([]byte(strings.TrimSuffix(e.Name(), dnd.Extension))) == nil {
			files[sha] = b.hasFile(sha)
		}
	}
	return files
}

// What a node prepares must not go when somebody tidies up its directory, and what a
// killed one left goes.
func TestTidyingSparesWhatIsPrepared(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, n := d.machine(), d.node()
	lame := d.machine().serves(d, false)
	n.answersFrom(m.imports(withLimit(m.large(0), time.Millisecond)).Snapshot.ID)
	orphan := filepath.Join(n.dir, strings.Repeat("0f", 32)+dnd.Extension)
	if err := os.WriteFile(orphan, []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	rest := filepath.Join(n.dir, "import-1.tmp")
	if err := os.WriteFile(rest, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	req := m.large(1)
	req.Spread.Progress = func(p SpreadProgress) {
		if p.Stage != Preparing || len(p.Waiting) != 1 {
			return
		}
		for sha, u := range m.published() {
			if !u.Pending {
				continue
			}
			p := &preparing{Service: n.Service}
			if err := p.tidyDir(t.Context()); err != nil || !n.hasFile(sha) {
				t.Errorf("the file is gone: %v", err)
			}
		}
		lame.ends()
	}
	n.answersFrom(m.imports(req).Snapshot.ID)
	for _, left := range []string{orphan, rest} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", left, err)
		}
	}
}

func withLimit(req ImportRequest, limit time.Duration) ImportRequest {
	req.Spread.Limit = limit
	return req
}

// Commands on a machine that has nothing take what they need from the store.
func TestCommandsFetch(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	before := m.imports(m.large(0)).Snapshot
	active := m.imports(m.delta(rows("A", 7_000_000_001))).Snapshot
	for name, look := range map[string]func(b *bundle) (*dnd.Snapshot, error){
		"open": func(b *bundle) (*dnd.Snapshot, error) {
			return OpenSnapshot(t.Context(), b.store, b.dir, active.ID)
		},
		"open verified": func(b *bundle) (*dnd.Snapshot, error) {
			return OpenVerified(t.Context(), b.store, b.dir, &active)
		},
		"open what is damaged": func(b *bundle) (*dnd.Snapshot, error) {
			if err := Fetch(t.Context(), b.store, b.dir, &active, func(_, _ int64) {}); err != nil {
				return nil, err
			}
			b.replace(before, []byte("spoilt"))
			return OpenVerified(t.Context(), b.store, b.dir, &active)
		},
	} {
		b := d.machine()
		snap, err := look(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !snap.Lookup(7_000_000_001).Listed || !snap.Lookup(6_000_000_000).Listed {
			t.Errorf("%s: it lists other numbers", name)
		}
	}
	d.sql(`TRUNCATE snapshot_uploads, snapshot_blocks`)
	b := d.machine()
	if _, err := OpenVerified(t.Context(), b.store, b.dir, &active); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what nobody has: %v", err)
	}
	if _, err := OpenSnapshot(t.Context(), b.store, b.dir, active.ID); saaf.ErrorCode(err) != saaf.NotFound {
		t.Errorf("what nobody has: %v", err)
	}
}

// In an embedded store nothing of all this happens.
func TestNothingIsPublishedAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.RunPreparing(ctx) }()
	req := b.full(rows("A", filler))
	req.Override = "a test"
	req.Spread.Progress = func(SpreadProgress) { t.Error("it is spread") }
	b.imports(req)
	b.imports(b.delta(rows("A", 7_000_000_001)))
	b.loads()
	if list := b.published(); len(list) > 0 || len(b.Prepared()) > 0 {
		t.Errorf("published %v, prepared %v", list, b.Prepared())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
