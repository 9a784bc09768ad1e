package store

import (
	"cmp"
	"context"
	"slices"

	"saaf"
)

// KeyUse is how many requests a key has made.
type KeyUse struct {
	Key      saaf.KeyID
	Requests int64
}

// UseKeys adds what keys have used here in a minute to what all processes know of,
// and returns the totals. Minutes count from 1970-01-01 by the clock of the caller;
// those two before are forgotten. It is for processes that share a database.
func (s *Store) UseKeys(ctx context.Context, minute int64, used []KeyUse) (totals []KeyUse, err error) {
	const (
		sqlUseKeys = `
			INSERT INTO key_usage AS u (key_id, minute, used)
			SELECT n.key_id, $1, n.used FROM unnest(CAST($2 AS BIGINT[]), CAST($3 AS BIGINT[])) AS n (key_id, used)
			ON CONFLICT (key_id, minute) DO UPDATE SET used = u.used + excluded.used
			RETURNING key_id, used`
		sqlForgetUsage = `DELETE FROM key_usage WHERE minute < $1`
	)
	// Everybody takes the rows in the same order, so that nobody has what the other
	// waits for.
	used = slices.SortedFunc(slices.Values(used), func(a, b KeyUse) int { return cmp.Compare(a.Key, b.Key) })
	keys, requests := make([]int64, len(used)), make([]int64, len(used))
	for i, u := range used {
		keys[i], requests[i] = int64(u.Key), u.Requests
	}
	first := s.usageMinute.Swap(minute) != minute
	err = s.write(ctx, signs, 1, func(t *tx) error {
		totals = nil
		if first {
			if _, err := t.exec(sqlForgetUsage, minute-1); err != nil {
				return err
			}
		}
		t.wrote = true
		return t.conn.query(sqlUseKeys, func(r row) error {
			totals = append(totals, KeyUse{saaf.KeyID(r.int64()), r.int64()})
			return nil
		}, minute, keys, requests)
	})
	return totals, wrap("count requests of keys", err)
}
