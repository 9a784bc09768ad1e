package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"saaf"
)

// Config says where the store is and how it may be used.
type Config struct {
	// Dir is the data directory, created with mode 0700 when it is missing. It holds
	// the embedded database, unless URL names another one, and the secrets. Required.
	Dir string

	// URL names a PostgreSQL database, as postgres://user@host/name or as key=value
	// pairs. Empty: the embedded database in Dir.
	URL string

	// Secrets is the directory of the pepper and the signing key, default Dir. All
	// processes on one database need the same.
	Secrets string

	// MustExist refuses to make a new store. For commands that only look.
	MustExist bool

	// Moved also opens an embedded store that was moved into a database, to be read:
	// each write is refused. Otherwise Open returns a [*MovedError].
	Moved bool

	// Node is the node number in the ids made here, 0 to [saaf.MaxNode]. The
	// process that holds the serve lock uses 0; others pick one at random. PostgreSQL
	// leases it out instead.
	Node int

	// Readers is the number of read connections, default 4.
	Readers int

	// Writers is how many transactions of one campaign run beside each other on PostgreSQL,
	// default 4. There is one more for other campaigns, and some for what is of none.
	Writers int

	// WriteBack leaves writing the log of the embedded database back to
	// [Store.RunWriteBack], which must run then. Otherwise commits do it now and then,
	// as commands need it.
	WriteBack bool

	writeBackFrom int64            // pages in the log; for tests
	partitions    int              // of the tables that are spread by campaign, on PostgreSQL; for tests
	now           func() time.Time // what rows say of when they were written; for tests
	tracer        pgx.QueryTracer  // of what PostgreSQL is asked; for tests
	retryFor      time.Duration    // how long a transaction is tried again; for tests
	idleFor       time.Duration    // how long PostgreSQL waits for a transaction to go on; for tests

	// LeaseTTL is how long work stays with a process that has stopped renewing its
	// lease, default 15 s: so long after its death others take it up. See
	// [Store.Leased].
	LeaseTTL time.Duration

	// Uniqueness is how the embedded store keeps a phone once in a campaign.
	Uniqueness Uniqueness

	// ChangingOver is called before a store with leads is changed over to another
	// Uniqueness, for which [Open] takes 10 to 30 seconds for each million. May be nil.
	ChangingOver func(to Uniqueness, leads int64)

	// PhoneMemory is how many bytes the phones of campaigns may take in memory, default
	// 512 MB: those that were pushed to the longest time ago are dropped, and read again
	// when leads come in. A lead takes 10 to 12.
	PhoneMemory int64

	groupRows   int           // see [maxGroupRows]; for [RawCommits]
	commitDelay time.Duration // how much longer a commit of the embedded store takes; for [RawCommits]

	halfMoved bool // open what is being moved, see [Move]

	// QueueSingles and QueueLeads bound what waits for the writers: requests of a
	// few rows, and leads in bulk requests. Default 4,096 and 32,000. A full
	// queue answers Unavailable.
	QueueSingles int
	QueueLeads   int
}

