package bench

import (
	"fmt"
	"strconv"
)

// Figure is a number with three digits that count.
func Figure(v float64) string {
	switch {
	case v == float64(int64(v)):
		return thousands(int64(v))
	case v >= 1000:
		return thousands(int64(v + 0.5))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// thousands writes n with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
