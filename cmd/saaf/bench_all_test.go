package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/bench"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
)

// benchTargets are the targets that have rows, and the names of these.
var benchTargets = map[int][]string{
	1:  {"bulk", "bulk_full"},
	2:  {"bulk_log"},
	3:  {"single"},
	4:  {"fill", "growth"},
	5:  {"bulk_engines"},
	7:  {"bulk_p99", "fill_p99", "swap_p99"},
	8:  {"mixed_bulk_p50", "mixed_bulk_p99", "mixed_single_p50", "mixed_single_p99", "single_p50", "single_p99"},
	9:  {"group_commit", "group_commit_p99"},
	10: {"file", "file_categories", "registry_memory"},
	11: {"lookup", "scrub", "verdict"},
	12: {"delta", "import", "open", "swap_failed", "swap_single_p99"},
	13: {"parse", "parse_allocations"},
	14: {"phone", "phone_allocations"},
	15: {"disk", "memory"},
	16: {"listening", "start"},
	17: {"kill"},
}

// The benchmark runs from end to end on both engines, finds everything as it must be,
// and exits with 0 whatever figures it found: beside other tests they mean nothing. What
// it has left can be checked again, and what was tampered with is found.
func TestBench(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), pgtest.Empty(t)
	cmd := exec.Command(binary, "--json", "bench", "--leads", "10k", "--numbers", "1M", "--dir", dir, "--keep", "--database-url", url)
	cmd.Env = apptest.Environ()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var report bench.Report
	var raw struct{ Rows []map[string]any }
	if err := errors.Join(json.Unmarshal(out, &report), json.Unmarshal(out, &raw)); err != nil {
		t.Fatal(err)
	}
	if !report.Verified || len(report.Problems) > 0 {
		t.Errorf("not verified: %q", report.Problems)
	}
	if strings.Contains(said.String(), url) {
		t.Error("the URL of the database is told")
	}
	found := make(map[int][]string)
	for _, r := range report.Rows {
		checkBenchRow(t, &r)
		if !slices.Contains(found[r.Target], r.Name) {
			found[r.Target] = append(found[r.Target], r.Name)
		}
	}
	for _, names := range found {
		slices.Sort(names)
	}
	if diff := cmp.Diff(benchTargets, found); diff != "" {
		t.Errorf("rows by target (-want +got):\n%s", diff)
	}
	for _, name := range []string{"target", "name", "unit", "value", "limit", "ratio", "floor", "ok"} {
		if _, there := raw.Rows[0][name]; !there {
			t.Errorf("a row has no %q", name)
		}
	}
	docs := readDoc(t, "docs/performance.md")
	for target, names := range benchTargets {
		for _, name := range names {
			if !strings.Contains(docs, fmt.Sprintf("`%s`", name)) {
				t.Errorf("docs/performance.md says nothing of %s, target %d", name, target)
			}
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "saaf-bench-*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%q is left (%v)", kept, err)
	}
	benchTamper(t, kept[0])
	benchVerify(t, "", filepath.Join(kept[0], "postgres"), "--database-url", url)
	if _, err := pgtest.Exec(t.Context(), url, "UPDATE campaign_counts SET dnd = dnd + 1"); err != nil {
		t.Fatal(err)
	}
	benchVerify(t, "counted as blocked", filepath.Join(kept[0], "postgres"), "--database-url", url)
	if _, said, code := benchRun("bench", "--dir", dir, "--database-url", url); code != exitFailed || !strings.Contains(said, "name an empty one") {
		t.Errorf("a database that is in use: exit %d, %s", code, said)
	}
}

