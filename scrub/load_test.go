package scrub

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"saaf"
)

func TestLoadOfNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got, want := b.loads(), (Serving{Version: b.state().Version}); got != want {
		t.Errorf("it answers from %+v", got)
	}
}

// spoils changes the file of a snapshot; nil is no file.
var spoils = map[string]func(content []byte) []byte{
	"missing":    func([]byte) []byte { return nil },
	"empty":      func([]byte) []byte { return []byte{} },
	"truncated":  func(c []byte) []byte { return c[:len(c)-1] },
	"header cut": func(c []byte) []byte { return c[:1000] },
	"longer":     func(c []byte) []byte { return append(c, 0) },
	"foreign":    func(c []byte) []byte { return bytes.Repeat([]byte("x"), len(c)) },
	// The last byte is in the bitmap of the last head: the hash alone covers it.
	"a bit flipped": func(c []byte) []byte { c[len(c)-1] ^= 1; return c },
	// As a disk does that loses what was written: all numbers of a head are clean.
	"a block lost": func(c []byte) []byte { clear(c[len(c)-125_000:]); return c },
}

// replace puts content in the place of a snapshot's file.
func (b *bundle) replace(snap saaf.Snapshot, content []byte) {
	b.t.Helper()
	path := snapshotPath(b.dir, snap.SHA256)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	if content == nil {
		return
	}
	if err := os.WriteFile(path, content, 0o400); err != nil {
		b.t.Fatal(err)
	}
	// Two files in turn can have the same inode and, by a coarse clock, one time.
	b.files++
	if err := os.Chtimes(path, time.Time{}, time.Unix(int64(b.files), 0)); err != nil {
		b.t.Fatal(err)
	}
}

func TestLoadOfASpoiltFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	older := b.lists(9_000_000_001)
	next := saaf.Phone(9_000_000_002)
	for name, spoil := range spoils {
		next++
		active := b.imports(b.full(rows("A", numbers(9_000_000_001, int(next%100))...))).Snapshot
		content, err := os.ReadFile(snapshotPath(b.dir, active.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		b.replace(active, spoil(bytes.Clone(content)))

		// It answers unknown, and not from the snapshot before.
		said := "the active snapshot cannot be used"
		if name == "missing" && b.store.Shared() {
			said = "the active snapshot is being fetched"
		}
		moved, logged := b.registry.Changed(), b.events.count(said)
		got := b.loads()
		if got.Snapshot != 0 || !strings.Contains(got.Problem, active.ID.String()) || got.Version != b.state().Version {
			t.Errorf("%s: it answers from %+v, before that from %v", name, got, older.ID)
		}
		select {
		case <-moved:
		default:
			t.Errorf("%s: nobody was told", name)
		}
		if st := b.Status(time.Now()); st.State != "none" || st.ID != 0 || len(st.Warnings) != 2 || st.Warnings[0] != got.Problem {
			t.Errorf("%s: status %+v", name, st)
		}
		lead := b.push(next)
		if lead.Status != saaf.LeadPending || lead.Verdict != (saaf.Verdict{Reason: saaf.RegistryUnavailable}) {
			t.Errorf("%s: a push is %v with %v", name, lead.Status, lead.Verdict)
		}

		// It stays like that, however often it is looked at, and is said once.
		moved = b.registry.Changed()
		for range 3 {
			b.rechecks()
			if again := b.loads(); again != got {
				t.Errorf("%s: it answered from %+v and now from %+v", name, got, again)
			}
		}
		select {
		case <-moved:
			t.Errorf("%s: it moved from none to none", name)
		default:
		}
		if n := b.events.count(said) - logged; n != 1 {
			t.Errorf("%s: it was logged %d times", name, n)
		}
		if b.state().Confirmed == active.ID || b.leads()[next].Verdict != lead.Verdict {
			t.Errorf("%s: leads were checked with it", name)
		}

		// The file as it was answers again.
		b.replace(active, content)
		if got := b.loads(); got.Snapshot != active.ID || got.Problem != "" {
			t.Errorf("%s: restored, it answers from %+v", name, got)
		}
		if st := b.Status(time.Now()); st.State != "fresh" || st.ID != active.ID || len(st.Warnings) != 0 {
			t.Errorf("%s: restored, status %+v", name, st)
		}
		b.rechecks()
		if l := b.leads()[next]; l.Verdict.Snapshot.ID != active.ID || b.state().Confirmed != active.ID {
			t.Errorf("%s: restored, the lead is %v with %v", name, l.Status, l.Verdict)
		}
		older = active
	}
}

// The same files imported again put a sound file into the place of the spoilt one.
func TestImportMendsASpoiltFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"missing", "truncated", "a bit flipped"} {
		b := setup(t)
		req := b.full(rows("A", 9_000_000_001))
		active := b.imports(req).Snapshot
		content, err := os.ReadFile(snapshotPath(b.dir, active.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		b.replace(active, spoils[name](content))
		if got := b.loads(); got.Snapshot != 0 || got.Problem == "" {
			t.Errorf("%s: it answers from %+v", name, got)
		}
		// A delta does not read what it changes nothing of: it is refused, or there is
		// no answer from it either.
		if _, err := b.importInto(b.delta(rows("A", 7_000_000_001))); err == nil {
			if got := b.loads(); got.Snapshot != 0 || !strings.Contains(got.Problem, "damaged") {
				t.Errorf("%s: a delta was built on it, and it answers from %+v", name, got)
			}
		}
		again := b.imports(req).Snapshot
		if again.SHA256 != active.SHA256 {
			t.Errorf("%s: the hash is %v and was %v", name, again.SHA256, active.SHA256)
		}
		if got := b.loads(); got.Snapshot != again.ID || got.Problem != "" {
			t.Errorf("%s: it answers from %+v", name, got)
		}
		if l := b.push(9_000_000_001); l.Verdict.Reason != saaf.FullBlock {
			t.Errorf("%s: it finds %v", name, l.Verdict.Reason)
		}
	}
}

// A snapshot that answers goes on answering when its file is removed: what counts
// is what was read. After a restart there is nothing to answer from.
func TestFileRemovedWhileItAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	active := b.lists(9_000_000_001)
	b.replace(active, nil)
	if got := b.loads(); got.Snapshot != active.ID || got.Problem != "" {
		t.Errorf("it answers from %+v", got)
	}
	if l := b.push(9_000_000_001); l.Verdict.Reason != saaf.FullBlock {
		t.Errorf("it finds %v", l.Verdict.Reason)
	}
	b = b.reopen()
	if got := b.loads(); got.Snapshot != 0 || got.Problem == "" {
		t.Errorf("after a restart it answers from %+v", got)
	}
	if l := b.push(9_000_000_003); l.Verdict.Reason != saaf.RegistryUnavailable {
		t.Errorf("after a restart it finds %v", l.Verdict.Reason)
	}
}

