package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"saaf"
)

// What a change of the opt-out lists does to leads happens in its own transaction,
// where one can touch all campaigns. On a store that is spread by campaign it cannot:
// there the change is committed first, and then each campaign takes it in a
// transaction of its own. That one waits for the pushes of the campaign that are under
// way, and every later push sees the change itself; so when all campaigns have taken
// it, no lead is left that it blocks.

// spreadRows is how many changes a campaign takes in one transaction.
const spreadRows = 500

// spread has every campaign take changes of the lists. source names what find asks;
// with a nil find the suppressions themselves block. blocked counts the leads of each
// that changed. A campaign that cannot take them keeps no other from it: its error is
// returned when all others have.
func (s *Store) spread(ctx context.Context, l Lease, list []saaf.Suppression, source string, by saaf.By, reason func(*saaf.Suppression) string, find Finder) (blocked []int, err error) {
	blocked = make([]int, len(list))
	ctx = context.WithoutCancel(ctx) // the change stands, and a caller who has gone still wants it to
	var campaigns []campaignRef
	err = s.read(ctx, func(conn session) error {
		campaigns, err = concernedBy(conn, list)
		return err
	})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, c := range campaigns {
		var mine []int
		for i := range list {
			if concerns(&list[i], c) {
				mine = append(mine, i)
			}
		}
		var changed map[int]int
		err := s.patiently(ctx, func() error {
			return s.write(ctx, alone(c.id), len(mine), func(t *tx) error {
				changed = make(map[int]int)
				if err := t.fenced(l); err != nil {
					return err
				}
				return t.take(c, list, mine, source, by, reason, find, changed)
			})
		})
		if errors.Is(err, ErrLeaseLost) {
			return nil, err
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("campaign %s: %w", c.id, err))
			continue
		}
		for i, n := range changed {
			blocked[i] += n
		}
	}
	return blocked, errors.Join(errs...)
}

// take judges the leads of a campaign anew that changes of the lists concern.
func (t *tx) take(c campaignRef, list []saaf.Suppression, mine []int, source string, by saaf.By, reason func(*saaf.Suppression) string, find Finder, changed map[int]int) error {
	if now, err := t.campaignRef(c.id); err != nil || now.id == 0 {
		return err // deleted meanwhile
	}
	d, err := t.readDeployment()
	if err != nil {
		return err
	}
	var phones []saaf.Phone
	for _, i := range mine {
		if p := list[i].Phone; p != 0 {
			phones = append(phones, p)
		}
	}
	leads, err := unfinishedByPhone(t.conn, c.id, phones)
	if err != nil {
		return err
	}
	there := make(map[saaf.Phone][]UnfinishedLead, len(leads))
	for _, l := range leads {
		there[l.Phone] = append(there[l.Phone], l)
	}
	for _, i := range mine {
		suppression := &list[i]
		leads := there[suppression.Phone]
		if suppression.Phone == 0 {
			if leads, err = t.leadsOf(c, suppression); err != nil {
				return err
			}
		}
		if changed[i], err = t.rejudge(c, leads, d.active, judging{stage: saaf.StageRescrub, source: source, by: by, reason: reason(suppression)}, find); err != nil {
			return err
		}
	}
	return nil
}

// concerns reports whether a suppression counts for a campaign.
func concerns(s *saaf.Suppression, c campaignRef) bool {
	l := listing{campaign: s.CampaignID, env: s.Environment}
	return (s.TenantID == 0 || s.TenantID == c.tenant) && l.blocks(c.id, c.env)
}

// concernedBy lists the campaigns that one of the suppressions counts for.
func concernedBy(conn session, list []saaf.Suppression) (campaigns []campaignRef, err error) {
	const (
		sqlEveryonesCampaigns = `SELECT id, tenant_id, environment FROM campaigns WHERE deleted_at IS NULL ORDER BY id`
		sqlCampaignsOfTenant  = `SELECT id, tenant_id, environment FROM campaigns WHERE tenant_id = $1 AND deleted_at IS NULL`
	)
	tenants := make(map[saaf.TenantID]bool)
	for i := range list {
		tenants[list[i].TenantID] = true
	}
	keep := func(r row) error {
		c := campaignRef{saaf.CampaignID(r.int64()), saaf.TenantID(r.int64()), saaf.Environment(r.text())}
		for i := range list {
			if concerns(&list[i], c) {
				campaigns = append(campaigns, c)
				break
			}
		}
		return nil
	}
	if tenants[0] {
		return campaigns, conn.query(sqlEveryonesCampaigns, keep)
	}
	for tenant := range tenants {
		if err := conn.query(sqlCampaignsOfTenant, keep, tenant); err != nil {
			return nil, err
		}
	}
	return campaigns, nil
}

