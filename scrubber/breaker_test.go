package scrubber

import (
	"testing"
	"testing/synctest"
	"time"
)

func newBreaker() *breaker { return &breaker{Breaker: Breaker{Failures: 3, CoolDown: time.Minute}} }

// pass gets an admission that must be given.
func pass(t *testing.T, b *breaker) admission {
	t.Helper()
	a, err := b.admit()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func refuse(t *testing.T, b *breaker) {
	t.Helper()
	if a, err := b.admit(); err == nil {
		t.Fatalf("admitted: %+v", a)
	}
}

func circuitIs(t *testing.T, b *breaker, want Circuit) {
	t.Helper()
	if got, _ := b.state(); got != want {
		t.Fatalf("the circuit is %s, want %s", got, want)
	}
}

// trip opens a closed circuit.
func trip(t *testing.T, b *breaker) {
	t.Helper()
	for range b.Failures {
		circuitIs(t, b, Closed)
		b.report(pass(t, b), failed)
	}
	circuitIs(t, b, Open)
}

func TestBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		trip(t, b)
		refuse(t, b)
		time.Sleep(time.Minute - time.Nanosecond)
		refuse(t, b)
		circuitIs(t, b, Open)
		time.Sleep(time.Nanosecond)
		circuitIs(t, b, HalfOpen)
		a := pass(t, b)
		refuse(t, b) // one only
		b.report(a, success)
		circuitIs(t, b, Closed)
		trip(t, b) // with the whole number of failures again
	})
}

func TestBreakerStaysOpenAfterAFailedTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		trip(t, b)
		for range 3 {
			time.Sleep(time.Minute)
			b.report(pass(t, b), failed)
			circuitIs(t, b, Open)
			refuse(t, b)
		}
	})
}

// A trial whose caller gave up leaves the next one free at once.
func TestBreakerTrialWithoutResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		trip(t, b)
		time.Sleep(time.Minute)
		for range 3 {
			b.report(pass(t, b), nothing)
			circuitIs(t, b, HalfOpen)
		}
		b.report(pass(t, b), success)
		circuitIs(t, b, Closed)
	})
}

func TestBreakerCountsFailuresInARow(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for range 10 {
		b.report(pass(t, b), failed)
		b.report(pass(t, b), failed)
		b.report(pass(t, b), nothing)
		b.report(pass(t, b), success)
	}
	trip(t, b)
}

// What was sent before the circuit opened neither closes it nor keeps it open.
func TestBreakerLateReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		early, late, later := pass(t, b), pass(t, b), pass(t, b)
		trip(t, b)
		b.report(early, success)
		circuitIs(t, b, Open)
		time.Sleep(time.Minute)
		trial := pass(t, b)
		b.report(late, failed)
		refuse(t, b) // the trial still runs
		b.report(trial, success)
		b.report(later, failed)
		b.report(pass(t, b), failed)
		b.report(pass(t, b), failed)
		circuitIs(t, b, Closed) // two in a row, not three
	})
}
