package saaf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustDate(t *testing.T, s string) Date {
	t.Helper()
	d, err := ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for s, days := range map[string]Date{
		"1971-01-01": 365,
		"2000-03-01": 11017,
		"2024-02-29": 19782,
		"2026-11-20": 20777,
		"9999-12-31": 2932896,
	} {
		if d := mustDate(t, s); d != days || d.String() != s {
			t.Errorf("%s is %d, %s; want %d", s, int32(d), d, int32(days))
		}
	}
	for _, s := range []string{"", "2026-11-2", "20-11-2026", "2026/11/20", "2026-02-29", "2026-13-01", "2026-00-01",
		"2026-11-31", "1970-12-31", "0000-01-01", "10000-01-01", "2026-11-20 ", " 2026-11-20", "2026-11-20T00:00:00Z", "-2026-11-20"} {
		if d, err := ParseDate(s); err == nil || d != 0 || !strings.Contains(err.Error(), "YYYY-MM-DD") {
			t.Errorf("%q is %s, %v", s, d, err)
		}
	}
}

// TestDateOf: the day changes at midnight in India, wherever the clock is set.
func TestDateOf(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"2026-11-20T18:29:59.999999999Z": "2026-11-20",
		"2026-11-20T18:30:00Z":           "2026-11-21",
		"2026-11-20T00:00:00+05:30":      "2026-11-20",
		"2026-11-19T23:59:59+05:30":      "2026-11-19",
		"2026-11-20T10:30:00-08:00":      "2026-11-21",
		"2024-02-29T18:29:59Z":           "2024-02-29",
		"2026-12-31T18:30:00Z":           "2027-01-01",
	} {
		instant, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, zone := range []*time.Location{instant.Location(), time.UTC, IST} {
			if got := DateOf(instant.In(zone)).String(); got != want {
				t.Errorf("%s in %s is %s, want %s", at, zone, got, want)
			}
		}
	}
}

func TestDateStart(t *testing.T) {
	t.Parallel()
	if got := mustDate(t, "2026-11-20").Start(); !got.Equal(time.Date(2026, 11, 19, 18, 30, 0, 0, time.UTC)) {
		t.Errorf("starts %v", got)
	}
}

func TestDateRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := Date(rapid.Int32Range(365, 2932896).Draw(t, "day"))
		if back, err := ParseDate(d.String()); err != nil || back != d {
			t.Fatalf("%s: %s, %v", d, back, err)
		}
		start := d.Start()
		if within := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)-1).Draw(t, "within")); DateOf(start.Add(within)) != d {
			t.Fatalf("%s: %v after its start is %s", d, within, DateOf(start.Add(within)))
		}
		if before := DateOf(start.Add(-1)); before != d-1 {
			t.Fatalf("%s: before its start is %s", d, before)
		}
		b, err := json.Marshal(d)
		if err != nil || string(b) != `"`+d.String()+`"` {
			t.Fatalf("%s: %s, %v", d, b, err)
		}
		var back Date
		if err := json.Unmarshal(b, &back); err != nil || back != d {
			t.Fatalf("%s: %s, %v", b, back, err)
		}
	})
}

func TestNoDate(t *testing.T) {
	t.Parallel()
	if s := Date(0).String(); s != "" {
		t.Errorf("no date is %q", s)
	}
	d := Date(7)
	if err := json.Unmarshal([]byte(`""`), &d); err == nil || d != 0 {
		t.Errorf("an empty date is read as %s, %v", d, err)
	}
}
