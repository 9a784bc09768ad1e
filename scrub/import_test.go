package scrub

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
	"saaf/dnd"
)

// numbers is count phones from first on.
func numbers(first saaf.Phone, count int) (list []saaf.Phone) {
	for i := range count {
		list = append(list, first+saaf.Phone(i))
	}
	return list
}

// based is a bundle that answers from a full set of 200 numbers, dated yesterday.
func based(t *testing.T) (*bundle, saaf.Snapshot) {
	t.Helper()
	b := setup(t)
	req := b.full(rows("A", numbers(6_000_000_000, 200)...))
	req.EffectiveDate--
	snap := b.imports(req).Snapshot
	b.loads()
	return b, snap
}

// visible is the names in the directory of snapshots.
func (b *bundle) visible() (names []string) {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func fileName(s saaf.Snapshot) string { return filepath.Base(snapshotPath("", s.SHA256)) }

func TestImportFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.state()
	if before.Active != nil {
		t.Fatal("a new store has an active snapshot")
	}
	one := b.file(rows("A", 9_000_000_001, 9_000_000_002) + rows("D", 9_000_000_002, 9_000_000_003))
	two := b.file("13,9000000004,2#3,A,2\nnonsense\n" + rows("A", numbers(6_000_000_000, 1500)...))
	res := b.imports(ImportRequest{Files: []string{one, two}, Mode: saaf.FullSet, EffectiveDate: today(), By: saaf.By{Actor: "cli:asha@delhi"}})

	file, err := os.ReadFile(filepath.Join(b.dir, fileName(res.Snapshot)))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(file); res.Snapshot.SHA256 != sum {
		t.Errorf("the file has the hash %x and is named %v", sum, res.Snapshot.SHA256)
	}
	want := saaf.Snapshot{
		Mode: saaf.FullSet, EffectiveDate: today(), FileBytes: int64(len(file)), Actor: "cli:asha@delhi",
		Numbers: 1503, PartialNumbers: 1, FullNumbers: 1503,
		Rows: 1506, RowsActive: 1503, RowsDeleted: 2, Malformed: 1, Conflicts: 1,
	}
	for i, rows := range []int64{4, 1502} {
		content, err := os.ReadFile([]string{one, two}[i])
		if err != nil {
			t.Fatal(err)
		}
		want.Files = append(want.Files, saaf.SnapshotFile{Name: filepath.Base([]string{one, two}[i]),
			SHA256: sha256.Sum256(content), Bytes: int64(len(content)), Rows: rows})
	}
	after := b.state()
	made := cmpopts.IgnoreFields(saaf.Snapshot{}, "ID", "SHA256", "CreatedAt")
	if diff := cmp.Diff(&want, after.Active, made, cmpopts.EquateEmpty()); diff != "" {
		t.Error("register:", diff)
	}
	if diff := cmp.Diff(&res.Snapshot, after.Active, cmpopts.EquateEmpty()); diff != "" {
		t.Error("what was returned is not what was stored:", diff)
	}
	if res.Version != before.Version+1 || after.Version != res.Version || after.Confirmed != 0 {
		t.Errorf("version %d before, %d returned, %d stored, confirmed %v", before.Version, res.Version, after.Version, after.Confirmed)
	}
	b.loads()
	for p, listed := range map[saaf.Phone]bool{9_000_000_001: true, 9_000_000_002: true, 9_000_000_003: false, 9_000_000_004: true} {
		if e, ok := b.registry.View().Lookup(p); !ok || e.Listed != listed {
			t.Errorf("%d is listed: %v, %v", p, e.Listed, ok)
		}
	}
}

