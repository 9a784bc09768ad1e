package store

import (
	"context"
	"errors"
	"time"

	"saaf"
)

// Erasure is a person whose phone was removed from a tenant's data. It knows the
// phone by its hash alone.
type Erasure struct {
	ID           saaf.ErasureID
	TenantID     saaf.TenantID
	Environment  saaf.Environment // test: of what belongs to tests alone
	Phone        saaf.PhoneHash
	Done         bool // no copy is left in the files of the store either
	Reason       string
	Actor        string
	Leads        int // that were deleted
	Suppressions int // that go on blocking by the hash
	CreatedAt    time.Time
	FinishedAt   time.Time
}

// The states of an erasure.
const (
	erasureRunning   = "running"
	erasureCompleted = "completed"
)

// erasureFact is what the ledger keeps of an erasure.
type erasureFact struct {
	Erasure      saaf.ErasureID `json:"erasure"`
	Phone        saaf.PhoneHash `json:"phone"`
	Leads        int            `json:"leads"`
	Suppressions int            `json:"suppressions"`
}

// Erase deletes the leads of a person from all campaigns of the tenant, and the
// phone from the tenant's suppressions, which go on blocking: with a test
// environment those of tests alone, otherwise those of both environments.
// The evidence stays: it never held the phone. What is left of it in the files of
// the store goes with [Store.ScrubErased], which the erasure waits for.
func (s *Store) Erase(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phone saaf.Phone, by saaf.By, reason string) (e Erasure, err error) {
	id, hash := saaf.ErasureID(s.ids.Next()), s.Hasher(tenant).Hash(phone)
	reason = saaf.MaskNumbers(reason)
	erased, err := s.eraseLeads(ctx, tenant, env, phone, func(t *tx, c saaf.CampaignID, n int) error {
		return t.record(tenant, c, env, saaf.StageErasure, by, reason, erasureFact{Erasure: id, Phone: hash, Leads: n})
	})
	if err != nil {
		return e, wrap("erase", err)
	}
	err = s.write(ctx, everything, 1, func(t *tx) error {
		var known int64
		const sqlTenantThere = `SELECT count(*) FROM tenants WHERE id = $1`
		if err := t.conn.query(sqlTenantThere, func(r row) error { known = r.int64(); return nil }, tenant); err != nil {
			return err
		}
		if known == 0 {
			return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Tenant not found; saaf tenant list shows those there are"}
		}
		e = Erasure{ID: id, TenantID: tenant, Environment: env, Phone: hash,
			Reason: reason, Actor: by.Actor, CreatedAt: t.now}
		if e.Leads = erased; !t.shared {
			campaigns, err := campaignsOf(t.conn, tenant, env)
			if err != nil {
				return err
			}
			for _, c := range campaigns {
				n, err := t.eraseLead(c, phone)
				if err != nil {
					return err
				}
				e.Leads += n
			}
			if e.Leads > 0 {
				const sqlKeepFloor = `UPDATE deployment SET id_floor = CASE WHEN id_floor < $1 THEN $1 ELSE id_floor END`
				if _, err := t.exec(sqlKeepFloor, t.ids.Last()); err != nil {
					return err
				}
			}
		}
		const sqlStillBlock = `SELECT count(*) FROM suppressions WHERE tenant_id = $1 AND phone_hash = $2 AND ended_at IS NULL AND (environment = $3 OR $3 = $4)`
		count := func(r row) error { e.Suppressions = int(r.int64()); return nil }
		if err := t.conn.query(sqlStillBlock, count, tenant, e.Phone[:], env, saaf.Live); err != nil {
			return err
		}
		const sqlForgetPhone = `UPDATE suppressions SET phone = NULL, updated_at = $1 WHERE tenant_id = $2 AND phone_hash = $3 AND phone IS NOT NULL AND (environment = $4 OR $4 = $5)`
		if _, err = t.exec(sqlForgetPhone, t.now, tenant, e.Phone[:], env, saaf.Live); err != nil {
			return err
		}
		// The deployment's own list goes on blocking everywhere, by its own hash.
		global := t.hasher(0).Hash(phone)
		if _, err = t.exec(sqlForgetPhone, t.now, saaf.TenantID(0), global[:], env, saaf.Live); err != nil {
			return err
		}
		const sqlInsertErasure = `
			INSERT INTO erasures (id, tenant_id, environment, phone_hash, state, reason, actor, leads, suppressions, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
		_, err = t.exec(sqlInsertErasure, e.ID, tenant, env, e.Phone[:], erasureRunning, e.Reason, e.Actor, e.Leads, e.Suppressions, t.now)
		if err != nil {
			return err
		}
		return t.record(tenant, 0, env, saaf.StageErasure, by, e.Reason, erasureFact{e.ID, e.Phone, e.Leads, e.Suppressions})
	})
	if err == nil {
		s.erasing.ring()
	}
	return e, wrap("erase", err)
}

// eraseLeads deletes the leads of a person campaign by campaign, where a transaction
// touches one, each with its evidence by record. A crash leaves what an erasure asked
// for again finds; with one database file all goes in the transaction of the erasure,
// and nothing is done here.
func (s *Store) eraseLeads(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phone saaf.Phone,
	record func(*tx, saaf.CampaignID, int) error) (erased int, err error) {
	if !s.engine.shared() {
		return 0, nil
	}
	var campaigns []saaf.CampaignID
	err = s.read(ctx, func(conn session) error {
		campaigns, err = campaignsOf(conn, tenant, env)
		return err
	})
	for _, c := range campaigns {
		if err != nil {
			break
		}
		n := 0
		err = s.write(ctx, alone(c), 1, func(t *tx) error {
			if n, err = t.eraseLead(c, phone); err != nil || n == 0 {
				return err
			}
			return record(t, c, n)
		})
		erased += n
	}
	return erased, err
}

// campaignsOf lists the campaigns of a tenant in an environment, deleted ones too;
// live is both.
func campaignsOf(conn session, tenant saaf.TenantID, env saaf.Environment) (list []saaf.CampaignID, err error) {
	const sqlEveryCampaign = `SELECT id FROM campaigns WHERE tenant_id = $1 AND (environment = $2 OR $2 = $3)`
	err = conn.query(sqlEveryCampaign, func(r row) error {
		list = append(list, saaf.CampaignID(r.int64()))
		return nil
	}, tenant, env, saaf.Live)
	return list, err
}

// eraseLead deletes the lead of a campaign that has the phone. n is 0 when there is
// none.
func (t *tx) eraseLead(campaign saaf.CampaignID, phone saaf.Phone) (n int, err error) {
	const sqlEraseLead = `DELETE FROM leads WHERE campaign_id = $1 AND id = $2`
	found, err := leadsByPhone(t.conn, campaign, []saaf.Phone{phone})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	l := found[0]
	if n, err = t.exec(sqlEraseLead, campaign, l.ID); err == nil && n > 0 {
		t.count(campaign, l.Status, l.Reason, -1)
		err = t.conn.forgetLead(campaign, l)
	}
	return n, err
}

const erasureColumns = `id, tenant_id, environment, phone_hash, state, reason, actor, leads, suppressions, created_at, finished_at FROM erasures`

func scanErasure(r row) Erasure {
	e := Erasure{ID: saaf.ErasureID(r.int64()), TenantID: saaf.TenantID(r.int64()), Environment: saaf.Environment(r.text())}
	copy(e.Phone[:], r.bytes())
	e.Done = r.text() == erasureCompleted
	e.Reason, e.Actor, e.Leads, e.Suppressions, e.CreatedAt, e.FinishedAt = r.text(), r.text(), r.int(), r.int(), r.time(), r.time()
	return e
}

// Erasure reads an erasure of the tenant, made in the environment.
func (s *Store) Erasure(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, id saaf.ErasureID) (e Erasure, err error) {
	const sqlErasure = `SELECT ` + erasureColumns + ` WHERE id = $1 AND tenant_id = $2 AND environment = $3`
	found := false
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlErasure, func(r row) error {
			e, found = scanErasure(r), true
			return nil
		}, id, tenant, env)
	})
	if err == nil && !found {
		err = &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Erasure not found"}
	}
	return e, wrap("read erasure", err)
}

const (
	erasuresLease = "erasures"
	// eraseEvery is how often erasures are looked for that another process began, or
	// that could not be finished.
	eraseEvery = 10 * time.Second
)

// RunErasures finishes erasures until ctx ends, those too that a command, a crash or
// another process left. What keeps it from that is told to failed, and tried again.
func (s *Store) RunErasures(ctx context.Context, failed func(error)) error {
	for {
		left, err := s.finishErasures(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && saaf.ErrorCode(err) != saaf.Unavailable && !errors.Is(err, ErrLeaseLost) {
			failed(err)
		}
		again := eraseEvery
		if left && err == nil {
			again = time.Second // somebody reads, and will soon be done
		}
		select {
		case <-s.erasing:
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

// finishErasures does what there is to do, while no other process does it.
func (s *Store) finishErasures(ctx context.Context) (left bool, err error) {
	ids, err := s.unfinishedErasures(ctx)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	err = s.Leased(ctx, erasuresLease, func(ctx context.Context, l Lease) (err error) {
		left, err = s.scrubErased(ctx, l)
		return err
	})
	return left, err
}

// ScrubErased removes what is left of erased persons in the files of the store:
// the log that still holds them is written back and cut, and what SQLite left of
// them in the free space of its pages is overwritten. Readers that are under way
// can keep it from that: left is true then, and it must be tried again.
func (s *Store) ScrubErased(ctx context.Context) (left bool, err error) {
	return s.scrubErased(ctx, Lease{})
}

func (s *Store) scrubErased(ctx context.Context, l Lease) (left bool, err error) {
	ids, err := s.unfinishedErasures(ctx)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	if left, err := s.engine.forgetErased(ctx); err != nil || left {
		return true, wrap("scrub the files of the store", err)
	}
	err = s.write(ctx, everything, 1, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		const sqlFinishErasure = `UPDATE erasures SET state = $1, finished_at = $2 WHERE id = $3`
		for _, id := range ids {
			if _, err := t.exec(sqlFinishErasure, erasureCompleted, t.now, id); err != nil {
				return err
			}
		}
		return nil
	})
	return false, wrap("finish erasures", err)
}

func (s *Store) unfinishedErasures(ctx context.Context) (ids []saaf.ErasureID, err error) {
	err = s.read(ctx, func(conn session) error {
		ids, err = readUnfinishedErasures(conn)
		return err
	})
	return ids, wrap("find erasures", err)
}

func readUnfinishedErasures(conn session) (ids []saaf.ErasureID, err error) {
	const sqlUnfinishedErasures = `SELECT id FROM erasures WHERE finished_at IS NULL ORDER BY id`
	err = conn.query(sqlUnfinishedErasures, func(r row) error {
		ids = append(ids, saaf.ErasureID(r.int64()))
		return nil
	})
	return ids, err
}
