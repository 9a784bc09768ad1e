package store

import (
	"slices"
	"testing"
	"time"

	"saaf"
)

// Alone, each lead waits for the commits of all before it; in groups they share them.
func TestRawCommits(t *testing.T) {
	t.Parallel()
	const callers, each, slow = 8, 3, 20 * time.Millisecond
	lead := func(i int) NewLead { return NewLead{Phone: saaf.Phone(6_000_000_000 + i)} }
	var took [2]time.Duration
	for i, alone := range []bool{true, false} {
		c, err := RawCommits(t.Context(), t.TempDir(), slow, alone, callers, each, lead)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Latencies) != callers*each || !slices.IsSorted(c.Latencies) || c.Latencies[0] < slow {
			t.Errorf("alone %v: %d calls, the quickest took %v", alone, len(c.Latencies), c.Latencies[0])
		}
		took[i] = c.Took
	}
	if took[0] < callers*each*slow {
		t.Errorf("%d leads took %v: they were not alone", callers*each, took[0])
	}
	if took[1] >= took[0] {
		t.Errorf("in groups it took %v, and %v alone", took[1], took[0])
	}
}
