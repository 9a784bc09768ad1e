package store

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Frozen runs fn with a store whose reads all see the database as it was when fn
// began, whatever other processes write meanwhile. On SQLite that is the store
// itself: readers there are not held to one state, which would keep the log from
// being written back. What fn writes is written as usual, and fn does not see it.
func (s *Store) Frozen(ctx context.Context, fn func(*Store) error) error {
	return s.engine.frozen(ctx, func(e engine) error {
		if e == s.engine {
			return fn(s)
		}
		return fn(&Store{cfg: s.cfg, engine: e, ids: s.ids, server: s.server, queue: s.queue,
			purge: s.purge, erasing: s.erasing, secrets: s.secrets})
	})
}

func (f *frozen) frozen(_ context.Context, fn func(engine) error) error { return fn(f) }

func (e *embedded) frozen(_ context.Context, fn func(engine) error) error { return fn(e) }

func (e *postgres) frozen(ctx context.Context, fn func(engine) error) error {
	conn, err := e.reads.Acquire(ctx)
	if err != nil {
		return unreachable(err)
	}
	defer conn.Release()
	still, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = still.Rollback(context.WithoutCancel(ctx)) }()
	return fn(&frozen{engine: e, conn: conn.Conn()})
}

// frozen is the engine of [Store.Frozen]: all reads are in one transaction.
type frozen struct {
	engine
	mu   sync.Mutex
	conn *pgx.Conn // guarded by mu
}

func (f *frozen) read(ctx context.Context, fn func(session) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := fn(pgSession{ctx, f.conn})
	if err != nil && f.conn.IsClosed() {
		return unreachable(err)
	}
	return err
}
