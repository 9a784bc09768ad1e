package scrub

import (
	"context"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"saaf"
)

// crowded is a bundle whose campaign has so many leads that a sweep looks changed
// numbers up.
func crowded(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.lists(7_000_000_001)
	b.pushes(numbers(7_000_000_001, 50))
	b.rechecks()
	return b
}

// A lead may rest on any snapshot that was active since the last pass: one that
// came in under the middle one of three must be found, though the first and the
// last say the same.
func TestSweepKnowsEverySnapshotSince(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 9_000_000_001
	b := crowded(t)
	b.lists(7_000_000_001, p)
	b.rechecks()
	b.lists(7_000_000_001)
	if l := b.push(p); foundOf(l) != clean {
		t.Fatalf("it came in as %v", foundOf(l))
	}
	last := b.lists(7_000_000_001, p)
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != blocked {
		t.Errorf("the pass left %v", got)
	}
	if got := b.state().Confirmed; got != last.ID {
		t.Errorf("confirmed up to %v", got)
	}
	if n := b.events.count("re-checking every lead"); n != 1 { // the very first pass
		t.Errorf("all leads were walked %d times", n)
	}
}

// A roll-back is an activation like any other.
func TestSweepAfterRollBack(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 7_000_000_007
	b := crowded(t)
	first := b.state().Active
	b.lists(7_000_000_001, p)
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != blocked {
		t.Fatalf("before: %v", got)
	}
	snap, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{})
	if err != nil || snap.ID != first.ID {
		t.Fatal(snap.ID, err)
	}
	b.loads()
	if b.state().AllChecked() {
		t.Error("it counts as checked, before anything was")
	}
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != held {
		t.Errorf("after: %v", got)
	}
	if st := b.state(); !st.AllChecked() || st.Confirmed != first.ID {
		t.Errorf("%+v", st)
	}
}

// Where the file of a snapshot that leads may rest on is gone, all are walked.
func TestSweepWithoutTheOldSnapshot(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 7_000_000_007
	b := crowded(t)
	old := b.state().Active
	b.lists(7_000_000_001, p)
	if err := os.Remove(snapshotPath(b.dir, old.SHA256)); err != nil {
		t.Fatal(err)
	}
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != blocked {
		t.Errorf("the pass left %v", got)
	}
	if n := b.events.count("re-checking every lead"); n != 2 {
		t.Errorf("all leads were walked %d times", n)
	}
}

// A pass that is cut short between two campaigns goes on behind the first one, also
// after a restart.
func TestSweepGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 9_000_000_001
	b := setup(t)
	b.lists()
	campaigns := b.spread(3, p)
	b.rechecks()
	b.lists(p)
	ctx, cancel := context.WithCancel(t.Context())
	changes := 0
	b.events.then(func(line string) {
		if strings.HasPrefix(line, "leads changed by re-check") {
			if changes++; changes == 2 {
				cancel()
			}
		}
	})
	if err := b.recheck(ctx); err == nil {
		t.Fatal("the pass was not cut short")
	}
	b = b.reopen()
	b.loads()
	sw := b.state().Sweep
	if sw.Done != 1 || sw.Above != campaigns[0] || sw.Total != 3 || sw.Changed != 1 {
		t.Errorf("what was recorded: %+v", sw)
	}
	b.rechecks()
	for i, got := range b.in(campaigns, p) {
		if got != blocked {
			t.Errorf("campaign %d: %v", i+1, got)
		}
	}
	st := b.state()
	if !st.AllChecked() || st.Sweep.Total != 3 || st.Sweep.Done != 3 || st.Sweep.Changed != 2 {
		t.Errorf("it went on from %+v and ended with %+v", sw, st.Sweep)
	}
}

// Damage that lists a number in an old snapshot must not hide that it came in since.
func TestSweepOverADamagedOldSnapshot(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 7_000_000_007
	b := crowded(t)
	old := b.state().Active
	b = b.reopen()
	b.lists(7_000_000_001, p)
	flipBit(t, snapshotPath(b.dir, old.SHA256), p)
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != blocked {
		t.Errorf("the pass left %v", got)
	}
}

// flipBit damages what a snapshot file without categories says about a phone.
func flipBit(t *testing.T, path string, p saaf.Phone) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, heads, bitmap = 4096, 10_000, 125_000
	at := header + 12*heads
	for head := range int(p / 1_000_000) {
		if binary.LittleEndian.Uint32(data[header+12*head:]) > 0 {
			at += bitmap
		}
	}
	n := p % 1_000_000
	data[at+int(n/8)] ^= 1 << (n % 8)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// In place, as a disk does it.
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
