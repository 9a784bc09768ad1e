package dnd

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

func TestDeltaReport(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", "1,6000000000,0,A,2\n1,6000000001,2,A,2\n1,6000000002,0,A,2\n1,6000000003,5,A,2\n1,6000000004,5,A,2\n").run()
	d := setup(t).delta(base).file("delta.csv", strings.Join([]string{
		"1,6000000000,0,A,2", // the same
		"1,6000000001,3,A,2", // changed
		"1,6000000002,0,D,2", // removed
		"1,6000000003,0,D,2", // removed and added again: the same
		"1,6000000003,5,A,2",
		"1,6000000004,0,A,2", // changed
		"1,6000000005,0,A,2", // added
		"1,6000000006,0,A,2", // never there
		"1,6000000006,0,D,2",
		"1,6100000000,0,D,2", // never there
	}, "\n"))
	d.Override = "half of a small registry"
	s, r := d.run()
	want{6000000000: "0", 6000000001: "3", 6000000002: "", 6000000003: "5", 6000000004: "0", 6000000005: "0", 6000000006: "", 6100000000: ""}.check(t, s)
	if diff := cmp.Diff(Changes{Added: 1, Removed: 1, Changed: 2, NotListed: 2}, r.Changes); diff != "" {
		t.Error(diff)
	}
	if r.Numbers != 5 || r.Conflicts != 0 || r.Total.Rows != 10 {
		t.Errorf("%+v", r)
	}
}

