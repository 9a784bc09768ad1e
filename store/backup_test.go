package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// numberIn is a number that a statement finds in a database file.
func numberIn(t *testing.T, path, sql string) (n int64) {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { n = stmt.ColumnInt64(0); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCopyIsOfOneMoment commits between the steps of a copy: it holds what was there when
// it began, does not begin anew, and keeps nobody waiting.
func TestCopyIsOfOneMoment(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{WriteBack: true, writeBackFrom: 256})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.RunWriteBack(ctx) }()
	const (
		before = 10_000
		pages  = 50
	)
	for n := 0; n < before; n += 500 {
		b.add(b.campaign, leads(n, n+500)...)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	added, steps, aside := before, 0, 0
	push := func() {
		b.add(b.campaign, leads(added, added+500)...)
		added += 500
	}
	var last, total int64
	copied, err := CopyDatabase(t.Context(), CopyRequest{
		Dir: b.dir, To: to, Keep: 3, pages: pages,
		Aside: func() { aside++; push() },
		Progress: func(done, of int64) {
			if done <= last || of < done || total != 0 && of != total {
				t.Errorf("%d bytes of %d behind %d of %d: it began anew", done, of, last, total)
			}
			last, total = done, of
			steps++
			push()
		},
	})
	b.must(err)
	cancel()
	b.must(<-ended)
	if info, err := os.Stat(to); err != nil || info.Size() != total || last != total || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %+v, %v, and %d bytes of %d were shown", info, err, last, total)
	}
	if steps < 3 || aside != 1 || int64(steps) != (total/pageBytes+pages-1)/pages {
		t.Errorf("%d steps for %d bytes, %d times aside: the test has tested nothing", steps, total, aside)
	}
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM leads`:  before,
		`SELECT max(seq) FROM ledger`: copied.Head.Seq,
		`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`: 0,
	} {
		if got := numberIn(t, to, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	if got := b.number(`SELECT count(*) FROM leads`); got != int64(added) {
		t.Errorf("%d leads are in the store, want %d", got, added)
	}
	if copied.Deployment != b.Deployment() || copied.Schema == "" || copied.At.IsZero() || len(copied.Snapshots) != 0 {
		t.Errorf("the copy is said to be %+v", copied)
	}
	pepper, signing := filepath.Join(b.dir, pepperName), filepath.Join(b.dir, signingKeyName)
	b.must(copied.Check(pepper, signing))
	other := setup(t)
	if err := copied.Check(filepath.Join(other.dir, pepperName), signing); err == nil || !strings.Contains(err.Error(), "pepper is not the one") {
		t.Errorf("the pepper of another store: %v", err)
	}
	if err := copied.Check(pepper, filepath.Join(other.dir, signingKeyName)); err == nil || !strings.Contains(err.Error(), "signing.pem is not the one") {
		t.Errorf("the key of another store: %v", err)
	}
}

// TestCopyOfWhatIsNoStore leaves stores alone that this program cannot read, or that are
// none any more.
func TestCopyOfWhatIsNoStore(t *testing.T) {
	t.Parallel()
	copyOf := func(dir string) error {
		_, err := CopyDatabase(t.Context(), CopyRequest{Dir: dir, To: filepath.Join(t.TempDir(), "copy.db"), Keep: 3})
		return err
	}
	if err := copyOf(t.TempDir()); !errors.Is(err, ErrNoStore) {
		t.Errorf("an empty directory: %v", err)
	}
	for sql, want := range map[string]string{
		`UPDATE deployment SET moved_to = 'the database saaf on pg', moved_at = 1`:             "was moved into the database saaf on pg",
		`DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)`: "the store is of an older saaf",
		`INSERT INTO schema_migrations VALUES ('9999_future.sql', '', 1)`:                      "the store was made by a newer saaf",
		`UPDATE schema_migrations SET checksum = '' WHERE name LIKE '0001%'`:                   "made by another build of saaf",
		`UPDATE deployment SET pepper_fingerprint = NULL`:                                      ErrNoStore.Error(),
	} {
		b := setup(t)
		b.stop()
		path := filepath.Join(b.dir, fileName)
		numberIn(t, path, sql)
		was := numberIn(t, path, `SELECT count(*) FROM schema_migrations`)
		if err := copyOf(b.dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
		if is := numberIn(t, path, `SELECT count(*) FROM schema_migrations`); is != was {
			t.Errorf("%s: the store has %d migrations and had %d", sql, is, was)
		}
	}
}
