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
	list, err := st.KeptSnapshots(ctx, keepSnapshots)
	for i := 1; i < len(list); i++ {
		for _, sha := range filesOf(&list[i]) {
			if _, err := os.Stat(snapshotPath(dir, sha)); err != nil {
				return list[:i], nil
			}
		}
	}
	return list, err
}

// OpenVerified opens a snapshot whose files are first read whole, as a server does:
// they must be what was imported.
func OpenVerified(ctx context.Context, dir string, s *saaf.Snapshot) (*dnd.Snapshot, error) {
	for _, sha := range filesOf(s) {
		if err := dnd.Verify(ctx, snapshotPath(dir, sha), sha); err != nil {
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
