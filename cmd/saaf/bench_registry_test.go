package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf/bench"
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
	var said struct{ Measures []bench.Measure }
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
