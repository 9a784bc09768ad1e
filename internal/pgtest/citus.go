package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Citus is a cluster of several machines. No package of Debian has one: the tests run on
// it where SAAF_TEST_CITUS_URL names a database of one, on its coordinator.
const Citus Engine = "citus"

const citusEnv = "SAAF_TEST_CITUS_URL"

// HasCitus reports whether there is a cluster for tests.
func HasCitus() bool { return os.Getenv(citusEnv) != "" }

// OnCitus is like [Database] on the cluster: it makes a schema in the one database there
// and prepares it, since a copy of a template would not be spread.
func OnCitus(t testing.TB, kind string, migrate func(url string) error) string {
	t.Helper()
	if !HasCitus() {
		t.Fatal(citusEnv + " must name a database on the coordinator of a Citus cluster")
	}
	return schema(t, os.Getenv(citusEnv), kind, migrate)
}

var schemas atomic.Int64

// schema makes a schema of a database, and returns the URL that works in it alone.
func schema(t testing.TB, database, kind string, migrate func(url string) error) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s_%d_%d", kind, os.Getpid(), schemas.Add(1))
	quoted := pgx.Identifier{name}.Sanitize()
	if err := execute(database, "CREATE SCHEMA "+quoted); err != nil {
		t.Fatalf("create the schema %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := execute(database, "DROP SCHEMA "+quoted+" CASCADE"); err != nil {
			t.Errorf("drop the schema %s: %v", name, err)
		}
	})
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	if migrate != nil {
		if err := migrate(u.String()); err != nil {
			t.Fatalf("prepare the schema %s: %v", name, err)
		}
	}
	return u.String()
}
