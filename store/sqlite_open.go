package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/fileowner"
)

// fileName is the embedded database inside the data directory.
const fileName = "saaf.db"

// embedded is the engine that keeps everything in one file: SQLite.
type embedded struct {
	store   *Store
	path    string
	readers *sqlitex.Pool
	conn    sqliteConn // the writer's; only run uses it after Open
	rosters *rosters

	finishLog atomic.Bool // set by RunWriteBack: the writer has the rest of the log written back
}

func openSQLite(ctx context.Context, s *Store) error {
	path := filepath.Join(s.cfg.Dir, fileName)
	if s.cfg.MustExist {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNoStore, s.cfg.Dir)
		} else if err != nil {
			return fmt.Errorf("open store: %w", explainedDisk(s.cfg.Dir, err))
		}
	}
	if err := makePrivate(s.cfg.Dir, path); err != nil {
		return fmt.Errorf("open store: %w", explainedDisk(s.cfg.Dir, err))
	}
	conn, err := openConn(ctx, path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return fmt.Errorf("open store %s: %w", path, explainedDisk(s.cfg.Dir, err))
	}
	e := &embedded{store: s, path: path, conn: conn}
	e.rosters = &rosters{
		limit: s.cfg.PhoneMemory, maxWaiting: s.cfg.QueueLeads, load: e.loadRoster,
		of: make(map[saaf.CampaignID]*roster),
	}
	e.conn.rosters = e.rosters
	s.engine = e
	if err := e.prepare(ctx); err != nil {
		return fmt.Errorf("open store %s: %w", path, explainedDisk(s.cfg.Dir, interrupted(ctx, err)))
	}
	return nil
}

func (e *embedded) prepare(ctx context.Context) error {
	s := e.store
	e.conn.SetInterrupt(ctx.Done())
	defer e.conn.SetInterrupt(nil)
	if err := migrate(e.conn); err != nil {
		return err
	}
	if err := e.settle(e.conn, s.cfg.Uniqueness); err != nil {
		return err
	}
	floor, err := highestID(e.conn)
	if err != nil {
		return err
	}
	if s.ids, err = saaf.NewIDSource(s.cfg.Node, floor); err != nil {
		return err
	}
	if s.cfg.WriteBack {
		if err := sqlitex.ExecuteTransient(e.conn.Conn, "PRAGMA wal_autocheckpoint = 0", nil); err != nil {
			return err
		}
	}
	if err := keepMemory(e.conn); err != nil {
		return err
	}
	e.readers, err = sqlitex.NewPool(e.path, sqlitex.PoolOptions{
		Flags:       sqlite.OpenReadOnly | sqlite.OpenWAL,
		PoolSize:    s.cfg.Readers,
		PrepareConn: tune,
	})
	return err
}

func (e *embedded) shared() bool { return false }

// clock is that of this machine, on which all processes are.
func (e *embedded) clock(session) (time.Time, error) {
	return time.Now().UTC().Truncate(time.Millisecond), nil
}

func (e *embedded) read(ctx context.Context, fn func(session) error) error {
	conn, err := e.readers.Take(ctx)
	if err != nil {
		return err
	}
	defer e.readers.Put(conn)
	return fn(sqliteConn{conn, e.rosters})
}

func (e *embedded) glance(ctx context.Context, fn func(session) error) error { return e.read(ctx, fn) }

func (e *embedded) setUp(_ context.Context, fn func(session) error) error { return fn(e.conn) }

func (e *embedded) close() error {
	var err error
	if e.readers != nil {
		err = e.readers.Close()
	}
	return errors.Join(err, e.conn.Close())
}