func TestImportDelta(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	first := b.delta(rows("A", 9_000_000_001) + rows("D", 6_000_000_000))
	snap := b.imports(first).Snapshot
	want := saaf.Snapshot{
		ParentID: base.ID, ReplacedID: base.ID, BaseSHA256: base.SHA256, Mode: saaf.Delta, EffectiveDate: today(), Actor: "test",
		Numbers: 200, FullNumbers: 200, Rows: 2, RowsActive: 1, RowsDeleted: 1,
	}
	made := cmpopts.IgnoreFields(saaf.Snapshot{}, "ID", "SHA256", "FileBytes", "Files", "CreatedAt")
	if diff := cmp.Diff(want, snap, made, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	second := b.imports(b.delta(rows("A", 9_000_000_002))).Snapshot
	if second.ParentID != snap.ID || second.Numbers != 201 || second.FullNumbers != 200 {
		t.Errorf("the second delta: %+v", second)
	}
	// The last one again is nothing to do, and so are all of them again. The first
	// alone may undo the second: it needs a word.
	before, files := b.state(), b.visible()
	last := b.delta(rows("A", 9_000_000_002))
	for _, again := range [][]string{last.Files, slices.Concat(first.Files, last.Files)} {
		req := first
		req.Files = again
		res := b.imports(req)
		if res.Report.NoOp != second.ID || res.Snapshot.ID != second.ID || res.Version != 0 {
			t.Errorf("again: no-op %v, active %v, version %d", res.Report.NoOp, res.Snapshot.ID, res.Version)
		}
	}
	b.refuses(first, dnd.RuleRepeated)
	if diff := cmp.Diff(before, b.state()); diff != "" {
		t.Error("a no-op changed the register:", diff)
	}
	if diff := cmp.Diff(files, b.visible()); diff != "" {
		t.Error("a no-op changed the files:", diff)
	}
	// A delta beside the last one: only the new one is read.
	both := b.delta(rows("A", 9_000_000_003))
	both.Files = slices.Concat(last.Files, both.Files)
	if third := b.imports(both).Snapshot; third.Numbers != 202 || len(third.Files) != 1 || third.Files[0].Name != filepath.Base(both.Files[1]) {
		t.Errorf("the third delta: %+v", third)
	}
	// Not so a full set, which begins from nothing.
	full := b.full(rows("A", numbers(6_000_000_000, 200)...))
	full.EffectiveDate--
	res := b.imports(full)
	if res.Report.NoOp != 0 || res.Snapshot.SHA256 != base.SHA256 || res.Snapshot.ID == base.ID {
		t.Errorf("the first full set again: %+v", res.Snapshot)
	}
	if got := b.loads(); got.Snapshot != res.Snapshot.ID || got.Problem != "" {
		t.Errorf("it answers from %+v", got)
	}
}

// refused is every rule with an import that it alone refuses.
var refused = map[dnd.Rule]func(*bundle) ImportRequest{
	dnd.RuleFutureDate: func(b *bundle) ImportRequest {
		req := b.full(rows("A", numbers(6_000_000_000, 200)...))
		req.EffectiveDate += 2
		return req
	},
	dnd.RuleCategorySets: func(b *bundle) ImportRequest {
		var text strings.Builder
		for n := range 4096 {
			fmt.Fprintf(&text, "13,%d,20", 6_000_000_000+n)
			for bit := range 12 {
				if n>>bit&1 != 0 {
					fmt.Fprintf(&text, "#%d", bit+1)
				}
			}
			text.WriteString(",A,2\n")
		}
		return b.full(text.String())
	},
	dnd.RuleUnreadable: func(b *bundle) ImportRequest {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		fmt.Fprint(w, rows("A", numbers(6_000_000_000, 200)...))
		if err := w.Close(); err != nil {
			b.t.Fatal(err)
		}
		return b.full(packed.String()[:packed.Len()-4])
	},
	dnd.RuleNoRows: func(b *bundle) ImportRequest {
		req := b.full(rows("A", numbers(6_000_000_000, 200)...))
		req.Files = append(req.Files, b.file("\n"))
		return req
	},
	dnd.RuleMalformed: func(b *bundle) ImportRequest {
		return b.full(rows("A", numbers(6_000_000_000, 200)...) + "13,sixtimes,0,A,2\n")
	},
	dnd.RuleShrunk: func(b *bundle) ImportRequest {
		return b.full(rows("A", numbers(6_000_000_000, 189)...))
	},
	dnd.RuleRemoves: func(b *bundle) ImportRequest {
		return b.delta(rows("D", numbers(6_000_000_000, 3)...))
	},
	dnd.RuleOlder: func(b *bundle) ImportRequest {
		req := b.delta(rows("A", 9_000_000_001))
		req.EffectiveDate -= 3
		return req
	},
}

func TestRefusedImports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noBase := b.delta(rows("A", 9_000_000_001))
	noBase.Override = "no override lifts it"
	b.refuses(noBase, dnd.RuleNoBase)

	b, base := based(t)
	for rule, request := range refused {
		req := request(b)
		if rule.Final() {
			req.Override = "no override lifts it"
		}
		b.refuses(req, rule)
	}
	if got := b.loads(); got.Snapshot != base.ID || got.Problem != "" {
		t.Errorf("it answers from %+v", got)
	}
}

