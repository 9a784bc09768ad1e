package store

import (
	"context"
	"slices"

	"saaf"
)

// Chain is the only chain of the ledger, 0 where each writer has one.
func (s *Store) Chain() (writer int64) {
	if s.engine.shared() {
		return 0
	}
	return embeddedWriter
}

// Entered is how many entries this process has added to the ledger.
func (s *Store) Entered() int64 { return s.entered.Load() }

// LedgerSize is how many entries the ledger has, by the register of its chains.
func (s *Store) LedgerSize(ctx context.Context) (entries int64, err error) {
	err = s.read(ctx, func(conn session) error {
		entries, err = countEntries(conn)
		return err
	})
	return entries, wrap("read ledger", err)
}

// LedgerAfter lists entries of the whole ledger behind the given one, in the order of
// their ids, which is that of each chain; none when there are no more. It is a page of
// them, and what else has the last id: no id is in two pages.
func (s *Store) LedgerAfter(ctx context.Context, after saaf.EntryID) (list []saaf.EntryRow, err error) {
	const (
		sqlLedgerAfter = `SELECT ` + ledgerColumns + ` WHERE id > $1 ORDER BY id LIMIT $2`
		sqlLedgerAt    = `SELECT ` + ledgerColumns + ` WHERE id = $1`
	)
	err = s.read(ctx, func(conn session) error {
		list = nil
		collect := func(r row) error {
			list = append(list, scanEntry(r))
			return nil
		}
		if err := conn.query(sqlLedgerAfter, collect, after, entryPage); err != nil || len(list) < entryPage {
			return err
		}
		last := list[len(list)-1].ID
		list = slices.DeleteFunc(list, func(e saaf.EntryRow) bool { return e.ID == last })
		return conn.query(sqlLedgerAt, collect, last)
	})
	return list, wrap("read ledger", err)
}

// ChainAfter lists entries of a chain above a number in their order, at most a page of
// them.
func (s *Store) ChainAfter(ctx context.Context, writer, seq int64) (list []saaf.EntryRow, err error) {
	const sqlChainAfter = `SELECT ` + ledgerColumns + ` WHERE writer_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlChainAfter, func(r row) error {
			list = append(list, scanEntry(r))
			return nil
		}, writer, seq, entryPage)
	})
	return list, wrap("read chain", err)
}

// ChainEntry reads an entry by its place in a chain; there is false when it has none.
func (s *Store) ChainEntry(ctx context.Context, writer, seq int64) (e saaf.EntryRow, there bool, err error) {
	const sqlChainEntry = `SELECT ` + ledgerColumns + ` WHERE writer_id = $1 AND seq = $2`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlChainEntry, func(r row) error {
			e, there = scanEntry(r), true
			return nil
		}, writer, seq)
	})
	return e, there, wrap("read chain", err)
}

// EntryBefore is the hash that the entry follows in its chain, zero for the first.
func (s *Store) EntryBefore(ctx context.Context, e *saaf.EntryRow) (hash saaf.SHA256, err error) {
	before, _, err := s.ChainEntry(ctx, e.Writer, e.Seq-1)
	return before.Hash, err
}

// ChainSealed is the number of the checkpoint that names the last entry of a chain, 0
// when there is none yet. Later ones do not name it.
func (s *Store) ChainSealed(ctx context.Context, writer int64) (checkpoint int64, err error) {
	const sqlChainSealed = `SELECT sealed FROM chains WHERE writer_id = $1`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlChainSealed, func(r row) error {
			checkpoint = r.int64()
			return nil
		}, writer)
	})
	return checkpoint, wrap("read chain", err)
}
