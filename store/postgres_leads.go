package store

import (
	"cmp"
	"context"
	"slices"

	"saaf"
)

// Leads go in as arrays: one statement, one round trip and one plan for any number.
// Rows are sorted by phone, so that two transactions with the same phones wait for
// each other and never each for the other.
const sqlInsertLeads = `
	INSERT INTO leads (campaign_id, id, phone, name, email, external_id, metadata,
	  status, attempts, reason, snapshot_id, checked_at, created_at, updated_at, first_entry)
	SELECT CAST($1 AS BIGINT), u.id, u.phone, u.name, u.email, u.external_id, u.metadata,
	       u.status, 0, u.reason, u.snapshot_id, u.checked_at, CAST($2 AS BIGINT), CAST($2 AS BIGINT), u.entry
	  FROM unnest(CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]), CAST($5 AS TEXT[]), CAST($6 AS TEXT[]), CAST($7 AS TEXT[]),
	              CAST($8 AS BYTEA[]), CAST($9 AS BIGINT[]), CAST($10 AS BIGINT[]), CAST($11 AS BIGINT[]), CAST($12 AS BIGINT[]),
	              CAST($13 AS BIGINT[])) AS u (id, phone, name, email, external_id, metadata, status, reason, snapshot_id, checked_at, entry)
	ON CONFLICT (campaign_id, phone) DO NOTHING
	RETURNING id`

func (l *pgLink) addLeads(t *tx, campaign saaf.CampaignID, leads []*NewLead) error {
	sorted := slices.Clone(leads)
	slices.SortStableFunc(sorted, func(a, b *NewLead) int { return cmp.Compare(a.Phone, b.Phone) })
	rows := newLeadRows(sorted)
	added := make(map[int64]struct{}, len(leads))
	found, err := l.conn.Query(l.ctx, sqlInsertLeads, int64(campaign), t.now.UnixMilli(), rows.id, rows.phone, rows.name, rows.email,
		rows.externalID, rows.metadata, rows.status, rows.reason, rows.snapshot, rows.checkedAt, rows.entry)
	if err != nil {
		return err
	}
	defer found.Close()
	var id int64
	for found.Next() {
		if err := found.Scan(&id); err != nil {
			return err
		}
		added[id] = struct{}{}
	}
	if err := found.Err(); err != nil {
		return refused(err)
	}
	for _, lead := range leads {
		_, is := added[int64(lead.ID)]
		lead.Duplicate = !is
	}
	return nil
}

// leadRows are the columns of new leads.
type leadRows struct {
	id, phone, status, reason, entry []int64
	name, email, externalID          []*string
	metadata                         [][]byte
	snapshot, checkedAt              []*int64
}

func newLeadRows(leads []*NewLead) (r leadRows) {
	n := len(leads)
	numbers := make([]int64, 5*n)
	texts := make([]*string, 3*n)
	r.id, r.phone, r.status, r.reason, r.entry = numbers[:n], numbers[n:2*n], numbers[2*n:3*n], numbers[3*n:4*n], numbers[4*n:]
	r.name, r.email, r.externalID = texts[:n], texts[n:2*n], texts[2*n:]
	r.metadata, r.snapshot, r.checkedAt = make([][]byte, n), make([]*int64, n), make([]*int64, n)
	for i, l := range leads {
		r.id[i], r.phone[i], r.status[i], r.reason[i], r.entry[i] = int64(l.ID), int64(l.Phone), int64(l.Status()), int64(l.Verdict.Reason), int64(l.entry)
		r.name[i], r.email[i], r.externalID[i], r.metadata[i] = l.Input.Name, l.Input.Email, l.Input.ExternalID, l.Input.Metadata
		if id := l.Verdict.Snapshot.ID; id != 0 {
			r.snapshot[i] = new(int64(id))
		}
		if at := l.Verdict.CheckedAt; !at.IsZero() {
			r.checkedAt[i] = new(at.UnixMilli())
		}
	}
	return r
}

func (l *pgLink) moveLeads(t *tx, campaign saaf.CampaignID, moves []*move) error {
	const sqlMoveLeads = `
		UPDATE leads AS l
		   SET status = u.status, reason = u.reason, snapshot_id = u.snapshot_id, checked_at = u.checked_at,
		       updated_at = CAST($1 AS BIGINT), last_entry = u.entry
		  FROM unnest(CAST($2 AS BIGINT[]), CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]), CAST($5 AS BIGINT[]), CAST($6 AS BIGINT[]),
		              CAST($7 AS BIGINT[]), CAST($8 AS BIGINT[]), CAST($9 AS BIGINT[])) AS u (id, was_status, was_reason, status, reason, snapshot_id, checked_at, entry)
		 WHERE l.campaign_id = $10 AND l.id = u.id AND l.status = u.was_status AND l.reason = u.was_reason
		RETURNING l.id`
	n := len(moves)
	var numbers [6][]int64
	for i := range numbers {
		numbers[i] = make([]int64, n)
	}
	snapshot, checkedAt := make([]*int64, n), make([]*int64, n)
	byID := make(map[saaf.LeadID]*move, n)
	for i, m := range moves {
		for k, v := range [...]int64{int64(m.was.ID), int64(m.was.Status), int64(m.was.Reason), int64(m.status), int64(m.reason), int64(m.entry)} {
			numbers[k][i] = v
		}
		if id := m.verdict.Snapshot.ID; id != 0 {
			snapshot[i] = new(int64(id))
		}
		if at := m.verdict.CheckedAt; !at.IsZero() {
			checkedAt[i] = new(at.UnixMilli())
		}
		byID[m.was.ID] = m
	}
	moved, err := l.conn.Query(l.ctx, sqlMoveLeads, t.now.UnixMilli(), numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
		snapshot, checkedAt, numbers[5], int64(campaign))
	if err != nil {
		return err
	}
	defer moved.Close()
	var id int64
	for moved.Next() {
		if err := moved.Scan(&id); err != nil {
			return err
		}
		byID[saaf.LeadID(id)].moved = true
	}
	return moved.Err()
}

// ready has nothing to do: a unique index decides what is new.
func (l *pgLink) ready(saaf.CampaignID) error { return nil }

func (l *pgLink) forgetLead(saaf.CampaignID, UnfinishedLead) error { return nil }

func (l *pgLink) forgetBlocks(saaf.CampaignID) {}

func (l *pgLink) flush() error { return nil }

func (e *postgres) admit(context.Context, saaf.CampaignID, int) (leave func(), err error) {
	return func() {}, nil
}
