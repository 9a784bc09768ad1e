package dnd

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for age, ok := range map[time.Duration]bool{
		0: true, 1: true, day: true, MaxAge: true,
		MaxAge + 1: false, 30 * day: false, -1: false, math.MaxInt64: false, math.MinInt64: false,
	} {
		if _, err := NewRegistry(Config{MaxAge: age}); (err == nil) != ok {
			t.Errorf("%v: %v", age, err)
		}
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	s, r := setup(t).file("full.csv", numbers(6000000000, 1, "A")).run()
	const hour = time.Hour
	for _, c := range []struct {
		maxAge time.Duration
		age    time.Duration
		want   State
	}{
		{0, 0, Fresh}, {0, 4*day - 1, Fresh}, {0, 4 * day, Warn}, {0, 7*day - 1, Warn}, {0, 7 * day, Stale}, {0, 1000 * day, Stale},
		{5 * day, 4 * day, Warn}, {5 * day, 5 * day, Stale},
		{2 * day, 2*day - 1, Fresh}, {2 * day, 2 * day, Stale},
		{0, -hour, Fresh}, {0, -hour - 1, Stale}, // a clock that is a little or very wrong
	} {
		v := use(t, Config{MaxAge: c.maxAge}, s, r).View()
		now := today.Start().Add(c.age)
		want := Freshness{State: c.want, Age: c.age, ID: 7, EffectiveDate: today}
		if diff := cmp.Diff(want, v.Freshness(now)); diff != "" {
			t.Errorf("limit %v: %s", c.maxAge, diff)
		}
		answers := c.want == Fresh || c.want == Warn
		if got := v.Check(6000000000, now); got.Reason.Checked() != answers || v.Freshness(now).Answers() != answers {
			t.Errorf("limit %v, age %v: %v", c.maxAge, c.age, got.Reason)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	s, r := setup(t).file("full.csv", "1,6000000000,0,A,2\n1,6000000001,,A,2\n1,6000000002,2#7,A,2\n1,6000000003,0,D,2\n").run()
	reg, err := NewRegistry(Config{})
	if err != nil {
		t.Fatal(err)
	}
	ref := saaf.SnapshotRef{ID: 7, EffectiveDate: today}
	later := today.Start().Add(MaxAge)
	checked := func(reason saaf.VerdictReason, preferences string) saaf.Verdict {
		return saaf.Verdict{Reason: reason, Snapshot: ref, CheckedAt: noon, Preferences: preferences}
	}
	phones := []saaf.Phone{6000000000, 6000000001, 6000000002, 6000000003, 7000000000, 0, -1, 999_999_999, 10_000_000_000}
	check := func(name string, now time.Time, want ...saaf.Verdict) {
		t.Helper()
		v := reg.View()
		for len(want) < len(phones) {
			want = append(want, saaf.Verdict{Reason: want[len(want)-1].Reason})
		}
		for i, p := range phones {
			if diff := cmp.Diff(want[i], v.Check(p, now)); diff != "" {
				t.Errorf("%s, %d: %s", name, p, diff)
			}
		}
		if diff := cmp.Diff(want, v.CheckAll(nil, phones, now)); diff != "" {
			t.Errorf("%s, together: %s", name, diff)
		}
	}

	none := saaf.Verdict{Reason: saaf.RegistryUnavailable}
	check("without a snapshot", noon, none)
	reg.Use(s, ref)
	check("with one", noon, checked(saaf.FullBlock, "0"), checked(saaf.FullBlock, "0"), checked(saaf.PartialBlock, "2#7"),
		checked(saaf.NotRegistered, ""), checked(saaf.NotRegistered, ""), none)
	check("with an old one", later, saaf.Verdict{Reason: saaf.RegistryStale})
	if e, ok := reg.View().Lookup(6000000002); !ok || e.Categories.String() != "2#7" {
		t.Errorf("it explains %v", e)
	}
	if in, ok := reg.View().Info(); !ok || in != r.Result.Info {
		t.Errorf("it holds %+v", in)
	}
	reg.Use(nil, saaf.SnapshotRef{})
	check("with none again", noon, none)
	if _, ok := reg.View().Lookup(6000000002); ok || reg.View().Ref() != (saaf.SnapshotRef{}) {
		t.Error("a snapshot is left behind")
	}
}

func TestCheckAllIsCheck(t *testing.T) {
	t.Parallel()
	s, r := setup(t).file("full.csv", numbers(6000000000, 700, "A")+numbers(6000000100, 50, "D")).run()
	v := use(t, Config{}, s, r).View()
	for n := range 2*batch + 2 {
		var phones []saaf.Phone
		var want []saaf.Verdict
		for i := range n {
			p := saaf.Phone(6000000000 + 37*i)
			phones, want = append(phones, p), append(want, v.Check(p, noon))
		}
		if diff := cmp.Diff(want, v.CheckAll(nil, phones, noon)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	reg, err := NewRegistry(Config{})
	if err != nil {
		t.Fatal(err)
	}
	changed, view := reg.Changed(), reg.View()
	select {
	case <-changed:
		t.Error("it has not changed")
	case <-view.Replaced():
		t.Error("it has not been replaced")
	default:
	}
	if reg.View() != view {
		t.Error("another view of the same")
	}
	reg.Use(nil, saaf.SnapshotRef{})
	<-changed
	<-view.Replaced()
	if reg.View() == view {
		t.Error("the view has not moved")
	}
}

// Every answer of a view is from one snapshot while others come and go.
func TestSwap(t *testing.T) {
	t.Parallel()
	// Odd snapshots list only odd numbers, even ones only even numbers.
	var files [2]string
	for odd := range files {
		var rows strings.Builder
		for i := range 50 {
			rows.WriteString(numbers(saaf.Phone(6000000000+2*i+odd), 1, "A"))
		}
		_, r := setup(t).file("full.csv", rows.String()).run()
		files[odd] = r.Result.Path
	}
	reg, err := NewRegistry(Config{})
	if err != nil {
		t.Fatal(err)
	}
	const swaps = 200
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var last saaf.SnapshotID
			for !done.Load() {
				v := reg.View()
				id := v.Ref().ID
				if id < last {
					t.Errorf("snapshot %d after %d", id, last)
				}
				last = id
				for i := range saaf.Phone(100) {
					got := v.Check(6000000000+i, noon)
					blocked := id != 0 && int64(i)%2 == int64(id)%2
					if got.Reason.Blocked() != blocked || got.Reason.Checked() != (id != 0) || got.Snapshot.ID != id {
						t.Errorf("snapshot %d says %v about %d", id, got.Reason, i)
						return
					}
				}
			}
		})
	}
	for i := range swaps {
		id := saaf.SnapshotID(i + 1)
		s, err := Open(files[id%2])
		if err != nil {
			t.Error(err)
			break
		}
		reg.Use(s, saaf.SnapshotRef{ID: id, EffectiveDate: today})
	}
	done.Store(true)
	readers.Wait()
}