func (c *Config) setDefaults() {
	if c.Secrets == "" {
		c.Secrets = c.Dir
	}
	if c.Readers <= 0 {
		c.Readers = 4
	}
	if c.Writers <= 0 {
		c.Writers = 4
	}
	if c.LeaseTTL <= 0 {
		c.LeaseTTL = 15 * time.Second
	}
	if c.writeBackFrom <= 0 {
		c.writeBackFrom = writeBackFrom
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.retryFor <= 0 {
		c.retryFor = retryFor
	}
	if c.idleFor <= 0 {
		c.idleFor = idleLimit
	}
	if c.PhoneMemory <= 0 {
		c.PhoneMemory = 512 << 20
	}
	if c.QueueSingles <= 0 {
		c.QueueSingles = 4096
	}
	if c.QueueLeads <= 0 {
		c.QueueLeads = 32_000
	}
}

// Store is an open store. It is safe for concurrent use. Writes need [Store.Run] to
// be running.
type Store struct {
	cfg     Config
	engine  engine
	ids     *saaf.IDSource
	server  saaf.ServerID // this process: in the list of servers, as a holder of leases, as an author of chains
	queue   *queue
	purge   bell // rung when a campaign is deleted
	erasing bell // rung when a person was erased
	secrets secrets
	hashers sync.Map // saaf.TenantID to *saaf.PhoneHasher

	fullness    fullness
	fresh       bool         // made by Open
	commits     atomic.Int64 // that the writers have made
	entered     atomic.Int64 // entries of the ledger in these
	usageMinute atomic.Int64 // the last one in which requests of keys were counted
}

// engine is what the two databases do each in their own way.
type engine interface {
	// read runs fn with a connection for reading, which ctx interrupts.
	read(ctx context.Context, fn func(session) error) error
	// glance is read for what takes a row or two by their keys, and what pushes, keys and
	// signs of life depend on. It waits for no longer reads.
	glance(ctx context.Context, fn func(session) error) error
	// setUp runs fn with a connection for writing, before run: each statement is a
	// transaction of its own.
	setUp(ctx context.Context, fn func(session) error) error
	// run writes what is queued until the queue has ended.
	run(ctx context.Context) error
	// admit makes ready for a push of so many leads to a campaign, and returns what is
	// called when it was answered. When too many wait it is Unavailable.
	admit(ctx context.Context, campaign saaf.CampaignID, rows int) (leave func(), err error)
	// shared reports whether transactions run beside each other.
	shared() bool
	// clock is the time by which processes on one database judge each other, in
	// milliseconds. conn may be that of a transaction.
	clock(conn session) (time.Time, error)
	// frozen runs fn with an engine whose reads all see one state of the database, and
	// which is used by one goroutine at a time.
	frozen(ctx context.Context, fn func(engine) error) error
	// forgetErased removes what is left of deleted rows in the files of the database.
	// left is true when it has to be tried again.
	forgetErased(ctx context.Context) (left bool, err error)
	close() error
}

// ErrNoStore is returned by [Open] with MustExist where there is no store.
var ErrNoStore = errors.New("no saaf store in this directory")

// Open opens the store, makes it when there is none, and brings its schema up to
// date. Close it when Run has returned.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.setDefaults()
	s := &Store{cfg: cfg, purge: make(bell, 1), erasing: make(bell, 1)}
	var err error
	if cfg.URL != "" {
		err = openPostgres(ctx, s)
	} else {
		err = openSQLite(ctx, s)
	}
	if err == nil {
		err = s.loadSecrets(ctx)
	}
	if err != nil {
		if s.engine != nil {
			err = errors.Join(err, s.engine.close())
		}
		return nil, err
	}
	if s.server == 0 {
		s.server = saaf.ServerID(s.ids.Next())
	}
	s.queue = newQueue(cfg, s.engine.shared())
	return s, nil
}

// Exists reports whether there is a store, of any version and whole or not, without a
// change to it.
func Exists(ctx context.Context, cfg Config) (there bool, err error) {
	if cfg.URL == "" {
		_, err := os.Stat(filepath.Join(cfg.Dir, fileName))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	cfg.setDefaults()
	e, err := connectPostgres(ctx, &Store{cfg: cfg})
	if err != nil {
		return false, err
	}
	defer e.disconnect()
	err = e.read(ctx, func(conn session) error {
		there, err = migrated(conn)
		return err
	})
	return there, wrap("look into the database", explained(err))
}

// Close closes the connections. Run must have returned.
func (s *Store) Close() error { return s.engine.close() }

// Fresh reports whether [Open] has made the store.
func (s *Store) Fresh() bool { return s.fresh }

// Shared reports whether several servers may run on the store, each with a data
// directory of its own.
func (s *Store) Shared() bool { return s.engine.shared() }

// NewID makes an id. Convert it to the kind that is wanted.
func (s *Store) NewID() int64 { return s.ids.Next() }

// read runs fn with a read connection that ctx interrupts.
func (s *Store) read(ctx context.Context, fn func(session) error) error {
	return interrupted(ctx, s.engine.read(ctx, fn))
}

// glance is read for what keeps no connection for long.
func (s *Store) glance(ctx context.Context, fn func(session) error) error {
	return interrupted(ctx, s.engine.glance(ctx, fn))
}

// interrupted prefers the reason why ctx ended over the database's word for it.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
