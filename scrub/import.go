package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// ImportRequest is a set of registry files to bring in.
type ImportRequest struct {
	Files         []string // paths
	Mode          saaf.ImportMode
	EffectiveDate saaf.Date             // the day the files speak for, given by the operator
	Override      string                // why refusals that can be lifted shall be lifted
	By            saaf.By               // who imports
	Import        saaf.RegistryImportID // the import over the API that this is, 0 for none
	Lease         store.Lease           // of whoever does that import
	SHA256        saaf.SHA256           // of the one file, zero for not known: another content is not activated
	Progress      func(dnd.Progress)
	Aside         func()    // called at the beginning of each goroutine that reads and writes files; nil is not
	Spread        Spreading // its warnings become those of the report
}

// ImportResult is what an import found and made.
type ImportResult struct {
	Report   *dnd.Report
	Snapshot saaf.Snapshot // the active snapshot; with Report.NoOp the one that was active before
	Version  int64         // the deployment version that servers must take; 0 when nothing changed
}

// Import reads registry files, builds a snapshot in dir and makes it the active
// one. Until the last step nothing is visible to anybody, and a failure at any
// point leaves the old snapshot active. A refused import returns its report with
// the error.
//
// It needs no running server, and running servers need not be told: they watch
// the deployment version.
func Import(ctx context.Context, st *store.Store, dir string, req ImportRequest) (_ ImportResult, err error) {
	lock, err := shareDir(dir)
	if err != nil {
		return ImportResult{}, fmt.Errorf("lock the snapshot directory: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	reg, err := st.Registry(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	im := dnd.Import{
		Files: req.Files, Mode: req.Mode, EffectiveDate: req.EffectiveDate, Override: req.Override,
		Now: time.Now(), Dir: dir, Progress: req.Progress, Aside: req.Aside,
	}
	var active saaf.SnapshotID
	if reg.Active != nil {
		active = reg.Active.ID
		applied, err := st.AppliedFiles(ctx, active)
		if err != nil {
			return ImportResult{}, err
		}
		im.Applied = func(h saaf.SHA256) (saaf.SnapshotID, bool) { id, ok := applied[h]; return id, ok }
		im.BaseID, im.BaseDate, im.LastFullActive = active, reg.Active.EffectiveDate, reg.Active.FullNumbers
		if req.Mode == saaf.Delta {
			im.BaseSHA256 = baseOf(reg.Active)
			// An overlay says what is otherwise than in its base. Made over damage it
			// would say too little when the damage is mended.
			if im.Base, err = OpenVerified(ctx, st, dir, reg.Active); err != nil {
				return ImportResult{}, fmt.Errorf("the active snapshot %s cannot be opened, import a full set instead: %w", active, err)
			}
		}
	}
	report, err := im.Run(ctx)
	if err != nil {
		return ImportResult{Report: report}, errors.Join(err, recordRefusal(ctx, st, report, req))
	}
	if report.NoOp != 0 {
		return ImportResult{Report: report, Snapshot: *reg.Active}, nil
	}
	made := snapshotRecord(report, reg.Active, req)
	sp := &spreader{Spreading: req.Spread, store: st, dir: dir, snap: &made, aside: req.Aside}
	sp.Warn = func(w string) { report.Warnings = append(report.Warnings, w) }
	var snap saaf.Snapshot
	var version int64
	if req.SHA256 != (saaf.SHA256{}) && report.Files[0].SHA256 != req.SHA256 {
		err = errUploadDamaged
	} else if err = sp.spread(ctx); err == nil {
		snap, version, err = st.ActivateSnapshot(ctx, made, active, store.Cause{By: req.By, Import: req.Import, Lease: req.Lease})
	}
	// Also after a failure and for a caller who has gone: what was built for
	// nothing must not stay.
	ending := context.WithoutCancel(ctx)
	if perr := errors.Join(sp.settle(ending), tidyStore(ending, st), lock.prune(ending, st, KeepSnapshots)); perr != nil {
		report.Warnings = append(report.Warnings, "old snapshot files could not be removed: "+perr.Error())
	}
	if err != nil {
		return ImportResult{Report: report}, err
	}
	return ImportResult{Report: report, Snapshot: snap, Version: version}, nil
}

var errUploadDamaged = &saaf.Error{Code: saaf.Unavailable, Word: "upload_damaged",
	Message: "The uploaded file is no longer what arrived: check the disk of the server and upload it again"}

// snapshotRecord is what the register keeps of an import.
func snapshotRecord(r *dnd.Report, base *saaf.Snapshot, req ImportRequest) saaf.Snapshot {
	snap := saaf.Snapshot{
		Mode: r.Mode, EffectiveDate: r.Result.EffectiveDate, SHA256: r.Result.SHA256, BaseSHA256: r.Result.BaseSHA256, FileBytes: r.Result.Bytes,
		Numbers: r.Result.Numbers, PartialNumbers: r.Result.Partial, FullNumbers: r.Result.Numbers,
		Rows: r.Total.Rows, RowsActive: r.Total.Active, RowsDeleted: r.Total.Deleted,
		Malformed: r.Total.Malformed, Conflicts: r.Conflicts, Actor: req.By.Actor,
	}
	if r.Mode == saaf.Delta {
		snap.ParentID, snap.FullNumbers = base.ID, base.FullNumbers
		// Age counts from the newest file that was applied, also when an older
		// delta was forced in after it.
		snap.EffectiveDate = max(snap.EffectiveDate, base.EffectiveDate)
	}
	if r.Overridden {
		snap.OverrideReason = r.OverrideReason
		for _, refusal := range r.Refusals {
			snap.Overridden = append(snap.Overridden, string(refusal.Rule))
		}
	}
	for _, f := range r.Files {
		if !f.Skipped {
			snap.Files = append(snap.Files, saaf.SnapshotFile{Name: f.Name, SHA256: f.SHA256, Bytes: f.Bytes, Rows: f.Rows})
		}
	}
	return snap
}

// refusalFact is what the ledger keeps of registry files that were refused.
type refusalFact struct {
	Mode          saaf.ImportMode `json:"mode"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	Files         []saaf.SHA256   `json:"files"`
	Rows          int64           `json:"rows"`
	Refusals      []dnd.Refusal   `json:"refusals"`
}

// recordRefusal leaves evidence of a refusal, if there was one.
func recordRefusal(ctx context.Context, st *store.Store, r *dnd.Report, req ImportRequest) error {
	if r == nil || len(r.Refusals) == 0 {
		return nil
	}
	fact := refusalFact{Mode: r.Mode, EffectiveDate: r.EffectiveDate, Rows: r.Total.Rows, Files: []saaf.SHA256{}}
	for _, f := range r.Files {
		fact.Files = append(fact.Files, f.SHA256)
	}
	for _, refusal := range r.Refusals {
		// Sentences name files, and nobody knows what a name holds.
		refusal.Sentence = saaf.MaskNumbers(refusal.Sentence)
		fact.Refusals = append(fact.Refusals, refusal)
	}
	return st.RecordRefusal(context.WithoutCancel(ctx), req.Lease, req.By, fact)
}