// refuses runs an import that one rule refuses, and looks that it changes nothing
// and leaves nothing behind.
func (b *bundle) refuses(req ImportRequest, rule dnd.Rule) {
	b.t.Helper()
	before := b.state()
	files := []string(nil)
	if before.Active != nil {
		files = b.visible()
	}
	res, err := b.importInto(req)
	if e, ok := errors.AsType[*saaf.Error](err); !ok || e.Word != "registry_refused" {
		b.t.Fatalf("%s: the import ended with %v", rule, err)
	}
	if r := res.Report; r == nil || len(r.Refusals) != 1 || r.Refusals[0].Rule != rule {
		b.t.Errorf("%s: refused by %+v", rule, res.Report)
	}
	if res.Version != 0 || res.Snapshot.ID != 0 {
		b.t.Errorf("%s, and yet: %+v", rule, res)
	}
	if diff := cmp.Diff(before, b.state()); diff != "" {
		b.t.Error(rule, "the register changed:", diff)
	}
	if diff := cmp.Diff(files, b.visible()); diff != "" {
		b.t.Error(rule, "the files changed:", diff)
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	for rule, request := range refused {
		if rule.Final() {
			continue
		}
		req := request(b)
		req.Override = " \t"
		b.refuses(req, rule)
		req.Override = "  the operator said so "
		snap := b.imports(req).Snapshot
		active := b.state().Active
		if active.ID != snap.ID || active.OverrideReason != "the operator said so" || !slices.Equal(active.Overridden, []string{string(rule)}) {
			t.Errorf("%s: recorded: %+v", rule, active)
		}
		// Age counts from the newest file there is, also when an older one was
		// forced in after it.
		want := max(req.EffectiveDate, base.EffectiveDate)
		if got := b.loads(); got.Snapshot != snap.ID || b.registry.View().Ref().EffectiveDate != want {
			t.Errorf("%s: it answers from %+v, dated %v", rule, got, b.registry.View().Ref().EffectiveDate)
		}
		again := b.full(rows("A", numbers(6_000_000_000, 200)...))
		again.EffectiveDate--
		b.imports(again)
	}
}

// A reason that lifts nothing is not recorded as if it had.
func TestOverrideOfNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := b.full(rows("A", 9_000_000_001))
	req.Override = "just in case"
	if snap := b.imports(req).Snapshot; len(snap.Overridden) != 0 || snap.OverrideReason != "" {
		t.Errorf("recorded: %v, %q", snap.Overridden, snap.OverrideReason)
	}
}

func TestImportOfAnOldSet(t *testing.T) {
	t.Parallel()
	b, _ := based(t)
	req := b.full(rows("A", numbers(6_000_000_000, 200)...))
	req.EffectiveDate -= 8
	res := b.imports(req)
	if all := strings.Join(res.Report.Warnings, "\n"); !strings.Contains(all, "is stale and answers unknown") || !strings.Contains(all, "replaces a newer one") {
		t.Errorf("warnings: %q", all)
	}
	if got := b.loads(); got.Snapshot != res.Snapshot.ID || res.Snapshot.EffectiveDate != req.EffectiveDate {
		t.Errorf("it answers from %+v", got)
	}
	if l := b.push(6_000_000_000); l.Verdict.Reason != saaf.RegistryStale {
		t.Errorf("it finds %v", l.Verdict.Reason)
	}
}

func TestSnapshotFilesAreKept(t *testing.T) {
	t.Parallel()
	// Nothing about the name of the directory is special.
	data := filepath.Join(t.TempDir(), "[a-z]*")
	b := setup(t)
	b.dir = RegistryDir(data)
	var kept []string
	foreign := []string{"backup.dnd", "notes.txt", strings.Repeat("x", 64) + ".dnd"}
	for i := range 5 {
		snap := b.imports(b.full(rows("A", numbers(6_000_000_000, 200+i)...))).Snapshot
		kept = append(kept, fileName(snap))
		if i == 0 {
			for _, name := range foreign {
				if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := slices.Sorted(slices.Values(slices.Concat(kept[max(0, i-2):], foreign)))
		if diff := cmp.Diff(want, b.visible()); diff != "" {
			t.Errorf("after import %d: %s", i+1, diff)
		}
	}
	list, err := b.store.Snapshots(t.Context(), 100)
	if err != nil || len(list) != 5 {
		t.Errorf("%d records stay, %v", len(list), err)
	}
	for path, want := range map[string]os.FileMode{b.dir: os.ModeDir | 0o700, filepath.Join(b.dir, kept[4]): 0o400} {
		if info, err := os.Stat(path); err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

// The base of an overlay stays, however long ago it was active itself, and goes with
// the last overlay that can be gone back to.
func TestBasesAreKept(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	for i := range 4 {
		b.imports(b.delta(rows("A", saaf.Phone(9_000_000_001+i))))
	}
	for range 2 {
		if _, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{}); err != nil {
			t.Fatal(err)
		}
		if got := b.loads(); got.Problem != "" {
			t.Fatal(got.Problem)
		}
	}
	for i := range 3 {
		if !slices.Contains(b.visible(), fileName(base)) {
			t.Errorf("before full set %d the base is gone", i)
		}
		b.imports(b.full(rows("A", numbers(6_000_000_000, 300+i)...)))
	}
	if files := b.visible(); len(files) != 3 || slices.Contains(files, fileName(base)) {
		t.Errorf("left are %v", files)
	}
}

// A roll-back brings a snapshot into reach whose files an import has removed: it is
// not said to be kept.
func TestKeptAfterRollBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 4 {
		b.imports(b.full(rows("A", numbers(6_000_000_000, 200+i)...)))
	}
	if _, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{}); err != nil {
		t.Fatal(err)
	}
	list, err := b.Kept(t.Context())
	if err != nil || len(list) != 2 || list[0].Numbers != 202 || list[1].Numbers != 201 {
		t.Errorf("kept: %+v, %v", list, err)
	}
}

// A delta that is made over a damaged base would lack the numbers that only the
// damage lists, and they would be clean once the base is mended.
func TestDeltaOverADamagedBase(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 6_000_000_900
	b, base := based(t)
	path := snapshotPath(b.dir, base.SHA256)
	flipBit(t, path, p)
	if _, err := b.importInto(b.delta(rows("A", p))); err == nil || !strings.Contains(err.Error(), "it is damaged: restore it") {
		t.Errorf("it ended with %v", err)
	}
	flipBit(t, path, p)
	b.imports(b.delta(rows("A", p)))
	b.loads()
	if e, ok := b.registry.View().Lookup(p); !ok || !e.Listed {
		t.Error("the number is not listed")
	}
}

func TestCancelledImport(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	before := b.state()
	for _, stage := range []dnd.Stage{dnd.Hashing, dnd.Reading, dnd.Writing} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req := b.full(rows("A", numbers(6_000_000_000, 300)...))
		req.Progress = func(p dnd.Progress) {
			if p.Stage == stage {
				cancel()
			}
		}
		if _, err := Import(ctx, b.store, b.dir, req); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: it ended with %v", stage, err)
		}
		if diff := cmp.Diff(before, b.state()); diff != "" {
			t.Error(stage, "the register changed:", diff)
		}
		if diff := cmp.Diff([]string{fileName(base)}, b.visible()); diff != "" {
			t.Error(stage, "the files changed:", diff)
		}
	}
}

