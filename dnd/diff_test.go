package dnd

import (
	"context"
	"errors"
	"testing"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// differences are the numbers of a difference with what was before and after.
func differences(t *testing.T, a, b *Snapshot) (got [][3]string) {
	t.Helper()
	for d, err := range Diff(t.Context(), a, b) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, [3]string{d.Phone.National(), d.Before.text(), d.After.text()})
	}
	return got
}

func TestDiff(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", "13,6000000001,0,A,2\n13,6000000002,2#3,A,2\n13,9999999999,4,A,2\n").run()
	change := func(s *Snapshot, rows string) *Snapshot {
		b := setup(t).overlaid(s).file("delta.csv", rows)
		b.Override = "half of it goes"
		s, _ = b.run()
		return s
	}
	one := change(base, "13,6000000001,0,D,2\n13,6000000002,5,A,2\n13,7000000000,0,A,2\n")
	other := change(base, "13,6000000001,0,D,2\n13,6000000002,6,A,2\n13,9999999999,0,A,2\n")
	whole, _ := setup(t).file("full.csv", "13,6000000002,5,A,2\n13,7000000000,0,A,2\n13,9999999999,4,A,2\n").run()
	elsewhere := change(whole, "13,9999999999,4,D,2\n13,8000000000,0,A,2\n")
	for name, c := range map[string]struct {
		a, b *Snapshot
		want [][3]string
	}{
		"nothing":        {nil, nil, nil},
		"itself":         {one, one, nil},
		"from nothing":   {nil, one, [][3]string{{"6000000002", "", "5"}, {"7000000000", "", "0"}, {"9999999999", "", "4"}}},
		"to nothing":     {base, nil, [][3]string{{"6000000001", "0", ""}, {"6000000002", "2#3", ""}, {"9999999999", "4", ""}}},
		"to an overlay":  {base, one, [][3]string{{"6000000001", "0", ""}, {"6000000002", "2#3", "5"}, {"7000000000", "", "0"}}},
		"from one":       {one, base, [][3]string{{"6000000001", "", "0"}, {"6000000002", "5", "2#3"}, {"7000000000", "0", ""}}},
		"two overlays":   {one, other, [][3]string{{"6000000002", "5", "6"}, {"7000000000", "0", ""}, {"9999999999", "4", "0"}}},
		"the same whole": {whole, one, nil},
		"two bases":      {one, elsewhere, [][3]string{{"8000000000", "", "0"}, {"9999999999", "4", ""}}},
		"two, back":      {elsewhere, other, [][3]string{{"6000000002", "5", "6"}, {"7000000000", "0", ""}, {"8000000000", "0", ""}, {"9999999999", "", "0"}}},
		"another whole":  {whole, other, [][3]string{{"6000000002", "5", "6"}, {"7000000000", "0", ""}, {"9999999999", "4", "0"}}},
	} {
		if diff := cmp.Diff(c.want, differences(t, c.a, c.b)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Overlays of one base are compared without the base, also when it is mapped twice.
func TestDiffReadsNoBase(t *testing.T) {
	t.Parallel()
	basePath, path, _ := overlayFile(t)
	s, again := openOverlay(t, path, open(t, basePath)), openOverlay(t, path, open(t, basePath))
	if !s.sameBase(again) || !s.sameBase(s.Base()) || s.sameBase(nil) || s.sameBase(open(t, basePath)) {
		t.Error("it is not seen what has the same base")
	}
	if got := differences(t, s, again); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestDiffEnds(t *testing.T) {
	t.Parallel()
	s, _ := setup(t).file("full.csv", numbers(6000000000, 10, "A")+numbers(7000000000, 10, "A")).run()
	changed, _ := setup(t).overlaid(s).file("delta.csv", numbers(7100000000, 10, "A")).run()
	for name, a := range map[string]*Snapshot{"of all": nil, "of overlays": s} {
		count := 0
		for range Diff(t.Context(), a, changed) {
			if count++; count == 3 {
				break
			}
		}
		if count != 3 {
			t.Errorf("%s: %d", name, count)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var last error
		for d, err := range Diff(ctx, a, changed) {
			last = err
			if d != (Difference{}) {
				t.Errorf("%s: %v", name, d)
			}
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("%s: %v", name, last)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	phones := saaf.Phone(0)
	for d, err := range Diff(ctx, nil, changed) {
		cancel()
		last, phones = err, max(phones, d.Phone)
	}
	if !errors.Is(last, context.Canceled) || phones >= 7000000000 {
		t.Errorf("it went on to %v after the end: %v", phones, last)
	}
}
