package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"saaf/internal/pgtest"
)

// schema is what the database is made of, and the row it begins with.
func (b *bundle) schema() string {
	b.t.Helper()
	var text strings.Builder
	b.must(b.read(b.ctx, func(conn session) error {
		var err error
		if b.cfg.URL != "" {
			err = pgSchema(conn, &text)
		} else {
			err = conn.query(`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name`, func(r row) error {
				fmt.Fprintf(&text, "%s;\n\n", r.text())
				return nil
			})
		}
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

// goldenSchema compares the schema with what it should be.
func (b *bundle) goldenSchema() {
	b.t.Helper()
	golden := filepath.Join("testdata", "schema.sql")
	if b.cfg.Uniqueness == ByIndex {
		golden = filepath.Join("testdata", "schema_indexed.sql")
	}
	if b.cfg.URL != "" {
		golden = filepath.Join("testdata", "schema_postgres.sql")
	}
	got := b.schema()
	if *update && pgtest.Current() != pgtest.Partitioned { // whose schema differs by the partitions alone
		b.must(os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	b.must(err)
	b.equal("schema", string(want), got)
}

func TestSchema(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir()})
	b.goldenSchema()
	b.reopen().goldenSchema()
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
			"made by a newer saaf (it has 6 migrations, this program 5): use that version",
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
			_, err := b.outside().exec(c.change)
			b.must(err)
			before := b.schema()
			s, err := Open(t.Context(), configured(t, Config{Dir: b.dir}))
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
	empty(t, dir)
	b := &bundle{t: t, dir: dir, ctx: t.Context(), Store: &Store{cfg: configured(t, Config{Dir: dir})}}
	if !pgtest.Served() {
		b.must(makePrivate(dir, filepath.Join(dir, fileName)))
	}
	conn := b.outside()
	// In the way of a table that the first migration makes late.
	_, err := conn.exec(`CREATE TABLE servers (id INTEGER)`)
	b.must(err)
	if _, err := Open(t.Context(), b.cfg); err == nil || !strings.Contains(err.Error(), "migration 0001_first.sql") {
		t.Fatalf("Open = %v; want the migration that failed", err)
	}
	tables := `SELECT count(*) FROM sqlite_schema WHERE type = 'table'`
	if b.cfg.URL != "" {
		tables = `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`
	}
	var n int
	b.must(conn.query(tables, func(r row) error { n = r.int(); return nil }))
	if n != 1 {
		t.Errorf("%d tables; want only the one that was there", n)
	}
	_, err = conn.exec(`DROP TABLE servers`)
	b.must(err)
	open(t, Config{Dir: dir}).goldenSchema()
}

// Goroutines and processes open one new directory at once.
func TestConcurrentOpenMigratesOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	empty(t, dir)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			<-begin
			s, err := Open(t.Context(), configured(t, Config{Dir: dir, Readers: 1}))
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
	if n := b.number(`SELECT count(*) FROM schema_migrations`); n != 5 {
		t.Errorf("%d migrations are noted; want 5", n)
	}
	b.goldenSchema()
}
