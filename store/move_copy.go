package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// movedTable is a table that is moved, in batches along its key. All keys are numbers
// above -1.
type movedTable struct {
	name string
	key  []string // in the order of which the source is read
}

// movedTables are all that a store is, but for its one row of deployment. Those that
// others refer to come first.
var movedTables = []movedTable{
	{"tenants", []string{"id"}},
	{"api_keys", []string{"id"}},
	{"campaigns", []string{"id"}},
	{"campaign_counts", []string{"campaign_id", "slot"}},
	{"campaign_changes", []string{"campaign_id", "activation"}},
	{"leads", []string{"id"}},
	{"snapshots", []string{"id"}},
	{"snapshot_files", []string{"snapshot_id", "seq"}},
	{"activations", []string{"seq"}},
	{"suppressions", []string{"id"}},
	{"ledger", []string{"id"}},
	{"chains", []string{"writer_id"}},
	{"checkpoints", []string{"seq"}},
	{"registry_imports", []string{"id"}},
	{"erasures", []string{"id"}},
}

// notMoved are the tables that are not moved, with the reason.
var notMoved = map[string]string{
	"schema_migrations":    "of the engine",
	"deployment":           "one row, which is there: see copyDeployment",
	"servers":              "none runs",
	"nodes":                "of PostgreSQL; its floors are raised above all ids",
	"lead_blocks":          "PostgreSQL has an index in their place",
	"lead_block_heads":     "PostgreSQL has an index in their place",
	"lead_block_externals": "PostgreSQL has an index in their place",
	"leases":               "nobody holds one",
	"key_usage":            "of a minute that is over",
	"snapshot_blocks":      "an embedded store has none: files are published from its directory",
	"snapshot_uploads":     "an embedded store has none: files are published from its directory",
}

// column is a column of a table in the target.
type column struct{ name, kind string }

// columnsOf lists the columns of a table of the target.
func (m *mover) columnsOf(ctx context.Context, table string) (list []column, err error) {
	const sqlColumns = `
		SELECT column_name, data_type FROM information_schema.columns
		 WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`
	err = m.to.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlColumns, func(r row) error {
			list = append(list, column{r.text(), r.text()})
			return nil
		}, table)
	})
	return list, err
}

func namesOf(columns []column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.name
	}
	return list
}

// reading is a statement that reads from one table, put together from its names.
func reading(what []string, table, rest string) string {
	return fmt.Sprintf("SELECT %s FROM %s %s", strings.Join(what, ", "), table, rest)
}

func (m *mover) countRows(conn session, t *movedTable) (n int64, err error) {
	err = conn.query(reading([]string{"count(*)"}, t.name, ""), func(r row) error { n = r.int64(); return nil })
	return n, err
}

// copyTable copies what is not there yet. Each batch is a transaction, and they come in
// the order of the key, so that the highest key in the target says how far it is.
func (m *mover) copyTable(ctx context.Context, t *movedTable) error {
	columns, err := m.columnsOf(ctx, t.name)
	if err != nil {
		return err
	}
	after, there, err := m.reached(ctx, t)
	if err != nil {
		return err
	}
	m.report.Rows += there
	for {
		m.cfg.Progress(MoveProgress{Table: t.name, Done: m.report.Rows, Total: m.total})
		batch, err := m.readBatch(t, columns, after)
		if err != nil || len(batch) == 0 {
			return err
		}
		if _, err := m.to.pool.CopyFrom(ctx, pgx.Identifier{t.name}, namesOf(columns), pgx.CopyFromRows(batch)); err != nil {
			return refused(err)
		}
		m.report.Rows += int64(len(batch))
		last := batch[len(batch)-1]
		for i, name := range t.key {
			after[i] = last[slices.IndexFunc(columns, func(c column) bool { return c.name == name })]
		}
	}
}

