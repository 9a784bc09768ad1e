package pgtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// More clients than the pooler has connections take turns, which they could not if
// each kept its connection until it leaves.
func TestBouncer(t *testing.T) {
	t.Parallel()
	url := Bouncer(t, Empty(t)) + "?default_query_exec_mode=exec"
	if err := run(t.Context(), url, "CREATE TABLE turn (client int)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	clients := make([]*pgx.Conn, 2*bouncerConnections)
	for i := range clients {
		clients[i] = connect(t, url)
	}
	var backends []int
	for round := range 2 {
		for i, c := range clients {
			if _, err := c.Exec(ctx, "INSERT INTO turn VALUES ($1)", round*len(clients)+i); err != nil {
				t.Fatalf("client %d: %v", i, err)
			}
			backends = append(backends, column[int](t, c, "SELECT pg_backend_pid()")...)
		}
	}
	want := make([]int, 2*len(clients))
	for i := range want {
		want[i] = i
	}
	if diff := cmp.Diff(want, column[int](t, clients[0], "SELECT client FROM turn ORDER BY client")); diff != "" {
		t.Error(diff)
	}
	slices.Sort(backends)
	if n := len(slices.Compact(backends)); n > bouncerConnections {
		t.Errorf("%d backends, want no more than %d", n, bouncerConnections)
	}
}

// The mode that tests pass is needed: without it the second client meets the
// statement that the first has prepared.
func TestBouncerMixesUpPreparedStatements(t *testing.T) {
	t.Parallel()
	url := Bouncer(t, Empty(t))
	var refused *pgconn.PgError
	for range 2 {
		_, err := connect(t, url).Exec(t.Context(), "SELECT $1::int", 1)
		if errors.As(err, &refused); err != nil && refused == nil {
			t.Fatal(err)
		}
	}
	if refused == nil || refused.Code != "42P05" {
		t.Errorf("prepared twice on one connection: %v, want 42P05", refused)
	}
}
