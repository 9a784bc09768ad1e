package scrub

import (
	"context"
	"errors"
	"time"

	"saaf"
)

const (
	// checkpointEvery is how often the ledger is signed. What was written since is
	// proved by nothing but its place in the chain.
	checkpointEvery = time.Minute
	// checkpointLook is how often a process looks whether another has done it.
	checkpointLook = 10 * time.Second
	// lastCheckpointLimit is how long the one at the end may take.
	lastCheckpointLimit = 10 * time.Second
)

// RunCheckpoints signs how far the ledger has come, every minute and once more when
// ctx ends. Where several processes serve, any of them does it, and all together
// every minute. The writer of the store must outlive it. A checkpoint that cannot be
// made is logged: the next one covers what it would have.
func (s *Service) RunCheckpoints(ctx context.Context) error {
	look := checkpointEvery
	if s.store.Shared() {
		look = checkpointLook
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !s.store.Shared() || s.checkpointDue(ctx, time.Now()) {
				s.checkpoint(ctx)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCheckpointLimit)
			defer cancel()
			s.checkpoint(last)
			return nil
		}
	}
}

// checkpointDue reports whether the last checkpoint, of whatever process, was made a
// minute ago. One that cannot be read, or is dated after now by more than clocks
// differ, keeps nobody from making the next.
func (s *Service) checkpointDue(ctx context.Context, now time.Time) bool {
	signed, seq, err := s.store.LastCheckpoint(ctx)
	if err != nil || seq == 0 {
		return true
	}
	last, err := signed.Open(s.store.PublicKey())
	if err != nil {
		return true
	}
	age := now.Sub(last.At)
	return age >= checkpointEvery || age <= -checkpointEvery
}

func (s *Service) checkpoint(ctx context.Context) {
	_, err := s.store.Checkpoint(ctx)
	if known, ok := errors.AsType[*saaf.Error](err); ok && known.Word == "overloaded" {
		err = patiently(ctx, func() error { _, err := s.store.Checkpoint(ctx); return err })
	}
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "the ledger could not be signed, the next checkpoint covers it", "error", err)
	}
}
