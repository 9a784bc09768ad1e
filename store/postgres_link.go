package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// transactionLimit is how long a transaction may take. One that does not come back is
// given up, so that a writer is never lost to a connection that has died silently.
const transactionLimit = time.Minute

// idleLimit is how long the server waits for a transaction to go on. Everybody who
// needs its campaign waits as long, and nothing is computed in one but milliseconds.
const idleLimit = 15 * time.Second

// signLimit is how long a job of [signs] waits for a lock. A few of them one behind the
// other are still shorter than the silence after which a server is taken for dead.
const signLimit = time.Second

// pgLink is the transaction of one writer. Its connection comes from the pool for
// each transaction, so that a broken one is replaced.
type pgLink struct {
	engine     *postgres
	ctx        context.Context
	cancel     context.CancelFunc
	conn       *pgxpool.Conn
	batch      *pgx.Batch // statements for the end
	committing bool
	sign       bool // of signs
}

func (l *pgLink) begin(ctx context.Context, of scope) (err error) {
	l.committing, l.sign, l.batch = false, of.sign, &pgx.Batch{}
	l.ctx, l.cancel = context.WithTimeout(ctx, transactionLimit)
	if err := l.engine.leased(); err != nil {
		l.release()
		return err
	}
	if l.conn, err = l.engine.pool.Acquire(l.ctx); err == nil {
		_, err = l.exec(beginning(l.engine.store.cfg.idleFor, of))
	}
	if err != nil {
		l.release()
	}
	return err
}

// beginning begins a transaction, in one round trip.
//
// Whatever the database is set to, what is read behind a lock must be as it is then. A
// transaction whose process does not go on is ended by the server: a process that was
// paused, or cut off, must not keep its locks, nor commit when it wakes up what others
// take to be over.
//
// The locks of rows are what keeps jobs apart, but they are not fair: a row that many
// have FOR SHARE, one behind the other, is never free for FOR UPDATE. So everybody
// first stands in line for the campaign.
func beginning(idle time.Duration, of scope) string {
	sql := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = %d", idle.Milliseconds())
	switch {
	case of.sign:
		return sql + fmt.Sprintf("; SET LOCAL lock_timeout = %d", signLimit.Milliseconds())
	case of.campaign == 0:
		return sql
	case of.shared:
		return sql + fmt.Sprintf("; SELECT pg_advisory_xact_lock_shared(%d)", int64(of.campaign))
	}
	return sql + fmt.Sprintf("; SELECT pg_advisory_xact_lock(%d)", int64(of.campaign))
}

// release gives the connection back. The pool drops one that is not as it was.
func (l *pgLink) release() {
	if l.conn != nil {
		l.conn.Release()
		l.conn = nil
	}
	l.cancel()
}

func (l *pgLink) session() pgSession { return pgSession{l.ctx, l.conn.Conn()} }

func (l *pgLink) query(sql string, scan func(row) error, args ...any) error {
	return l.session().query(sql, scan, args...)
}

func (l *pgLink) exec(sql string, args ...any) (int, error) { return l.session().exec(sql, args...) }

// later queues a statement: they travel together with the COMMIT, in one round trip.
func (l *pgLink) later(sql string, args ...any) error {
	l.batch.Queue(sql, values(args)...)
	return nil
}

func (l *pgLink) commit() error {
	l.committing = true
	l.batch.Queue("COMMIT")
	results := l.conn.SendBatch(l.ctx, l.batch)
	var tag pgconn.CommandTag
	var err error
	for range l.batch.Len() {
		if tag, err = results.Exec(); err != nil {
			break
		}
	}
	if err = errors.Join(err, results.Close()); err != nil {
		return pooled(err)
	}
	if tag.String() == "ROLLBACK" { // of a transaction that had failed before
		return errRolledBack
	}
	l.release()
	return nil
}

var errRolledBack = errors.New("the database rolled the transaction back")

// rollback never fails: what cannot be rolled back has lost its connection, and with
// it the transaction.
func (l *pgLink) rollback() error {
	if l.conn != nil {
		if !l.conn.Conn().IsClosed() {
			if _, err := l.exec("ROLLBACK"); err != nil {
				_ = l.conn.Conn().Close(l.ctx)
			}
		}
		l.release()
	}
	return nil
}

// failure tells what an error means by its SQLSTATE, or by what has become of the
// connection.
func (l *pgLink) failure(err error) failure {
	lost := undone
	if l.committing {
		lost = unsure
	}
	pg, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case !answered && (l.conn == nil || l.conn.Conn().IsClosed()):
		return lost
	case !answered:
		return failed
	case pg.Code == "55P03" && l.sign && !l.committing: // others wait behind it, and whoever asked asks again
		return busy
	case pg.Code == "40001", pg.Code == "40P01": // serialization failure, deadlock
		return undone
	case pg.Code == "25P03": // it did not go on for too long: no COMMIT was read
		return undone
	case strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "08"): // shutdown or crash, connection
		return lost
	case pg.Code == "25006", pg.Code == "53300", pg.Code == "55P03": // not the leader any more, no room for a connection, lock
		return undone
	case pg.Code == "53100": // disk full
		return full
	}
	return failed
}
