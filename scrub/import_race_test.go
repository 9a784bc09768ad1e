package scrub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Of two imports at once one wins, and the other says that it is to be run again.
func TestTwoImportsAtOnce(t *testing.T) {
	t.Parallel()
	// What the loser made goes, unless the winner made the same.
	for name, content := range map[string]string{
		"other content": rows("A", numbers(6_000_000_000, 201)...),
		"same content":  rows("A", numbers(6_000_000_000, 202)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, base := based(t)
			other := b.another(store.Config{Node: 1})
			var won ImportResult
			begin := sync.OnceFunc(func() {
				won = other.imports(other.full(rows("A", numbers(6_000_000_000, 202)...)))
			})
			req := b.full(content)
			req.Progress = func(p dnd.Progress) {
				if p.Stage == dnd.Writing {
					begin()
				}
			}
			res, err := b.importInto(req)
			e, ok := errors.AsType[*saaf.Error](err)
			if !ok || e.Code != saaf.Conflict || e.Word != "registry_moved" || !strings.Contains(e.Message, "run the import again") {
				t.Errorf("the second one ended with %v", err)
			}
			if res.Report == nil || res.Version != 0 || res.Snapshot.ID != 0 {
				t.Errorf("and yet: %+v", res)
			}
			if diff := cmp.Diff(&won.Snapshot, b.state().Active, cmpopts.EquateEmpty()); diff != "" {
				t.Error("active is another one:", diff)
			}
			// In a store that others share the one that lost stays for an hour: it may be
			// done again, or by somebody else.
			if names := b.visible(); len(names) != 2 && (!b.store.Shared() || len(names) != 3 || name == "same content") {
				t.Errorf("files %v, where there should be %s and %s", names, fileName(base), fileName(won.Snapshot))
			}
			if got := b.loads(); got.Snapshot != won.Snapshot.ID || got.Problem != "" {
				t.Errorf("it answers from %+v", got)
			}
		})
	}
}

// However many imports run, the active snapshot has its file, and the files of
// those that came to nothing are gone in the end.
func TestManyImportsAtOnce(t *testing.T) {
	t.Parallel()
	b, _ := based(t)
	const importers, each = 3, 3
	var group sync.WaitGroup
	for i := range importers {
		req := b.full(rows("A", numbers(6_000_000_000, 200+i)...))
		group.Go(func() {
			for done := 0; done < each; {
				_, err := b.importInto(req)
				if err == nil {
					done++
				} else if e, ok := errors.AsType[*saaf.Error](err); !ok || e.Word != "registry_moved" {
					t.Error(err)
					return
				}
				if got, err := b.Load(t.Context()); err != nil || got.Problem != "" {
					t.Error(got, err)
					return
				}
			}
		})
	}
	group.Wait()
	list, err := b.store.Snapshots(t.Context(), 100)
	if err != nil || len(list) != 1+importers*each {
		t.Errorf("%d records, %v", len(list), err)
	}
	// Who activated the newest one has loaded since; a slower Load beside it must
	// not have brought an older one back.
	if got := b.registry.View().Ref().ID; got != list[0].ID {
		t.Errorf("it answers from %v and active is %v", got, list[0].ID)
	}
	want := map[string]bool{}
	for _, s := range list[:KeepSnapshots] {
		want[fileName(s)] = true
	}
	for _, name := range b.visible() {
		if !want[name] {
			t.Errorf("%s was left behind", name)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

// An import that has its file and waits for the writer must not lose it to
// another one that clears up after itself.
func TestClearingUpSparesImportsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := based(t)
		lock, err := shareDir(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		release := b.holds()
		var res ImportResult
		go func() { res = b.imports(b.full(rows("A", numbers(6_000_000_000, 300)...))) }()
		synctest.Wait()
		if err := lock.prune(t.Context(), b.store, KeepSnapshots); err != nil {
			t.Error(err)
		}
		if err := lock.release(); err != nil {
			t.Error(err)
		}
		release()
		synctest.Wait()
		if got := b.loads(); got.Snapshot != res.Snapshot.ID || got.Snapshot == 0 || got.Problem != "" {
			t.Errorf("it answers from %+v", got)
		}
	})
}

// A caller who goes while the finished file waits for the writer leaves nothing.
func TestImportCancelledBeforeItIsActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, base := based(t)
		before := b.state()
		release := b.holds()
		ctx, cancel := context.WithCancel(t.Context())
		req := b.full(rows("A", numbers(6_000_000_000, 300)...))
		var err error
		go func() { _, err = Import(ctx, b.store, b.dir, req) }()
		synctest.Wait()
		if n := len(b.visible()); n != 2 {
			t.Fatalf("%d files while it waits", n)
		}
		cancel()
		release()
		synctest.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if diff := cmp.Diff(before, b.state()); diff != "" {
			t.Error("the register changed:", diff)
		}
		if diff := cmp.Diff([]string{fileName(base)}, b.visible()); diff != "" {
			t.Error("the files changed:", diff)
		}
	})
}

// What a killed import left is gone after the next one.
func TestImportAfterOneWasKilled(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	// It had published its file and was killed before it was recorded.
	orphan := strings.Repeat("0f", 32) + dnd.Extension
	if err := os.WriteFile(filepath.Join(b.dir, orphan), []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	n := b.another(store.Config{Node: 2})
	if got := n.loads(); got.Snapshot != base.ID || got.Problem != "" {
		t.Errorf("after the restart it answers from %+v", got)
	}
	n.imports(n.full(rows("A", numbers(6_000_000_000, 300)...)))
	for _, name := range n.visible() {
		if name == orphan {
			t.Errorf("%s is still there", name)
		}
	}
}

// Files of snapshots stay for as long as somebody holds them, and go when nobody does.
func TestHeldFilesStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := based(t)
		release, err := HoldFiles(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		for n := range KeepSnapshots + 1 {
			b.imports(b.full(rows("A", numbers(6_000_000_000, 300+n)...)))
		}
		held := len(b.visible())
		if held <= KeepSnapshots {
			t.Errorf("%d files are there while all are held", held)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		b.imports(b.full(rows("A", numbers(6_000_000_000, 310)...)))
		if left := len(b.visible()); left > KeepSnapshots {
			t.Errorf("%d files are left", left)
		}
	})
}
