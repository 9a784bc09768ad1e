package store

import (
	"context"
	"encoding/json"
	"time"

	"saaf"
)

// RegistryImport is a registry file that came over the API, and what becomes of it.
type RegistryImport struct {
	ID            saaf.RegistryImportID
	State         ImportState
	Mode          saaf.ImportMode
	EffectiveDate saaf.Date
	Override      string
	File          string        // its name in the upload directory
	Server        saaf.ServerID // which had it in its upload directory when it arrived
	SHA256        saaf.SHA256   // of what arrived
	By            saaf.By
	ImportProgress
	Warnings   []string
	Refusals   []Refusal
	Problem    string // why it failed
	SnapshotID saaf.SnapshotID
	CreatedAt  time.Time
	FinishedAt time.Time
}

// ImportProgress is how far an import is and what it has read.
type ImportProgress struct {
	Stage       string
	BytesTotal  int64 // of the stage
	BytesDone   int64
	Rows        int64
	RowsActive  int64
	RowsDeleted int64
	Malformed   int64
	Conflicts   int64
}

// Refusal is a rule that spoke against an import, with its sentence.
type Refusal struct {
	Rule     string `json:"rule"`
	Sentence string `json:"sentence"`
}

// ImportState says where an import stands.
type ImportState string

// The states of an import.
const (
	ImportQueued    ImportState = "queued"
	ImportRunning   ImportState = "running"
	ImportCompleted ImportState = "completed"
	ImportRefused   ImportState = "refused" // the registry stays as it was
	ImportFailed    ImportState = "failed"  // the registry stays as it was
)

const importColumns = `
	id, state, mode, effective_date, override, file, sha256, actor, request_id, stage, bytes_total, bytes_done,
	rows_read, rows_active, rows_deleted, malformed, conflicts, warnings, refusals, problem, snapshot_id, created_at, finished_at,
	server_id
	FROM registry_imports`

func scanImport(r row) (im RegistryImport, err error) {
	im.ID, im.State, im.Mode, im.EffectiveDate = saaf.RegistryImportID(r.int64()), ImportState(r.text()), saaf.ImportMode(r.text()), saaf.Date(r.int64())
	im.Override, im.File = r.text(), r.text()
	copy(im.SHA256[:], r.bytes())
	im.By = saaf.By{Actor: r.text(), Request: r.text()}
	im.Stage, im.BytesTotal, im.BytesDone = r.text(), r.int64(), r.int64()
	im.Rows, im.RowsActive, im.RowsDeleted, im.Malformed, im.Conflicts = r.int64(), r.int64(), r.int64(), r.int64(), r.int64()
	if err := json.Unmarshal([]byte(r.text()), &im.Warnings); err != nil {
		return im, err
	}
	if err := json.Unmarshal([]byte(r.text()), &im.Refusals); err != nil {
		return im, err
	}
	im.Problem, im.SnapshotID, im.CreatedAt, im.FinishedAt = r.text(), saaf.SnapshotID(r.int64()), r.time(), r.time()
	im.Server = saaf.ServerID(r.int64())
	return im, nil
}

// QueueImport records a file that was uploaded whole to this server. Its bytes must
// be durable.
func (s *Store) QueueImport(ctx context.Context, im RegistryImport) (RegistryImport, error) {
	err := s.write(ctx, everything, 1, func(t *tx) error {
		im.ID, im.State, im.CreatedAt = saaf.RegistryImportID(t.ids.Next()), ImportQueued, t.now
		im.Server = s.server
		im.Override = saaf.MaskNumbers(im.Override)
		const sqlInsertImport = `
			INSERT INTO registry_imports (id, state, mode, effective_date, override, file, sha256, actor, request_id, stage, bytes_total, bytes_done,
			  rows_read, rows_active, rows_deleted, malformed, conflicts, warnings, refusals, problem, snapshot_id, created_at, server_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, 0, 0, 0, 0, 0, 0, $11, $11, '', NULL, $12, $13)`
		_, err := t.exec(sqlInsertImport, im.ID, im.State, im.Mode, im.EffectiveDate, im.Override, im.File, im.SHA256[:],
			im.By.Actor, im.By.Request, im.BytesTotal, "[]", t.now, im.Server)
		return err
	})
	return im, wrap("queue import", err)
}

