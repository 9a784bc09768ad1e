package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite"
)

// schema is every statement that made the database, and the row it begins with.
func (b *bundle) schema() string {
	b.t.Helper()
	var text strings.Builder
	b.must(b.read(b.ctx, func(conn session) error {
		err := conn.query(`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name`, func(r row) error {
			fmt.Fprintf(&text, "%s;\n\n", r.text())
			return nil
		})
		if err != nil {
			return err
		}
		return conn.query(`SELECT one, version, active_snapshot_id IS NULL, confirmed_snapshot_id IS NULL, id_floor FROM deployment`, func(r row) error {
			fmt.Fprintf(&text, "-- deployment: %d %d %v %v %d\n", r.int64(), r.int64(), r.bool(), r.bool(), r.int64())
			return nil
		})
	}))
	return text.String()
}

func TestSchema(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir()})
	golden := filepath.Join("testdata", "schema.sql")
	got := b.schema()
	if *update {
		b.must(os.MkdirAll(filepath.Dir(golden), 0o755))
		b.must(os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	b.must(err)
	b.equal("schema", string(want), got)
	b.equal("after opening again", got, b.reopen().schema())
}

func TestMigrationsAreInOrder(t *testing.T) {
	t.Parallel()
	list, err := loadMigrations()
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	for i, m := range list {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(m.name, want) || len(m.checksum) != 64 || m.sql == "" {
			t.Errorf("migration %d is %q; want a name that begins with %s", i+1, m.name, want)
		}
	}
}

// A store that this program does not understand is refused with a sentence that
// says why, and left alone.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		says   string
	}{
		"a newer program": {
			`INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ('9999_future.sql', 'x', 1)`,
			"made by a newer saaf (it has 4 migrations, this program 3): use that version",
		},
		"an edited migration": {
			`UPDATE schema_migrations SET checksum = 'edited' WHERE name = '0001_first.sql'`,
			"migration 0001_first.sql in the store is not the one of this program",
		},
		"a renamed migration": {
			`UPDATE schema_migrations SET name = '0001_other.sql' WHERE name = '0001_first.sql'`,
			"migration 0001_other.sql in the store is not the one of this program",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			conn := b.connect()
			_, err := conn.exec(c.change)
			b.must(err)
			before := b.schema()
			s, err := Open(t.Context(), Config{Dir: b.dir})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open = %v, %q; want one line with %q", s, err, c.says)
			}
			b.equal("the store", before, b.schema())
			if n := b.number(`SELECT count(*) FROM tenants`); n != 1 {
				t.Errorf("%d tenants", n)
			}
		})
	}
}

// A migration that fails half-way leaves nothing behind, and the next try starts
// from where the first one did.
func TestFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	raw, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := sqliteConn{raw}
	// In the way of a table that the first migration makes late.
	if _, err := conn.exec(`CREATE TABLE servers (id)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "migration 0001_first.sql") {
		t.Fatalf("Open = %v; want the migration that failed", err)
	}
	var tables int
	if err := conn.query(`SELECT count(*) FROM sqlite_schema WHERE type = 'table'`, func(r row) error { tables = r.int(); return nil }); err != nil || tables != 1 {
		t.Errorf("%d tables, %v; want only the one that was there", tables, err)
	}
	if _, err := conn.exec(`DROP TABLE servers`); err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Dir: dir})
	if want, err := os.ReadFile(filepath.Join("testdata", "schema.sql")); err != nil || string(want) != b.schema() {
		t.Errorf("the schema differs from a new one, %v", err)
	}
}

// Goroutines and processes open one new directory at once.
func TestConcurrentOpenMigratesOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			<-begin
			s, err := Open(t.Context(), Config{Dir: dir, Readers: 1})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			<-begin
			if p := start(t, "open", dir); p.said != "ok" {
				t.Error(p.said)
			}
		})
	}
	close(begin)
	wg.Wait()
	b := open(t, Config{Dir: dir})
	if n := b.number(`SELECT count(*) FROM schema_migrations`); n != 3 {
		t.Errorf("%d migrations are noted; want 3", n)
	}
	if want, err := os.ReadFile(filepath.Join("testdata", "schema.sql")); err != nil || string(want) != b.schema() {
		t.Errorf("the schema differs from a new one, %v", err)
	}
}
