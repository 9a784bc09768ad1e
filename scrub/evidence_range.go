package scrub

import (
	"fmt"
	"time"

	"saaf"
)

// ParseEvidenceFrom reads where a time range begins: a day, which begins at 00:00
// IST, or an instant as RFC 3339 writes it. An empty text is no limit, zero.
func ParseEvidenceFrom(s string) (time.Time, error) { return parseRangeEnd(s, 0) }

// ParseEvidenceTo reads before which instant a time range ends: a day, which is part
// of it to its end at 24:00 IST, or an instant as RFC 3339 writes it. An empty text
// is no limit, zero.
func ParseEvidenceTo(s string) (time.Time, error) { return parseRangeEnd(s, 1) }

func parseRangeEnd(s string, days saaf.Date) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := saaf.ParseDate(s); err == nil {
		return (day + days).Start(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	// Years beyond these are no times of anything that is recorded here.
	if err != nil || t.Year() < 1971 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is neither a day in India like 2026-11-25 nor a time like 2026-11-25T15:30:00+05:30", s)
	}
	return t, nil
}
