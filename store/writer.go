package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// maxGroupRows is from how many leads on a transaction takes no more jobs. Larger
// ones would make single pushes wait longer without making bulk any faster.
const maxGroupRows = 4000

// job is one write that waits for the writer. run decides and writes; it may run
// twice, when the group it was in had to be taken apart, and must then do the
// same again.
type job struct {
	ctx  context.Context
	rows int
	run  func(*tx) error
	done chan error // receives once, after COMMIT or instead of it; not at all when Run ends before
}

// queue is what waits for the writer. Small jobs go first, so that one lead is
// never held behind a queue of bulk requests.
type queue struct {
	small    chan *job
	bulk     chan *job
	bulkRows atomic.Int64
	maxRows  int64
	stopped  chan struct{} // closed when Run has answered its last job
}

func newQueue(c Config) *queue {
	return &queue{
		small:   make(chan *job, c.QueueSingles),
		bulk:    make(chan *job, c.QueueLeads), // bounded by rows, see push
		maxRows: int64(c.QueueLeads),
		stopped: make(chan struct{}),
	}
}

// smallRows is up to how many rows a job counts as small.
const smallRows = 8

var (
	errBusy = &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", RetryAfter: time.Second,
		Message: "Too many writes are waiting; try again shortly"}
	errStopped = &saaf.Error{Code: saaf.Unavailable, Word: "stopping", RetryAfter: time.Second,
		Message: "The server is stopping; try again shortly"}
	errDisk = &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
		Message: "The store cannot write at the moment; nothing of this request was stored"}
	// errUnknown is the one failure after which a job may be on the disk.
	errUnknown = &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
		Message: "The store failed while it was writing, and whether this request was stored is not known; look, or send it again"}
)

// push queues j without waiting. A full queue is Unavailable.
func (q *queue) push(j *job) error {
	ch := q.small
	if j.rows > smallRows {
		// A request larger than the whole queue still gets in when it is alone.
		if n := q.bulkRows.Add(int64(j.rows)); n > q.maxRows && n > int64(j.rows) {
			q.bulkRows.Add(-int64(j.rows))
			return errBusy
		}
		ch = q.bulk
	}
	select {
	case ch <- j:
		return nil
	default:
		if j.rows > smallRows {
			q.bulkRows.Add(-int64(j.rows))
		}
		return errBusy
	}
}

// wait returns the answer to a job that was pushed.
func (q *queue) wait(j *job) error {
	select {
	case err := <-j.done:
		return err
	case <-q.stopped:
	}
	select {
	case err := <-j.done: // one of the last that were done
		return err
	default:
		return errStopped
	}
}

// next waits for work and returns a group for one transaction, nil when ctx has
// ended and nothing is left.
func (q *queue) next(ctx context.Context) []*job {
	var group []*job
	rows := 0
	take := func(j *job) {
		if j.rows > smallRows {
			q.bulkRows.Add(-int64(j.rows))
		}
		group = append(group, j)
		rows += max(1, j.rows)
	}
	j := q.first(ctx)
	if j == nil {
		return nil
	}
	take(j)
	for rows < maxGroupRows {
		select {
		case j := <-q.small:
			take(j)
			continue
		default:
		}
		select {
		case j := <-q.bulk:
			take(j)
			continue
		default:
		}
		break
	}
	return group
}

// first waits for a job, until ctx has ended and none is left: nil.
func (q *queue) first(ctx context.Context) *job {
	select {
	case j := <-q.small:
		return j
	case j := <-q.bulk:
		return j
	case <-ctx.Done():
	}
	select {
	case j := <-q.small:
		return j
	case j := <-q.bulk:
		return j
	default:
		return nil
	}
}

// write runs fn in a transaction of the writer and returns when it is committed,
// or not. rows is how many leads it brings. The answer is final: a caller that
// went away while its job waited is skipped, one whose job runs gets it done. An
// error means that nothing of the job was stored, with one exception: errUnknown.
func (s *Store) write(ctx context.Context, rows int, fn func(*tx) error) error {
	j := &job{ctx: ctx, rows: rows, run: fn, done: make(chan error, 1)}
	if err := s.queue.push(j); err != nil {
		return err
	}
	return s.queue.wait(j)
}

// Run is the writer. It commits what waits until ctx ends and the queue is
// empty. An error means that the disk can no longer be trusted: the process must
// end and open the store anew.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.queue.stopped)
	for {
		group := s.queue.next(ctx)
		if group == nil {
			return nil
		}
		if err := s.commit(group); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		s.commits.Add(1)
		if s.finishLog.Swap(false) {
			if _, _, err := writeBack(s.conn); err != nil {
				return fmt.Errorf("store: write the log back: %w", err)
			}
		}
	}
}

