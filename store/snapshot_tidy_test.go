package store

import (
	"testing"
	"time"

	"saaf"
)

// What nobody needs goes, with all its blocks; what somebody may need stays.
func TestTidyUploads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept, dropped := b.activatesFile(1, 2), b.activatesFile(3, 0)
	const young, old = time.Hour, -time.Hour
	for n, u := range map[byte]SnapshotUpload{
		1: {Base: saaf.SHA256{2}},                // kept, over 2
		2: {},                                    // its base
		3: {},                                    // of a snapshot that is no longer kept
		4: {},                                    // on its way
		5: {Pending: true, Base: saaf.SHA256{6}}, // about to become active, over 6
		6: {},
	} {
		content, _ := snapshotFile(uint64(n), 10, true)
		pending := u.Pending
		u.SHA256, u.Bytes = saaf.SHA256{n}, 10
		b.publishes(content, u)
		if pending {
			b.must(b.SetPending(b.ctx, u.SHA256, true))
		}
	}
	left := func(when string, removed int, want ...byte) {
		t.Helper()
		list, err := b.Uploads(b.ctx)
		b.must(err)
		var got []byte
		for _, u := range list {
			got = append(got, u.SHA256[0])
		}
		b.equal(when, want, got)
		if blocks := b.number(`SELECT count(*) FROM snapshot_blocks`); blocks != int64(len(want)) {
			t.Errorf("%s: %d blocks", when, blocks)
		}
		if before := 6 - len(want); removed > before {
			t.Errorf("%s: %d removed", when, removed)
		}
	}
	tidy := func(while time.Duration, keep ...saaf.SHA256) int {
		t.Helper()
		n, err := b.TidyUploads(b.ctx, keep, while)
		b.must(err)
		return n
	}
	left("before", 0, 1, 2, 3, 4, 5, 6)
	left("the base is recorded, and stays under what is kept", tidy(young, kept), 1, 2, 4, 5, 6)
	left("nothing has become old", tidy(young, kept), 1, 2, 4, 5, 6)
	if u := b.upload(saaf.SHA256{5}); !u.Pending {
		t.Error("a mark of now is gone")
	}
	left("what is old and belongs to nothing", tidy(old, kept), 1, 2)
	left("both are kept", tidy(young, kept, dropped), 1, 2)
	left("nothing is kept", tidy(young), []byte(nil)...)
}

// activatesFile records snapshots with these files; base 0 is none.
func (b *bundle) activatesFile(file, base byte) saaf.SHA256 {
	b.t.Helper()
	snap := saaf.Snapshot{Mode: saaf.FullSet, EffectiveDate: 20_000, SHA256: saaf.SHA256{file}}
	if base != 0 {
		snap.BaseSHA256 = saaf.SHA256{base}
	}
	reg, err := b.Registry(b.ctx)
	b.must(err)
	var against saaf.SnapshotID
	if reg.Active != nil {
		against = reg.Active.ID
	}
	_, _, err = b.ActivateSnapshot(b.ctx, snap, against, Cause{})
	b.must(err)
	return snap.SHA256
}

// The mark of a kept file whose process has died goes when it is old, and the file
// stays.
func TestTidyTakesOldMarks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content, u := snapshotFile(1, 10, true)
	b.publishes(content, u)
	b.must(b.SetPending(b.ctx, u.SHA256, true))
	for _, c := range []struct {
		while   time.Duration
		pending bool
	}{{time.Hour, true}, {-time.Hour, false}} {
		_, err := b.TidyUploads(b.ctx, []saaf.SHA256{u.SHA256}, c.while)
		b.must(err)
		if got := b.upload(u.SHA256); got.Pending != c.pending || !got.Ready {
			t.Errorf("after %v: %+v", c.while, got)
		}
	}
}

// Somebody who touches a file while others tidy up keeps it.
func TestTidySparesWhatIsTouched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content, u := snapshotFile(1, 10, true)
	b.publishes(content, u)
	seen := b.upload(u.SHA256)
	for b.upload(u.SHA256).TouchedAt.Equal(seen.TouchedAt) { // until the clock has moved
		b.must(b.PutBlock(b.ctx, u.SHA256, 0, content))
	}
	if n, err := b.removeUpload(b.ctx, &seen); err != nil || n != 0 {
		t.Errorf("%d removed, %v", n, err)
	}
	now := b.upload(u.SHA256)
	if n, err := b.removeUpload(b.ctx, &now); err != nil || n != 1 {
		t.Errorf("%d removed, %v", n, err)
	}
}
