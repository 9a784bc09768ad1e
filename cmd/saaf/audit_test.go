package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/internal/pgtest"
	"saaf/store"
)

func openDatabase(dataDir string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(filepath.Join(dataDir, "saaf.db"), sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err == nil {
		conn.SetBusyTimeout(10 * time.Second)
	}
	return conn, err
}

// cmdSQL: sql STATEMENT changes the database of the script behind the back of saaf.
func cmdSQL(ts *testscript.TestScript, _ bool, args []string) {
	statement := strings.Join(args, " ")
	var changed int64
	if url := ts.Getenv("SAAF_DATABASE_URL"); url != "" {
		var err error
		changed, err = pgtest.Exec(context.Background(), url, statement)
		ts.Check(err)
	} else {
		conn, err := openDatabase(ts.Getenv("SAAF_DATA_DIR"))
		ts.Check(err)
		defer conn.Close()
		ts.Check(sqlitex.ExecuteTransient(conn, statement, nil))
		changed = int64(conn.Changes())
	}
	if changed == 0 {
		ts.Fatalf("nothing was changed")
	}
}

// cmdDatabase: database NAME sets a variable to the URL of a new PostgreSQL database
// that is empty.
func cmdDatabase(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: database NAME")
	}
	ts.Setenv(args[0], pgtest.Empty(scriptOf(ts).t))
}

// As long as somebody reads an older state of the database, the log holds what was
// erased; the erasure is finished as soon as they are through.
func TestEraseWhileSomebodyReads(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	data := dataFlags{DataDir: t.TempDir()}
	err := data.withStore(ctx, quiet, false, func(ctx context.Context, st *store.Store) error {
		tenant, err := st.CreateTenant(ctx, "Asha")
		if err != nil {
			return err
		}
		reader, err := openDatabase(data.DataDir)
		if err != nil {
			return err
		}
		defer reader.Close()
		read := func(sql string) {
			if err := sqlitex.ExecuteTransient(reader, sql, nil); err != nil {
				t.Error(sql, err)
			}
		}
		read("BEGIN")
		read("SELECT count(*) FROM tenants")
		e, err := st.Erase(ctx, tenant.ID, saaf.Live, 9_876_543_210, saaf.By{Actor: "test"}, "asked")
		if err != nil {
			return err
		}
		done, err := scrubFiles(ctx, st, 200*time.Millisecond)
		if done || err != nil {
			t.Errorf("beside a reader: done %v, %v", done, err)
		}
		if err := unfinished(done, err); err == nil || !strings.Contains(err.Error(), "a server that runs on this data directory finishes it") {
			t.Errorf("what is said: %v", err)
		}
		read("COMMIT")
		if done, err = scrubFiles(ctx, st, 10*time.Second); !done || err != nil {
			t.Errorf("without it: done %v, %v", done, err)
		}
		if e, err = st.Erasure(ctx, tenant.ID, saaf.Live, e.ID); err != nil || !e.Done {
			t.Errorf("%+v, %v", e, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A command that wrote signs what it wrote, one that looks does not.
func TestCommandsSign(t *testing.T) {
	t.Parallel()
	data := dataFlags{DataDir: t.TempDir()}
	checkpoints := func() (n int64) {
		t.Helper()
		err := data.inspectStore(t.Context(), quiet, false, func(ctx context.Context, st *store.Store) (err error) {
			_, n, err = st.LastCheckpoint(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	refuse := func(ctx context.Context, st *store.Store) error {
		return st.RecordRefusal(ctx, store.Lease{}, saaf.System, map[string]string{"what": "test"})
	}
	look := func(context.Context, *store.Store) error { return nil }
	for _, step := range []struct {
		what string
		do   func() error
		want int64
	}{
		{"looked at nothing", func() error { return data.withStore(t.Context(), quiet, false, look) }, 0},
		{"wrote", func() error { return data.withStore(t.Context(), quiet, false, refuse) }, 1},
		{"looked", func() error { return data.withStore(t.Context(), quiet, false, look) }, 1},
		{"wrote without signing", func() error { return data.inspectStore(t.Context(), quiet, false, refuse) }, 1},
		{"looked at what is not signed", func() error { return data.withStore(t.Context(), quiet, false, look) }, 1},
		{"wrote and failed", func() error {
			return data.withStore(t.Context(), quiet, false, func(ctx context.Context, st *store.Store) error {
				if err := refuse(ctx, st); err != nil {
					return err
				}
				return os.ErrInvalid
			})
		}, 2},
	} {
		if err := step.do(); err != nil && step.what != "wrote and failed" {
			t.Fatal(step.what, err)
		}
		if got := checkpoints(); got != step.want {
			t.Errorf("%s: %d checkpoints, want %d", step.what, got, step.want)
		}
	}
}
