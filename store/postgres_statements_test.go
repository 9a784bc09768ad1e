package store

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// whole is a statement, and neither a sentence that begins like one nor the beginning of
// one.
var whole = regexp.MustCompile(`^\s*[A-Z]+ [^%]*$`)

// PostgreSQL takes every statement, and makes of each parameter what is passed for it: a
// sum of integers, or a bare condition, would be of a type that nobody passes.
func TestPostgresTakesEveryStatement(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := pgx.Connect(t.Context(), b.cfg.URL)
	b.must(err)
	defer conn.Close(t.Context())
	passed := []string{"bigint", "bigint[]", "text", "text[]", "bytea", "bytea[]", "double precision", "name"}
	const name = "looked_at"
	looked := 0
	look := func(at, what, sql string) {
		t.Helper()
		looked++
		if _, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+sql); err != nil {
			t.Errorf("%s: %s: %v", at, what, err)
			return
		}
		for i, kind := range parameterTypes(t, conn, name) {
			truth := kind == "integer" && strings.Contains(sql, fmt.Sprintf("$%d = 1", i+1)) // 0 or 1
			if !truth && !slices.Contains(passed, kind) {
				t.Errorf("%s: %s: $%d is a %s", at, what, i+1, kind)
			}
		}
		_, err := conn.Exec(t.Context(), "DEALLOCATE "+name)
		b.must(err)
	}
	for _, s := range statements(t) {
		// What a cluster alone has, and the blocks of the embedded store.
		if s.name == "sqlDistributed" || strings.Contains(s.sql, "lead_block") {
			continue
		}
		if !notPostgres.MatchString(s.at) && whole.MatchString(s.sql) && s.name != "leadsQuery" && s.name != "suppressionsQuery" {
			look(s.at, s.name, s.sql)
		}
	}
	everyLeadsQuery(b, nil, func(_ LeadFilter, sql string, _ []any) { look("leads_read.go", "leadsQuery", sql) })
	everySuppressionsQuery(b, func(sql string, _ []any) { look("suppressions.go", "suppressionsQuery", sql) })
	if looked < 100 {
		t.Errorf("only %d statements were looked at", looked)
	}
}
