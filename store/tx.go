package store

import (
	"fmt"
	"runtime/debug"
	"time"

	"saaf"
)

// tx is the open transaction of a writer.
type tx struct {
	conn  link
	w     *writer
	ids   *saaf.IDSource
	now   time.Time // of every row this transaction writes
	wrote bool      // set once the running job has changed something

	campaigns map[saaf.CampaignID]campaignState
	counts    map[saaf.CampaignID]*countDelta
	changes   map[saaf.CampaignID]*Changes

	shared     bool          // other writers have transactions beside this one
	server     saaf.ServerID // whose chain it is, where each writer has one
	slot       int64         // of the counts that this writer adds to
	deployment saaf.DeploymentID
	hasher     func(saaf.TenantID) *saaf.PhoneHasher
	snapshots  map[saaf.SnapshotID]*saaf.EntrySnapshot // as the ledger names them; shared with later transactions
	entries    []*openEntry                            // of the ledger, in the order of their ids
	fillable   map[entryKey]*openEntry                 // those that take decisions
	filling    *openEntry                              // the one that took the last
	chain      chain                                   // with the entries written so far
	entered    int64                                   // how many those are
	lastEntry  saaf.EntryID                            // highest id given to an entry; 0 until the chain is read

	state          deploymentState
	deploymentRead bool // state is what the running job would read

	index      *suppressionIndex // shared with later transactions
	indexed    bool              // it is up to date for the running job
	indexMoved bool              // it holds what this transaction may still take back
}

func (w *writer) begin() *tx {
	s := w.store
	return &tx{
		conn: w.link, w: w, ids: s.ids, now: s.cfg.now().UTC().Truncate(time.Millisecond),
		deployment: s.secrets.deployment, hasher: s.Hasher, snapshots: w.named, index: &w.index, chain: w.chain,
		shared: s.engine.shared(), server: s.server, slot: w.slot,
	}
}

// forget drops from memory what a transaction that was not committed has left.
func (w *writer) forget(t *tx) {
	if t.indexMoved {
		w.index = suppressionIndex{}
	}
	clear(w.named)
}

// committed keeps in memory what a transaction has left.
func (w *writer) committed(t *tx) {
	w.chain = t.chain
	w.store.commits.Add(1)
	w.store.entered.Add(t.entered)
}

// flush writes what a transaction has collected.
func (t *tx) flush() error {
	if err := t.flushCounts(); err != nil {
		return err
	}
	if err := t.flushChanges(); err != nil {
		return err
	}
	if err := t.flushLedger(); err != nil {
		return err
	}
	return t.conn.flush()
}

// runAll runs the jobs of a group and notes each one's error. It returns the
// first that makes the transaction useless: of a job that has changed something,
// or that failed for a reason of ours.
func (t *tx) runAll(group []*job, errs []error) error {
	if t.shared {
		if err := t.lock(group[0].of); err != nil {
			return err
		}
	}
	for i := 0; i < len(group); {
		n := 1
		t.wrote = false
		t.nextJob()
		if group[i].adds != nil {
			for i+n < len(group) && group[i+n].adds != nil && group[i+n].of == group[i].of {
				n++
			}
			if err := t.addAll(group[i:i+n], errs[i:i+n]); err != nil {
				return err
			}
		} else if errs[i] = group[i].ctx.Err(); errs[i] == nil {
			errs[i] = guarded(func() error { return group[i].run(t) })
			if err := errs[i]; err != nil && (t.wrote || saaf.ErrorCode(err) == saaf.Internal) {
				return err
			}
		}
		i += n
	}
	return nil
}

// guarded runs what a job brings. That is code of its caller: a panic there is an
// error of that job, as it would be of one request, and not the end of the writer.
func guarded(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", p, debug.Stack())
		}
	}()
	return run()
}

// exec runs a statement that changes rows.
func (t *tx) exec(sql string, args ...any) (int, error) {
	n, err := t.conn.exec(sql, args...)
	t.wrote = t.wrote || n > 0 || err != nil
	return n, err
}

// deploymentState is what every write depends on.
type deploymentState struct {
	active         saaf.SnapshotID // the active snapshot, 0 for none
	activation     int64
	suppressionSeq int64 // grows with every change of the opt-out lists
}

// readDeployment reads the state of the deployment, behind the locks of the job.
func (t *tx) readDeployment() (deploymentState, error) {
	if t.deploymentRead {
		return t.state, nil
	}
	const sqlDeploymentState = `SELECT active_snapshot_id, activation, suppression_seq FROM deployment`
	err := t.conn.query(sqlDeploymentState, func(r row) error {
		t.state = deploymentState{saaf.SnapshotID(r.int64()), r.int64(), r.int64()}
		return nil
	})
	t.deploymentRead = err == nil
	return t.state, err
}
