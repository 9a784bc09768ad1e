package pgtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Engine is a database that the tests of a package run on.
type Engine string

// The engines. Indexed is the embedded one with a unique index in place of its blocks.
// Partitioned is PostgreSQL with tables that are spread by campaign, as a cluster has them.
const (
	Embedded    Engine = "embedded"
	Indexed     Engine = "indexed"
	Postgres    Engine = "postgres"
	Partitioned Engine = "partitioned"
)

const engineEnv = "SAAF_TEST_ENGINE"

// Current is the engine that this process runs its tests on.
func Current() Engine {
	if e := os.Getenv(engineEnv); e != "" {
		return Engine(e)
	}
	return Embedded
}

// Served reports whether the current engine is a database server.
func Served() bool { return Current() != Embedded && Current() != Indexed }

// Partitions is into how many parts tables are cut on the current engine, 0 for none.
func Partitions() int {
	if Current() == Partitioned {
		return 16
	}
	return 0
}

// only are the tests that run on one engine alone, by name, with the reason.
var only = map[Engine]map[string]string{}

// Only leaves tests to one engine: their names, each with the reason why it says
// nothing of the others. Call it before [RunOn].
func Only(e Engine, tests map[string]string) { only[e] = tests }

// RunOn runs the tests of a package on the embedded engine, and then, each in a process
// of its own, on the others. embeddedOnly are the tests that are not about every
// engine, with the reason. Where there is a cluster, it is one more. SAAF_TEST_ENGINE chooses one engine. Benchmarks, fuzzing and
// lists run on the current one.
func RunOn(m *testing.M, embeddedOnly map[string]string, others ...Engine) int {
	flag.Parse()
	Only(Embedded, embeddedOnly)
	if skip := skipped(Current()); skip != "" {
		if was := flag.Lookup("test.skip").Value.String(); was != "" {
			skip = was + "|" + skip
		}
		if err := flag.Set("test.skip", skip); err != nil {
			panic(err)
		}
	}
	if Served() && Current() != Citus { // here and not inside a test that has a clock of its own
		if _, err := shared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if code != 0 || os.Getenv(engineEnv) != "" || set("test.bench") || set("test.fuzz") || set("test.list") || set("test.fuzzworker") {
		return code
	}
	if HasCitus() {
		others = append(slices.Clone(others), Citus)
	}
	for _, e := range others {
		fmt.Printf("on the engine %s:\n", e)
		cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.testlogfile=")...)
		cmd.Env = append(os.Environ(), engineEnv+"="+string(e))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Printf("on the engine %s: %v\n", e, err)
			return 1
		}
	}
	return 0
}

// skipped is a pattern of the tests that are for other engines alone.
func skipped(on Engine) string {
	var names []string
	for e, tests := range only {
		if e != on {
			names = slices.AppendSeq(names, maps.Keys(tests))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "^(" + strings.Join(names, "|") + ")$"
}

// CheckOnly checks that every test that was left to one engine is there, in the
// directory that the test runs in, and that each has a reason.
func CheckOnly(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("test files: %v, %v", files, err)
	}
	there := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
	}
	for e, tests := range only {
		for name, reason := range tests {
			if !there[name] {
				t.Errorf("%s is left to the engine %s, and there is no such test", name, e)
			}
			if strings.TrimSpace(reason) == "" {
				t.Errorf("%s is left to the engine %s without a reason", name, e)
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// set reports whether a flag was given something else than its default.
func set(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != f.DefValue
}
