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
	// lastCheckpointLimit is how long the one at the end may take.
	lastCheckpointLimit = 10 * time.Second
)

// RunCheckpoints signs how far the ledger has come, every minute and once more when
// ctx ends. The writer of the store must outlive it. A checkpoint that cannot be
// made is logged: the next one covers what it would have.
func (s *Service) RunCheckpoints(ctx context.Context) error {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.checkpoint(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCheckpointLimit)
			defer cancel()
			s.checkpoint(last)
			return nil
		}
	}
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
