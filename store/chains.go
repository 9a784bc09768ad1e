package store

import (
	"time"

	"saaf"
)

// openChain is a chain of the ledger that is not sealed.
type openChain struct {
	head   saaf.CheckpointHead // its last entry, 0 for none yet
	server saaf.ServerID       // that adds to it, 0: none any more
	gone   time.Time           // since when that one is seen to be gone; zero: it was there
}

// openChains lists the chains that are not sealed, by their writers. Each is read in a
// statement of its own, which is enough: what is seen of a chain has nothing missing.
func openChains(conn session) (list []openChain, err error) {
	const sqlOpenChains = `SELECT writer_id, server_id, gone_at FROM chains WHERE sealed = 0 ORDER BY writer_id`
	err = conn.query(sqlOpenChains, func(r row) error {
		list = append(list, openChain{head: saaf.CheckpointHead{Writer: r.int64()}, server: saaf.ServerID(r.int64()), gone: r.time()})
		return nil
	})
	for i := range list {
		if err == nil {
			list[i].head, err = readChainHead(conn, list[i].head.Writer)
		}
	}
	return list, err
}

// readChainHead is the last entry of a chain, zero before the first.
func readChainHead(conn session, writer int64) (head saaf.CheckpointHead, err error) {
	head.Writer = writer
	const sqlChainHead = `SELECT id, seq, hash FROM ledger WHERE writer_id = $1 ORDER BY seq DESC LIMIT 1`
	err = conn.query(sqlChainHead, func(r row) error {
		head.Entry, head.Seq = saaf.EntryID(r.int64()), r.int64()
		copy(head.Hash[:], r.bytes())
		return nil
	}, writer)
	return head, err
}

// countEntries is how many entries all chains have together.
func countEntries(conn session) (n int64, err error) {
	const sqlSealedEntries = `SELECT CAST(coalesce(sum(entries), 0) AS BIGINT) FROM chains WHERE sealed <> 0`
	if err := conn.query(sqlSealedEntries, func(r row) error { n = r.int64(); return nil }); err != nil {
		return 0, err
	}
	open, err := openChains(conn)
	for i := range open {
		n += open[i].head.Seq
	}
	return n, err
}

// chainRest is how long a chain rests between the moment when its process is first seen
// to be gone and the checkpoint that seals it. A process begins no transaction when its
// lease of a node number is over, and ends one within [transactionLimit].
const chainRest = 5 * time.Minute

// sealResting seals those of the chains that nobody can add to any more, behind the
// checkpoint that names their last entries, and notes since when the processes of others
// are gone.
func (t *tx) sealResting(chains []openChain, checkpoint int64) error {
	if !t.shared { // the one chain goes on for ever
		return nil
	}
	now, err := t.w.store.engine.clock(t.conn)
	if err != nil {
		return err
	}
	there, err := t.processes(now)
	if err != nil {
		return err
	}
	const (
		sqlChainGone = `UPDATE chains SET gone_at = $1 WHERE writer_id = $2`
		sqlSealChain = `UPDATE chains SET sealed = $1, entries = $2 WHERE writer_id = $3`
	)
	for _, c := range chains {
		gone := c.gone
		switch {
		case there[c.server]:
			gone = time.Time{}
		case gone.IsZero():
			gone = now
		case now.Sub(gone) >= chainRest:
			if ended, err := t.endProcess(c.server, now); err != nil {
				return err
			} else if ended {
				if _, err := t.exec(sqlSealChain, checkpoint, c.head.Seq, c.head.Writer); err != nil {
					return err
				}
			}
		}
		if gone != c.gone {
			if _, err := t.exec(sqlChainGone, gone, c.head.Writer); err != nil {
				return err
			}
		}
	}
	return nil
}

// processes are those that have leased a node number, by the clock of the database.
func (t *tx) processes(now time.Time) (there map[saaf.ServerID]bool, err error) {
	const sqlHolders = `SELECT holder FROM nodes WHERE until >= $1 AND holder <> 0`
	there = make(map[saaf.ServerID]bool)
	err = t.conn.query(sqlHolders, func(r row) error {
		there[saaf.ServerID(r.int64())] = true
		return nil
	}, now)
	return there, err
}

// endProcess sees to it that a process whose lease of a node number is over cannot renew
// it. It is false when it has done so meanwhile.
func (t *tx) endProcess(id saaf.ServerID, now time.Time) (ended bool, err error) {
	if id == 0 {
		return true, nil
	}
	const (
		sqlEndProcess = `UPDATE nodes SET holder = 0, fence = fence + 1 WHERE holder = $1 AND until < $2`
		sqlStillThere = `SELECT count(*) FROM nodes WHERE holder = $1`
	)
	if _, err := t.exec(sqlEndProcess, id, now); err != nil {
		return false, err
	}
	err = t.conn.query(sqlStillThere, func(r row) error { ended = r.int64() == 0; return nil }, id)
	return ended, err
}