// commit puts a group in one transaction. When one job of it fails after it has
// written, all are undone and each is tried alone, so that nobody pays for
// another's failure.
func (s *Store) commit(group []*job) error {
	errs, spoiled, fatal := s.attempt(group)
	if spoiled && len(group) > 1 {
		for i := range group {
			if err := s.commit(group[i : i+1]); err != nil {
				return err // the others are told when Run ends
			}
		}
		return nil
	}
	for i, j := range group {
		j.done <- errs[i]
	}
	return fatal
}

// attempt runs a group in one transaction and returns each job's error. spoiled
// means that everything was rolled back because a job failed half-way. After a
// fatal error the disk can no longer be trusted.
func (s *Store) attempt(group []*job) (errs []error, spoiled bool, fatal error) {
	errs = make([]error, len(group))
	all := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if _, err := exec(s.conn, "BEGIN IMMEDIATE"); err != nil {
		if unreliable(err) {
			return all(errDisk), false, err
		}
		return all(busyOr(err)), false, nil
	}
	t := s.begin()
	err := t.runAll(group, errs)
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		s.forget(t)
		if rerr := s.rollback(); rerr != nil || unreliable(err) {
			return all(errDisk), false, errors.Join(err, rerr)
		}
		return all(diskOr(err)), true, nil
	}
	if _, err = exec(s.conn, "COMMIT"); err == nil {
		return errs, false, nil
	}
	s.forget(t)
	rerr := s.rollback()
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull && rerr == nil {
		return all(errDisk), false, nil
	}
	return all(errUnknown), false, errors.Join(err, rerr)
}

// rollback undoes the open transaction, if SQLite has not done so by itself.
func (s *Store) rollback() error {
	if s.conn.AutocommitEnabled() {
		return nil
	}
	_, err := exec(s.conn, "ROLLBACK")
	return err
}

// unreliable reports an error after which what is on the disk is not known.
func unreliable(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultCantOpen:
		return true
	}
	return false
}

func diskOr(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull {
		return errDisk
	}
	return err
}

func busyOr(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return errBusy
	}
	return diskOr(err)
}

// tx is the open transaction of the writer.
type tx struct {
	conn  *sqlite.Conn
	ids   *saaf.IDSource
	now   time.Time // of every row this transaction writes
	wrote bool      // set once the running job has changed something

	campaigns map[saaf.CampaignID]campaignState
	counts    map[saaf.CampaignID]*countDelta
	changes   map[saaf.CampaignID]*Changes

	deployment saaf.DeploymentID
	hasher     func(saaf.TenantID) *saaf.PhoneHasher
	snapshots  map[saaf.SnapshotID]*saaf.EntrySnapshot // as the ledger names them; shared with later transactions
	entries    []*openEntry                            // of the ledger, in the order of their ids
	fillable   map[entryKey]*openEntry                 // those that take decisions
	filling    *openEntry                              // the one that took the last
	lastEntry  saaf.EntryID                            // highest id in the chain; 0 until it is read
	head       saaf.CheckpointHead                     // of the chain, once lastEntry is set

	index      *suppressionIndex // shared with later transactions
	indexed    bool              // it is up to date for the running job
	indexMoved bool              // it holds what this transaction may still take back
}

func (s *Store) begin() *tx {
	return &tx{
		conn: s.conn, ids: s.ids, now: time.Now().UTC().Truncate(time.Millisecond),
		deployment: s.secrets.deployment, hasher: s.Hasher, snapshots: s.named, index: &s.index,
	}
}

// forget drops from memory what a transaction that was not committed has left.
func (s *Store) forget(t *tx) {
	if t.indexMoved {
		s.index = suppressionIndex{}
	}
	clear(s.named)
}

// flush writes what a transaction has collected.
func (t *tx) flush() error {
	if err := t.flushCounts(); err != nil {
		return err
	}
	if err := t.flushChanges(); err != nil {
		return err
	}
	return t.flushLedger()
}

// runAll runs the jobs of a group and notes each one's error. It returns the
// first that makes the transaction useless: of a job that has changed something,
// or that failed for a reason of ours.
func (t *tx) runAll(group []*job, errs []error) error {
	for i, j := range group {
		if errs[i] = j.ctx.Err(); errs[i] != nil {
			continue
		}
		t.wrote = false
		errs[i] = t.run(j)
		if errs[i] != nil && (t.wrote || saaf.ErrorCode(errs[i]) == saaf.Internal) {
			return errs[i]
		}
	}
	return nil
}

// run runs a job. Jobs run code of their callers: a panic there is an error of
// that job, as it would be of one request, and not the end of the writer.
func (t *tx) run(j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", p, debug.Stack())
		}
	}()
	return j.run(t)
}

// exec runs a statement that changes rows.
func (t *tx) exec(sql string, args ...any) (int, error) {
	n, err := exec(t.conn, sql, args...)
	t.wrote = t.wrote || n > 0 || err != nil
	return n, err
}
