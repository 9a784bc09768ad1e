package main

import "testing"

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]count{
		"0": 0, "12345": 12345, "500k": 500_000, "300M": 300_000_000, "4000000000": 4_000_000_000, "1G": 1_000_000_000,
		"": -1, "k": -1, "-1": -1, "1.5M": -1, "1T": -1, "3kM": -1, "9999999999999M": -1, "1 M": -1,
	} {
		got := count(-1)
		if err := got.UnmarshalText([]byte(text)); got != want || (err == nil) != (want >= 0) {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
}

// Without --removed a delta stays under what an import refuses, whatever the sizes.
func TestRemovedByDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cmd  registryGenerateCmd
		want float64
	}{
		{registryGenerateCmd{Numbers: 300e6, Delta: 1e6, Deleted: 0.3}, 0.05},
		{registryGenerateCmd{Numbers: 1e6, Delta: 1e6, Deleted: 0.2}, 0.004},
		{registryGenerateCmd{Numbers: 1e6, Delta: 1e6, Removed: new(0.0)}, 0},
		{registryGenerateCmd{Numbers: 1e6, Delta: 1e6, Removed: new(0.7)}, 0.7},
	} {
		if got := c.cmd.removed(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.cmd, got, c.want)
		}
	}
}
