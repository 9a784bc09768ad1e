package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// spread are the tables that are spread by campaign where a database is, with the
// column that says whose a row is. All others are whole on every machine.
var spread = map[string]string{
	"campaigns":        "id",
	"campaign_counts":  "campaign_id",
	"campaign_changes": "campaign_id",
	"leads":            "campaign_id",
	"ledger":           "campaign_id",
}

// migrated reports whether there is a store in the database.
func migrated(conn session) (there bool, err error) {
	const sqlMigrated = `SELECT CAST(count(*) AS BIGINT) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1`
	err = conn.query(sqlMigrated, func(r row) error { there = r.int64() > 0; return nil }, "schema_migrations")
	return there, err
}

// migrate applies what is missing. Processes that start at once wait for each other.
func (e *postgres) migrate(ctx context.Context) error {
	list, err := loadMigrations()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := e.migrateTo(ctx, list)
		// Two that make the first table at once: one of them finds it there.
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && try < 5 && (pg.Code == "23505" || pg.Code == "42P07" || pg.Code == "40P01") {
			continue
		}
		return err
	}
}

func (e *postgres) migrateTo(ctx context.Context, list []migration) error {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	s := pgSession{ctx, conn.Conn()}
	done, err := migrationsOf(s)
	if err != nil {
		return err
	}
	if len(done) == len(list) { // nearly always: nobody has to wait
		return applyMissing(s, list, nil)
	}
	dbtx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = dbtx.Rollback(context.WithoutCancel(ctx)) }()
	if err := createMigrations(s); err != nil {
		return err
	}
	if _, err := s.exec(`LOCK TABLE schema_migrations IN EXCLUSIVE MODE`); err != nil {
		return err
	}
	err = applyMissing(s, list, func(m *migration) error {
		_, err := conn.Conn().Exec(ctx, pgDialect(m.forEngine(postgresOnly, sqliteOnly), e.store.cfg.partitions))
		return err
	})
	if err != nil {
		return err
	}
	return dbtx.Commit(ctx)
}

// migrationsOf lists the applied migrations; there are none in an empty database.
func migrationsOf(conn session) ([]migration, error) {
	there, err := migrated(conn)
	if err != nil || !there {
		return nil, err
	}
	return appliedMigrations(conn)
}

var (
	blob        = regexp.MustCompile(`\bBLOB\b`)
	integer     = regexp.MustCompile(`\bINTEGER\b`)
	createTable = regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \(.*?^\);`)
)

// pgDialect writes a migration with the types of PostgreSQL, and spread over so many
// partitions of it, 0 for none.
func pgDialect(sql string, partitions int) string {
	sql = integer.ReplaceAllString(blob.ReplaceAllString(sql, "BYTEA"), "BIGINT")
	if partitions == 0 {
		return sql
	}
	return createTable.ReplaceAllStringFunc(sql, func(create string) string {
		table := createTable.FindStringSubmatch(create)[1]
		column, ok := spread[table]
		if !ok {
			return create
		}
		var out strings.Builder
		fmt.Fprintf(&out, "%s PARTITION BY HASH (%s);\n", strings.TrimSuffix(create, ";"), column)
		for n := range partitions {
			fmt.Fprintf(&out, "CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d);\n", table, n, table, partitions, n)
		}
		return out.String()
	})
}
