package pgtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// run executes statements in a database.
func run(ctx context.Context, url, statements string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statements)
	return errors.Join(err, conn.Close(ctx))
}

// column is what a query with one column answers.
func column[T any](t *testing.T, conn *pgx.Conn, query string) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	prepared := 0
	migrate := func(url string) error {
		prepared++ // the race detector sees two at once
		return run(context.Background(), url, "CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('guava')")
	}
	var urls sync.Map
	t.Run("each", func(t *testing.T) {
		for _, name := range []string{"mango", "litchi", "jamun", "chikoo"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				url := Database(t, "fruit", migrate)
				if _, twice := urls.LoadOrStore(url, name); twice {
					t.Errorf("%s belongs to two tests", url)
				}
				conn := connect(t, url)
				if _, err := conn.Exec(t.Context(), "INSERT INTO fruit VALUES ($1)", name); err != nil {
					t.Fatal(err)
				}
				got := column[string](t, conn, "SELECT name FROM fruit ORDER BY name")
				want := []string{"guava", name}
				if name == "chikoo" {
					want = []string{name, "guava"}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
	if prepared > 1 { // or none, when a run before this one has
		t.Errorf("migrated %d times", prepared)
	}
	urls.Range(func(url, _ any) bool {
		var gone *pgconn.PgError
		if err := run(t.Context(), url.(string), "SELECT 1"); !errors.As(err, &gone) || gone.Code != "3D000" {
			t.Errorf("%s after its test: %v, want that it does not exist", url, err)
		}
		return true
	})
}

func TestKindsOfTemplates(t *testing.T) {
	t.Parallel()
	const tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
	for _, kind := range []string{"one", "other"} {
		url := Database(t, kind, func(url string) error {
			return run(t.Context(), url, "CREATE TABLE of_"+kind+" (n int)")
		})
		if diff := cmp.Diff([]string{"of_" + kind}, column[string](t, connect(t, url), tables)); diff != "" {
			t.Error(diff)
		}
	}
	if got := column[string](t, connect(t, Empty(t)), tables); len(got) > 0 {
		t.Errorf("an empty database has tables: %q", got)
	}
}

// A test may forget to close its pool, and another must not wait for it.
func TestConnectionsThatAreLeftOpen(t *testing.T) {
	t.Parallel()
	var conn *pgx.Conn
	t.Run("forgetful", func(t *testing.T) {
		var err error
		if conn, err = pgx.Connect(t.Context(), Empty(t)); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the database has outlived its test")
	}
}