// reached is the last key of a table in the target, and how many rows there are.
func (m *mover) reached(ctx context.Context, t *movedTable) (after []any, there int64, err error) {
	after = make([]any, len(t.key))
	for i := range after {
		after[i] = int64(-1)
	}
	last := reading(t.key, t.name, fmt.Sprintf("ORDER BY %s DESC LIMIT 1", strings.Join(t.key, " DESC, ")))
	err = m.to.read(ctx, func(conn session) error {
		if there, err = m.countRows(conn, t); err != nil {
			return err
		}
		return conn.query(last, func(r row) error {
			for i := range after {
				after[i] = r.int64()
			}
			return nil
		})
	})
	return after, there, err
}

var errBatchFull = errors.New("the batch is full")

// readBatch reads rows of the source behind a key.
func (m *mover) readBatch(t *movedTable, columns []column, after []any) (batch [][]any, err error) {
	places := make([]string, len(t.key))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	key := strings.Join(t.key, ", ")
	sql := reading(namesOf(columns), t.name, fmt.Sprintf("WHERE (%s) > (%s) ORDER BY %s LIMIT $%d", key, strings.Join(places, ", "), key, len(places)+1))
	size := 0
	err = m.from.query(sql, func(r row) error {
		values := make([]any, len(columns))
		for i, c := range columns {
			v, err := r.moved(c.kind)
			if err != nil {
				return fmt.Errorf("the row with %s %v cannot be moved: its %s %w", key, values[:min(i, len(t.key))], c.name, err)
			}
			values[i] = v
			size += sizeOf(v)
		}
		batch = append(batch, values)
		if size >= m.cfg.bytes {
			return errBatchFull
		}
		return nil
	}, append(slices.Clone(after), m.cfg.rows)...)
	return batch, ignore(err, errBatchFull)
}

// moved is the next value as a column of a kind takes it in PostgreSQL. SQLite holds
// what PostgreSQL does not.
func (r row) moved(kind string) (any, error) {
	c := r.column()
	switch {
	case r.cells.isNull(c):
		return nil, nil
	case kind == "bigint" && !r.cells.isInteger(c):
		return nil, errors.New("is no number")
	case kind == "bigint":
		return r.cells.int64(c), nil
	case kind == "bytea":
		return r.cells.bytes(c), nil
	case kind == "double precision":
		return r.cells.float(c), nil
	case kind != "text":
		return nil, fmt.Errorf("is a %s, which nothing is moved into", kind)
	}
	text := r.cells.text(c)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, errors.New("holds a character that PostgreSQL cannot store: NUL, or bytes that are not UTF-8")
	}
	return text, nil
}

func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 8
}

// notCopied are the columns of deployment that are of one side alone.
var notCopied = []string{"one", "moving", "moved_to", "moved_at", "spread_seq", "packed", "roster_seq"}

// copyDeployment copies what stands in the one row, and has ids go on above all that
// are there. In an embedded store every change of the opt-out lists has reached all leads.
func (m *mover) copyDeployment(ctx context.Context) error {
	columns, err := m.columnsOf(ctx, "deployment")
	if err != nil {
		return err
	}
	columns = slices.DeleteFunc(columns, func(c column) bool { return slices.Contains(notCopied, c.name) })
	var set []string
	var values []any
	err = m.from.query(reading(namesOf(columns), "deployment", ""), func(r row) error {
		for _, c := range columns {
			v, err := r.moved(c.kind)
			if err != nil {
				return fmt.Errorf("its %s %w", c.name, err)
			}
			values = append(values, v)
			set = append(set, fmt.Sprintf("%s = $%d", c.name, len(values)))
			if c.name == "suppression_seq" {
				set = append(set, fmt.Sprintf("spread_seq = $%d", len(values)))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	highest, err := highestID(m.from)
	if err != nil {
		return err
	}
	const sqlRaiseFloors = `UPDATE nodes SET floor = $1 WHERE floor < $1`
	return m.to.setUp(ctx, func(conn session) error {
		if _, err := conn.exec(fmt.Sprintf("UPDATE %s SET %s", "deployment", strings.Join(set, ", ")), values...); err != nil {
			return err
		}
		_, err := conn.exec(sqlRaiseFloors, highest)
		return err
	})
}
