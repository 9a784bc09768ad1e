package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"saaf"
)

// everyField is a snapshot with nothing left at zero but what the store gives.
func everyField(n byte) saaf.Snapshot {
	return saaf.Snapshot{
		ParentID: 5, Mode: saaf.Delta, EffectiveDate: 20_000 + saaf.Date(n), SHA256: saaf.SHA256{n, 0, 0xff},
		BaseSHA256: saaf.SHA256{n, 3},
		FileBytes:  1, Numbers: 2, PartialNumbers: 3, FullNumbers: 4, Rows: 5, RowsActive: 6, RowsDeleted: 7, Malformed: 8, Conflicts: 9,
		Overridden: []string{"too_few", "older"}, OverrideReason: "the operator's\nreason, told by 98 76543210", Actor: "cli:asha@host",
		Files: []saaf.SnapshotFile{
			{Name: "b.csv", SHA256: saaf.SHA256{n, 1}, Bytes: 10, Rows: 11},
			{Name: "a.csv", SHA256: saaf.SHA256{n, 2}, Bytes: 12, Rows: 13},
		},
	}
}

func TestRegisterOfSnapshots(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		empty, err := b.Registry(t.Context())
		b.must(err)
		b.equal("a new store", saaf.RegistryState{Version: 1}, empty)

		against, version := saaf.SnapshotID(0), empty.Version
		var newestFirst []saaf.Snapshot
		for n := range byte(3) {
			b.pass(time.Hour)
			given := everyField(n)
			if n == 0 {
				given.ParentID, given.Mode, given.BaseSHA256 = 0, saaf.FullSet, saaf.SHA256{}
			}
			made, v, err := b.ActivateSnapshot(t.Context(), given, against, Cause{})
			b.must(err)
			want := given
			want.ID, want.CreatedAt, want.ReplacedID = made.ID, b.now(), against
			want.OverrideReason = "the operator's\nreason, told by xx xxxx3210"
			b.equal("made", want, made)
			if made.ID <= against || v <= version {
				t.Errorf("id %v after %v, version %d after %d", made.ID, against, v, version)
			}
			state, err := b.Registry(t.Context())
			b.must(err)
			b.equal("state", saaf.RegistryState{Version: v, Active: &want, Activation: int64(n) + 1, ActivatedAt: want.CreatedAt}, state)
			one, err := b.Snapshot(t.Context(), made.ID)
			b.must(err)
			b.equal("read", want, one)
			if stored, err := b.Version(t.Context()); err != nil || stored != v {
				t.Errorf("Version = %d, %v; want %d", stored, err, v)
			}
			against, version = made.ID, v
			want.Files = nil
			newestFirst = append([]saaf.Snapshot{want}, newestFirst...)
		}
		for _, limit := range []int{1, 3, 9} {
			list, err := b.Snapshots(t.Context(), limit)
			b.must(err)
			b.equal(fmt.Sprint("the newest ", limit), newestFirst[:min(limit, 3)], list)
		}
	})
}

// An import that was built against a snapshot that is no longer active changes
// nothing: of several at once one wins.
func TestActivateSnapshotConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.activate(20_000)
	against := []saaf.SnapshotID{old.ID, old.ID, old.ID, 0, old.ID + 1}
	type answer struct {
		made saaf.Snapshot
		err  error
	}
	answers := make([]answer, len(against))
	var wg sync.WaitGroup
	for i := range against {
		wg.Go(func() {
			answers[i].made, _, answers[i].err = b.ActivateSnapshot(t.Context(), everyField(byte(i)), against[i], Cause{})
		})
	}
	wg.Wait()
	var won []saaf.SnapshotID
	for i, a := range answers {
		switch {
		case a.err == nil && against[i] == old.ID:
			won = append(won, a.made.ID)
		case saaf.ErrorCode(a.err) != saaf.Conflict:
			t.Errorf("against %v: %v; want Conflict", against[i], a.err)
		}
	}
	state, err := b.Registry(t.Context())
	b.must(err)
	if len(won) != 1 || state.Active.ID != won[0] {
		t.Errorf("active is %v, told to have won: %v", state.Active.ID, won)
	}
	if _, err := b.Snapshot(t.Context(), old.ID+1); saaf.ErrorCode(err) != saaf.NotFound {
		t.Errorf("a snapshot that is not there: %v; want NotFound", err)
	}
	if list, err := b.Snapshots(t.Context(), 10); err != nil || len(list) != 2 {
		t.Errorf("register: %v, %v; want the old one and one new one", list, err)
	}
	if n := b.number(`SELECT count(*) FROM snapshot_files`); n != 2 {
		t.Errorf("%d files; want the 2 of the winner", n)
	}
}

// The files of a snapshot are those of its whole lineage, and of no other.
func TestAppliedFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []saaf.SnapshotID
	files := func(n byte) []saaf.SnapshotFile {
		return []saaf.SnapshotFile{{Name: "x", SHA256: saaf.SHA256{n, 1}}, {Name: "y", SHA256: saaf.SHA256{n, 2}}}
	}
	against := saaf.SnapshotID(0)
	// full, delta, delta; then a new full set with a delta of its own
	for n, parent := range []int{-1, 0, 1, -1, 3} {
		snap := saaf.Snapshot{Mode: saaf.FullSet, Files: files(byte(n))}
		if parent >= 0 {
			snap.Mode, snap.ParentID = saaf.Delta, ids[parent]
		}
		made, _, err := b.ActivateSnapshot(t.Context(), snap, against, Cause{})
		b.must(err)
		against = made.ID
		ids = append(ids, made.ID)
	}
	for n, lineage := range [][]int{{0}, {0, 1}, {0, 1, 2}, {3}, {3, 4}} {
		want := map[saaf.SHA256]saaf.SnapshotID{}
		for _, m := range lineage {
			for _, f := range files(byte(m)) {
				want[f.SHA256] = ids[m]
			}
		}
		got, err := b.AppliedFiles(t.Context(), ids[n])
		b.must(err)
		b.equal(fmt.Sprint("files of snapshot ", n), want, got)
	}
	if got, err := b.AppliedFiles(t.Context(), ids[4]+1); err != nil || len(got) != 0 {
		t.Errorf("files of an unknown snapshot: %v, %v", got, err)
	}
}
