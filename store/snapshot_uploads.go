package store

import (
	"context"
	"time"

	"saaf"
)

// SnapshotUpload is a snapshot file in the store, from where every server takes it.
type SnapshotUpload struct {
	SHA256    saaf.SHA256 // of the whole file
	Bytes     int64       // of the whole file
	Base      saaf.SHA256 // of an overlay: the file it lies over; zero for none
	Ready     bool        // all its blocks are there
	Pending   bool        // it is about to become the active snapshot
	TouchedAt time.Time   // moves while somebody works on it
}

// Blocks is how many blocks the file has.
func (u SnapshotUpload) Blocks() int64 { return (u.Bytes + BlockSize - 1) / BlockSize }

// ErrNotPublished is returned for a snapshot file that the store does not have, or
// not whole.
var ErrNotPublished = &saaf.Error{Code: saaf.NotFound, Word: "not_published", Message: "The snapshot file is not in the store"}

// BeginUpload begins to publish a file, or goes on: when it is known already, nothing
// changes but the time it was touched. It reports whether blocks may be there.
func (s *Store) BeginUpload(ctx context.Context, u SnapshotUpload) (known bool, err error) {
	const sqlBeginUpload = `
		INSERT INTO snapshot_uploads AS u (sha256, bytes, base, ready, pending, touched_at)
		VALUES ($1, $2, $3, 0, 0, $4)
		ON CONFLICT (sha256) DO NOTHING`
	err = s.write(ctx, beside, 1, func(t *tx) error {
		n, err := t.exec(sqlBeginUpload, u.SHA256[:], u.Bytes, optionalHash(u.Base), t.now)
		if known = n == 0; known && err == nil {
			return t.touchUpload(u.SHA256)
		}
		return err
	})
	return known, wrap("begin to publish a snapshot file", err)
}

// touchUpload says that somebody works on a file. It holds the row until the
// transaction ends, so that nobody removes the file meanwhile.
func (t *tx) touchUpload(sha saaf.SHA256) error {
	const sqlTouchUpload = `UPDATE snapshot_uploads SET touched_at = $1 WHERE sha256 = $2`
	n, err := t.exec(sqlTouchUpload, t.now, sha[:])
	if err == nil && n == 0 {
		err = ErrNotPublished // somebody has removed it
	}
	return err
}

// EndUpload makes a file ready when all its blocks are there; otherwise it returns
// [ErrNotPublished].
func (s *Store) EndUpload(ctx context.Context, sha saaf.SHA256) error {
	const sqlCountBlocks = `
		SELECT u.bytes, count(b.seq), CAST(coalesce(sum(b.bytes), 0) AS BIGINT), coalesce(max(b.seq), -1)
		  FROM snapshot_uploads u LEFT JOIN snapshot_blocks b ON b.sha256 = u.sha256
		 WHERE u.sha256 = $1 GROUP BY u.bytes`
	const sqlEndUpload = `UPDATE snapshot_uploads SET ready = 1 WHERE sha256 = $1`
	err := s.write(ctx, beside, 1, func(t *tx) error {
		if err := t.touchUpload(sha); err != nil {
			return err
		}
		whole := false
		err := t.conn.query(sqlCountBlocks, func(r row) error {
			u := SnapshotUpload{Bytes: r.int64()}
			blocks, bytes, last := r.int64(), r.int64(), r.int64()
			whole = blocks == u.Blocks() && bytes == u.Bytes && last == blocks-1
			return nil
		}, sha[:])
		if err == nil && !whole {
			err = ErrNotPublished
		}
		if err == nil {
			_, err = t.exec(sqlEndUpload, sha[:])
		}
		return err
	})
	return wrap("publish a snapshot file", err)
}

// DoubtUpload says that the blocks of a file did not add up to it. Whoever has the
// file then compares them with it.
func (s *Store) DoubtUpload(ctx context.Context, sha saaf.SHA256) error {
	const sqlDoubtUpload = `UPDATE snapshot_uploads SET ready = 0, touched_at = $1 WHERE sha256 = $2 AND ready = 1`
	err := s.write(ctx, beside, 1, func(t *tx) error {
		_, err := t.exec(sqlDoubtUpload, t.now, sha[:])
		return err
	})
	return wrap("doubt a snapshot file", err)
}

// SetPending says whether a file is about to become the active snapshot, so that
// servers prepare for it. The mark of somebody who died goes with [Store.TidyUploads].
// Where the file is not in the store it returns [ErrNotPublished].
func (s *Store) SetPending(ctx context.Context, sha saaf.SHA256, pending bool) error {
	const sqlSetPending = `UPDATE snapshot_uploads SET pending = $1 WHERE sha256 = $2`
	err := s.write(ctx, beside, 1, func(t *tx) error {
		if err := t.touchUpload(sha); err != nil {
			return err
		}
		_, err := t.exec(sqlSetPending, pending, sha[:])
		return err
	})
	return wrap("mark a snapshot file", err)
}

// Uploads lists the snapshot files in the store, those that are on their way too.
func (s *Store) Uploads(ctx context.Context) (list []SnapshotUpload, err error) {
	const sqlUploads = `SELECT sha256, bytes, base, ready, pending, touched_at FROM snapshot_uploads ORDER BY sha256`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlUploads, func(r row) error {
			var u SnapshotUpload
			copy(u.SHA256[:], r.bytes())
			u.Bytes = r.int64()
			copy(u.Base[:], r.bytes())
			u.Ready, u.Pending, u.TouchedAt = r.bool(), r.bool(), r.time()
			list = append(list, u)
			return nil
		})
	})
	return list, wrap("list snapshot files", err)
}
