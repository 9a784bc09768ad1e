package store

import (
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// query runs one statement and hands each row to scan. Arguments are bound in
// order to $1, $2, ...
func query(conn *sqlite.Conn, sql string, scan func(row) error, args ...any) (err error) {
	stmt, err := conn.Prepare(sql)
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
		bind(stmt, i+1, a)
	}
	r := row{stmt: stmt, next: new(int)}
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

// exec runs a statement that returns no rows and says how many rows it changed.
func exec(conn *sqlite.Conn, sql string, args ...any) (int, error) {
	if err := query(conn, sql, nil, args...); err != nil {
		return 0, err
	}
	return conn.Changes(), nil
}

// bind sets one parameter. Nil pointers, nil slices, zero times and zero
// optional ids become NULL.
func bind(stmt *sqlite.Stmt, i int, arg any) {
	switch v := arg.(type) {
	case nil:
		stmt.BindNull(i)
	case int:
		stmt.BindInt64(i, int64(v))
	case int64:
		stmt.BindInt64(i, v)
	case *int:
		bindOptional(stmt, i, v, func(n int) { stmt.BindInt64(i, int64(n)) })
	case bool:
		stmt.BindBool(i, v)
	case *float64:
		bindOptional(stmt, i, v, func(x float64) { stmt.BindFloat(i, x) })
	case string:
		stmt.BindText(i, v)
	case *string:
		bindOptional(stmt, i, v, func(s string) { stmt.BindText(i, s) })
	case []byte:
		if v == nil {
			stmt.BindNull(i)
			return
		}
		stmt.BindBytes(i, v)
	case time.Time:
		if v.IsZero() {
			stmt.BindNull(i)
			return
		}
		stmt.BindInt64(i, v.UnixMilli())
	case saaf.TenantID:
		stmt.BindInt64(i, int64(v))
	case saaf.KeyID:
		stmt.BindInt64(i, int64(v))
	case saaf.CampaignID:
		stmt.BindInt64(i, int64(v))
	case saaf.LeadID:
		stmt.BindInt64(i, int64(v))
	case saaf.ServerID:
		stmt.BindInt64(i, int64(v))
	case saaf.SuppressionID:
		stmt.BindInt64(i, int64(v))
	case saaf.RegistryImportID:
		stmt.BindInt64(i, int64(v))
	case saaf.ErasureID:
		stmt.BindInt64(i, int64(v))
	case saaf.EntryID:
		stmt.BindInt64(i, int64(v))
	case saaf.SnapshotID:
		if v == 0 {
			stmt.BindNull(i)
			return
		}
		stmt.BindInt64(i, int64(v))
	case saaf.Cursor:
		stmt.BindInt64(i, int64(v))
	case saaf.Phone:
		stmt.BindInt64(i, int64(v))
	case saaf.Date:
		stmt.BindInt64(i, int64(v))
	case saaf.LeadStatus:
		stmt.BindInt64(i, int64(v))
	case saaf.VerdictReason:
		stmt.BindInt64(i, int64(v))
	case saaf.Environment:
		stmt.BindText(i, string(v))
	case saaf.CampaignStatus:
		stmt.BindText(i, string(v))
	case saaf.ImportMode:
		stmt.BindText(i, string(v))
	case ImportState:
		stmt.BindText(i, string(v))
	default:
		panic(fmt.Sprintf("store: no binding for %T", arg))
	}
}

func bindOptional[T any](stmt *sqlite.Stmt, i int, v *T, set func(T)) {
	if v == nil {
		stmt.BindNull(i)
		return
	}
	set(*v)
}

// row reads the columns of one result row from left to right.
type row struct {
	stmt *sqlite.Stmt
	next *int
}

func (r row) column() int {
	c := *r.next
	*r.next++
	return c
}

func (r row) int64() int64 { return r.stmt.ColumnInt64(r.column()) }
func (r row) int() int     { return int(r.int64()) }

// number is an integer that a statement finds as one, -1 for a value that SQLite
// would only convert to one: 7x is read as 7, and found by nobody who looks for 7.
func (r row) number() int64 {
	c := r.column()
	if r.stmt.ColumnType(c) != sqlite.TypeInteger {
		return -1
	}
	return r.stmt.ColumnInt64(c)
}

func (r row) bool() bool   { return r.int64() != 0 }
func (r row) text() string { return r.stmt.ColumnText(r.column()) }
func (r row) time() time.Time {
	if c := r.column(); !r.stmt.ColumnIsNull(c) {
		return time.UnixMilli(r.stmt.ColumnInt64(c)).UTC()
	}
	return time.Time{}
}

func (r row) bytes() []byte {
	c := r.column()
	if r.stmt.ColumnIsNull(c) {
		return nil
	}
	b := make([]byte, r.stmt.ColumnLen(c))
	r.stmt.ColumnBytes(c, b)
	return b
}

func (r row) optionalText() *string {
	c := r.column()
	if r.stmt.ColumnIsNull(c) {
		return nil
	}
	return new(r.stmt.ColumnText(c))
}

func (r row) optionalFloat() *float64 {
	c := r.column()
	if r.stmt.ColumnIsNull(c) {
		return nil
	}
	return new(r.stmt.ColumnFloat(c))
}

func (r row) optionalInt() *int {
	c := r.column()
	if r.stmt.ColumnIsNull(c) {
		return nil
	}
	return new(int(r.stmt.ColumnInt64(c)))
}
