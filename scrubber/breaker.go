package scrubber

import (
	"fmt"
	"sync"
	"time"
)

// Circuit says whether a checker is asked.
type Circuit uint8

// The states of a circuit.
const (
	Closed   Circuit = iota // it is asked
	Open                    // it failed too often and is left alone for the cool-down
	HalfOpen                // the cool-down is over: one batch finds out
)

var circuits = [...]string{Closed: "closed", Open: "open", HalfOpen: "half-open"}

// String is closed, open or half-open.
func (c Circuit) String() string { return circuits[c] }

// MarshalText writes closed, open or half-open.
func (c Circuit) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// outcome is what a batch says about the health of the checker.
type outcome uint8

const (
	nothing outcome = iota // the caller gave up first
	success
	failed
)

// breaker leaves a checker alone that fails again and again. It is safe for
// concurrent use.
type breaker struct {
	Breaker

	mu        sync.Mutex
	failures  int       // guarded by mu; in a row
	openUntil time.Time // guarded by mu; zero while the circuit is closed
	trial     bool      // guarded by mu; a batch is finding out
	turn      int       // guarded by mu; grows when the circuit opens or closes
}

// admission is the right to send one batch, and when it was given.
type admission struct {
	turn  int
	trial bool
}

// admit gives the right to send a batch, or the error that says why not. Every
// admission is reported back.
func (b *breaker) admit() (admission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.circuit() {
	case Closed:
		return admission{turn: b.turn}, nil
	case Open:
		until := b.openUntil.UTC().Format(time.TimeOnly)
		return admission{}, fmt.Errorf("not asked: it failed %d times in a row and is left alone until %s UTC", b.failures, until)
	}
	if b.trial {
		return admission{}, fmt.Errorf("not asked: it failed %d times in a row, and one batch is finding out whether it is back", b.failures)
	}
	b.trial = true
	return admission{turn: b.turn, trial: true}, nil
}

// report takes back an admission. Batches that were sent before the circuit opened
// or closed say nothing about the time after it.
func (b *breaker) report(a admission, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.turn != b.turn {
		return
	}
	if a.trial {
		b.trial = false
	}
	switch {
	case o == success && a.trial:
		b.failures, b.openUntil = 0, time.Time{}
		b.turn++
	case o == success:
		b.failures = 0
	case o == failed:
		if b.failures++; b.failures >= b.Failures {
			b.openUntil = time.Now().Add(b.CoolDown)
			b.turn++
		}
	}
}

// state is the circuit, and when it lets a batch through if it is open.
func (b *breaker) state() (Circuit, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit(), b.openUntil
}

// circuit is called with mu held.
func (b *breaker) circuit() Circuit {
	switch {
	case b.openUntil.IsZero():
		return Closed
	case time.Now().Before(b.openUntil):
		return Open
	}
	return HalfOpen
}
