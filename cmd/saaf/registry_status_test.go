package main

import (
	"testing"

	"saaf"
)

func TestRecheckWords(t *testing.T) {
	t.Parallel()
	active := &saaf.Snapshot{ID: 1}
	for want, reg := range map[string]saaf.RegistryState{
		"all": {Active: active, Activation: 3, ConfirmedActivation: 3, Sweep: saaf.Sweep{Activation: 3, Done: 40, Total: 40}},
		"not all yet: the re-check has not begun; a running server does it": {Active: active, Activation: 4, ConfirmedActivation: 3,
			Sweep: saaf.Sweep{Activation: 3, Done: 40, Total: 40}},
		"re-checking: 12 of 40 campaigns, 1,310 leads changed": {Active: active, Activation: 4, ConfirmedActivation: 3,
			Sweep: saaf.Sweep{Activation: 4, Done: 12, Total: 40, Changed: 1310}},
	} {
		if got := recheckOf(&reg).words(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