// run is the one writer.
func (e *embedded) run(ctx context.Context) error {
	link := &sqliteLink{sqliteConn: e.conn, exclusive: holdsServeLock(e.store.cfg.Dir)}
	w := &writer{store: e.store, link: slowed(link, e.store.cfg.commitDelay), named: make(map[saaf.SnapshotID]*saaf.EntrySnapshot)}
	for {
		group := e.store.queue.next(ofCampaigns)
		if group == nil {
			return nil
		}
		if err := w.commit(ctx, group); err != nil {
			return err
		}
		if e.finishLog.Swap(false) {
			if _, _, err := writeBack(e.conn); err != nil && !isFull(err) {
				return fmt.Errorf("write the log back: %w", err)
			}
		}
	}
}

// creating keeps two Opens of this process from making a file at once, see
// makePrivate.
var creating sync.Mutex

// makePrivate creates the directory and the database file readable by their
// owner alone; SQLite gives its WAL the mode of the database.
func makePrivate(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Only a file that is not there yet may be opened and closed here: closing a
	// descriptor of a database in use would drop this process's locks on it.
	creating.Lock()
	defer creating.Unlock()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(fileowner.Settle(f, dir), f.Close()) // SQLite gives the log the same owner
}

func openConn(ctx context.Context, path string, flags sqlite.OpenFlags) (sqliteConn, error) {
	conn, err := sqlite.OpenConn(path, flags)
	// A new file gets its log before a time to wait can be set, and another process that
	// makes it at the same moment holds it.
	for until := time.Now().Add(10 * time.Second); sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy && ctx.Err() == nil && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
		conn, err = sqlite.OpenConn(path, flags)
	}
	if err != nil {
		return sqliteConn{}, err
	}
	conn.SetInterrupt(ctx.Done())
	err = tune(conn)
	conn.SetInterrupt(nil)
	if err != nil {
		return sqliteConn{}, errors.Join(err, conn.Close())
	}
	return sqliteConn{Conn: conn}, nil
}

// tune sets what every connection needs. An administrative process with
// SQLite's own default would otherwise run a checkpoint inside its commit.
func tune(conn *sqlite.Conn) error {
	conn.SetBusyTimeout(10 * time.Second)
	for _, pragma := range []string{
		"PRAGMA synchronous = FULL",
		"PRAGMA secure_delete = ON", // an erased phone must not stay where it stood
		"PRAGMA temp_store = MEMORY",
		"PRAGMA cache_size = -65536",
		"PRAGMA wal_autocheckpoint = 16000",
		"PRAGMA journal_size_limit = 268435456",
	} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return nil
}

// keepMemory binds a value to a statement that never runs. Every split of a
// B-tree page takes 8 to 16 KiB for a moment, and the allocator below SQLite
// gives memory of one size back to the system as soon as none of it is in use:
// an mmap and a munmap for each split. A value of that size that stays saves
// that, an eighth of the CPU time of the writer.
func keepMemory(conn sqliteConn) error {
	const sqlNeverRun = `SELECT $1`
	stmt, err := conn.Prepare(sqlNeverRun)
	if err != nil {
		return err
	}
	stmt.BindBytes(1, make([]byte, 12<<10))
	return nil
}

// highestID is the largest id of a row that is or was there, so that ids go on
// above it after a restart, also with a clock that went back.
func highestID(conn session) (int64, error) {
	const sqlHighestID = `
		SELECT max(coalesce((SELECT max(id) FROM leads), 0),
		           coalesce((SELECT max(id) FROM campaigns), 0),
		           coalesce((SELECT max(id) FROM snapshots), 0),
		           coalesce((SELECT max(id) FROM api_keys), 0),
		           coalesce((SELECT max(id) FROM tenants), 0),
		           coalesce((SELECT max(id) FROM ledger), 0),
		           coalesce((SELECT max(id) FROM suppressions), 0),
		           coalesce((SELECT max(id) FROM registry_imports), 0),
		           coalesce((SELECT max(id) FROM erasures), 0),
		           (SELECT id_floor FROM deployment))`
	var id int64
	err := conn.query(sqlHighestID, func(r row) error {
		id = r.int64()
		return nil
	})
	return id, err
}
