package store

import (
	"context"
	"strings"

	"saaf"
)

const snapshotColumns = `
	id, parent_id, replaced_id, mode, effective_date, sha256, base_sha256, file_bytes, numbers, partial_numbers, full_numbers,
	rows_read, rows_active, rows_deleted, malformed, conflicts, overridden, override_reason, actor, created_at
	FROM snapshots`

func scanSnapshot(r row) (s saaf.Snapshot) {
	s.ID, s.ParentID, s.ReplacedID = saaf.SnapshotID(r.int64()), saaf.SnapshotID(r.int64()), saaf.SnapshotID(r.int64())
	s.Mode, s.EffectiveDate = saaf.ImportMode(r.text()), saaf.Date(r.int64())
	copy(s.SHA256[:], r.bytes())
	copy(s.BaseSHA256[:], r.bytes())
	s.FileBytes, s.Numbers, s.PartialNumbers, s.FullNumbers = r.int64(), r.int64(), r.int64(), r.int64()
	s.Rows, s.RowsActive, s.RowsDeleted, s.Malformed, s.Conflicts = r.int64(), r.int64(), r.int64(), r.int64(), r.int64()
	s.Overridden, s.OverrideReason, s.Actor, s.CreatedAt = strings.Fields(r.text()), r.text(), r.text(), r.time()
	return s
}

// Registry reads which snapshot is active and up to which one all leads are
// confirmed.
func (s *Store) Registry(ctx context.Context) (st saaf.RegistryState, err error) {
	err = s.glance(ctx, func(conn session) error {
		st, err = readRegistry(conn)
		return err
	})
	return st, wrap("read registry state", err)
}

const sqlSnapshot = `SELECT ` + snapshotColumns + ` WHERE id = $1`

func readRegistry(conn session) (st saaf.RegistryState, err error) {
	const sqlDeployment = `
		SELECT version, active_snapshot_id, activation, activated_at, confirmed_snapshot_id, confirmed_activation,
		  sweep_activation, sweep_above, sweep_done, sweep_total, sweep_changed
		  FROM deployment`
	var active saaf.SnapshotID
	err = conn.query(sqlDeployment, func(r row) error {
		st.Version, active, st.Activation, st.ActivatedAt = r.int64(), saaf.SnapshotID(r.int64()), r.int64(), r.time()
		st.Confirmed, st.ConfirmedActivation = saaf.SnapshotID(r.int64()), r.int64()
		st.Sweep = saaf.Sweep{Activation: r.int64(), Above: saaf.CampaignID(r.int64()), Done: r.int64(), Total: r.int64(), Changed: r.int64()}
		return nil
	})
	if err != nil || active == 0 {
		return st, err
	}
	err = conn.query(sqlSnapshot, func(r row) error {
		st.Active = new(scanSnapshot(r))
		return nil
	}, active)
	if err != nil {
		return st, err
	}
	st.Active.Files, err = readSnapshotFiles(conn, active)
	return st, err
}