// unspread finds those suppressions that were on a list already and that campaigns may
// not have taken yet: somebody is about it, or has ended before. Who asks for one again
// waits for it too, because the answer says that it blocks.
func (t *tx) unspread(done []Suppressed) (left map[saaf.SuppressionID]bool, err error) {
	if !t.shared {
		return nil, nil
	}
	there := make(map[saaf.TenantID][]saaf.SuppressionID)
	for i := range done {
		if one := &done[i]; !one.Made {
			there[one.TenantID] = append(there[one.TenantID], one.ID)
		}
	}
	const sqlLeftUnspread = `
		SELECT s.id FROM suppressions s JOIN deployment d ON s.changed_seq > d.spread_seq
		 WHERE s.id = ANY($1) AND s.tenant_id = $2`
	left = make(map[saaf.SuppressionID]bool)
	for tenant, ids := range there {
		err := t.conn.query(sqlLeftUnspread, func(r row) error {
			left[saaf.SuppressionID(r.int64())] = true
			return nil
		}, integers(ids), tenant)
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// wasSpread records that all campaigns have taken the changes behind the first number
// up to the second. Changes that others are still spreading in between are theirs, or
// of [Store.SpreadLeft].
func (s *Store) wasSpread(ctx context.Context, l Lease, behind, upTo int64) error {
	const sqlWasSpread = `UPDATE deployment SET spread_seq = $1 WHERE spread_seq = $2`
	return s.patiently(ctx, func() error {
		return s.write(context.WithoutCancel(ctx), everything, 1, func(t *tx) error {
			if err := t.fenced(l); err != nil {
				return err
			}
			_, err := t.exec(sqlWasSpread, upTo, behind)
			return err
		})
	})
}

// spreadGrace is for how long a change is left to the process that made it.
const spreadGrace = 10 * time.Second

// SpreadLeft has campaigns take the changes of the opt-out lists that a process has
// made and not spread before it ended, at most a few hundred. It returns how many.
func (s *Store) SpreadLeft(ctx context.Context, l Lease, now time.Time, source string, find Finder) (n int, err error) {
	if !s.engine.shared() {
		return 0, nil
	}
	const (
		sqlSpreadSeq = `SELECT spread_seq FROM deployment WHERE spread_seq < suppression_seq`
		sqlUnspread  = `SELECT changed_seq, ` + suppressionColumns + ` WHERE changed_seq > $1 ORDER BY changed_seq LIMIT $2`
	)
	var list []saaf.Suppression
	var behind, upTo int64
	var young bool // one was found that its process may be spreading, and all behind it
	err = s.read(ctx, func(conn session) error {
		list, behind, young = nil, -1, false
		if err := conn.query(sqlSpreadSeq, func(r row) error { behind = r.int64(); return nil }); err != nil || behind < 0 {
			return err
		}
		return conn.query(sqlUnspread, func(r row) error {
			seq, one := r.int64(), scanSuppression(r)
			// A time that lies far ahead is of a process whose clock was wrong.
			age := now.Sub(one.UpdatedAt)
			if young = young || age < spreadGrace && age > -spreadGrace; !young {
				list, upTo = append(list, one), seq
			}
			return nil
		}, behind, spreadRows)
	})
	if err != nil || len(list) == 0 {
		return 0, wrap("find changes of the lists", err)
	}
	reason := func(s *saaf.Suppression) string {
		if s.EndedAt.IsZero() {
			return s.Reason
		}
		return s.EndReason
	}
	if _, err := s.spread(ctx, l, list, source, saaf.System, reason, find); err != nil {
		return 0, wrap("spread changes of the lists", err)
	}
	return len(list), wrap("record what was spread", s.wasSpread(ctx, l, behind, upTo))
}

// patiently tries again while the queue is full: what is asked for here stands
// already, and is only to be carried on. What a lock has held for long is not tried
// again: others wait behind it.
func (s *Store) patiently(ctx context.Context, do func() error) error {
	began := time.Now()
	for {
		err := do()
		if saaf.ErrorCode(err) != saaf.Unavailable || time.Since(began) > spreadPatience {
			return err
		}
		select {
		case <-time.After(spreadPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	spreadPatience = 5 * time.Second
	spreadPause    = 50 * time.Millisecond
)
