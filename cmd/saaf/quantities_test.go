package main

import (
	"testing"
	"time"
)

func TestQuantities(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "64k": 64_000, "512M": 512_000_000, "2G": 2_000_000_000, "0": 0,
		"": -1, "M": -1, "-1": -1, "1T": -1, "1.5M": -1, "9223372036854775807M": -1, "1 M": -1,
	} {
		var s size
		if err := s.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || err == nil && int64(s) != want {
			t.Errorf("%q is %d (%v), want %d", text, s, err, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"7d": 7 * 24 * time.Hour, "0": 0, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"": -1, "d": -1, "7": -1, "1.5d": -1, "7 days": -1,
	} {
		if d, err := duration(text); (err == nil) != (want >= 0) || err == nil && d != want {
			t.Errorf("%q is %v (%v), want %v", text, d, err, want)
		}
	}
}
