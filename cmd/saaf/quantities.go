package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// units are how sizes and counts are shortened, on every flag in the same way: by
// thousands.
var units = map[string]int64{"k": 1e3, "M": 1e6, "G": 1e9}

// quantity reads 300000000, 300M or 500k; ok is false for anything else and above most.
func quantity(text string, most int64) (n int64, ok bool) {
	digits, unit := text, int64(1)
	if len(text) > 1 {
		if u := units[text[len(text)-1:]]; u != 0 {
			digits, unit = text[:len(text)-1], u
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > most/unit {
		return 0, false
	}
	return n * unit, true
}

// size is a number of bytes on the command line.
type size int64

// UnmarshalText reads 16777216, 512M or 1G.
func (s *size) UnmarshalText(text []byte) error {
	n, ok := quantity(string(text), 1<<60)
	if !ok {
		return fmt.Errorf("%q is no size: write it in bytes, or as 64k, 512M or 1G, each a thousand times the one before", text)
	}
	*s = size(n)
	return nil
}

// duration reads 7d, 36h or 1h30m.
func duration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write it as 7d, 36h, 1h30m or 90s", text)
	}
	return d, nil
}

// durations has every flag that is a duration read by [duration].
func durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
			return err
		}
		d, err := duration(text)
		if err == nil {
			target.SetInt(int64(d))
		}
		return err
	}))
}
