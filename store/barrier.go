package store

import (
	"context"
	"sync"

	"saaf"
)

// Barrier returns when every write that was queued before it is committed or
// refused. Where several processes serve, it also waits for the pushes of all of
// them that were judged before.
func (s *Store) Barrier(ctx context.Context) error {
	nothing := func(*tx) error { return nil }
	// Through both queues: small jobs overtake bulk ones.
	if err := s.write(ctx, everything, smallRows+1, nothing); err != nil {
		return err
	}
	err := s.write(ctx, everything, 0, nothing)
	if err != nil || !s.engine.shared() {
		return err
	}
	campaigns, err := s.campaignsThere(ctx)
	if err != nil {
		return wrap("barrier", err)
	}
	return s.awaitPushes(ctx, campaigns)
}

// awaitPushes returns when every transaction has ended that has one of the campaigns.
// A job that is alone in a campaign begins when no other has it. Campaigns that were
// made since need no look: what is pushed there is judged by what is active now.
func (s *Store) awaitPushes(ctx context.Context, campaigns []saaf.CampaignID) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan saaf.CampaignID)
	var lanes sync.WaitGroup
	for range s.cfg.Writers {
		lanes.Go(func() {
			for id := range next {
				if err := s.write(ctx, alone(id), 0, func(*tx) error { return nil }); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, id := range campaigns {
		if ctx.Err() != nil {
			break
		}
		next <- id
	}
	close(next)
	lanes.Wait()
	return context.Cause(ctx)
}

// campaignsThere lists the campaigns that are not deleted.
func (s *Store) campaignsThere(ctx context.Context) (ids []saaf.CampaignID, err error) {
	const sqlCampaignsThere = `SELECT id FROM campaigns WHERE deleted_at IS NULL ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		ids = nil
		return conn.query(sqlCampaignsThere, func(r row) error {
			ids = append(ids, saaf.CampaignID(r.int64()))
			return nil
		})
	})
	return ids, err
}
