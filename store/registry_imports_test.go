package store

import (
	"testing"
	"time"

	"saaf"
)

// readImport reads an import back.
func (b *bundle) readImport(id saaf.RegistryImportID) RegistryImport {
	b.t.Helper()
	im, err := b.RegistryImport(b.ctx, id)
	b.must(err)
	return im
}

// unfinishedImports are the ids of those that are still to be done.
func (b *bundle) unfinishedImports() (ids []saaf.RegistryImportID) {
	b.t.Helper()
	list, err := b.UnfinishedImports(b.ctx)
	b.must(err)
	for i := range list {
		ids = append(ids, list[i].ID)
	}
	return ids
}

func TestRegistryImports(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		given := RegistryImport{Mode: saaf.Delta, EffectiveDate: 20_000, Override: "told by 9876543210", File: "up_1", By: asha,
			ImportProgress: ImportProgress{BytesTotal: 99}}
		queue := func() RegistryImport {
			t.Helper()
			want := given
			im, err := b.QueueImport(t.Context(), given)
			b.must(err)
			want.ID, want.State, want.CreatedAt, want.Override = im.ID, ImportQueued, b.now(), "told by xxxxxx3210"
			want.Server = b.server
			b.equal("queued", want, im)
			want.Warnings, want.Refusals = []string{}, []Refusal{}
			b.equal("read", want, b.readImport(im.ID))
			b.pass(time.Minute)
			return want
		}
		one, two, three, four := queue(), queue(), queue(), queue()
		b.equal("unfinished", []saaf.RegistryImportID{one.ID, two.ID, three.ID, four.ID}, b.unfinishedImports())
		if _, err := b.RegistryImport(t.Context(), four.ID+1); saaf.ErrorCode(err) != saaf.NotFound {
			t.Errorf("one that is not there: %v", err)
		}

		progress := ImportProgress{Stage: "reading", BytesTotal: 1, BytesDone: 2, Rows: 3, RowsActive: 4, RowsDeleted: 5, Malformed: 6, Conflicts: 7}
		b.must(b.ImportMoved(t.Context(), Lease{}, two.ID, progress))
		two.State, two.ImportProgress = ImportRunning, progress
		b.equal("running", two, b.readImport(two.ID))
		b = b.reopen()
		b.equal("after opening again", []saaf.RegistryImportID{one.ID, two.ID, three.ID, four.ID}, b.unfinishedImports())

		// The activation ends it, and what the report adds later does not undo that.
		made, _, err := b.ActivateSnapshot(t.Context(), everyField(1), 0, Cause{By: asha, Import: two.ID})
		b.must(err)
		two.State, two.SnapshotID, two.FinishedAt = ImportCompleted, made.ID, b.now()
		two.ImportProgress = ImportProgress{BytesTotal: 1, BytesDone: 1, Rows: made.Rows, RowsActive: made.RowsActive,
			RowsDeleted: made.RowsDeleted, Malformed: made.Malformed, Conflicts: made.Conflicts}
		b.equal("completed", two, b.readImport(two.ID))
		b.must(b.ImportMoved(t.Context(), Lease{}, two.ID, ImportProgress{Stage: "late"}))
		b.equal("a late word", two, b.readImport(two.ID))
		b.pass(time.Minute)
		report := two
		report.State, report.SnapshotID, report.Problem, report.Rows, report.Warnings = ImportFailed, 0, "", 33, []string{"a \"warning\""}
		b.must(b.ImportEnded(t.Context(), Lease{}, report))
		two.Rows, two.Warnings = 33, report.Warnings
		b.equal("with its report", two, b.readImport(two.ID))

		// Of an import that has ended nothing is activated.
		before := b.state()
		if _, _, err := b.ActivateSnapshot(t.Context(), everyField(2), made.ID, Cause{Import: two.ID}); saaf.ErrorCode(err) != saaf.Conflict {
			t.Errorf("activated twice: %v; want Conflict", err)
		}
		b.equal("the register", before, b.state())
		if n := b.number(`SELECT count(*) FROM snapshots`); n != 1 {
			t.Errorf("%d snapshots", n)
		}

		for im, state := range map[*RegistryImport]ImportState{&one: ImportRefused, &three: ImportFailed} {
			im.State, im.Problem, im.FinishedAt = state, "why", b.now()
			im.Refusals = []Refusal{{"too_few", "It has too few rows"}}
			b.must(b.ImportEnded(t.Context(), Lease{}, *im))
			b.equal(string(state), *im, b.readImport(im.ID))
		}
		b.equal("unfinished in the end", []saaf.RegistryImportID{four.ID}, b.unfinishedImports())
	})
}