// A store that keeps something else than it has acknowledged is found, and the exit code
// says so: here a database that changes verdicts on their way in.
func TestBenchFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	for _, statement := range []string{
		fmt.Sprintf(`CREATE FUNCTION whiten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.phone %% 50 = 7 THEN NEW.reason = %d; END IF; RETURN NEW; END $$`, saaf.NotRegistered),
		`CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF to_regclass('leads') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'whitening') THEN
				EXECUTE 'CREATE TRIGGER whitening BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION whiten()';
			END IF; END $$`,
		`CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch()`,
	} {
		if _, err := pgtest.Exec(t.Context(), url, statement); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	out, said, code := benchRun("--json", "bench", "--leads", "10k", "--numbers", "1M", "--dir", dir, "--database-url", url)
	var report bench.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	problems := strings.Join(report.Problems, "\n")
	if code != exitFailed || report.Verified || !strings.Contains(problems, "have a verdict that is not theirs") || !strings.Contains(problems, "the ledger") {
		t.Errorf("exit %d, verified %v: %s", code, report.Verified, problems)
	}
	for _, p := range report.Problems {
		if !strings.HasPrefix(p, "postgres: ") {
			t.Errorf("the embedded store is blamed: %s", p)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}

// checkBenchRow looks for figures that make no sense.
func checkBenchRow(t *testing.T, r *bench.Row) {
	t.Helper()
	judged := r.Value
	if r.Ratio != nil {
		if judged = *r.Ratio; r.Limit == nil || *r.Limit <= 0 || judged != r.Value / *r.Limit {
			t.Errorf("%s: the ratio is not that to the limit: %+v", r.Name, r)
		}
	}
	if r.Floor != nil && (r.OK == nil || *r.OK != (r.Sense == ">=" && judged >= *r.Floor || r.Sense == "<=" && judged <= *r.Floor)) {
		t.Errorf("%s is judged wrong: %+v", r.Name, r)
	}
	zero := []string{"kill", "swap_failed", "parse_allocations", "phone_allocations", "registry_memory"}
	if r.Value < 0 || r.Value == 0 && !slices.Contains(zero, r.Name) || r.Unit == "" || r.What == "" || (r.Floor == nil) != (r.OK == nil) {
		t.Errorf("%s makes no sense: %+v", r.Name, r)
	}
	if r.Name == "kill" && !*r.OK {
		t.Errorf("%v acknowledged leads are lost", r.Value)
	}
}

// benchRun runs the program and returns what it said and its exit code.
func benchRun(args ...string) (out, said string, code int) {
	cmd := exec.Command(binary, args...)
	cmd.Env = apptest.Environ()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the code says it
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// benchVerify checks what a run has left, and that the one problem is named; "": none.
func benchVerify(t *testing.T, problem string, args ...string) {
	t.Helper()
	out, said, code := benchRun(append([]string{"--json", "bench", "verify"}, args...)...)
	var verdict struct {
		Verified bool
		Problems []string
	}
	if err := json.Unmarshal([]byte(out), &verdict); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	want := map[bool]int{true: exitOK, false: exitFailed}[problem == ""]
	if code != want || verdict.Verified != (problem == "") || !strings.Contains(strings.Join(verdict.Problems, "\n"), problem) {
		t.Errorf("exit %d, %+v; want exit %d and %q", code, verdict, want, problem)
	}
}

// benchTamper damages copies of what a run has left of the embedded engine.
func benchTamper(t *testing.T, kept string) {
	t.Helper()
	left := filepath.Join(kept, "embedded")
	benchVerify(t, "", left)
	for _, c := range []struct{ statement, problem string }{
		{"DELETE FROM leads WHERE id = (SELECT min(id) FROM leads)", "1 acknowledged leads are not there"},
		{"UPDATE leads SET phone = 6000000001 WHERE id = (SELECT min(id) FROM leads)", "1 acknowledged leads are not there"},
		{fmt.Sprintf("UPDATE leads SET reason = %d WHERE id = (SELECT id FROM leads WHERE status = %d LIMIT 1)", saaf.NotRegistered, saaf.LeadDND), "1 leads have a verdict that is not theirs"},
		{"UPDATE campaign_counts SET pending = pending + 1 WHERE campaign_id = (SELECT max(campaign_id) FROM leads)", "leads are counted"},
		{"UPDATE ledger SET head = head || ' ' WHERE id = (SELECT max(id) FROM ledger)", "the ledger"},
	} {
		dir := filepath.Join(t.TempDir(), "embedded")
		if err := os.CopyFS(dir, os.DirFS(left)); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"pepper", "signing.pem"} {
			if err := os.Chmod(filepath.Join(dir, secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := openDatabase(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = sqlitex.ExecuteTransient(conn, c.statement, nil)
		changed := conn.Changes()
		if err := errors.Join(err, conn.Close()); err != nil || changed == 0 {
			t.Fatalf("%s: %d changed (%v)", c.statement, changed, err)
		}
		benchVerify(t, c.problem, dir)
	}
}

func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--leads", "1"}, {"--numbers", "10"}, {"--leads", "2M", "--numbers", "1M"}, {"--no-such-flag"}} {
		if _, said, code := benchRun(append([]string{"bench"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit %d, %s", args, code, said)
		}
	}
	if err := unverified([]string{"a lead is lost"}); err == nil || !strings.Contains(err.Error(), "a lead is lost") {
		t.Errorf("a lead that is lost is no error: %v", err)
	}
}
