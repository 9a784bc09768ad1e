package dnd

import (
	"time"

	"saaf"
)

// State says whether a registry can be relied on.
type State uint8

// The states. Only Fresh and Warn answer.
const (
	None  State = iota // no snapshot, or one that holds no number
	Fresh              // answers
	Warn               // answers, and an update is overdue
	Stale              // too old to answer
)

var states = [...]string{None: "none", Fresh: "fresh", Warn: "warn", Stale: "stale"}

// String is the word of the API: none, fresh, warn or stale.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return states[None]
}

// MarshalText writes the word of the API.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Freshness is how far the registry can be relied on at one instant.
type Freshness struct {
	State         State
	Age           time.Duration // since 00:00 IST of the effective date; 0 when there is no snapshot
	ID            saaf.SnapshotID
	EffectiveDate saaf.Date
}

// Answers reports whether verdicts come out of the registry, so that a clean one
// may be shown as clean.
func (f Freshness) Answers() bool { return f.State == Fresh || f.State == Warn }

// Freshness is how far the view can be relied on at the instant now.
func (v *View) Freshness(now time.Time) Freshness {
	state, age := v.state(now)
	return Freshness{State: state, Age: age, ID: v.ref.ID, EffectiveDate: v.ref.EffectiveDate}
}

// clockSkew is how far the clocks of an importing and an answering machine may be
// apart. A clock that stands further before the effective date is wrong, and then
// nothing is known about the age.
const clockSkew = time.Hour

func (v *View) state(now time.Time) (State, time.Duration) {
	if !v.answers() {
		return None, 0
	}
	age := now.Sub(v.from)
	switch {
	case age >= v.stale, age < -clockSkew:
		return Stale, age
	case age >= v.warn:
		return Warn, age
	default:
		return Fresh, age
	}
}
