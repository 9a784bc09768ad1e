package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"saaf/internal/apptest"
)

// change replaces a text that stands in a file of the module so many times.
type change struct {
	file, old, new string
	times          int
}

// planted are bugs that the crash tests must find: each breaks a promise that nothing else
// would notice in time.
var planted = []struct {
	name    string
	full    bool // found by a full disk, others by a kill
	changes []change
}{
	{
		name: "answered before the commit",
		changes: []change{
			{"store/writer.go", "\tif err = w.link.commit(); err == nil {", "\tfor i, j := range group {\n\t\tif j.adds != nil {\n\t\t\tj.done <- errs[i]\n\t\t}\n\t}\n\tif err = w.link.commit(); err == nil {", 1},
			{"store/writer.go", "\n\t\t\tj.done <- errs[i]\n\t\t}\n\t\treturn fatal", "\n\t\t\tselect {\n\t\t\tcase j.done <- errs[i]:\n\t\t\tdefault:\n\t\t\t}\n\t\t}\n\t\treturn fatal", 1},
		},
	},
	{
		name: "memory kept after a failed transaction",
		full: true,
		changes: []change{
			{"store/sqlite_link.go", "func (l *sqliteLink) rollback() error {\n", "func (l *sqliteLink) rollback() error {\n\tfor campaign, w := range l.work {\n\t\tl.rosters.apply(campaign, w.changes)\n\t}\n", 1},
		},
	},
	{
		name: "blocks in a second transaction",
		changes: []change{
			{"store/sqlite_link.go", "func (l *sqliteLink) flush() error {\n", "func (l *sqliteLink) flush() error { return nil }\n\nfunc (l *sqliteLink) flushBlocks() error {\n", 1},
			{"store/sqlite_link.go", "if err := l.flush(); err != nil {", "if err := l.flushBlocks(); err != nil {", 2},
			{"store/sqlite_link.go", "\tif _, err := l.exec(\"COMMIT\"); err != nil {\n\t\treturn err\n\t}\n", `	for _, step := range []func() error{
		func() error { _, err := l.exec("COMMIT"); return err },
		func() error { _, err := l.exec("BEGIN IMMEDIATE"); return err },
		l.flushBlocks,
		func() error { _, err := l.exec("COMMIT"); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
`, 1},
		},
	},
	{
		name: "the id of the newest lead given again after it was deleted",
		changes: []change{
			{"store/leads_add.go", "l.made = saaf.LeadID(t.ids.Next())", "l.made = saaf.LeadID(t.nextAbove())", 1},
			{"store/leads_add.go", "func (t *tx) entryOf(", `var above struct {
	of *tx
	id int64
}

func (t *tx) nextAbove() int64 {
	if above.of != t {
		above.of = t
		_ = t.conn.query("SELECT coalesce(max(id), 0) FROM leads", func(r row) error { above.id = r.int64(); return nil })
	}
	above.id++
	return above.id
}

func (t *tx) entryOf(`, 1},
		},
	},
}

// overlay writes the changed files, and what go build reads to take them in place of ours.
func overlay(t *testing.T, changes []change) (file string) {
	t.Helper()
	root, dir := moduleRoot(t), t.TempDir()
	texts := make(map[string]string)
	for _, c := range changes {
		path := filepath.Join(root, filepath.FromSlash(c.file))
		text, ok := texts[path]
		if !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if n := strings.Count(text, c.old); n != c.times {
			t.Fatalf("%s has this %d times, want %d: say anew where the bug goes\n%s", c.file, n, c.times, c.old)
		}
		texts[path] = strings.ReplaceAll(text, c.old, c.new)
	}
	replace := make(map[string]string)
	for path, text := range texts {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestPlantedBugsAreFound plants bugs and has the crash tests look for them: a test of this
// kind that finds nothing may as well be blind. In short, the bugs are only compiled.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			file := overlay(t, bug.changes)
			if os.Getenv("SAAF_LONG") == "" {
				cmd := exec.Command("go", "build", "-trimpath", "-overlay", file, "saaf/store") // as the program is built: nothing else is compiled again
				cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				return
			}
			bad, err := apptest.Build(t.TempDir(), "-overlay", file)
			if err != nil {
				t.Fatal(err)
			}
			find := findByKills
			if bug.full {
				find = findByFullDisk
			}
			if rounds, found := find(t, bad); found == "" {
				t.Errorf("not found in %d rounds", rounds)
			} else {
				t.Logf("found in round %d: %s", rounds, found)
			}
		})
	}
}

// searches is for how many rounds a planted bug is looked for.
const searches = 30

// findByKills is TestKillLosesNothing with a program that has a bug. It returns what was
// found.
func findByKills(t *testing.T, bad string) (rounds int, found string) {
	c := startCrashRun(t, bad)
	for rounds < searches {
		err := c.round(t, rounds)
		rounds++
		if len(c.load.faults) > 0 {
			return rounds, c.load.faults[0]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return rounds, ""
}

// findByFullDisk is TestDiskOfServerIsFull with a program that has a bug.
func findByFullDisk(t *testing.T, bad string) (rounds int, found string) {
	d := startDiskRun(t, bad, func(pid func() int) *room { return disk(t, pid) })
	for rounds < searches {
		err := d.run(t)
		rounds++
		if len(d.faults) > 0 {
			return rounds, d.faults[0]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return rounds, ""
}
