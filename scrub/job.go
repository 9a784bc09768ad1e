package scrub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// importRecordEvery is how often the progress of an import is made visible.
const importRecordEvery = 500 * time.Millisecond

// RunImport does one import that came over the API: it reads the file, activates the
// snapshot, records how it ended and removes the file. What the import finds wrong
// is recorded, and no error of RunImport. It writes under the lease, that of
// [ImportsLease]. aside is that of [ImportRequest].
func RunImport(ctx context.Context, st *store.Store, registryDir, uploadDir string, l store.Lease, id saaf.RegistryImportID, aside func()) error {
	im, err := st.RegistryImport(ctx, id)
	if err != nil {
		return err
	}
	if im.State != store.ImportQueued && im.State != store.ImportRunning {
		return nil
	}
	path := filepath.Join(uploadDir, im.File)
	var recorded time.Time
	record := func(stage string, done, total int64) {
		if time.Since(recorded) < importRecordEvery {
			return
		}
		recorded = time.Now()
		im.Stage, im.BytesDone, im.BytesTotal = stage, done, total
		// Only for people who look: the next one tries again.
		_ = st.ImportMoved(ctx, l, id, im.ImportProgress)
	}
	req := ImportRequest{
		Files: []string{path}, Mode: im.Mode, EffectiveDate: im.EffectiveDate, Override: im.Override, By: im.By, Import: id, Lease: l, SHA256: im.SHA256, Aside: aside,
		Progress: func(p dnd.Progress) {
			im.Rows = p.Rows
			record(string(p.Stage), p.BytesDone, p.BytesTotal)
		},
		Spread: Spreading{Progress: func(p SpreadProgress) { record(string(p.Stage), p.BytesDone, p.BytesTotal) }},
	}
	res, err := Import(ctx, st, registryDir, req)
	// Another one was quicker: nobody should have to send the file again for that.
	for tries := 1; overtaken(err) && tries < importTries; tries++ {
		res, err = Import(ctx, st, registryDir, req)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // to be done again
	case errors.Is(err, store.ErrLeaseLost):
		return err // by another process, or here once more
	}
	ended := importEnd(im, res, err)
	if len(ended.Refusals) > 0 || saaf.ErrorCode(err) != saaf.Internal {
		err = nil // it stands in the record
	}
	if eerr := patiently(ctx, func() error { return st.ImportEnded(ctx, l, ended) }); eerr != nil {
		return errors.Join(err, eerr) // to be done again, if it is not completed
	}
	return errors.Join(err, os.Remove(path))
}

// importTries is how often an import is begun that others overtake.
const importTries = 3

// overtaken reports whether another snapshot was activated while one was built.
func overtaken(err error) bool {
	e, ok := errors.AsType[*saaf.Error](err)
	return ok && e.Word == store.ErrRegistryMoved.Word
}

// importEnd is what is recorded of an import that has ended.
func importEnd(im store.RegistryImport, res ImportResult, err error) store.RegistryImport {
	im.State = store.ImportCompleted
	im.SnapshotID = res.Snapshot.ID
	if r := res.Report; r != nil {
		im.Stage, im.BytesDone = "", im.BytesTotal
		im.Rows, im.RowsActive, im.RowsDeleted = r.Total.Rows, r.Total.Active, r.Total.Deleted
		im.Malformed, im.Conflicts, im.Warnings = r.Total.Malformed, r.Conflicts, r.Warnings
		for _, refusal := range r.Refusals {
			im.Refusals = append(im.Refusals, store.Refusal{Rule: string(refusal.Rule), Sentence: refusal.Sentence})
		}
	}
	known, ok := errors.AsType[*saaf.Error](err)
	switch {
	case err == nil:
	case len(im.Refusals) > 0:
		im.State, im.SnapshotID = store.ImportRefused, 0
	case ok:
		im.State, im.SnapshotID, im.Problem = store.ImportFailed, 0, known.Error()
	default:
		im.State, im.SnapshotID, im.Problem = store.ImportFailed, 0, "the import failed for a reason of ours, which is in the log of the server"
	}
	return im
}

// GiveUpImport ends an import that cannot be done, with the sentence that says why,
// and removes its file where that is here.
func GiveUpImport(ctx context.Context, st *store.Store, uploadDir string, l store.Lease, id saaf.RegistryImportID, problem string) error {
	im, err := st.RegistryImport(ctx, id)
	if err != nil {
		return err
	}
	im.State, im.Problem = store.ImportFailed, problem
	if err := patiently(ctx, func() error { return st.ImportEnded(ctx, l, im) }); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(uploadDir, im.File)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// runImport does an import here, or the way that the configuration says.
func (s *Service) runImport(ctx context.Context, l store.Lease, id saaf.RegistryImportID) error {
	if s.importer != nil {
		return s.importer(ctx, l, id)
	}
	return RunImport(ctx, s.store, s.dir, s.uploads, l, id, nil)
}
