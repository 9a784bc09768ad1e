package store

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"saaf"
)

// RawLoop measures the limit that ingest is compared with: a bare loop of the
// prepared insert on the same schema in a new store in dir, one transaction for
// each batch that next returns, until it returns none. There are no requests, no
// queue, no checks and no answers in it. It returns how long the loop took.
func RawLoop(ctx context.Context, dir string, next func() []NewLead) (took time.Duration, err error) {
	s, err := Open(ctx, Config{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	conn := s.engine.(*embedded).conn
	at := time.Now().UnixMilli()
	campaign := saaf.CampaignID(s.ids.Next())
	start := time.Now()
	for batch := next(); len(batch) > 0 && ctx.Err() == nil; batch = next() {
		if _, err := conn.exec("BEGIN IMMEDIATE"); err != nil {
			return 0, err
		}
		stmt, err := conn.Prepare(sqlInsertLead)
		if err != nil {
			return 0, err
		}
		for i := range batch {
			batch[i].ID = saaf.LeadID(s.ids.Next())
			if _, err := conn.insertLead(stmt, at, campaign, &batch[i]); err != nil {
				return 0, err
			}
		}
		if _, err := conn.exec("COMMIT"); err != nil {
			return 0, err
		}
	}
	return time.Since(start), ctx.Err()
}

// RawUnnest is the limit for PostgreSQL: so many connections, each in a bare loop of
// the statement that inserts a batch as arrays, one transaction for each batch that
// next returns, until it returns none. The store in the database must be new; secrets
// is a directory for its keys. It returns how long the loops took.
func RawUnnest(ctx context.Context, url, secrets string, connections int, next func() []NewLead) (took time.Duration, err error) {
	s, err := Open(ctx, Config{Dir: secrets, URL: url, Writers: connections})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	campaign := saaf.CampaignID(s.ids.Next())
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			conn, err := s.engine.(*postgres).pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			l := &pgLink{ctx: ctx, conn: conn}
			t := &tx{now: time.Now()}
			for batch := next(); len(batch) > 0 && ctx.Err() == nil; batch = next() {
				rows := make([]*NewLead, len(batch))
				for i := range batch {
					rows[i] = &batch[i]
					rows[i].ID = saaf.LeadID(s.ids.Next())
				}
				if err := l.addLeads(t, campaign, rows); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return time.Since(start), err
}
