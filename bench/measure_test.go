package bench

import (
	"testing"
	"time"
)

func TestWrongVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer  string
		blocked []bool
		wrong   int
	}{
		{`{"status":"dnd"}`, []bool{true}, 0},
		{`{"status":"pending"}`, []bool{true}, 1},
		{`{"status":"dnd"}`, []bool{false}, 1},
		{`{"results":[{"status":"added","dnd":true},{"status":"added"}]}`, []bool{true, false}, 0},
		{`{"results":[{"status":"added"},{"status":"added","dnd":true}]}`, []bool{true, false}, 2},
		{`{"results":[{"status":"duplicate"},{"status":"added"}]}`, []bool{false, false}, 1},
		{`{"results":[{"status":"added"}]}`, []bool{false, false}, 2},
	} {
		if wrong, err := wrongVerdicts([]byte(c.answer), c.blocked); wrong != c.wrong || err != nil {
			t.Errorf("%s: %d wrong (%v), want %d", c.answer, wrong, err, c.wrong)
		}
	}
}

func TestMeasures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m  Measure
		ok bool
	}{
		{within("a", "", 1.7, "B", 1.7), true}, {within("a", "", 1.71, "B", 1.7), false},
		{against("a", "", 6, 2, "s", 3), true}, {against("a", "", 6.1, 2, "s", 3), false},
		{told("a", "", 1e9, "s"), true},
	} {
		if c.m.OK != c.ok {
			t.Errorf("%+v: ok is %v", c.m, c.m.OK)
		}
		if err := Missed([]Measure{told("b", "", 1, ""), c.m}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.m, err)
		}
	}
	if got := percentile([]time.Duration{4e6, 1e6, 3e6, 2e6}, 50); got != 3 {
		t.Errorf("the median is %v ms, want 3", got)
	}
	if enough(2, 2, ".") != nil || enough(2, 1, ".") == nil {
		t.Error("a run begins where there is not enough room, or does not where there is")
	}
	for v, want := range map[float64]string{0: "0", 50: "50", 1.667: "1.67", 12345.6: "12,346", 0.0416: "0.0416", 1e6: "1,000,000"} {
		if got := Figure(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