// RegistryImport reads one import. One that does not exist is NotFound.
func (s *Store) RegistryImport(ctx context.Context, id saaf.RegistryImportID) (im RegistryImport, err error) {
	const sqlImport = `SELECT ` + importColumns + ` WHERE id = $1`
	found := false
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlImport, func(r row) (err error) {
			im, err = scanImport(r)
			found = true
			return err
		}, id)
	})
	if err == nil && !found {
		err = &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Import not found"}
	}
	return im, wrap("read import", err)
}

// UnfinishedImports lists the imports that are queued or were cut short, oldest
// first.
func (s *Store) UnfinishedImports(ctx context.Context) (list []RegistryImport, err error) {
	const sqlUnfinishedImports = `SELECT ` + importColumns + ` WHERE state IN ($1, $2) ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlUnfinishedImports, func(r row) error {
			im, err := scanImport(r)
			list = append(list, im)
			return err
		}, ImportQueued, ImportRunning)
	})
	return list, wrap("list imports", err)
}

// ImportMoved records that an import runs and how far it is. One that has ended
// stays as it is.
func (s *Store) ImportMoved(ctx context.Context, l Lease, id saaf.RegistryImportID, p ImportProgress) error {
	const sqlImportMoved = `
		UPDATE registry_imports SET state = $1, stage = $2, bytes_total = $3, bytes_done = $4, rows_read = $5,
		  rows_active = $6, rows_deleted = $7, malformed = $8, conflicts = $9
		 WHERE id = $10 AND state IN ($11, $1)`
	err := s.write(ctx, everything, 1, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		_, err := t.exec(sqlImportMoved, ImportRunning, p.Stage, p.BytesTotal, p.BytesDone, p.Rows, p.RowsActive, p.RowsDeleted,
			p.Malformed, p.Conflicts, id, ImportQueued)
		return err
	})
	return wrap("record import", err)
}

// ImportEnded records how an import ended. A completed one keeps the state and the
// snapshot that the activation gave it; its figures and warnings are added.
func (s *Store) ImportEnded(ctx context.Context, l Lease, im RegistryImport) error {
	warnings, err := json.Marshal(orEmpty(im.Warnings))
	if err != nil {
		return err
	}
	refusals, err := json.Marshal(orEmpty(im.Refusals))
	if err != nil {
		return err
	}
	const sqlImportEnded = `
		UPDATE registry_imports SET state = CASE state WHEN $1 THEN state ELSE $2 END, stage = $3, bytes_total = $4, bytes_done = $5,
		  rows_read = $6, rows_active = $7, rows_deleted = $8, malformed = $9, conflicts = $10, warnings = $11, refusals = $12, problem = $13,
		  snapshot_id = coalesce(snapshot_id, $14), finished_at = coalesce(finished_at, $15)
		 WHERE id = $16`
	p := &im.ImportProgress
	err = s.write(ctx, everything, 1, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		_, err := t.exec(sqlImportEnded, ImportCompleted, im.State, p.Stage, p.BytesTotal, p.BytesDone, p.Rows, p.RowsActive, p.RowsDeleted,
			p.Malformed, p.Conflicts, string(warnings), string(refusals), im.Problem, im.SnapshotID, t.now, im.ID)
		return err
	})
	return wrap("record import", err)
}

// completeImport ends an import in the transaction that activates its snapshot, so
// that after a crash it is not done twice.
func (t *tx) completeImport(id saaf.RegistryImportID, s *saaf.Snapshot) error {
	const sqlCompleteImport = `
		UPDATE registry_imports SET state = $1, snapshot_id = $2, finished_at = $3, stage = $4, bytes_done = bytes_total,
		  rows_read = $5, rows_active = $6, rows_deleted = $7, malformed = $8, conflicts = $9
		 WHERE id = $10 AND state IN ($11, $12)`
	n, err := t.exec(sqlCompleteImport, ImportCompleted, s.ID, t.now, "", s.Rows, s.RowsActive, s.RowsDeleted, s.Malformed, s.Conflicts,
		id, ImportQueued, ImportRunning)
	if err == nil && n == 0 {
		err = &saaf.Error{Code: saaf.Conflict, Word: "import_ended", Message: "This import has ended already"}
	}
	return err
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
