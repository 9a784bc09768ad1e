package store

import (
	"context"
	"time"

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
	t := &tx{conn: s.conn, ids: s.ids, now: time.Now()}
	campaign := saaf.CampaignID(s.ids.Next())
	start := time.Now()
	for batch := next(); len(batch) > 0 && ctx.Err() == nil; batch = next() {
		if _, err := exec(s.conn, "BEGIN IMMEDIATE"); err != nil {
			return 0, err
		}
		stmt, err := s.conn.Prepare(sqlInsertLead)
		if err != nil {
			return 0, err
		}
		for i := range batch {
			if _, err := insertLead(stmt, t, campaign, &batch[i]); err != nil {
				return 0, err
			}
		}
		if _, err := exec(s.conn, "COMMIT"); err != nil {
			return 0, err
		}
	}
	return time.Since(start), ctx.Err()
}
