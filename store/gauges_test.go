package store

import (
	"testing"
	"time"

	"saaf"
)

func TestGauges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	count := func(last Gauges) Gauges {
		t.Helper()
		g, err := b.Gauges(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := count(Gauges{})
	if g.Unchecked != 0 || g.Suppressions != 0 || !g.CheckpointAt.IsZero() || g.Imports != 0 || g.Registry.Active != nil {
		t.Errorf("an empty store has %+v", g)
	}
	suppress := func(p saaf.Phone) saaf.SuppressionID {
		t.Helper()
		made, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{{Scope: saaf.TenantScope, Phone: p, Reason: "asked"}}, saaf.System)
		if err != nil {
			t.Fatal(err)
		}
		return made[0].ID
	}
	suppress(9_000_000_001)
	id := suppress(9_000_000_002)
	if _, err := b.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.QueueImport(t.Context(), RegistryImport{Mode: saaf.FullSet, File: "x"}); err != nil {
		t.Fatal(err)
	}
	before := g
	g = count(g)
	if g.Suppressions != 2 || g.Imports != 1 || time.Since(g.CheckpointAt) > time.Minute || g.Entries <= before.Entries {
		t.Errorf("counted %+v", g)
	}
	// What was counted before is believed until the lists change.
	g.Suppressions = 77
	if g = count(g); g.Suppressions != 77 {
		t.Errorf("%d suppressions were counted anew, and the lists have not changed", g.Suppressions)
	}
	if _, err := b.Lift(t.Context(), b.tenant, id, saaf.SourceFile, saaf.System, "again", func(p []saaf.Phone) []saaf.Verdict { return make([]saaf.Verdict, len(p)) }); err != nil {
		t.Fatal(err)
	}
	if g = count(g); g.Suppressions != 1 {
		t.Errorf("%d suppressions, want 1", g.Suppressions)
	}
	if small, bulk, leads := b.Queue(); small != 0 || bulk != 0 || leads != 0 {
		t.Errorf("%d, %d jobs and %d leads wait in an idle store", small, bulk, leads)
	}
}
