package scrub

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/dnd"
)

const day = 24 * time.Hour

func TestStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none := Status{State: "none", Warnings: []string{
		"No registry snapshot answers: leads are stored unchecked and never dialled. Load one with saaf registry import."}}
	if diff := cmp.Diff(none, b.Status(time.Now())); diff != "" {
		t.Error("before the first import:", diff)
	}
	snap := b.lists(9_000_000_001)
	from := snap.EffectiveDate.Start()
	date := snap.EffectiveDate.String()
	for _, c := range []struct {
		age      time.Duration
		state    string
		answers  bool
		warnings []string
	}{
		{0, "fresh", true, nil},
		{4*day - time.Second, "fresh", true, nil},
		{4 * day, "warn", true, []string{"The registry is 4 days old (dated " + date + "): an update is overdue; past its age limit it answers unknown."}},
		{7*day - time.Second, "warn", true, []string{"The registry is 6 days old (dated " + date + "): an update is overdue; past its age limit it answers unknown."}},
		{7 * day, "stale", false, []string{"The registry is 7 days old (dated " + date + ") and no longer answers: leads are stored unchecked and never dialled. Load a newer one with saaf registry import."}},
		{-2 * day, "stale", false, []string{"The registry is dated " + date + ", which is after today, and does not answer: leads are stored unchecked and never dialled. Correct the clock of this machine."}},
	} {
		now := from.Add(c.age)
		want := Status{State: c.state, ID: snap.ID, EffectiveDate: snap.EffectiveDate, Age: c.age, Warnings: c.warnings}
		if diff := cmp.Diff(want, b.Status(now)); diff != "" {
			t.Errorf("at the age of %v: %s", c.age, diff)
		}
		if got := b.Answers(now); got != c.answers {
			t.Errorf("at the age of %v it answers: %v", c.age, got)
		}
	}

	b.imports(b.full(rows("A", 9_000_000_001, 9_000_000_002)))
	b.replace(*b.state().Active, nil)
	problem := b.loads().Problem
	st := b.Status(time.Now())
	also := []string{whileBroken}
	if b.store.Shared() {
		also = []string{whileFetched}
	}
	if problem == "" || !slices.Equal(st.Warnings, append([]string{problem}, also...)) || b.Answers(time.Now()) {
		t.Errorf("without its file: %q, %+v", problem, st)
	}
}

// With a lower age limit a registry ages within a day.
func TestAdviceForYoungRegistries(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{
		2 * time.Hour: "The registry is less than a day old (dated 2026-11-20) and no longer answers: leads are stored unchecked and never dialled. Load a newer one with saaf registry import.",
		day + 1:       "The registry is 1 day old (dated 2026-11-20) and no longer answers: leads are stored unchecked and never dialled. Load a newer one with saaf registry import.",
	} {
		date, err := saaf.ParseDate("2026-11-20")
		if err != nil {
			t.Fatal(err)
		}
		if got := Advice(dnd.Freshness{State: dnd.Stale, Age: age, ID: 1, EffectiveDate: date}); got != want {
			t.Errorf("at the age of %v: %s", age, got)
		}
	}
}
