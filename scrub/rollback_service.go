package scrub

import (
	"context"
	"time"

	"saaf"
)

// requestLimit is how long a request waits for other servers: who has sent it waits.
const requestLimit = 30 * time.Second

// RollBack is the function [RollBack] for the registry of this process, which
// answers from the snapshot when RollBack returns, or says in its status why not.
func (s *Service) RollBack(ctx context.Context, by saaf.By, reason string) error {
	how := Spreading{Limit: requestLimit, Warn: func(w string) { s.log.WarnContext(ctx, w) }}
	if _, _, err := RollBack(ctx, s.store, s.dir, by, reason, how); err != nil {
		return err
	}
	_, err := s.Load(ctx)
	return err
}

// Kept lists the active snapshot and behind it those that can be gone back to, each
// replaced by the one before it.
func (s *Service) Kept(ctx context.Context) ([]saaf.Snapshot, error) {
	return Kept(ctx, s.store, s.dir)
}
