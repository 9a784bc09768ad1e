package store

import (
	"fmt"
	"strings"
)

// pgSchema writes what the catalogue of PostgreSQL says of the tables. Partitions look
// like the table they are part of, and are left out.
func pgSchema(conn session, text *strings.Builder) error {
	const (
		columns = `
			SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
			  FROM pg_class c
			  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
			 ORDER BY c.relname COLLATE "C", a.attnum`
		constraints = `
			SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
			  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
			 WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
			 ORDER BY c.relname COLLATE "C", k.conname COLLATE "C"`
		// ONLY is written where there are partitions.
		indexes = `
			SELECT c.relname, replace(replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), ' ' || current_schema() || '.', ' public.')
			  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
			 WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition AND NOT i.indisprimary
			 ORDER BY c.relname COLLATE "C", x.relname COLLATE "C"`
	)
	tables := map[string]*strings.Builder{}
	var order []string
	add := func(table, line string, args ...any) {
		if tables[table] == nil {
			tables[table] = new(strings.Builder)
			order = append(order, table)
		}
		fmt.Fprintf(tables[table], line, args...)
	}
	err := conn.query(columns, func(r row) error {
		table, name, kind, rest := r.text(), r.text(), r.text(), ""
		if r.bool() {
			rest = " NOT NULL"
		}
		if value := r.text(); value != "" {
			rest += " DEFAULT " + value
		}
		add(table, "  %s %s%s\n", name, kind, rest)
		return nil
	})
	if err == nil {
		err = conn.query(constraints, func(r row) error {
			add(r.text(), "  CONSTRAINT %s %s\n", r.text(), r.text())
			return nil
		})
	}
	if err == nil {
		err = conn.query(indexes, func(r row) error {
			add(r.text(), "  %s\n", r.text())
			return nil
		})
	}
	for _, table := range order {
		fmt.Fprintf(text, "%s\n%s\n", table, tables[table])
	}
	return err
}
