package store

import (
	"strconv"
	"strings"
)

// where collects conditions and their arguments; it is the only place that puts
// a statement together. Conditions are constants of this package and write ? for
// each argument.
type where struct {
	sql  strings.Builder
	args []any
}

// and adds a condition.
func (w *where) and(condition string, args ...any) {
	if w.sql.Len() == 0 {
		w.sql.WriteString(" WHERE ")
	} else {
		w.sql.WriteString(" AND ")
	}
	w.add(condition, args...)
}

// add writes sql with each ? replaced by the next $n.
func (w *where) add(sql string, args ...any) {
	for before, after, found := strings.Cut(sql, "?"); ; before, after, found = strings.Cut(after, "?") {
		w.sql.WriteString(before)
		if !found {
			break
		}
		w.sql.WriteByte('$')
		w.args = append(w.args, args[0])
		args = args[1:]
		w.sql.WriteString(strconv.Itoa(len(w.args)))
	}
}

// build is head, the conditions and tail as one statement.
func (w *where) build(head, tail string, args ...any) (string, []any) {
	w.sql.WriteByte(' ')
	w.add(tail, args...)
	return head + w.sql.String(), w.args
}
