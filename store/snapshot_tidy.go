package store

import (
	"context"
	"time"

	"saaf"
)

// TidyUploads removes the snapshot files that nobody needs: all but those in keep and
// the bases that others lie over. One that belongs to no snapshot may be on its way to
// becoming one, and stays while it was touched in the last while; so does the mark of
// a pending one. It returns how many it has removed.
func (s *Store) TidyUploads(ctx context.Context, keep []saaf.SHA256, while time.Duration) (removed int, err error) {
	list, err := s.Uploads(ctx)
	if err != nil {
		return 0, err
	}
	recorded, err := s.recordedFiles(ctx)
	if err != nil {
		return 0, err
	}
	wanted := make(map[saaf.SHA256]bool, len(keep))
	for _, sha := range keep {
		wanted[sha] = true
	}
	stale := time.Now().Add(-while)
	var gone []SnapshotUpload
	for _, u := range list {
		old := u.TouchedAt.Before(stale)
		if u.Pending && old {
			if err := s.forgetPending(ctx, &u); err != nil {
				return removed, err
			}
		}
		if !wanted[u.SHA256] && (old || recorded[u.SHA256] && !u.Pending) {
			gone = append(gone, u)
		} else if u.Base != (saaf.SHA256{}) {
			wanted[u.Base] = true
		}
	}
	for _, u := range gone {
		if wanted[u.SHA256] {
			continue
		}
		n, err := s.removeUpload(ctx, &u)
		if err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, nil
}

// recordedFiles are the hashes of all files of all snapshots of the register.
func (s *Store) recordedFiles(ctx context.Context) (files map[saaf.SHA256]bool, err error) {
	const sqlRecordedFiles = `SELECT sha256 FROM snapshots UNION SELECT base_sha256 FROM snapshots WHERE base_sha256 IS NOT NULL`
	err = s.read(ctx, func(conn session) error {
		files = make(map[saaf.SHA256]bool)
		return conn.query(sqlRecordedFiles, func(r row) error {
			var h saaf.SHA256
			copy(h[:], r.bytes())
			files[h] = true
			return nil
		})
	})
	return files, wrap("list files of snapshots", err)
}

// removeUpload removes a file with its blocks, unless somebody has touched it since.
func (s *Store) removeUpload(ctx context.Context, u *SnapshotUpload) (removed int, err error) {
	const sqlRemoveUpload = `DELETE FROM snapshot_uploads WHERE sha256 = $1 AND touched_at = $2`
	const sqlRemoveBlocks = `DELETE FROM snapshot_blocks WHERE sha256 = $1`
	err = s.write(ctx, beside, 1, func(t *tx) error {
		removed, err = t.exec(sqlRemoveUpload, u.SHA256[:], u.TouchedAt)
		if err == nil && removed > 0 {
			_, err = t.exec(sqlRemoveBlocks, u.SHA256[:])
		}
		return err
	})
	return removed, wrap("remove a snapshot file", err)
}

// forgetPending takes the mark of somebody who has died, and leaves the time: the
// file is as old as before.
func (s *Store) forgetPending(ctx context.Context, u *SnapshotUpload) error {
	const sqlForgetPending = `UPDATE snapshot_uploads SET pending = 0 WHERE sha256 = $1 AND touched_at = $2`
	err := s.write(ctx, beside, 1, func(t *tx) error {
		_, err := t.exec(sqlForgetPending, u.SHA256[:], u.TouchedAt)
		return err
	})
	return wrap("mark a snapshot file", err)
}
