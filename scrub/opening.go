package scrub

import (
	"context"
	"os"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Kept lists the active snapshot and, behind it, those that are kept to go back to,
// in the order in which roll-backs reach them. After a roll-back one may be in reach
// whose files an import has removed before: the list ends before it.
func Kept(ctx context.Context, st *store.Store, dir string) ([]saaf.Snapshot, error) {
	list, err := st.KeptSnapshots(ctx, KeepSnapshots)
	if err != nil {
		return nil, err
	}
	var elsewhere map[saaf.SHA256]bool
	if st.Shared() {
		if elsewhere, err = published(ctx, st); err != nil {
			return nil, err
		}
	}
	for i := 1; i < len(list); i++ {
		for _, sha := range filesOf(&list[i]) {
			if _, err := os.Stat(snapshotPath(dir, sha)); err != nil && !elsewhere[sha] {
				return list[:i], nil
			}
		}
	}
	return list, nil
}

// OpenVerified opens a snapshot whose files are first read whole, as a server does:
// they must be what was imported. Where servers share the store, what is missing or
// damaged here is fetched.
func OpenVerified(ctx context.Context, st *store.Store, dir string, s *saaf.Snapshot) (*dnd.Snapshot, error) {
	for _, sha := range filesOf(s) {
		if err := provide(ctx, st, dir, sha); err != nil {
			return nil, err
		}
	}
	return openSnapshot(dir, s)
}

// openSnapshot maps the files of a snapshot.
func openSnapshot(dir string, s *saaf.Snapshot) (*dnd.Snapshot, error) {
	if s.BaseSHA256 == (saaf.SHA256{}) {
		return dnd.Open(snapshotPath(dir, s.SHA256))
	}
	base, err := dnd.Open(snapshotPath(dir, s.BaseSHA256))
	if err != nil {
		return nil, err
	}
	return dnd.OpenOverlay(snapshotPath(dir, s.SHA256), base, s.BaseSHA256)
}

// baseOf is the hash of the file that stands alone behind a snapshot.
func baseOf(s *saaf.Snapshot) saaf.SHA256 {
	if s.BaseSHA256 == (saaf.SHA256{}) {
		return s.SHA256
	}
	return s.BaseSHA256
}
