package store

import (
	"fmt"
	"time"

	"saaf"
)

// session is a connection of either engine. Statements are written once, for
// PostgreSQL, with what SQLite understands too: see sqliteDialect for the two
// clauses it lacks. Parameters are $1, $2, ... in the order of args.
type session interface {
	// query runs one statement and hands each row to scan, which may be nil. An error
	// of scan ends it.
	query(sql string, scan func(row) error, args ...any) error

	// exec runs a statement that returns no rows and says how many rows it changed.
	exec(sql string, args ...any) (int, error)
}

// value is an argument as both engines take it: nil, int64, float64, string, []byte
// or []int64. Nil pointers, nil slices, zero times and zero optional ids become NULL.
// Truth is stored as 0 and 1.
func value(arg any) any {
	switch v := arg.(type) {
	case nil, int64, string, []int64:
		return v
	case int:
		return int64(v)
	case *int:
		if v != nil {
			return int64(*v)
		}
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case *float64:
		if v != nil {
			return *v
		}
	case *string:
		if v != nil {
			return *v
		}
	case []byte:
		if v != nil {
			return v
		}
	case time.Time:
		if !v.IsZero() {
			return v.UnixMilli()
		}
	case saaf.TenantID:
		return int64(v)
	case saaf.KeyID:
		return int64(v)
	case saaf.CampaignID:
		return int64(v)
	case saaf.LeadID:
		return int64(v)
	case saaf.ServerID:
		return int64(v)
	case saaf.SuppressionID:
		return int64(v)
	case saaf.RegistryImportID:
		return int64(v)
	case saaf.ErasureID:
		return int64(v)
	case saaf.EntryID:
		return int64(v)
	case saaf.SnapshotID:
		if v != 0 {
			return int64(v)
		}
	case saaf.Cursor:
		return int64(v)
	case saaf.Phone:
		return int64(v)
	case saaf.Date:
		return int64(v)
	case saaf.LeadStatus:
		return int64(v)
	case saaf.VerdictReason:
		return int64(v)
	case saaf.Environment:
		return string(v)
	case saaf.CampaignStatus:
		return string(v)
	case saaf.ImportMode:
		return string(v)
	case ImportState:
		return string(v)
	default:
		panic(fmt.Sprintf("store: no binding for %T", arg))
	}
	return nil
}

// integers is a list of ids or of phones as a statement takes it, for "= ANY($1)".
func integers[T ~int64 | ~uint64](list []T) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

// cells are the columns of one result row of an engine.
type cells interface {
	isNull(i int) bool
	isInteger(i int) bool
	int64(i int) int64 // NULL is 0
	float(i int) float64
	text(i int) string
	bytes(i int) []byte // a copy; NULL is nil
}

// row reads the columns of one result row from left to right.
type row struct {
	cells cells
	next  *int
}

func (r row) column() int {
	c := *r.next
	*r.next++
	return c
}

func (r row) int64() int64 { return r.cells.int64(r.column()) }
func (r row) int() int     { return int(r.int64()) }

// number is an integer that a statement finds as one, -1 for a value that SQLite
// would only convert to one: 7x is read as 7, and found by nobody who looks for 7.
func (r row) number() int64 {
	c := r.column()
	if !r.cells.isInteger(c) {
		return -1
	}
	return r.cells.int64(c)
}

func (r row) bool() bool    { return r.int64() != 0 }
func (r row) text() string  { return r.cells.text(r.column()) }
func (r row) bytes() []byte { return r.cells.bytes(r.column()) }

func (r row) time() time.Time {
	if c := r.column(); !r.cells.isNull(c) {
		return time.UnixMilli(r.cells.int64(c)).UTC()
	}
	return time.Time{}
}

func (r row) optionalText() *string {
	c := r.column()
	if r.cells.isNull(c) {
		return nil
	}
	return new(r.cells.text(c))
}

func (r row) optionalFloat() *float64 {
	c := r.column()
	if r.cells.isNull(c) {
		return nil
	}
	return new(r.cells.float(c))
}

func (r row) optionalInt() *int {
	c := r.column()
	if r.cells.isNull(c) {
		return nil
	}
	return new(int(r.cells.int64(c)))
}
