package pgtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Engine is a database that the tests of a package run on.
type Engine string

// The engines. Partitioned is PostgreSQL with tables that are spread by campaign, as a
// cluster has them.
const (
	Embedded    Engine = "embedded"
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

// Partitions is into how many parts tables are cut on the current engine, 0 for none.
func Partitions() int {
	if Current() == Partitioned {
		return 16
	}
	return 0
}

// RunOn runs the tests of a package on the embedded engine, and then, each in a process
// of its own, on the others. embeddedOnly are the tests that are not about every
// engine, with the reason. SAAF_TEST_ENGINE chooses one engine. Benchmarks, fuzzing and
// lists run on the current one.
func RunOn(m *testing.M, embeddedOnly map[string]string, others ...Engine) int {
	flag.Parse()
	if Current() != Embedded { // not inside a test that has a clock of its own
		if _, err := shared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if code != 0 || os.Getenv(engineEnv) != "" || set("test.bench") || set("test.fuzz") || set("test.list") || set("test.fuzzworker") {
		return code
	}
	names := make([]string, 0, len(embeddedOnly))
	for name := range embeddedOnly {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, e := range others {
		fmt.Printf("on the engine %s:\n", e)
		cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.skip=^("+strings.Join(names, "|")+")$", "-test.testlogfile=")...)
		cmd.Env = append(os.Environ(), engineEnv+"="+string(e))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Printf("on the engine %s: %v\n", e, err)
			return 1
		}
	}
	return 0
}

// set reports whether a flag was given something else than its default.
func set(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != f.DefValue
}
