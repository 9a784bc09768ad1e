package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf/internal/apptest"
)

// The benchmark runs from end to end, finds that the registry answers right, and
// leaves nothing behind. What it says of time means nothing beside other tests, and
// whether it is within the limits is not looked at.
func TestBenchRegistry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(binary, "--json", "bench", "registry", "--numbers", "1M", "--delta", "20k", "--seconds", "1", "--dir", dir)
	cmd.Env = apptest.Environ()
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != exitFailed || len(out) == 0) {
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var said struct{ Measures []measure }
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range said.Measures {
		names = append(names, m.Name)
		must := []string{"file", "file_categories", "import_memory", "import_memory_categories", "serve_memory", "failed", "wrong_verdicts", "wrong_entries"}
		if slices.Contains(must, m.Name) && !m.OK {
			t.Errorf("%s is %v %s, at most %v: %s", m.Name, m.Value, m.Unit, *m.Most, m.Note)
		}
		if m.Value < 0 || m.Unit == "" || m.Base != nil && *m.Base <= 0 {
			t.Errorf("%s makes no sense: %+v", m.Name, m)
		}
	}
	want := []string{"import", "import_memory", "file", "open", "lookup", "verdict", "delta", "serve_memory", "file_categories",
		"import_memory_categories", "bulk_p99", "bulk_p99_rechecking", "single_p99", "single_p99_rechecking", "failed", "wrong_verdicts", "import_beside", "delta_beside",
		"serve_memory_after", "wrong_entries"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}

func TestWrongVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer  string
		blocked []bool
		wrong   int
	}{
		{`{"status":"dnd"}`, []bool{true}, 0},
		{`{"status":"pending"}`, []bool{true}, 1},
		{`{"status":"dnd"}`, []bool{false}, 1},
		{`{"results":[{"status":"added","dnd":true},{"status":"added"}]}`, []bool{true, false}, 0},
		{`{"results":[{"status":"added"},{"status":"added","dnd":true}]}`, []bool{true, false}, 2},
		{`{"results":[{"status":"duplicate"},{"status":"added"}]}`, []bool{false, false}, 1},
		{`{"results":[{"status":"added"}]}`, []bool{false, false}, 2},
	} {
		if wrong, err := wrongVerdicts([]byte(c.answer), c.blocked); wrong != c.wrong || err != nil {
			t.Errorf("%s: %d wrong (%v), want %d", c.answer, wrong, err, c.wrong)
		}
	}
}

func TestMeasures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m  measure
		ok bool
	}{
		{within("a", "", 1.7, "B", 1.7), true}, {within("a", "", 1.71, "B", 1.7), false},
		{against("a", "", 6, 2, "s", 3), true}, {against("a", "", 6.1, 2, "s", 3), false},
		{told("a", "", 1e9, "s"), true},
	} {
		if c.m.OK != c.ok {
			t.Errorf("%+v: ok is %v", c.m, c.m.OK)
		}
		if err := missed([]measure{told("b", "", 1, ""), c.m}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.m, err)
		}
	}
	if got := percentile([]time.Duration{4e6, 1e6, 3e6, 2e6}, 50); got != 3 {
		t.Errorf("the median is %v ms, want 3", got)
	}
	if enough(2, 2, ".") != nil || enough(2, 1, ".") == nil {
		t.Error("a run begins where there is not enough room, or does not where there is")
	}
	for v, want := range map[float64]string{0: "0", 50: "50", 1.667: "1.67", 12345.6: "12,346", 0.0416: "0.0416", 1e6: "1,000,000"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