func TestImportOfMissingFiles(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	req := b.full("")
	req.Files = []string{filepath.Join(t.TempDir(), "none.csv")}
	if _, err := b.importInto(req); saaf.ErrorCode(err) != saaf.Invalid {
		t.Errorf("it ended with %v", err)
	}
	// A delta needs the file of the active snapshot, a full set mends its loss.
	if err := os.Remove(filepath.Join(b.dir, fileName(base))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.importInto(b.delta(rows("A", 9_000_000_001))); err == nil || !strings.Contains(err.Error(), "import a full set instead") {
		t.Errorf("it ended with %v", err)
	}
	if got := b.state().Active.ID; got != base.ID {
		t.Errorf("active is %v", got)
	}
	snap := b.imports(b.full(rows("A", numbers(6_000_000_000, 200)...))).Snapshot
	if got := b.loads(); got.Snapshot != snap.ID || got.Problem != "" {
		t.Errorf("it answers from %+v", got)
	}
}

// Nobody goes back to a snapshot of which any file is damaged or gone.
func TestRollBackToADamagedSnapshot(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	delta := b.imports(b.delta(rows("A", 9_000_000_001))).Snapshot
	active := b.imports(b.full(rows("A", numbers(6_000_000_000, 300)...))).Snapshot
	for _, name := range []string{fileName(base), fileName(delta)} {
		path := filepath.Join(b.dir, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := slices.Clone(content)
		damaged[len(damaged)/2] ^= 1
		for sentence, put := range map[string][]byte{"cannot be used": damaged, "is no longer kept": nil} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if put != nil {
				if err := os.WriteFile(path, put, 0o400); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{})
			if saaf.ErrorCode(err) != saaf.Conflict || !strings.Contains(err.Error(), sentence) {
				t.Errorf("%s: %v", sentence, err)
			}
			if got := b.state().Active.ID; got != active.ID {
				t.Errorf("active is %v", got)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o400); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := RollBack(t.Context(), b.store, b.dir, saaf.By{Actor: "test"}, "mended", Spreading{}); err != nil {
		t.Error(err)
	}
}

// A roll-back that an import has overtaken leaves what the import made active.
func TestRollBackOvertaken(t *testing.T) {
	t.Parallel()
	b, base := based(t)
	left := b.imports(b.full(rows("A", numbers(6_000_000_000, 201)...))).Snapshot
	active := b.imports(b.full(rows("A", numbers(6_000_000_000, 202)...))).Snapshot
	_, _, err := b.store.RollBack(t.Context(), left.ID, base.ID, saaf.By{Actor: "test"}, "a wrong file")
	if saaf.ErrorCode(err) != saaf.Conflict || b.state().Active.ID != active.ID {
		t.Errorf("%v; active is %v", err, b.state().Active.ID)
	}
}
