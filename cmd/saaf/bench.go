package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

type benchCmd struct {
	Registry benchRegistryCmd `cmd:"" help:"Measure everything about the registry against its limits, in one run."`
}

// measure is one line of a benchmark: what was measured, against what, and whether
// that is good enough.
type measure struct {
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
func within(name, what string, value float64, unit string, most float64) measure {
	return measure{Name: name, What: what, Value: value, Unit: unit, Most: &most, OK: value <= most}
}

// against is a value that is held against another one of the same run.
func against(name, what string, value, base float64, unit string, most float64) measure {
	ratio := value / base
	return measure{Name: name, What: what, Value: value, Unit: unit, Base: &base, Ratio: &ratio, Most: &most, OK: ratio <= most}
}

// told is a value that has no limit.
func told(name, what string, value float64, unit string) measure {
	return measure{Name: name, What: what, Value: value, Unit: unit, OK: true}
}

func (m measure) noted(format string, args ...any) measure {
	m.Note = fmt.Sprintf(format, args...)
	return m
}

func printMeasures(w io.Writer, list []measure) {
	rows := make([][]string, len(list))
	for i, m := range list {
		row := []string{m.What, figure(m.Value) + " " + m.Unit, "", "", "", "yes", m.Note}
		if m.Base != nil {
			row[2], row[3] = figure(*m.Base)+" "+m.Unit, fmt.Sprintf("%.2f", *m.Ratio)
		}
		switch {
		case m.Most == nil:
			row[5] = ""
		case m.Ratio != nil:
			row[4] = figure(*m.Most) + " x"
		default:
			row[4] = figure(*m.Most) + " " + m.Unit
		}
		if !m.OK {
			row[5] = "NO"
		}
		rows[i] = row
	}
	table(w, []string{"WHAT", "VALUE", "AGAINST", "RATIO", "AT MOST", "OK", "NOTE"}, rows)
}

// figure is a number with three digits that count.
func figure(v float64) string {
	switch {
	case v == float64(int64(v)):
		return thousands(int64(v))
	case v >= 1000:
		return thousands(int64(v + 0.5))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// missed is the error of a benchmark that is not within its limits.
func missed(list []measure) error {
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

// steps says on err what a long benchmark is at.
type steps struct {
	out   io.Writer
	began time.Time
}

func newSteps(out io.Writer) *steps { return &steps{out: out, began: time.Now()} }

func (s *steps) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%7.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
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
