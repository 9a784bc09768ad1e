package store

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one file of migrations/, applied once and in order.
type migration struct {
	name     string
	checksum string
	sql      string
}

// The marks of lines in migrations that are for one engine alone.
const (
	sqliteOnly   = "--sqlite:"
	postgresOnly = "--postgres:"
)

func loadMigrations() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	list := make([]migration, len(names))
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		list[i] = migration{name: name[len("migrations/"):], checksum: hex.EncodeToString(sum[:]), sql: string(text)}
	}
	return list, nil
}

// forEngine is the migration with the lines of an engine, and without those of the
// other.
func (m *migration) forEngine(mine, others string) string {
	var out strings.Builder
	for line := range strings.Lines(m.sql) {
		if strings.HasPrefix(line, others) {
			continue
		}
		out.WriteString(strings.TrimPrefix(line, mine))
	}
	return out.String()
}

// migrate applies what is missing, in one transaction that also keeps other
// processes out. A store made by a newer program, or by one whose migrations
// were edited, is refused.
func migrate(conn sqliteConn) (err error) {
	list, err := loadMigrations()
	if err != nil {
		return err
	}
	if err := forgetDeleted(conn); err != nil {
		return fmt.Errorf("remove what was deleted: %w", err)
	}
	return migrateTo(conn, list)
}

// migrateTo is migrate with the given migrations.
func migrateTo(conn sqliteConn, list []migration) (err error) {
	end, err := sqlitex.ImmediateTransaction(conn.Conn)
	if err != nil {
		return err
	}
	defer end(&err)
	if err := createMigrations(conn); err != nil {
		return err
	}
	return applyMissing(conn, list, func(m *migration) error {
		return sqlitex.ExecScript(conn.Conn, m.forEngine(sqliteOnly, postgresOnly))
	})
}

func createMigrations(conn session) error {
	const sqlCreateMigrations = `
		CREATE TABLE IF NOT EXISTS schema_migrations (
		  name       TEXT   NOT NULL PRIMARY KEY,
		  checksum   TEXT   NOT NULL,
		  applied_at BIGINT NOT NULL
		)`
	_, err := conn.exec(sqlCreateMigrations)
	return err
}

// applyMissing applies those of the migrations that the store does not have, inside
// a transaction that keeps others out.
func applyMissing(conn session, list []migration, apply func(*migration) error) error {
	done, err := appliedMigrations(conn)
	if err != nil {
		return err
	}
	if len(done) > len(list) {
		return fmt.Errorf("the store was made by a newer saaf (it has %d migrations, this program %d): use that version", len(done), len(list))
	}
	for i := range list {
		m := &list[i]
		if i < len(done) {
			if done[i].name != m.name || done[i].checksum != m.checksum {
				return fmt.Errorf("migration %s in the store is not the one of this program: the store was made by another build of saaf", done[i].name)
			}
			continue
		}
		if err := apply(m); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
		const sqlRecordMigration = `INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)`
		if _, err := conn.exec(sqlRecordMigration, m.name, m.checksum, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// forgetDeleted writes a store anew that was made before rows were overwritten
// where they are deleted: an erasure promises that nothing is left of them.
func forgetDeleted(conn session) error {
	const sqlOld = `
		SELECT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE name = $2)
		   AND NOT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE name = $3)`
	old := false
	err := conn.query(sqlOld, func(r row) error { old = r.bool(); return nil }, "deployment", "version", "scrubs")
	if err != nil || !old {
		return err
	}
	for _, sql := range []string{"PRAGMA temp_store = FILE", "VACUUM", "PRAGMA temp_store = MEMORY"} {
		if _, err := conn.exec(sql); err != nil {
			return err
		}
	}
	return nil
}

func appliedMigrations(conn session) (done []migration, err error) {
	const sqlAppliedMigrations = `SELECT name, checksum FROM schema_migrations ORDER BY name`
	err = conn.query(sqlAppliedMigrations, func(r row) error {
		done = append(done, migration{name: r.text(), checksum: r.text()})
		return nil
	})
	return done, err
}
