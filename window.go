package saaf

import (
	"fmt"
	"slices"
	"time"
)

// Clock is a time of day in minutes after 00:00 IST.
type Clock int16

// The widest calling window there is (registry rules section 4): an attempt may
// start from 09:00:00 on and before 21:00:00, IST.
const (
	WindowOpens  Clock = 9 * 60
	WindowCloses Clock = 21 * 60
)

// ParseClock reads HH:MM, 00:00 to 24:00.
func ParseClock(s string) (Clock, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("%q is not a time of day: write it as HH:MM, for instance 09:30", s)
	}
	return Clock(t.Hour()*60 + t.Minute()), nil
}

// String is HH:MM.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// MarshalText writes HH:MM.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads HH:MM.
func (c *Clock) UnmarshalText(b []byte) (err error) {
	*c, err = ParseClock(string(b))
	return err
}

// CallingWindow narrows when a campaign may call. It can never widen the legal
// window of 09:00 to 21:00 IST.
type CallingWindow struct {
	Start Clock `json:"start"`
	End   Clock `json:"end"`
	Days  []int `json:"days"` // 1 is Monday, 7 is Sunday
}

// EveryDay is the list of all days, the default of a window that names none.
func EveryDay() []int { return []int{1, 2, 3, 4, 5, 6, 7} }

func (w *CallingWindow) validate() (v fieldChecks) {
	if w.Start < WindowOpens {
		v.add("calling_window.start", "ensure this value is not before 09:00 IST", "value_error.calling_window")
	}
	if w.End > WindowCloses {
		v.add("calling_window.end", "ensure this value is not after 21:00 IST", "value_error.calling_window")
	}
	if w.Start >= w.End {
		v.add("calling_window.end", "ensure this value is after start", "value_error.calling_window")
	}
	if len(w.Days) == 0 {
		v.add("calling_window.days", "ensure this list has at least one day, 1 (Monday) to 7 (Sunday)", "value_error.calling_window")
	}
	for i, d := range w.Days {
		if d < 1 || d > 7 || slices.Contains(w.Days[:i], d) {
			v.add("calling_window.days", "ensure the days are 1 (Monday) to 7 (Sunday), each once", "value_error.calling_window")
			break
		}
	}
	return v
}
