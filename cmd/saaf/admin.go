package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"saaf"
	"saaf/store"
)

// withStore runs fn with the store of the data directory, its writer running, and
// signs the ledger when fn has written to it. It works beside a server that uses
// the same directory.
func (d dataFlags) withStore(ctx context.Context, con *console, mustExist bool, fn func(context.Context, *store.Store) error) error {
	return d.openStore(ctx, con, func(cfg *store.Config) { cfg.MustExist = mustExist }, func(ctx context.Context, st *store.Store) error {
		err := fn(ctx, st)
		if st.Entered() == 0 {
			return err
		}
		if _, serr := st.Checkpoint(context.WithoutCancel(ctx)); serr != nil {
			fmt.Fprintf(con.err, "Note: the ledger was not signed behind this (%v); the next checkpoint covers it\n", serr)
		}
		return err
	})
}

// inspectStore is withStore without the signature, for commands that only look: one
// that looks for damage must not sign it. It opens a store that was moved away, too.
func (d dataFlags) inspectStore(ctx context.Context, con *console, mustExist bool, fn func(context.Context, *store.Store) error) (err error) {
	return d.openStore(ctx, con, func(cfg *store.Config) { cfg.MustExist, cfg.Moved = mustExist, true }, fn)
}

// openStore runs fn with the store, its writer running.
func (d dataFlags) openStore(ctx context.Context, con *console, how func(*store.Config), fn func(context.Context, *store.Store) error) (err error) {
	db, err := d.database()
	if err != nil {
		return err
	}
	cfg := db.config(d.DataDir)
	how(&cfg)
	files := filesOf(db, d)
	opened := con.connecting(cfg)
	st, err := store.Open(ctx, cfg)
	opened()
	if errors.Is(err, store.ErrNoStore) {
		return db.noStore(d.DataDir)
	}
	if err != nil {
		return err
	}
	if st.Fresh() {
		fmt.Fprintf(con.err, "Note: made a new store in %s\n", db.place(d.DataDir))
		if note := db.newSecrets(d.DataDir); note != "" {
			fmt.Fprintf(con.err, "Note: %s\n", note)
		}
		if note := db.leftBehind(d.DataDir); note != "" {
			fmt.Fprintf(con.err, "Note: %s\n", note)
		}
	}
	err = running(ctx, st, func(ctx context.Context) error { return fn(ctx, st) })
	if note := files.written(); note != "" {
		fmt.Fprintf(con.err, "Note: %s\n", note)
	}
	return errors.Join(err, st.Close())
}

// running runs fn while the writer of the store runs.
func running(ctx context.Context, st *store.Store, fn func(context.Context) error) error {
	writerCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	writer := make(chan error, 1)
	go func() { writer <- st.Run(writerCtx) }()
	err := fn(ctx)
	stop()
	return errors.Join(err, <-writer)
}

// How long a command waits for servers to take a change, and how often it looks. One
// that was killed a moment ago is waited for until it counts as dead, ten seconds.
const (
	awaitKeys     = 15 * time.Second
	awaitRegistry = 120 * time.Second
	awaitEvery    = 25 * time.Millisecond
)

// awaitServers returns when every server that runs on the store has taken the
// version and, unless it is 0, answers from the snapshot, or from the one that has
// replaced it meanwhile. The change itself is stored in any case.
// What lasts longer than a second is said.
func awaitServers(ctx context.Context, con *console, st *store.Store, version int64, snapshot saaf.SnapshotID, limit time.Duration) error {
	began, said := time.Now(), false
	deadline := began.Add(limit)
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		servers, starting, err := st.Running(ctx)
		if err != nil || len(servers) == 0 && !starting {
			return err
		}
		if snapshot != 0 {
			reg, err := st.Registry(ctx)
			if err != nil {
				return err
			}
			snapshot = reg.Active.ID
		}
		behind := starting
		who := "the server that is starting"
		for _, sv := range servers {
			name := fmt.Sprintf("server %s (pid %d on %s, %s)", sv.ID, sv.PID, sv.Host, sv.Address)
			if sv.Version >= version && snapshot != 0 && sv.Problem != "" {
				return fmt.Errorf("the change is stored, but %s does not answer from it: %s", name, sv.Problem)
			}
			if sv.Version < version || snapshot != 0 && sv.Snapshot != snapshot {
				behind, who = true, name
			}
		}
		if !behind {
			return nil
		}
		if !said && time.Since(began) > sayAfter {
			said = true
			fmt.Fprintf(con.err, "Waiting until %s has taken the change, %s at most; one that was killed counts as running for about ten seconds\n", who, limit)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the change is stored, but %s has not taken it within %s: check that it is alive, or restart it", who, limit)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// actor names who runs a command, for the record.
func actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return "cli:" + strings.ReplaceAll(name, " ", "_") + "@" + host
}
