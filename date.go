package saaf

import (
	"fmt"
	"time"
)

// IST is Indian Standard Time, the fixed offset +05:30. India has no daylight
// saving, so that no time zone database is needed.
var IST = time.FixedZone("IST", 5*3600+1800)

// Date is a calendar day in India, counted in days since 1970-01-01; zero means
// no date.
type Date int32

const dateLayout = time.DateOnly

// ParseDate reads YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(dateLayout, s)
	if err != nil || t.Year() < 1971 || t.Year() > 9999 {
		return 0, fmt.Errorf("%q is not a date: write it as YYYY-MM-DD, for instance 2026-11-20", s)
	}
	return Date(t.Unix() / 86400), nil
}

// DateOf is the day in India at the instant t.
func DateOf(t time.Time) Date {
	y, m, d := t.In(IST).Date()
	return Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Start is 00:00 IST of the day.
func (d Date) Start() time.Time {
	return time.Unix(int64(d)*86400, 0).UTC().Add(-(5*time.Hour + 30*time.Minute))
}

// String is YYYY-MM-DD, or "" for no date.
func (d Date) String() string {
	if d == 0 {
		return ""
	}
	return time.Unix(int64(d)*86400, 0).UTC().Format(dateLayout)
}

// MarshalText writes YYYY-MM-DD.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads YYYY-MM-DD.
func (d *Date) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDate(string(b))
	return err
}
