package scrub

import (
	"context"
	"errors"
	"fmt"
	"os"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// RollBack makes the snapshot active again that the active one replaced, if its
// file is still kept and is what was imported. It returns the snapshot and the
// version that servers must take. The age is that of the snapshot rolled back to.
func RollBack(ctx context.Context, st *store.Store, dir string, by saaf.By, reason string, how Spreading) (active saaf.Snapshot, version int64, err error) {
	lock, err := shareDir(dir)
	if err != nil {
		return active, 0, fmt.Errorf("lock the snapshot directory: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	reg, err := st.Registry(ctx)
	if err != nil {
		return active, 0, err
	}
	conflict := func(message string) error {
		return &saaf.Error{Code: saaf.Conflict, Word: "nothing_to_roll_back", Message: message}
	}
	switch {
	case reg.Active == nil:
		return active, 0, conflict("There is no active snapshot: import the registry first")
	case reg.Active.ReplacedID == 0:
		return active, 0, conflict("The active snapshot is the first there was: there is nothing to go back to")
	}
	to, err := st.Snapshot(ctx, reg.Active.ReplacedID)
	if err != nil {
		return active, 0, err
	}
	for _, sha := range filesOf(&to) {
		err := provide(ctx, st, dir, sha)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return active, 0, conflict(fmt.Sprintf("Snapshot %s, dated %s, is no longer kept: the last three are. Import its files again", to.ID, to.EffectiveDate))
		case err != nil && ctx.Err() == nil:
			return active, 0, conflict(fmt.Sprintf("Snapshot %s cannot be used: %v", to.ID, err))
		case err != nil:
			return active, 0, err
		}
	}
	sp := &spreader{Spreading: how, store: st, dir: dir, snap: &to}
	defer func() {
		// What was decided stands; the mark goes with a later import.
		if serr := sp.settle(ctx); serr != nil && how.Warn != nil {
			how.Warn("the mark of the snapshot in the store could not be taken away: " + serr.Error())
		}
	}()
	if err := sp.spread(ctx); err != nil {
		return active, 0, err
	}
	return st.RollBack(ctx, reg.Active.ID, to.ID, by, reason)
}

// filesOf are the hashes of the files that hold a snapshot.
func filesOf(s *saaf.Snapshot) []saaf.SHA256 {
	if s.BaseSHA256 == (saaf.SHA256{}) {
		return []saaf.SHA256{s.SHA256}
	}
	return []saaf.SHA256{s.BaseSHA256, s.SHA256}
}

// OpenSnapshot opens a snapshot of the register by its id. Where servers share the
// store, files that are missing here are fetched.
func OpenSnapshot(ctx context.Context, st *store.Store, dir string, id saaf.SnapshotID) (*dnd.Snapshot, error) {
	snap, err := st.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := Fetch(ctx, st, dir, &snap, nil); err != nil {
		return nil, err
	}
	opened, err := openSnapshot(dir, &snap)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &saaf.Error{Code: saaf.NotFound, Word: "not_kept",
			Message: fmt.Sprintf("The file of snapshot %s is no longer kept: the last three are", id)}
	}
	return opened, err
}
