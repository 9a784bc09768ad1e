package store

import (
	"context"
	"time"

	"saaf"
)

// Gauges are counts over the whole deployment, for whoever watches it.
type Gauges struct {
	Registry     saaf.RegistryState
	Unchecked    int64     // unfinished leads that no registry has answered for
	Suppressions int64     // opt-outs that block, all tenants together
	Entries      int64     // of the ledger: the number of its last one
	CheckpointAt time.Time // of the last one; zero before the first, and when it was tampered with
	Imports      int64     // imports over the API that are queued or run

	suppressionSeq int64 // of the change of the lists up to which Suppressions counts
}

// Gauges counts. last is what was counted before, zero at first: what cannot have
// changed since is taken from it.
func (s *Store) Gauges(ctx context.Context, last Gauges) (g Gauges, err error) {
	const (
		sqlGauges = `
			SELECT (SELECT CAST(coalesce(sum(unchecked), 0) AS BIGINT) FROM campaign_counts),
			       (SELECT count(*) FROM registry_imports WHERE state IN ($1, $2)),
			       (SELECT suppression_seq FROM deployment)`
		sqlCountOptOuts = `SELECT count(*) FROM suppressions WHERE ended_at IS NULL`
	)
	err = s.read(ctx, func(conn session) error {
		g = Gauges{}
		err := conn.query(sqlGauges, func(r row) error {
			g.Unchecked, g.Imports, g.suppressionSeq = r.int64(), r.int64(), r.int64()
			return nil
		}, string(ImportQueued), string(ImportRunning))
		if err != nil {
			return err
		}
		if g.Suppressions = last.Suppressions; g.suppressionSeq != last.suppressionSeq {
			err := conn.query(sqlCountOptOuts, func(r row) error { g.Suppressions = r.int64(); return nil })
			if err != nil {
				return err
			}
		}
		if g.Entries, err = countEntries(conn); err != nil {
			return err
		}
		last, seq, err := lastCheckpoint(conn)
		if err != nil {
			return err
		}
		if c, err := last.Open(s.PublicKey()); seq > 0 && err == nil {
			g.CheckpointAt = c.At
		}
		g.Registry, err = readRegistry(conn)
		return err
	})
	return g, wrap("count", err)
}

// Queue is what waits for the writer at this moment: jobs of up to 8 leads, larger
// ones, and the leads in the latter.
func (s *Store) Queue() (small, bulk, bulkLeads int64) {
	return s.queue.waiting()
}
