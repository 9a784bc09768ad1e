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
}
