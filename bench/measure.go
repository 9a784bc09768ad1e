package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Measure is one line of a benchmark: what was measured, against what, and whether
// that is good enough.
type Measure struct {
	Name  string   `json:"name"` // a stable word
	What  string   `json:"what"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Base  *float64 `json:"base"`    // what it is held against, measured in the same run and unit
	Ratio *float64 `json:"ratio"`   // Value to Base
	Most  *float64 `json:"at_most"` // of Ratio where there is one, else of Value; null for what is only told
	OK    bool     `json:"ok"`
	Note  string   `json:"note,omitempty"`
}

// within is a value that has a limit of its own.
func within(name, what string, value float64, unit string, most float64) Measure {
	return Measure{Name: name, What: what, Value: value, Unit: unit, Most: &most, OK: value <= most}
}

// against is a value that is held against another one of the same run.
func against(name, what string, value, base float64, unit string, most float64) Measure {
	ratio := value / base
	return Measure{Name: name, What: what, Value: value, Unit: unit, Base: &base, Ratio: &ratio, Most: &most, OK: ratio <= most}
}

// told is a value that has no limit.
func told(name, what string, value float64, unit string) Measure {
	return Measure{Name: name, What: what, Value: value, Unit: unit, OK: true}
}

func (m Measure) noted(format string, args ...any) Measure {
	m.Note = fmt.Sprintf(format, args...)
	return m
}

// Missed is the error of a benchmark that is not within its limits.
func Missed(list []Measure) error {
	n := 0
	for _, m := range list {
		if !m.OK {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d lines are not within their limit: run it again on a quiet machine before you believe it", n, len(list))
}

// timed runs f and returns how many seconds it took.
func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

// errNoProc is where the memory of a process cannot be seen.
var errNoProc = errors.New("the memory of a process is read from /proc: run this on Linux")

// interrupted prefers the word for a Ctrl-C over what it broke.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
