package scrub

import (
	"saaf"
	"saaf/dnd"
)

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
