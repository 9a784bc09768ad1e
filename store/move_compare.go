package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"saaf"
)

// compare holds the two sides against each other: for each table, and for each campaign
// where it is spread by them, how many rows there are and sums over every column; for
// the ledger also the last entries of its chains.
func (m *mover) compare(ctx context.Context) error {
	m.cfg.Progress(MoveProgress{Done: m.report.Rows, Total: m.total})
	for i := range movedTables {
		t := &movedTables[i]
		columns, err := m.columnsOf(ctx, t.name)
		if err != nil {
			return err
		}
		want, err := sums(m.from, t, columns)
		if err != nil {
			return fmt.Errorf("sum up %s: %w", t.name, err)
		}
		var got map[int64][]int64
		err = m.to.read(ctx, func(conn session) error {
			got, err = sums(conn, t, columns)
			return err
		})
		if err != nil {
			return fmt.Errorf("sum up %s in the database: %w", t.name, err)
		}
		if err := differ(t, columns, want, got); err != nil {
			return err
		}
	}
	if err := m.compareChains(ctx); err != nil {
		return err
	}
	// There is nothing yet by which the database could plan.
	return m.to.setUp(ctx, func(conn session) error {
		_, err := conn.exec(`ANALYZE`)
		return err
	})
}

// sumModulus keeps sums over ids far from the end of 64 bits.
const sumModulus = 1_000_003

// sums are, by campaign, or by 0 where a table is not spread by them, the number of rows
// and for each column how many are not null and their sum: of numbers, or of lengths.
func sums(conn session, t *movedTable, columns []column) (map[int64][]int64, error) {
	what, by := []string{"0", "count(*)"}, ""
	if campaign, ok := spread[t.name]; ok {
		what[0], by = campaign, "GROUP BY "+campaign
	}
	for _, c := range columns {
		what = append(what, fmt.Sprintf("count(%s)", c.name))
		switch c.kind {
		case "bigint":
			what = append(what, fmt.Sprintf("CAST(coalesce(sum(%s %% %d), 0) AS BIGINT)", c.name, sumModulus))
		case "text", "bytea":
			what = append(what, fmt.Sprintf("CAST(coalesce(sum(length(%s)), 0) AS BIGINT)", c.name))
		default:
			what = append(what, fmt.Sprintf("CAST(coalesce(sum(CAST(round(%s * 1000000) AS BIGINT)), 0) AS BIGINT)", c.name))
		}
	}
	list := make(map[int64][]int64)
	err := conn.query(reading(what, t.name, by), func(r row) error {
		campaign := r.int64()
		for range what[1:] {
			list[campaign] = append(list[campaign], r.int64())
		}
		return nil
	})
	return list, err
}

// differ says where two tables differ.
func differ(t *movedTable, columns []column, want, got map[int64][]int64) error {
	var campaigns []int64
	for _, sums := range []map[int64][]int64{want, got} {
		for campaign := range sums {
			if !slices.Equal(want[campaign], got[campaign]) {
				campaigns = append(campaigns, campaign)
			}
		}
	}
	if len(campaigns) == 0 {
		return nil
	}
	first := slices.Min(campaigns)
	where := t.name
	if spread[t.name] != "" {
		where += " of " + saaf.CampaignID(first).String()
	}
	w, g := want[first], got[first]
	if len(w) == 0 || len(g) == 0 || w[0] != g[0] {
		return fmt.Errorf("the table %s has %d rows in the database and %d in the store: drop the database, make it anew, and move into that",
			where, count(g), count(w))
	}
	var other []string
	for i, c := range columns {
		if !slices.Equal(w[1+2*i:3+2*i], g[1+2*i:3+2*i]) {
			other = append(other, c.name)
		}
	}
	return fmt.Errorf("the table %s has other values in the database than in the store, in %s: drop the database, make it anew, and move into that",
		where, strings.Join(other, ", "))
}

func count(sums []int64) int64 {
	if len(sums) == 0 {
		return 0
	}
	return sums[0]
}

// compareChains compares the last entries of the chains, which name all before them by
// their hashes.
func (m *mover) compareChains(ctx context.Context) error {
	want, err := openChains(m.from)
	if err != nil {
		return err
	}
	return m.to.read(ctx, func(conn session) error {
		for _, c := range want {
			got, err := readChainHead(conn, c.head.Writer)
			if err != nil {
				return err
			}
			if got != c.head {
				return fmt.Errorf("chain %d of the ledger ends with %s in the database and with %s in the store", c.head.Writer, got.Entry, c.head.Entry)
			}
		}
		return nil
	})
}
