package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"saaf"
)

// MovedError is returned by [Open], and by writes, where an embedded store was moved
// into a database: what came in here would be missing there.
type MovedError struct {
	Dir string
	To  string // name and host of the database, without user and password
	At  time.Time
}

// Error says how to go on there, and how to go back.
func (e *MovedError) Error() string {
	return fmt.Sprintf("the store in %s was moved into %s on %s and is not used any more: name that database with --database-url or --database-url-file. "+
		"To go back to the directory on purpose: saaf migrate --from %s --reopen", e.Dir, e.To, e.At.Format(time.DateTime), e.Dir)
}

// errMovedMeanwhile is for whoever had the store open before it was moved.
var errMovedMeanwhile = &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
	Message: "The store was moved into a PostgreSQL database meanwhile, and nothing was stored: name that with --database-url"}

// readMoved is where the store of a data directory has gone, nil when it is here.
func readMoved(conn session, dir string) (moved *MovedError, err error) {
	const sqlMoved = `SELECT moved_to, moved_at FROM deployment WHERE moved_to IS NOT NULL`
	err = conn.query(sqlMoved, func(r row) error {
		moved = &MovedError{Dir: dir, To: r.text(), At: r.time()}
		return nil
	})
	return moved, err
}

// leave marks the source as one that is not used any more. It is committed before the
// database is opened to others, so that no crash leaves two stores in use; what was
// cut short in between goes on when the move is run again.
func (m *mover) leave() error {
	const sqlLeave = `UPDATE deployment SET moved_to = $1, moved_at = $2`
	to := m.to.pool.Config().ConnConfig
	if _, err := m.from.exec(sqlLeave, fmt.Sprintf("the database %s on %s", to.Database, to.Host), time.Now()); err != nil {
		return err
	}
	_, err := m.from.exec(`COMMIT`)
	return err
}

// ErrNotMoved is returned by [Reopen] for a store that was not moved.
var ErrNotMoved = errors.New("the store was not moved")

// Reopen has an embedded store be used again that was moved. Whoever calls it sees to
// it that the one in the database is not.
func Reopen(ctx context.Context, cfg Config) (err error) {
	const sqlReopen = `UPDATE deployment SET moved_to = NULL, moved_at = NULL WHERE moved_to IS NOT NULL`
	source, err := openSource(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	return wrap("reopen", source.engine.setUp(ctx, func(conn session) error {
		n, err := conn.exec(sqlReopen)
		if err == nil && n == 0 {
			err = ErrNotMoved
		}
		return err
	}))
}

// source is an embedded store that no server runs on meanwhile.
type source struct {
	*Store
	lock *ServeLock
}

// openSource opens an embedded store that is there, whether it was moved or not.
func openSource(ctx context.Context, cfg Config) (s source, err error) {
	cfg.MustExist, cfg.URL, cfg.Moved = true, "", true
	cfg.setDefaults()
	there, err := Exists(ctx, cfg)
	if err == nil && !there { // and no directory is made for a lock
		err = fmt.Errorf("%w: %s", ErrNoStore, cfg.Dir)
	}
	if err != nil {
		return s, err
	}
	if s.lock, err = LockServe(cfg.Dir); err != nil {
		return s, err
	}
	if s.Store, err = Open(ctx, cfg); err != nil {
		return s, errors.Join(err, s.lock.Release())
	}
	return s, nil
}

func (s source) close() error { return errors.Join(s.Store.Close(), s.lock.Release()) }
