package pgtest

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// complaints takes what a check says.
type complaints struct {
	testing.TB
	list []string
}

func (c *complaints) Helper() {}
func (c *complaints) Errorf(format string, args ...any) {
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

// Tests of one engine are left out on the others, and must be there, each with a reason.
func TestOnly(t *testing.T) {
	defer clear(only)
	if skip := skipped(Embedded); skip != "" {
		t.Errorf("%q is skipped, and no test is of one engine", skip)
	}
	Only(Embedded, map[string]string{"TestOnly": "a reason", "TestB": " "})
	Only(Postgres, map[string]string{"TestOnlyThere": "another"})
	for on, want := range map[Engine]map[string]bool{
		Embedded:    {"TestOnlyThere": true},
		Postgres:    {"TestOnly": true, "TestB": true},
		Partitioned: {"TestOnly": true, "TestB": true, "TestOnlyThere": true},
	} {
		skip := regexp.MustCompile(skipped(on))
		for _, name := range []string{"TestOnly", "TestB", "TestOnlyThere", "TestA", "TestBe"} {
			if skip.MatchString(name) != want[name] {
				t.Errorf("on %s %s is skipped: %v", on, name, !want[name])
			}
		}
	}
	clear(only)
	var c complaints
	Only(Embedded, map[string]string{"TestOnly": "a reason"})
	CheckOnly(&c)
	Only(Embedded, map[string]string{"TestOnly": " "})
	Only(Partitioned, map[string]string{"TestNobodyWrote": "a reason"})
	CheckOnly(&c)
	got := map[string]bool{}
	for _, line := range c.list {
		got[line] = true
	}
	want := map[string]bool{
		"TestOnly is left to the engine embedded without a reason":                     true,
		"TestNobodyWrote is left to the engine partitioned, and there is no such test": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
