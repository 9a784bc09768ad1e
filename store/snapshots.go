package store

import (
	"context"
	"strings"

	"zombiezen.com/go/sqlite"

	"saaf"
)

const snapshotColumns = `
	id, parent_id, mode, effective_date, sha256, file_bytes, numbers, partial_numbers, full_numbers,
	rows_read, rows_active, rows_deleted, malformed, conflicts, overridden, override_reason, actor, created_at
	FROM snapshots`

func scanSnapshot(r row) (s saaf.Snapshot) {
	s.ID, s.ParentID = saaf.SnapshotID(r.int64()), saaf.SnapshotID(r.int64())
	s.Mode, s.EffectiveDate = saaf.ImportMode(r.text()), saaf.Date(r.int64())
	copy(s.SHA256[:], r.bytes())
	s.FileBytes, s.Numbers, s.PartialNumbers, s.FullNumbers = r.int64(), r.int64(), r.int64(), r.int64()
	s.Rows, s.RowsActive, s.RowsDeleted, s.Malformed, s.Conflicts = r.int64(), r.int64(), r.int64(), r.int64(), r.int64()
	s.Overridden, s.OverrideReason, s.Actor, s.CreatedAt = strings.Fields(r.text()), r.text(), r.text(), r.time()
	return s
}

// Registry reads which snapshot is active and up to which one all leads are
// confirmed.
func (s *Store) Registry(ctx context.Context) (st saaf.RegistryState, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		st, err = readRegistry(conn)
		return err
	})
	return st, wrap("read registry state", err)
}

func readRegistry(conn *sqlite.Conn) (st saaf.RegistryState, err error) {
	const sqlDeployment = `SELECT version, active_snapshot_id, activated_at, confirmed_snapshot_id FROM deployment`
	var active saaf.SnapshotID
	err = query(conn, sqlDeployment, func(r row) error {
		st.Version, active, st.ActivatedAt, st.Confirmed = r.int64(), saaf.SnapshotID(r.int64()), r.time(), saaf.SnapshotID(r.int64())
		return nil
	})
	if err != nil || active == 0 {
		return st, err
	}
	const sqlSnapshot = `SELECT ` + snapshotColumns + ` WHERE id = $1`
	err = query(conn, sqlSnapshot, func(r row) error {
		st.Active = new(scanSnapshot(r))
		return nil
	}, active)
	if err != nil {
		return st, err
	}
	st.Active.Files, err = readSnapshotFiles(conn, active)
	return st, err
}

func readSnapshotFiles(conn *sqlite.Conn, id saaf.SnapshotID) (files []saaf.SnapshotFile, err error) {
	const sqlSnapshotFiles = `SELECT name, sha256, bytes, rows_read FROM snapshot_files WHERE snapshot_id = $1 ORDER BY seq`
	err = query(conn, sqlSnapshotFiles, func(r row) error {
		f := saaf.SnapshotFile{Name: r.text()}
		copy(f.SHA256[:], r.bytes())
		f.Bytes, f.Rows = r.int64(), r.int64()
		files = append(files, f)
		return nil
	}, id)
	return files, err
}

// Snapshots lists the newest limit snapshots, newest first, without their files.
func (s *Store) Snapshots(ctx context.Context, limit int) (list []saaf.Snapshot, err error) {
	const sqlSnapshots = `SELECT ` + snapshotColumns + ` ORDER BY id DESC LIMIT $1`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		list = nil
		return query(conn, sqlSnapshots, func(r row) error {
			list = append(list, scanSnapshot(r))
			return nil
		}, limit)
	})
	return list, wrap("list snapshots", err)
}

// AppliedFiles maps the hash of every file that went into the snapshot, through
// all deltas back to its full set, to the snapshot that brought it.
func (s *Store) AppliedFiles(ctx context.Context, id saaf.SnapshotID) (files map[saaf.SHA256]saaf.SnapshotID, err error) {
	const sqlAppliedFiles = `
		WITH RECURSIVE lineage (id, parent_id) AS (
		  SELECT id, parent_id FROM snapshots WHERE id = $1
		  UNION ALL
		  SELECT s.id, s.parent_id FROM snapshots s JOIN lineage l ON s.id = l.parent_id)
		SELECT f.sha256, f.snapshot_id FROM snapshot_files f JOIN lineage l ON f.snapshot_id = l.id`
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		files = make(map[saaf.SHA256]saaf.SnapshotID)
		return query(conn, sqlAppliedFiles, func(r row) error {
			var h saaf.SHA256
			copy(h[:], r.bytes())
			files[h] = saaf.SnapshotID(r.int64())
			return nil
		}, id)
	})
	return files, wrap("list applied files", err)
}

// ActivateSnapshot records a snapshot and makes it the active one, if the one it
// was made against is still active; otherwise Conflict. It returns the version
// that servers must take.
func (s *Store) ActivateSnapshot(ctx context.Context, snap saaf.Snapshot, against saaf.SnapshotID) (made saaf.Snapshot, version int64, err error) {
	err = s.write(ctx, 1, func(t *tx) error {
		st, err := readRegistry(t.conn)
		if err != nil {
			return err
		}
		if st.Active != nil && st.Active.ID != against || st.Active == nil && against != 0 {
			return &saaf.Error{Code: saaf.Conflict, Word: "registry_moved",
				Message: "Another snapshot was activated while this one was being built; run the import again"}
		}
		made = snap
		made.ID, made.CreatedAt = saaf.SnapshotID(t.ids.Next()), t.now
		if err := t.insertSnapshot(&made); err != nil {
			return err
		}
		const sqlActivate = `UPDATE deployment SET active_snapshot_id = $1, activated_at = $2`
		if _, err := t.exec(sqlActivate, made.ID, t.now); err != nil {
			return err
		}
		version, err = t.bumpVersion()
		return err
	})
	return made, version, wrap("activate snapshot", err)
}

func (t *tx) insertSnapshot(s *saaf.Snapshot) error {
	const sqlInsertSnapshot = `
		INSERT INTO snapshots (id, parent_id, mode, effective_date, sha256, file_bytes, numbers, partial_numbers, full_numbers,
		  rows_read, rows_active, rows_deleted, malformed, conflicts, overridden, override_reason, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`
	_, err := t.exec(sqlInsertSnapshot, s.ID, s.ParentID, string(s.Mode), s.EffectiveDate, s.SHA256[:], s.FileBytes,
		s.Numbers, s.PartialNumbers, s.FullNumbers, s.Rows, s.RowsActive, s.RowsDeleted, s.Malformed, s.Conflicts,
		strings.Join(s.Overridden, " "), s.OverrideReason, s.Actor, s.CreatedAt)
	if err != nil {
		return err
	}
	const sqlInsertFile = `
		INSERT INTO snapshot_files (snapshot_id, seq, name, sha256, bytes, rows_read)
		VALUES ($1, $2, $3, $4, $5, $6)`
	for i, f := range s.Files {
		if _, err := t.exec(sqlInsertFile, s.ID, i, f.Name, f.SHA256[:], f.Bytes, f.Rows); err != nil {
			return err
		}
	}
	return nil
}

// bumpVersion tells running servers that something they keep in memory changed.
func (t *tx) bumpVersion() (version int64, err error) {
	const sqlBump = `UPDATE deployment SET version = version + 1 RETURNING version`
	t.wrote = true
	err = query(t.conn, sqlBump, func(r row) error {
		version = r.int64()
		return nil
	})
	return version, err
}
