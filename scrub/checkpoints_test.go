package scrub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The ledger is signed every minute in which it moved, and at the end.
func TestRunCheckpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.RunCheckpoints(ctx) }()
		signed := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			_, seq, err := b.store.LastCheckpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seq != want {
				t.Errorf("%s: %d checkpoints, want %d", when, seq, want)
			}
		}
		time.Sleep(2 * checkpointEvery)
		signed("an empty ledger", 0)
		b.push(asha)
		if b.store.Shared() { // the last is a minute old, if there is any
			time.Sleep(checkpointLook - time.Second)
			signed("before anybody looks", 0)
			time.Sleep(2 * time.Second)
		} else {
			time.Sleep(checkpointEvery - time.Second)
			signed("before the minute is over", 0)
			time.Sleep(2 * time.Second)
		}
		signed("after it", 1)
		time.Sleep(3 * checkpointEvery)
		signed("three quiet minutes later", 1)
		b.push(ravi)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		signed("at the end", 2)
		if rep, err := b.verify(VerifyOptions{}); err != nil || rep.Signed != 2 {
			t.Errorf("%+v, %v", rep, err)
		}
	})
}

// Without a writer nothing can be signed; that must not keep a server from ending.
func TestRunCheckpointsWithoutWriter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(asha)
	b.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.RunCheckpoints(ctx); err != nil {
		t.Error(err)
	}
	if n := b.events.count("the ledger could not be signed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Of several processes the first that looks signs, and the others let it be for a
// minute.
func TestCheckpointsOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	n.first.push(asha)
	other := n.start(t.TempDir())
	now := time.Now()
	due := func(when string, at time.Duration, want bool) {
		t.Helper()
		for _, b := range []*bundle{n.first, other} {
			if got := b.checkpointDue(t.Context(), now.Add(at)); got != want {
				t.Errorf("%s: due %v", when, got)
			}
		}
	}
	due("before the first", 0, true)
	if made, err := other.store.Checkpoint(t.Context()); !made || err != nil {
		t.Fatal(made, err)
	}
	due("at once", 0, false)
	due("half a minute later", checkpointEvery/2, false)
	due("by a clock that is behind", -checkpointEvery/2, false)
	due("a minute later", checkpointEvery+10*time.Second, true)
	due("by a clock that is wrong", -time.Hour, true)
}
