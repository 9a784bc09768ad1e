package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"saaf"
)

// query reads the parameters of a list and collects what is wrong with them. A
// parameter that does not exist is wrong: a filter that is misspelt must not
// return everything.
type query struct {
	values url.Values
	wrong  []saaf.FieldError
}

func queryOf(r *http.Request, known ...string) *query {
	q := &query{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		q.fail("", "the query string cannot be read; percent-encode its values", "value_error.query")
	}
	q.values = values
	for name := range values {
		if !slices.Contains(known, name) {
			q.fail(name, "this parameter does not exist; use "+strings.Join(known, ", "), "value_error.unknown_parameter")
		}
	}
	slices.SortFunc(q.wrong, func(a, b saaf.FieldError) int { return slices.Compare(a.Loc, b.Loc) })
	return q
}

func (q *query) fail(name, msg, typ string) {
	loc := []string{"query"}
	if name != "" {
		loc = append(loc, name)
	}
	q.wrong = append(q.wrong, saaf.FieldError{Loc: loc, Msg: msg, Type: typ})
}

// parse hands the last value of a parameter to set, if there is one.
func (q *query) parse(name string, set func(string) error) {
	values := q.values[name]
	if len(values) == 0 {
		return
	}
	if err := set(values[len(values)-1]); err != nil {
		msg, typ := err.Error(), "value_error."+name
		if e, ok := errors.AsType[*saaf.Error](err); ok && len(e.Fields) > 0 {
			msg, typ = e.Fields[0].Msg, e.Fields[0].Type
		}
		q.fail(name, msg, typ)
	}
}

// require refuses a request without the parameter.
func (q *query) require(name, msg string) {
	if len(q.values[name]) == 0 {
		q.fail(name, msg, "value_error.missing")
	}
}

// reason reads a parameter that says why something is done, "" without it.
func (q *query) reason(name string) (text string) {
	q.parse(name, func(s string) error {
		if !utf8.ValidString(s) {
			return errors.New("ensure this value is UTF-8, percent-encoded")
		}
		checked, wrong := saaf.CheckReason(name, s)
		if wrong != nil {
			return &saaf.Error{Code: saaf.Invalid, Fields: []saaf.FieldError{*wrong}}
		}
		text = checked
		return nil
	})
	return text
}

// page reads limit and cursor.
func (q *query) page() (below saaf.Cursor, limit int) {
	limit = saaf.DefaultPageSize
	q.parse("limit", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > saaf.MaxPageSize {
			return fmt.Errorf("ensure this value is a number from 1 to %d", saaf.MaxPageSize)
		}
		limit = n
		return nil
	})
	q.parse("cursor", func(s string) error {
		c, ok := saaf.ParseCursor(s)
		if !ok {
			return errors.New("this is not a cursor; pass the value of next from the page before")
		}
		below = c
		return nil
	})
	return below, limit
}

func (q *query) err() error {
	if len(q.wrong) == 0 {
		return nil
	}
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: q.wrong}
}

func setParsed[T any](into **T, s string, parse func(string) (T, error)) error {
	v, err := parse(s)
	if err != nil {
		return err
	}
	*into = &v
	return nil
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("ensure this value is true or false")
}

// parseTime reads RFC 3339. A plus sign that was not percent-encoded arrives as a
// space. Stored times are whole milliseconds, so that both "from" and "before" an
// instant between two of them mean the later one. No lead is older than 1970, and
// some programs write "no limit" as the year 1.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.Replace(s, " ", "+", 1))
	if err != nil {
		return t, errors.New("ensure this value is a time in RFC 3339, for instance 2026-11-20T09:00:00Z")
	}
	if epoch := time.Unix(0, 0); t.Before(epoch) {
		t = epoch
	}
	return t.UTC().Add(time.Millisecond - 1).Truncate(time.Millisecond), nil
}

// cut turns a list of up to limit+1 into a page and the cursor of the next one,
// 0 when this is the last.
func cut[T any](list []T, limit int, id func(*T) int64) ([]T, saaf.Cursor) {
	if len(list) <= limit {
		return list, 0
	}
	list = list[:limit]
	return list, saaf.Cursor(id(&list[limit-1]))
}
