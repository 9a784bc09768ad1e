package store

import (
	"context"

	"saaf"
)

// activationFact is what the ledger keeps of an activation.
type activationFact struct {
	Activation    int64            `json:"activation"`
	RolledBack    bool             `json:"rolled_back,omitempty"`
	Snapshot      saaf.SnapshotID  `json:"snapshot"`
	Over          saaf.SnapshotID  `json:"over,omitzero"`
	EffectiveDate saaf.Date        `json:"effective_date"`
	SHA256        saaf.SHA256      `json:"sha256"`
	BaseSHA256    saaf.SHA256      `json:"base_sha256,omitzero"`
	Mode          saaf.ImportMode  `json:"mode"`
	Numbers       int64            `json:"numbers"`
	Rows          int64            `json:"rows"`
	RowsActive    int64            `json:"rows_active"`
	RowsDeleted   int64            `json:"rows_deleted"`
	Malformed     int64            `json:"malformed"`
	Conflicts     int64            `json:"conflicts"`
	Overridden    []string         `json:"overridden,omitempty"`
	Files         []activationFile `json:"files,omitempty"`
}

type activationFile struct {
	SHA256 saaf.SHA256 `json:"sha256"`
	Bytes  int64       `json:"bytes"`
	Rows   int64       `json:"rows"`
}

// activate makes a recorded snapshot the active one.
func (t *tx) activate(s *saaf.Snapshot, over saaf.SnapshotID, by saaf.By, rolledBack bool, reason string) (version int64, err error) {
	const sqlActivate = `
		UPDATE deployment SET active_snapshot_id = $1, activated_at = $2, activation = activation + 1,
		  sweep_activation = 0, sweep_above = 0, sweep_done = 0, sweep_total = 0, sweep_changed = 0
		RETURNING activation`
	var activation int64
	t.wrote, t.deploymentRead = true, false
	err = t.conn.query(sqlActivate, func(r row) error { activation = r.int64(); return nil }, s.ID, t.now)
	if err != nil {
		return 0, err
	}
	const sqlInsertActivation = `
		INSERT INTO activations (seq, snapshot_id, over_id, rolled_back, reason, actor, request_id, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	_, err = t.exec(sqlInsertActivation, activation, s.ID, over, rolledBack, reason, by.Actor, by.Request, t.now)
	if err != nil {
		return 0, err
	}
	fact := activationFact{
		Activation: activation, RolledBack: rolledBack, Snapshot: s.ID, Over: over,
		EffectiveDate: s.EffectiveDate, SHA256: s.SHA256, BaseSHA256: s.BaseSHA256, Mode: s.Mode,
		Numbers: s.Numbers, Rows: s.Rows, RowsActive: s.RowsActive, RowsDeleted: s.RowsDeleted,
		Malformed: s.Malformed, Conflicts: s.Conflicts, Overridden: s.Overridden,
	}
	for _, f := range s.Files {
		fact.Files = append(fact.Files, activationFile{f.SHA256, f.Bytes, f.Rows})
	}
	if err := t.record(0, 0, "", saaf.StageRegistry, by, reason, fact); err != nil {
		return 0, err
	}
	return t.bumpVersion()
}

// Activations lists, oldest first, the activations from the given one on: with that
// of [saaf.RegistryState.ConfirmedActivation] those whose snapshots a verdict in
// the store may rest on.
func (s *Store) Activations(ctx context.Context, from int64) (list []saaf.Activation, err error) {
	const sqlActivations = `
		SELECT seq, snapshot_id, over_id, rolled_back, reason, actor, request_id, at
		  FROM activations WHERE seq >= $1 ORDER BY seq`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlActivations, func(r row) error {
			a := saaf.Activation{Seq: r.int64(), Snapshot: saaf.SnapshotID(r.int64()), Over: saaf.SnapshotID(r.int64()),
				Rollback: r.bool(), Reason: r.text()}
			a.By = saaf.By{Actor: r.text(), Request: r.text()}
			a.At = r.time()
			list = append(list, a)
			return nil
		}, from)
	})
	return list, wrap("list activations", err)
}