func readSnapshotFiles(conn session, id saaf.SnapshotID) (files []saaf.SnapshotFile, err error) {
	const sqlSnapshotFiles = `SELECT name, sha256, bytes, rows_read FROM snapshot_files WHERE snapshot_id = $1 ORDER BY seq`
	err = conn.query(sqlSnapshotFiles, func(r row) error {
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
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlSnapshots, func(r row) error {
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
		SELECT f.sha256, f.snapshot_id FROM snapshot_files f JOIN lineage l ON f.snapshot_id = l.id
		 ORDER BY f.snapshot_id`
	err = s.read(ctx, func(conn session) error {
		files = make(map[saaf.SHA256]saaf.SnapshotID)
		return conn.query(sqlAppliedFiles, func(r row) error {
			var h saaf.SHA256
			copy(h[:], r.bytes())
			files[h] = saaf.SnapshotID(r.int64())
			return nil
		}, id)
	})
	return files, wrap("list applied files", err)
}

// Cause is what made a snapshot the active one, for the register and the evidence.
type Cause struct {
	By     saaf.By
	Import saaf.RegistryImportID // the import over the API that this completes, 0 for none
	Lease  Lease                 // of whoever does that import
}

// ActivateSnapshot records a snapshot and makes it the active one, if the one it
// was made against is still active; otherwise Conflict. It returns the version
// that servers must take.
func (s *Store) ActivateSnapshot(ctx context.Context, snap saaf.Snapshot, against saaf.SnapshotID, cause Cause) (made saaf.Snapshot, version int64, err error) {
	err = s.write(ctx, everything, 1, func(t *tx) error {
		if err := t.fenced(cause.Lease); err != nil {
			return err
		}
		st, err := readRegistry(t.conn)
		if err != nil {
			return err
		}
		if st.Active != nil && st.Active.ID != against || st.Active == nil && against != 0 {
			return &saaf.Error{Code: saaf.Conflict, Word: "registry_moved",
				Message: "Another snapshot was activated while this one was being built; run the import again"}
		}
		made = snap
		made.ID, made.CreatedAt, made.ReplacedID = saaf.SnapshotID(t.ids.Next()), t.now, against
		made.OverrideReason = saaf.MaskNumbers(made.OverrideReason)
		if err := t.insertSnapshot(&made); err != nil {
			return err
		}
		if cause.Import != 0 {
			if err := t.completeImport(cause.Import, &made); err != nil {
				return err
			}
		}
		version, err = t.activate(&made, against, cause.By, false, made.OverrideReason)
		return err
	})
	return made, version, wrap("activate snapshot", err)
}

// RollBack makes the snapshot active again that the active one replaced. The one to
// leave must still be active; otherwise Conflict.
func (s *Store) RollBack(ctx context.Context, from, to saaf.SnapshotID, by saaf.By, reason string) (active saaf.Snapshot, version int64, err error) {
	reason = saaf.MaskNumbers(reason)
	err = s.write(ctx, everything, 1, func(t *tx) error {
		st, err := readRegistry(t.conn)
		if err != nil {
			return err
		}
		if st.Active == nil || st.Active.ID != from {
			return &saaf.Error{Code: saaf.Conflict, Word: "registry_moved",
				Message: "Another snapshot was activated meanwhile; look at the registry again before you roll back"}
		}
		found := false
		err = t.conn.query(sqlSnapshot, func(r row) error {
			active, found = scanSnapshot(r), true
			return nil
		}, to)
		if err != nil {
			return err
		}
		if !found {
			return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "There is no such snapshot"}
		}
		version, err = t.activate(&active, from, by, true, reason)
		return err
	})
	return active, version, wrap("roll back", err)
}

// Snapshot reads one snapshot of the register, with its files. One that does not
// exist is NotFound.
func (s *Store) Snapshot(ctx context.Context, id saaf.SnapshotID) (snap saaf.Snapshot, err error) {
	found := false
	err = s.read(ctx, func(conn session) error {
		err := conn.query(sqlSnapshot, func(r row) error {
			snap, found = scanSnapshot(r), true
			return nil
		}, id)
		if err == nil {
			snap.Files, err = readSnapshotFiles(conn, id)
		}
		return err
	})
	if err == nil && !found {
		err = &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "There is no snapshot " + id.String() + "; saaf registry status lists those that are kept"}
	}
	return snap, wrap("read snapshot", err)
}

// KeptSnapshots lists the active snapshot and, behind it, the keep-1 that can be
// gone back to, each replaced by the one before it in the list.
func (s *Store) KeptSnapshots(ctx context.Context, keep int) (list []saaf.Snapshot, err error) {
	err = s.read(ctx, func(conn session) error {
		list, err = readKept(conn, keep)
		return err
	})
	return list, wrap("list kept snapshots", err)
}

func readKept(conn session, keep int) (list []saaf.Snapshot, err error) {
	st, err := readRegistry(conn)
	if err != nil || st.Active == nil {
		return nil, err
	}
	list = append(list, *st.Active)
	for next := st.Active.ReplacedID; next != 0 && len(list) < keep; {
		var snap saaf.Snapshot
		if err := conn.query(sqlSnapshot, func(r row) error { snap = scanSnapshot(r); return nil }, next); err != nil {
			return nil, err
		}
		if snap.ID == 0 {
			break
		}
		list, next = append(list, snap), snap.ReplacedID
	}
	return list, nil
}

func (t *tx) insertSnapshot(s *saaf.Snapshot) error {
	const sqlInsertSnapshot = `
		INSERT INTO snapshots (id, parent_id, replaced_id, mode, effective_date, sha256, base_sha256, file_bytes, numbers, partial_numbers,
		  full_numbers, rows_read, rows_active, rows_deleted, malformed, conflicts, overridden, override_reason, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`
	var base []byte
	if s.BaseSHA256 != (saaf.SHA256{}) {
		base = s.BaseSHA256[:]
	}
	_, err := t.exec(sqlInsertSnapshot, s.ID, s.ParentID, s.ReplacedID, s.Mode, s.EffectiveDate, s.SHA256[:], base, s.FileBytes,
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
	err = t.conn.query(sqlBump, func(r row) error {
		version = r.int64()
		return nil
	})
	return version, err
}