// A Load that is cut short changes nothing and finds fault with nothing.
func TestCancelledLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	older := b.lists(9_000_000_001)
	active := b.imports(b.full(rows("A", 9_000_000_001, 9_000_000_002))).Snapshot
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if err := b.open(ctx, &active); !errors.Is(err, context.Canceled) {
		t.Errorf("opening ended with %v", err)
	}
	if st := b.Status(time.Now()); st.ID != older.ID || len(st.Warnings) != 0 {
		t.Errorf("status %+v", st)
	}
	if got := b.loads(); got.Snapshot != active.ID || got.Problem != "" {
		t.Errorf("after that it answers from %+v", got)
	}
}

// From the look at the store to the swap no other Load may come in between: the
// slower of two would bring an older snapshot back.
func TestOneLoadAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	active := b.imports(b.full(rows("A", 9_000_000_001))).Snapshot
	path := snapshotPath(b.dir, active.SHA256)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Its file becomes a pipe, so that a Load waits in the middle.
	b.replace(active, nil)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan Serving, 1)
	go func() {
		serving, err := b.Load(t.Context())
		if err != nil {
			t.Error(err)
		}
		loaded <- serving
	}()
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the Load to read
	if err != nil {
		t.Fatal(err)
	}
	if b.loading.TryLock() {
		t.Error("another Load could overtake this one")
	}
	if st := b.Status(time.Now()); st.State != "none" { // which does not wait
		t.Errorf("status %+v", st)
	}
	b.replace(active, content)
	if _, err := pipe.Write(content); err != nil {
		t.Error(err)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	if got := <-loaded; got.Snapshot != active.ID || got.Problem != "" {
		t.Errorf("it answers from %+v", got)
	}
}
