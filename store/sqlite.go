package store

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"

	"zombiezen.com/go/sqlite"
)

// sqliteConn is a connection to the embedded database.
type sqliteConn struct {
	*sqlite.Conn
	rosters *rosters // of the process, nil without
}

func (c sqliteConn) query(sql string, scan func(row) error, args ...any) (err error) {
	stmt, err := c.Prepare(sqliteDialect(sql))
	if err != nil {
		return err
	}
	defer func() {
		if rerr := stmt.Reset(); err == nil {
			err = rerr
		}
		stmt.ClearBindings()
	}()
	for i, a := range args {
		bind(stmt, i+1, value(a))
	}
	r := row{cells: sqliteRow{stmt}, next: new(int)}
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		if scan == nil {
			continue
		}
		*r.next = 0
		if err := scan(r); err != nil {
			return err
		}
	}
}

func (c sqliteConn) exec(sql string, args ...any) (int, error) {
	if err := c.query(sql, nil, args...); err != nil {
		return 0, err
	}
	return c.Changes(), nil
}

// bind sets one parameter to what [value] made.
func bind(stmt *sqlite.Stmt, i int, v any) {
	switch v := v.(type) {
	case nil:
		stmt.BindNull(i)
	case int64:
		stmt.BindInt64(i, v)
	case float64:
		stmt.BindFloat(i, v)
	case string:
		stmt.BindText(i, v)
	case []byte:
		stmt.BindBytes(i, v)
	case []int64:
		list, _ := json.Marshal(v) // never fails
		stmt.BindText(i, string(list))
	}
}

var (
	anyOf   = regexp.MustCompile(`= ANY\((\$\d+)\)`)
	locking = regexp.MustCompile(`\s+FOR (NO KEY )?(UPDATE|SHARE)( OF \w+)?( SKIP LOCKED)?\b`)

	dialects sync.Map // of sqliteDialect: statements to what they become
)

// sqliteDialect writes a statement as SQLite has it: lists are JSON, and rows need no
// locks, since there is one writer at a time.
func sqliteDialect(sql string) string {
	if !strings.Contains(sql, "= ANY(") && !strings.Contains(sql, " FOR ") {
		return sql
	}
	if known, ok := dialects.Load(sql); ok {
		return known.(string)
	}
	out := anyOf.ReplaceAllString(sql, "IN (SELECT value FROM json_each($1))")
	out = locking.ReplaceAllString(out, "")
	dialects.Store(sql, out)
	return out
}

// sqliteRow is the row that a statement has come to.
type sqliteRow struct{ *sqlite.Stmt }

func (r sqliteRow) isNull(i int) bool    { return r.ColumnIsNull(i) }
func (r sqliteRow) isInteger(i int) bool { return r.ColumnType(i) == sqlite.TypeInteger }
func (r sqliteRow) int64(i int) int64    { return r.ColumnInt64(i) }
func (r sqliteRow) float(i int) float64  { return r.ColumnFloat(i) }
func (r sqliteRow) text(i int) string    { return r.ColumnText(i) }

func (r sqliteRow) bytes(i int) []byte {
	if r.ColumnIsNull(i) {
		return nil
	}
	b := make([]byte, r.ColumnLen(i))
	r.ColumnBytes(i, b)
	return b
}
