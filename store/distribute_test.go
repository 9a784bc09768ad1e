package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"saaf/internal/pgtest"
)

// postgresTables are those of a store on PostgreSQL, and which of them refer to which.
func postgresTables(t *testing.T) (tables []string, refer map[string]string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.Database(t, "store", prepareTemplate))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	refer = map[string]string{}
	for _, sql := range []string{
		`SELECT table_name, '' FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name DESC`,
		`SELECT CAST(CAST(conrelid AS regclass) AS TEXT), CAST(CAST(confrelid AS regclass) AS TEXT) FROM pg_constraint WHERE contype = 'f'`,
	} {
		rows, err := pool.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var table, to string
			if err := rows.Scan(&table, &to); err != nil {
				t.Fatal(err)
			}
			if to == "" {
				tables = append(tables, table)
			} else {
				refer[table] = to
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return tables, refer
}

// The statements for a new database, in their order.
func TestDistribution(t *testing.T) {
	t.Parallel()
	tables, refer := postgresTables(t)
	statements, err := distribution(tables, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(statements, ";\n") + ";\n"
	golden := filepath.Join("testdata", "distribute.sql")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the statements are\n%s\nwant\n%s", got, want)
	}
	place := func(table string) int {
		return slices.IndexFunc(statements, func(sql string) bool { return strings.Contains(sql, "_table('"+table+"'") })
	}
	if len(statements) != len(tables) || len(refer) != 2 {
		t.Errorf("%d statements for %d tables, of which %d refer to others", len(statements), len(tables), len(refer))
	}
	for table, to := range refer {
		if place(to) < 0 || place(to) > place(table) {
			t.Errorf("%s comes before %s, to which it refers", table, to)
		}
	}
}

// What is spread already is left alone, what is missing is added, and what is spread
// otherwise is refused.
func TestDistributionGoesOn(t *testing.T) {
	t.Parallel()
	tables, _ := postgresTables(t)
	done := map[string]string{}
	for _, table := range tables {
		done[table] = spread[table]
	}
	if statements, err := distribution(tables, done); err != nil || len(statements) > 0 {
		t.Errorf("nothing is to be done: %q, %v", statements, err)
	}
	delete(done, "leads")
	delete(done, "checkpoints")
	want := []string{"SELECT create_reference_table('checkpoints')", "SELECT create_distributed_table('leads', 'campaign_id', colocate_with => 'campaigns')"}
	if statements, err := distribution(tables, done); err != nil || !slices.Equal(statements, want) {
		t.Errorf("two tables are missing: %q, %v", statements, err)
	}
	done["leads"] = "phone"
	if _, err := distribution(tables, done); err == nil || !strings.Contains(err.Error(), `leads is spread by "phone" already, and must be by "campaign_id"`) {
		t.Errorf("leads by their phone: %v", err)
	}
	done["leads"], done["tenants"] = "campaign_id", "id"
	if _, err := distribution(tables, done); err == nil || !strings.Contains(err.Error(), `tenants is spread by "id" already, and must be by ""`) {
		t.Errorf("tenants: %v", err)
	}
}

func TestDistributeWithoutACluster(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	if ran, err := Distribute(t.Context(), Config{URL: url}); !errors.Is(err, ErrNoCitus) || len(ran) > 0 {
		t.Errorf("it ran %q, %v", ran, err)
	}
	there, err := Exists(t.Context(), Config{URL: url})
	if err != nil || there {
		t.Errorf("it has made tables in a database of no cluster: %v, %v", there, err)
	}
}

// imitation is what Distribute asks of Citus, noted down and not done: the real one is
// in no package.
const imitation = `
	SET allow_system_table_mods = on;
	INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) VALUES (99999, 'citus', 10, 11, false, '13');
	CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partkey text);
	CREATE FUNCTION pg_catalog.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql AS 'SELECT $2';
	CREATE FUNCTION pg_catalog.create_reference_table(regclass) RETURNS void LANGUAGE sql
	  AS 'INSERT INTO pg_catalog.pg_dist_partition VALUES ($1, NULL)';
	CREATE FUNCTION pg_catalog.create_distributed_table(regclass, text, colocate_with text) RETURNS void LANGUAGE sql
	  AS 'INSERT INTO pg_catalog.pg_dist_partition VALUES ($1, $2)'`

// A new database is spread once; again nothing is done, and what an upgrade adds is
// spread then. While a process works on it, it is left alone.
func TestDistribute(t *testing.T) {
	t.Parallel()
	cfg := Config{URL: pgtest.Empty(t), Dir: t.TempDir()}
	if _, err := pgtest.Exec(t.Context(), cfg.URL, imitation); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "distribute.sql"))
	if err != nil {
		t.Fatal(err)
	}
	ran, err := Distribute(t.Context(), cfg)
	if got := strings.Join(ran, ";\n") + ";\n"; err != nil || got != string(golden) {
		t.Fatalf("it ran %s, %v", got, err)
	}
	if ran, err := Distribute(t.Context(), cfg); err != nil || len(ran) > 0 {
		t.Errorf("once more: %q, %v", ran, err)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Distribute(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "processes work on the database, or did half a minute ago (1)") {
		t.Errorf("beside a process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.Exec(t.Context(), cfg.URL, "CREATE TABLE later (id BIGINT)"); err != nil {
		t.Fatal(err)
	}
	if ran, err := Distribute(t.Context(), cfg); err != nil || !slices.Equal(ran, []string{"SELECT create_reference_table('later')"}) {
		t.Errorf("a table more: %q, %v", ran, err)
	}
}
