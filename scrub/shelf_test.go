package scrub

import (
	"errors"
	"os"
	"testing"

	"saaf"
)

// Alone on a store only what is answered from stays mapped.
func TestShelfHoldsWhatIsInUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(9_000_000_001)
	base := b.lists(9_000_000_002)
	holds := func(when string, want ...saaf.SHA256) {
		t.Helper()
		for _, sha := range want {
			if b.shelf.get(sha) == nil {
				t.Errorf("%s: %v is not open", when, sha)
			}
		}
		if n := len(b.shelf.opened); n != len(want) {
			t.Errorf("%s: %d are open", when, n)
		}
	}
	holds("full sets", base.SHA256)
	for i := range 2 {
		delta := b.imports(b.delta(rows("A", saaf.Phone(7_000_000_001+i)))).Snapshot
		b.loads()
		holds("deltas", base.SHA256, delta.SHA256)
	}
	if _, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{}); err != nil {
		t.Fatal(err)
	}
	b.loads()
	holds("a roll-back", base.SHA256, b.state().Active.SHA256)
	last := b.lists(9_000_000_003)
	holds("a full set", last.SHA256)
}

// A damaged file is read once, until it changes; a file that mends it is opened.
func TestShelfReadsDamageOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	active := b.imports(b.full(rows("A", 9_000_000_001))).Snapshot
	content, err := os.ReadFile(snapshotPath(b.dir, active.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	spoilt := append([]byte(nil), content...)
	spoilt[len(spoilt)-1] ^= 1
	b.replace(active, spoilt)
	_, first := b.shelf.open(t.Context(), &active, nil)
	_, second := b.shelf.open(t.Context(), &active, nil)
	if first == nil || first != second {
		t.Errorf("it was read again: %v, then %v", first, second)
	}
	b.replace(active, spoilt) // another file, as it seems
	if _, third := b.shelf.open(t.Context(), &active, nil); third == nil || third == first {
		t.Errorf("it was not read again: %v", third)
	}
	tried := 0
	giveUp := errors.New("there is no other")
	if _, err := b.shelf.open(t.Context(), &active, func(saaf.SHA256) error { tried++; return giveUp }); err != giveUp || tried != 1 {
		t.Errorf("tried %d times: %v", tried, err)
	}
	snap, err := b.shelf.open(t.Context(), &active, func(sha saaf.SHA256) error {
		if sha != active.SHA256 {
			t.Errorf("%v is to be mended", sha)
		}
		b.replace(active, content)
		return nil
	})
	if err != nil || !snap.Lookup(9_000_000_001).Listed {
		t.Errorf("mended: %v", err)
	}
}
