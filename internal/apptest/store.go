package apptest

import (
	"context"
	"errors"
	"os"
	"testing"

	"saaf/internal/pgtest"
	"saaf/store"
)

// Store is the configuration of a new store on the engine that the tests run on, see
// [pgtest.RunOn], in a data directory of its own. Opened again it finds what was there.
func Store(t testing.TB) store.Config {
	t.Helper()
	cfg := store.Config{Dir: t.TempDir(), Readers: 2} // every connection costs the test time
	if pgtest.Current() != pgtest.Embedded {
		cfg.URL = pgtest.Database(t, "store", migrate)
		cfg.Writers = 2
	}
	return cfg
}

// Spread spreads a store over the cluster, where the tests run on one.
func Spread(url string) error {
	if pgtest.Current() != pgtest.Citus {
		return nil
	}
	_, err := store.Distribute(context.Background(), store.Config{URL: url})
	return err
}

// migrate makes a store that is no deployment yet: each test makes secrets of its own.
func migrate(url string) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "saaf-template-")
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Config{Dir: dir, URL: url})
	if err == nil {
		err = st.Close()
	}
	if err == nil {
		err = Spread(url)
	}
	if err == nil {
		_, err = pgtest.Exec(ctx, url, `UPDATE deployment SET id = NULL, pepper_fingerprint = NULL, public_key = NULL`)
	}
	return errors.Join(err, os.RemoveAll(dir))
}
