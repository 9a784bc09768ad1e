package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"saaf"
)

// postgres is the engine that several processes share: PostgreSQL, and what is built
// from it.
type postgres struct {
	store  *Store
	pool   *pgxpool.Pool // of the writers and of the keeper of the node number
	reads  *pgxpool.Pool // of everybody else: whatever they read, and for how long, no write waits for a connection
	node   nodeLease
	opened context.Context // that of Open without its end, for what is done at the close
}

// ownLanes is how many lanes have one writer each, beside those of the campaigns.
const ownLanes = int(lanes) - 1

// countSlots is over how many rows the counts of a campaign are spread. Two writers
// with the same one wait for each other, and nothing worse.
const countSlots = 64

func openPostgres(ctx context.Context, s *Store) error {
	e, err := connectPostgres(ctx, s)
	if err != nil {
		return err
	}
	s.engine = e
	if err := e.prepare(ctx); err != nil {
		return fmt.Errorf("open the database %s: %w", e.pool.Config().ConnConfig.Database, explained(interrupted(ctx, err)))
	}
	return nil
}

// connectPostgres makes the engine, and no connection yet.
func connectPostgres(ctx context.Context, s *Store) (*postgres, error) {
	cfg, err := pgxpool.ParseConfig(s.cfg.URL)
	if err != nil {
		return nil, unreadable(err)
	}
	cfg.MaxConns = int32(s.cfg.Writers + ownLanes + 1)
	cfg.ConnConfig.RuntimeParams["application_name"] = "saaf"
	cfg.ConnConfig.Tracer = s.cfg.tracer
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	reads := cfg.Copy()
	reads.MaxConns = int32(s.cfg.Readers)
	e := &postgres{store: s, opened: context.WithoutCancel(ctx)}
	if e.pool, err = pgxpool.NewWithConfig(ctx, cfg); err == nil {
		e.reads, err = pgxpool.NewWithConfig(ctx, reads)
	}
	if err != nil {
		e.disconnect()
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return e, nil
}

// disconnect closes the connections.
func (e *postgres) disconnect() {
	for _, pool := range []*pgxpool.Pool{e.pool, e.reads} {
		if pool != nil {
			pool.Close()
		}
	}
}

// withoutURL is why a URL cannot be read, without a word of it: where it cannot be
// read, nobody knows which part is the password, and what the driver masks is a guess.
func withoutURL(err error) string {
	text := err.Error()
	if _, wrong := errors.AsType[*pgconn.ParseConfigError](err); wrong {
		return strings.TrimPrefix(text[strings.LastIndex(text, "`")+1:], ": ")
	}
	return text
}

func (e *postgres) prepare(ctx context.Context) error {
	err := e.setUp(ctx, func(conn session) error {
		there, err := migrated(conn)
		if err == nil && !there && e.store.cfg.MustExist {
			err = ErrNoStore
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := e.setUp(ctx, durable); err != nil {
		return err
	}
	if err := e.migrate(ctx); err != nil {
		return err
	}
	return e.lease(ctx)
}

// durable refuses a database that answers a COMMIT before it is on the disk: what saaf
// has answered would be lost with its power.
func durable(conn session) error {
	const sqlSynchronousCommit = `SELECT setting FROM pg_catalog.pg_settings WHERE name = $1`
	setting := ""
	err := conn.query(sqlSynchronousCommit, func(r row) error { setting = r.text(); return nil }, "synchronous_commit")
	if err == nil && setting == "off" {
		err = errors.New("synchronous_commit is off in it: leads that were answered would be lost in a crash. Set it to on, for instance with ALTER DATABASE ... SET synchronous_commit = on")
	}
	return err
}

func (e *postgres) shared() bool { return true }

// clock is that of the database.
func (e *postgres) clock(conn session) (time.Time, error) {
	now, err := databaseClock(conn)
	return time.UnixMilli(now).UTC(), err
}

func (e *postgres) read(ctx context.Context, fn func(session) error) error {
	return withConn(ctx, e.reads, fn)
}

func (e *postgres) setUp(ctx context.Context, fn func(session) error) error {
	return withConn(ctx, e.pool, fn)
}

// withConn runs fn with a connection of a pool.
func withConn(ctx context.Context, pool *pgxpool.Pool, fn func(session) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return unreachable(err)
	}
	defer conn.Release()
	err = fn(pgSession{ctx, conn.Conn()})
	if err != nil && conn.Conn().IsClosed() {
		return unreachable(err)
	}
	return err
}

// unreachable is what callers are told of a database that does not answer.
func unreachable(err error) error {
	return &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
		Message: "The database cannot be reached at the moment; try again shortly", Err: err}
}

func (e *postgres) close() error {
	if e.store.ids != nil {
		e.giveBack()
	}
	e.disconnect()
	return nil
}

// run runs the writers beside each other, and keeps the node number.
func (e *postgres) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var writers, keeper sync.WaitGroup
	keeper.Go(func() {
		if err := e.keepLease(ctx); err != nil {
			cancel(err)
			e.store.queue.end()
		}
	})
	for i := range e.store.cfg.Writers + ownLanes {
		of := max(0, lane(i-e.store.cfg.Writers+1))
		w := &writer{
			store: e.store, link: &pgLink{engine: e}, named: make(map[saaf.SnapshotID]*saaf.EntrySnapshot),
			slot: (e.node.number*int64(e.store.cfg.Writers) + int64(i)) % countSlots,
		}
		writers.Go(func() {
			for {
				group := e.store.queue.next(of)
				if group == nil {
					return
				}
				if err := w.commit(ctx, group); err != nil {
					cancel(err)
					e.store.queue.end()
					return
				}
			}
		})
	}
	writers.Wait()
	err := context.Cause(ctx)
	cancel(nil)
	keeper.Wait()
	return err
}

// forgetErased has the database take back the space of deleted rows. What its own
// files and backups keep beyond that is up to whoever runs it.
func (e *postgres) forgetErased(ctx context.Context) (left bool, err error) {
	err = e.read(ctx, func(conn session) error { // it takes long
		for _, sql := range []string{`VACUUM leads`, `VACUUM suppressions`} {
			if _, err := conn.exec(sql); err != nil {
				return err
			}
		}
		return nil
	})
	return false, err
}

// pgSession is a connection to PostgreSQL, used until ctx ends.
type pgSession struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (s pgSession) query(sql string, scan func(row) error, args ...any) error {
	rows, err := s.conn.Query(s.ctx, sql, values(args)...)
	if err != nil {
		return refused(err)
	}
	defer rows.Close()
	next := 0
	for rows.Next() {
		if scan == nil {
			continue
		}
		cells, err := rows.Values()
		if err != nil {
			return err
		}
		next = 0
		if err := scan(row{cells: pgRow(cells), next: &next}); err != nil {
			return err
		}
	}
	return refused(rows.Err())
}

func (s pgSession) exec(sql string, args ...any) (int, error) {
	tag, err := s.conn.Exec(s.ctx, sql, values(args)...)
	return int(tag.RowsAffected()), refused(err)
}

// refused tells callers of a text that PostgreSQL cannot hold: SQLite can.
func refused(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "22021" || pg.Code == "22P05") {
		return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Err: err,
			Message: "A text holds a character that cannot be stored: NUL, or bytes that are not UTF-8"}
	}
	return pooled(err)
}

func values(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = value(a)
	}
	return out
}

// pgRow is one row as the driver has decoded it.
type pgRow []any

func (r pgRow) isNull(i int) bool    { return r[i] == nil }
func (r pgRow) isInteger(i int) bool { _, ok := r[i].(int64); return ok }

func (r pgRow) int64(i int) int64 {
	switch v := r[i].(type) {
	case int64:
		return v
	case int32:
		return int64(v)
	case bool:
		if v {
			return 1
		}
	case nil:
	default:
		panic(fmt.Sprintf("store: column %d is a %T, not an integer", i, v))
	}
	return 0
}

func (r pgRow) float(i int) float64 {
	v, _ := r[i].(float64)
	return v
}

func (r pgRow) text(i int) string {
	v, _ := r[i].(string)
	return v
}

func (r pgRow) bytes(i int) []byte {
	v, _ := r[i].([]byte)
	return v
}
