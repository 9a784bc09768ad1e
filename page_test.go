package saaf

import (
	"math"
	"regexp"
	"testing"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	if s := Cursor(0).String(); s != "" {
		t.Errorf("the first page is %q", s)
	}
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]+$`) // goes into a URL as it is
	for _, c := range []Cursor{1, 1 << 32, math.MaxInt64} {
		s := c.String()
		if back, ok := ParseCursor(s); !ok || back != c || !safe.MatchString(s) {
			t.Errorf("%d is %q, which is %d, %v", c, s, back, ok)
		}
	}
	for _, s := range []string{"", "c1_", "c1_0000000000000", "c2_0000000000001", "lead_0000000000001", "C1_0000000000001", "25"} {
		if c, ok := ParseCursor(s); ok {
			t.Errorf("%q is %d", s, c)
		}
	}
	if id, ok := ParseID[LeadID](Cursor(1).String()); ok {
		t.Errorf("a cursor is lead %d", int64(id))
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"", "c1_0000000000001", "c1_7zzzzzzzzzzzz", "c1_8000000000000", "C1_0000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := ParseCursor(s); ok && (c <= 0 || c.String() != s) {
			t.Fatalf("%q is %d, which is %q", s, c, c.String())
		}
	})
}
