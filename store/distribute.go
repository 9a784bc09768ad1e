package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrNoCitus is returned by [Distribute] for a database that is of no cluster.
var ErrNoCitus = errors.New("the database has no Citus: install it on every machine, run CREATE EXTENSION citus in the database on each, and make the machines known with citus_add_node; docs/postgres.md says how")

// Distribute spreads the tables of a store over the machines of a Citus cluster: by
// campaign those that are spread by campaign, and all others whole on each machine. It
// makes them where they are missing, leaves alone what is spread already, and refuses
// while processes work on the database. It returns the statements that it ran.
func Distribute(ctx context.Context, cfg Config) (ran []string, err error) {
	cfg.setDefaults()
	e, err := connectPostgres(ctx, &Store{cfg: cfg})
	if err != nil {
		return nil, err
	}
	defer e.disconnect()
	// Before any table is made: this may be another database than was meant.
	if err := e.setUp(ctx, ofCluster); err != nil {
		return nil, wrap("distribute", explained(interrupted(ctx, err)))
	}
	if err := e.migrate(ctx); err != nil {
		return nil, wrap("distribute", err)
	}
	err = e.setUp(ctx, func(conn session) error {
		if err := distributable(conn); err != nil {
			return err
		}
		tables, done, err := readDistribution(conn)
		if err != nil {
			return err
		}
		statements, err := distribution(tables, done)
		if err != nil {
			return err
		}
		for _, sql := range statements {
			if err := conn.query(sql, nil); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			ran = append(ran, sql)
		}
		return nil
	})
	return ran, wrap("distribute", interrupted(ctx, err))
}

// ofCluster refuses a database of no cluster.
func ofCluster(conn session) error {
	const sqlCitus = `SELECT count(*) FROM pg_extension WHERE extname = $1`
	there := false
	err := conn.query(sqlCitus, func(r row) error { there = r.int64() > 0; return nil }, "citus")
	if err == nil && !there {
		err = ErrNoCitus
	}
	return err
}

// distributable refuses a database that is in use.
func distributable(conn session) error {
	const sqlWorking = `SELECT count(*) FROM nodes WHERE until > $1`
	working := 0
	now, err := databaseClock(conn)
	if err != nil {
		return err
	}
	err = conn.query(sqlWorking, func(r row) error { working = r.int(); return nil }, now)
	if err == nil && working > 0 {
		err = fmt.Errorf("processes work on the database, or did half a minute ago (%d): stop them first", working)
	}
	return err
}

// that are.
func readDistribution(conn session) (tables []string, done map[string]string, err error) {
	const (
		sqlTables      = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = $1 ORDER BY table_name`
		sqlDistributed = `
			SELECT CAST(c.relname AS TEXT), coalesce(column_to_column_name(p.logicalrelid, p.partkey), '')
			  FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			 WHERE n.nspname = current_schema()`
	)
	done = make(map[string]string)
	err = conn.query(sqlTables, func(r row) error { tables = append(tables, r.text()); return nil }, "BASE TABLE")
	if err == nil {
		err = conn.query(sqlDistributed, func(r row) error {
			table := r.text()
			done[table] = r.text()
			return nil
		})
	}
	return tables, done, err
}

// distributedFirst are tables that others refer to, and the one that the spread ones go
// with.
var distributedFirst = []string{"tenants", "snapshots", "campaigns"}

// distribution is the statements that spread the tables that are not spread yet: first
// those that are whole on each machine.
func distribution(tables []string, done map[string]string) (statements []string, err error) {
	first := func(table string) int {
		if i := slices.Index(distributedFirst, table); i >= 0 {
			return i
		}
		return len(distributedFirst)
	}
	tables = slices.Clone(tables)
	slices.Sort(tables)
	slices.SortStableFunc(tables, func(a, b string) int { return first(a) - first(b) })
	var byCampaign []string
	for _, table := range tables {
		by, isSpread := spread[table]
		is, isDone := done[table]
		switch {
		case isDone && is != by:
			return nil, fmt.Errorf("the table %s is spread by %q already, and must be by %q: make a new database", table, is, by)
		case isDone:
		case !isSpread:
			statements = append(statements, calling(fmt.Sprintf("create_reference_table('%s')", table)))
		case table == "campaigns":
			byCampaign = append(byCampaign, calling(fmt.Sprintf("create_distributed_table('%s', '%s', colocate_with => 'none')", table, by)))
		default:
			byCampaign = append(byCampaign, calling(fmt.Sprintf("create_distributed_table('%s', '%s', colocate_with => 'campaigns')", table, by)))
		}
	}
	return append(statements, byCampaign...), nil
}

func calling(function string) string { return "SELECT " + function }
