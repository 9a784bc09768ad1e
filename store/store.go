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
)

// fileName is the database inside the data directory.
const fileName = "saaf.db"

// Config says where the store is and how it may be used.
type Config struct {
	// Dir is the data directory, created with mode 0700 when it is missing.
	// Required.
	Dir string

	// MustExist refuses to make a new store. For commands that only look.
	MustExist bool

	// Node is the node number in the ids made here, 0 to [saaf.MaxNode]. The
	// process that holds the serve lock uses 0; others pick one at random.
	Node int

	// Readers is the number of read connections, default 4.
	Readers int

	// WriteBack leaves writing the log back to [Store.RunWriteBack], which must run
	// then. Otherwise commits do it now and then, as commands need it.
	WriteBack bool

	writeBackFrom int64 // pages in the log; for tests

	// QueueSingles and QueueLeads bound what waits for the writer: requests of a
	// few rows, and leads in bulk requests. Default 4,096 and 32,000. A full
	// queue answers Unavailable.
	QueueSingles int
	QueueLeads   int
}

func (c *Config) setDefaults() {
	if c.Readers <= 0 {
		c.Readers = 4
	}
	if c.writeBackFrom <= 0 {
		c.writeBackFrom = writeBackFrom
	}
	if c.QueueSingles <= 0 {
		c.QueueSingles = 4096
	}
	if c.QueueLeads <= 0 {
		c.QueueLeads = 32_000
	}
}

// Store is an open data directory. It is safe for concurrent use. Writes need
// [Store.Run] to be running.
type Store struct {
	cfg     Config
	ids     *saaf.IDSource
	readers *sqlitex.Pool
	conn    *sqlite.Conn // the writer's; only Run uses it after Open
	queue   *queue
	purge   bell // rung when a campaign is deleted
	erasing bell // rung when a person was erased
	secrets secrets
	hashers sync.Map // saaf.TenantID to *saaf.PhoneHasher

	commits   atomic.Int64 // that the writer has made
	finishLog atomic.Bool  // set by RunWriteBack: the writer has the rest of the log written back

	// Of the writer, used by its transactions alone.
	index suppressionIndex
	named map[saaf.SnapshotID]*saaf.EntrySnapshot
}

// ErrNoStore is returned by [Open] with MustExist for a directory without a
// store.
var ErrNoStore = errors.New("no saaf store in this directory")

// Open opens the store in cfg.Dir, makes it when there is none, and brings its
// schema up to date. Close it when Run has returned.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.setDefaults()
	path := filepath.Join(cfg.Dir, fileName)
	if cfg.MustExist {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", ErrNoStore, cfg.Dir)
		} else if err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	if err := makePrivate(cfg.Dir, path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	conn, err := openConn(ctx, path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s := &Store{cfg: cfg, conn: conn, queue: newQueue(cfg), purge: make(bell, 1), erasing: make(bell, 1),
		named: make(map[saaf.SnapshotID]*saaf.EntrySnapshot)}
	if err := s.prepare(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), conn.Close())
	}
	return s, nil
}

// prepare migrates, finds the highest id and opens the readers.
func (s *Store) prepare(ctx context.Context, path string) error {
	s.conn.SetInterrupt(ctx.Done())
	defer s.conn.SetInterrupt(nil)
	if err := migrate(s.conn); err != nil {
		return err
	}
	floor, err := highestID(s.conn)
	if err != nil {
		return err
	}
	if s.ids, err = saaf.NewIDSource(s.cfg.Node, floor); err != nil {
		return err
	}
	if s.cfg.WriteBack {
		if err := sqlitex.ExecuteTransient(s.conn, "PRAGMA wal_autocheckpoint = 0", nil); err != nil {
			return err
		}
	}
	if err := s.loadSecrets(); err != nil {
		return err
	}
	if err := keepMemory(s.conn); err != nil {
		return err
	}
	s.readers, err = sqlitex.NewPool(path, sqlitex.PoolOptions{
		Flags:       sqlite.OpenReadOnly | sqlite.OpenWAL,
		PoolSize:    s.cfg.Readers,
		PrepareConn: tune,
	})
	return err
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
	return f.Close()
}

func openConn(ctx context.Context, path string, flags sqlite.OpenFlags) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	conn.SetInterrupt(ctx.Done())
	err = tune(conn)
	conn.SetInterrupt(nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
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
func keepMemory(conn *sqlite.Conn) error {
	const sqlNeverRun = `SELECT $1`
	stmt, err := conn.Prepare(sqlNeverRun)
	if err != nil {
		return err
	}
	stmt.BindBytes(1, make([]byte, 12<<10))
	return nil
}

// Close closes the connections. Run must have returned.
func (s *Store) Close() error {
	return errors.Join(s.readers.Close(), s.conn.Close())
}

func (s *Store) path() string { return filepath.Join(s.cfg.Dir, fileName) }

// NewID makes an id. Convert it to the kind that is wanted.
func (s *Store) NewID() int64 { return s.ids.Next() }

// highestID is the largest id of a row that is or was there, so that ids go on
// above it after a restart, also with a clock that went back.
func highestID(conn *sqlite.Conn) (int64, error) {
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
	err := query(conn, sqlHighestID, func(r row) error {
		id = r.int64()
		return nil
	})
	return id, err
}

// read runs fn with a read connection that ctx interrupts.
func (s *Store) read(ctx context.Context, fn func(*sqlite.Conn) error) error {
	conn, err := s.readers.Take(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer s.readers.Put(conn)
	return interrupted(ctx, fn(conn))
}

// interrupted prefers the reason why ctx ended over SQLite's word for it.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
