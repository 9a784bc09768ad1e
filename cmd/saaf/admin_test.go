package main

import (
	"context"
	"testing"
	"time"

	"saaf"
	"saaf/store"
)

// A command whose snapshot was replaced before any server took it is done when the
// servers answer from the next one.
func TestAwaitServersOvertaken(t *testing.T) {
	t.Parallel()
	d := dataFlags{DataDir: t.TempDir()}
	lock, err := store.LockServe(d.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	err = d.withStore(t.Context(), quiet, false, func(ctx context.Context, st *store.Store) error {
		snap := saaf.Snapshot{Mode: saaf.FullSet, EffectiveDate: 20_000, Numbers: 1}
		first, version, err := st.ActivateSnapshot(ctx, snap, 0, store.Cause{})
		if err != nil {
			return err
		}
		second, last, err := st.ActivateSnapshot(ctx, snap, first.ID, store.Cause{})
		if err != nil {
			return err
		}
		sv, err := st.RegisterServer(ctx, store.Server{Version: last})
		if err != nil {
			return err
		}
		if err := awaitServers(ctx, quiet, st, version, first.ID, 50*time.Millisecond); err == nil {
			t.Error("it does not wait for a server that answers from nothing")
		}
		sv.Snapshot = second.ID
		if err := st.Beat(ctx, sv); err != nil {
			return err
		}
		return awaitServers(ctx, quiet, st, version, first.ID, time.Second)
	})
	if err != nil {
		t.Error(err)
	}
}