func TestFileReports(t *testing.T) {
	t.Parallel()
	b := setup(t).file("a.csv", "\n1,6000000000,2,A,2\n")
	b.file("b.zip", zipOf("1.csv", "1,6000000001,0,D,2\n", "2.TXT", "phone\n6000000002\n", "d/", "", "__MACOSX/1.csv", "x"))
	_, r := b.run()
	if diff := cmp.Diff([]FileReport{
		{Name: "a.csv", SHA256: r.Files[0].SHA256, Bytes: 20, Members: 1, Counts: Counts{Rows: 1, Active: 1, Partial: 1, Blank: 1}},
		{Name: "b.zip", SHA256: r.Files[1].SHA256, Bytes: r.Files[1].Bytes, Members: 2, Counts: Counts{Rows: 2, Active: 1, Deleted: 1, Headers: 1}},
	}, r.Files); diff != "" {
		t.Error(diff)
	}
	if r.Files[0].SHA256 != sha256.Sum256([]byte("\n1,6000000000,2,A,2\n")) {
		t.Error("another hash")
	}
	// The report is what the API and the command line show.
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"effective_date":"2024-10-04"`, `"name":"a.csv","sha256":"`, `"rows":1,"active":1`, `"path":`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}

// Members of an archive keep their order in a delta.
func TestMemberOrder(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
	s, _ := setup(t).delta(base).file("delta.zip", zipOf("z.csv", numbers(6100000000, 1, "D"), "a.csv", numbers(6100000000, 1, "A"))).run()
	want{6100000000: "0"}.check(t, s)
}

func TestAppliedDeltas(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 1000, "A")).run()
	d := setup(t).delta(base).file("d1.csv", numbers(6100000000, 1, "A"))
	_, r := d.run()
	first := r.Files[0].SHA256
	d.BaseID = 42
	d.Applied = func(sha saaf.SHA256) (saaf.SnapshotID, bool) { return 42, sha == first }

	t.Run("alone does nothing, whatever its date", func(t *testing.T) {
		t.Parallel()
		b := *d
		b.EffectiveDate = today - 1
		r, err := b.Run(t.Context())
		if err != nil || r.NoOp != 42 || r.Result != nil || r.Total.Rows != 0 || !r.Files[0].Skipped || r.Files[0].Applied != 42 {
			t.Errorf("%v, %+v", err, r)
		}
	})
	t.Run("before the last one is refused", func(t *testing.T) {
		t.Parallel()
		b := *d
		b.BaseID = 43
		if r, err := b.Run(t.Context()); err == nil || len(r.Refusals) != 1 || r.Refusals[0].Rule != RuleRepeated || r.NoOp != 0 {
			t.Errorf("%v, %+v", err, r)
		}
		b.Override = "registered again"
		s, _ := b.run()
		want{6100000000: "0"}.check(t, s)
		b.Override, b.EffectiveDate = "", today-1
		if r, err := b.Run(t.Context()); err != nil || r.NoOp != 42 {
			t.Errorf("with an old date: %v, %+v", err, r)
		}
	})
	t.Run("together with another is passed over", func(t *testing.T) {
		t.Parallel()
		b := *d
		b.file("d2.csv", numbers(6200000000, 1, "A"))
		s, r := b.run()
		want{6100000000: "", 6200000000: "0"}.check(t, s)
		if r.NoOp != 0 || !r.Files[0].Skipped || r.Files[1].Skipped || len(r.Warnings) != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("behind one that may undo it is refused", func(t *testing.T) {
		t.Parallel()
		b := *d
		b.Files = slices.Concat(setup(t).file("d2.csv", numbers(6100000000, 1, "D")).Files, d.Files)
		if r, err := b.Run(t.Context()); err == nil || len(r.Refusals) != 1 || r.Refusals[0].Rule != RuleRepeated {
			t.Errorf("%v, %+v", err, r)
		}
		b.Override = "in this order"
		s, _ := b.run()
		want{6100000000: "0"}.check(t, s)
	})
	t.Run("counts again as a full set", func(t *testing.T) {
		t.Parallel()
		b := *d
		b.Mode = saaf.FullSet
		if s, r := b.run(); r.NoOp != 0 || s.Info().Numbers != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestDamagedBase(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 1000, "A"))
	_, r := b.run()
	content, err := os.ReadFile(r.Result.Path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.dnd")
	if err := os.WriteFile(damaged, []byte(flipped(string(content), minFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	d := setup(t).delta(open(t, damaged)).file("delta.csv", numbers(6000000000, 1, "A"))
	if _, err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the active snapshot is damaged") {
		t.Errorf("a bit that went with the directory: %v", err)
	}
	d.Files = nil
	d.file("delta.csv", numbers(6100000000, 1, "A"))
	d.BaseSHA256, d.whole = r.Result.SHA256, true
	if _, err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the active snapshot is damaged") {
		t.Errorf("a bit nobody counts: %v", err)
	}
	if names := d.visible(); len(names) > 0 {
		t.Errorf("it left %v", names)
	}
	d.delta(open(t, r.Result.Path)).file("delta.csv", numbers(6100000000, 1, "A"))
	d.run()
}

// An import that ends early leaves nothing, at whatever point it ends.
func TestCancel(t *testing.T) {
	t.Parallel()
	for stop := range 12 {
		b := setup(t).file("a.csv", numbers(6000000000, 100, "A")).file("b.csv", numbers(9000000000, 100, "A"))
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		var stages []Stage
		b.Progress = func(p Progress) {
			if !slices.Contains(stages, p.Stage) {
				stages = append(stages, p.Stage)
			}
			if calls++; calls > stop {
				cancel()
			}
		}
		_, err := b.Run(ctx)
		if err == nil {
			if diff := cmp.Diff([]Stage{Hashing, Reading, Writing}, stages); diff != "" || stop < 8 {
				t.Errorf("it ran to its end: %s", diff)
			}
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d: %v", stop, err)
		}
		if names := b.visible(); len(names) > 0 {
			t.Errorf("after %d it left %v", stop, names)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	b := setup(t).file("a.csv", numbers(6000000000, 100_000, "A")).file("b.csv.gz", gzipOf(numbers(6100000000, 1000, "A"))).
		file("c.zip", zipOf("c.csv", numbers(6200000000, 1000, "A")))
	last := map[Stage]Progress{}
	b.Progress = func(p Progress) {
		if before := last[p.Stage]; p.BytesDone < before.BytesDone || p.Rows < before.Rows || p.BytesDone > p.BytesTotal {
			t.Errorf("%+v after %+v", p, before)
		}
		last[p.Stage] = p
	}
	_, r := b.run()
	var bytes int64
	for _, f := range r.Files {
		bytes += f.Bytes
	}
	if diff := cmp.Diff(map[Stage]Progress{
		Hashing: {Stage: Hashing, File: "c.zip", BytesDone: bytes, BytesTotal: bytes},
		Reading: {Stage: Reading, File: "c.zip", BytesDone: bytes, BytesTotal: bytes, Rows: 102_000},
		Writing: {Stage: Writing, BytesDone: r.Result.Bytes, BytesTotal: r.Result.Bytes, Rows: 102_000},
	}, last); diff != "" {
		t.Error(diff)
	}
}

// What a killed import left is removed by the next, and what a living one writes
// is not.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 1, "A"))
	if err := os.Mkdir(b.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	living, err := createTemp(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	killed, err := createTemp(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	killed.Close() // what the system does for a process that is killed
	others := filepath.Join(b.Dir, "notes.tmp")
	if err := os.WriteFile(others, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.EffectiveDate++
	if _, err := b.Run(t.Context()); err == nil { // a refused import tidies up as well
		t.Error("a date in the future is taken")
	}
	if _, err := os.Stat(killed.Name()); !os.IsNotExist(err) {
		t.Errorf("the killed import's file: %v", err)
	}
	b.EffectiveDate--
	_, r := b.run()
	left := []string{filepath.Base(r.Result.Path), filepath.Base(living.Name()), "notes.tmp"}
	slices.Sort(left)
	if diff := cmp.Diff(left, b.visible()); diff != "" {
		t.Error(diff)
	}
	if err := living.discard(); err != nil {
		t.Error(err)
	}
}

// The same import twice gives the same file, also while somebody has it open.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 10, "A"))
	s, first := b.run()
	_, second := b.run()
	if first.Result.Path != second.Result.Path || len(b.visible()) != 1 {
		t.Errorf("%s and %s", first.Result.Path, second.Result.Path)
	}
	want{6000000009: "0", 6000000010: ""}.check(t, s)
	b.EffectiveDate--
	if _, third := b.run(); third.Result.SHA256 == first.Result.SHA256 {
		t.Error("another date gives the same file")
	}
}

func TestNowIsThePresent(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 1, "A"))
	b.Now = time.Time{}
	b.EffectiveDate = saaf.DateOf(time.Now()) + 2
	b.refused(RuleFutureDate)
	b.EffectiveDate -= 2
	if _, r := b.run(); len(r.Warnings) > 0 {
		t.Errorf("%q", r.Warnings)
	}
}

func TestChangingFile(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 10, "A"))
	b.Progress = func(p Progress) {
		if p.Stage == Reading {
			b.file("full.csv", numbers(6000000000, 20, "A"))
		}
	}
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "it was changed while it was read") {
		t.Errorf("%v", err)
	}
}
