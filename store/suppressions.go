package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"saaf"
)

const suppressionColumns = `
	id, tenant_id, campaign_id, environment, phone_hash, phone, reason, source, expires_at, actor,
	created_at, updated_at, ended_at, end_reason, end_actor
	FROM suppressions`

func scanSuppression(r row) (s saaf.Suppression) {
	s.ID, s.TenantID, s.CampaignID = saaf.SuppressionID(r.int64()), saaf.TenantID(r.int64()), saaf.CampaignID(r.int64())
	s.Environment = saaf.Environment(r.text())
	copy(s.Hash[:], r.bytes())
	s.Phone, s.Reason, s.Source, s.ExpiresAt, s.Actor = saaf.Phone(r.int64()), r.text(), r.text(), r.time(), r.text()
	s.CreatedAt, s.UpdatedAt, s.EndedAt, s.EndReason, s.EndActor = r.time(), r.time(), r.time(), r.text(), r.text()
	switch {
	case s.TenantID == 0:
		s.Scope = saaf.DeploymentScope
	case s.CampaignID != 0:
		s.Scope = saaf.CampaignScope
	default:
		s.Scope = saaf.TenantScope
	}
	return s
}

// NewSuppression is an opt-out to be made: those members of [saaf.Suppression]
// that its maker chooses.
type NewSuppression struct {
	Scope    saaf.SuppressionScope
	Campaign saaf.CampaignID // with CampaignScope
	Phone    saaf.Phone
	Reason   string
	Source   string
	Expires  time.Time // zero: never
}

// Suppressed is what became of a [NewSuppression].
type Suppressed struct {
	saaf.Suppression
	Made    bool // false: the number was on the list already
	Blocked int  // leads that it blocked at once
}

// Suppress puts numbers on an opt-out list, and blocks the leads that have them in
// the same transaction. A number that is on the list already stays as it is; the
// later expiry wins. A campaign must be the tenant's, in its environment. tenant
// and env are those of who asks; with DeploymentScope the entry belongs to no
// tenant.
func (s *Store) Suppress(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, list []NewSuppression, by saaf.By) (made []Suppressed, err error) {
	made = make([]Suppressed, 0, len(list))
	rows, err := s.suppressionRows(ctx)
	if err == nil && s.engine.shared() {
		err = s.ownCampaigns(ctx, tenant, env, list)
	}
	if err != nil {
		return nil, wrap("suppress", err)
	}
	for some := range slices.Chunk(list, rows) {
		var done []Suppressed
		var behind, upTo int64
		var left map[saaf.SuppressionID]bool
		err := s.write(ctx, everything, len(some), func(t *tx) error {
			done = make([]Suppressed, 0, len(some))
			behind, err = t.listsAt()
			if err != nil {
				return err
			}
			for i := range some {
				n := some[i]
				n.Expires = n.Expires.UTC().Truncate(time.Millisecond) // as it is stored
				one, err := t.suppress(tenant, env, &n, by)
				if err != nil {
					return err
				}
				done = append(done, one)
			}
			if left, err = t.unspread(done); err != nil {
				return err
			}
			upTo, err = t.listsAt()
			return err
		})
		if err == nil {
			err = s.spreadMade(ctx, done, left, behind, upTo, by)
		}
		if err != nil {
			return nil, wrap("suppress", err)
		}
		made = append(made, done...)
	}
	return made, nil
}

// ownCampaigns checks that the campaigns of a list are the tenant's, where one
// transaction does not touch several. One that is deleted meanwhile has a list that
// blocks nothing.
func (s *Store) ownCampaigns(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, list []NewSuppression) error {
	seen := make(map[saaf.CampaignID]bool)
	for i := range list {
		if n := &list[i]; n.Scope == saaf.CampaignScope && !seen[n.Campaign] {
			if _, err := s.Campaign(ctx, tenant, env, n.Campaign); err != nil {
				return err
			}
			seen[n.Campaign] = true
		}
	}
	return nil
}

// spreadMade has every campaign take what was put on the lists, where the transaction
// could not. left are those that were there before and have to be taken too.
func (s *Store) spreadMade(ctx context.Context, done []Suppressed, left map[saaf.SuppressionID]bool, behind, upTo int64, by saaf.By) error {
	if !s.engine.shared() {
		return nil
	}
	var list []saaf.Suppression
	var of []*Suppressed
	for i := range done {
		if done[i].Made || left[done[i].ID] {
			list, of = append(list, done[i].Suppression), append(of, &done[i])
		}
	}
	blocked, err := s.spread(ctx, Lease{}, list, "", by, func(s *saaf.Suppression) string { return s.Reason }, nil)
	if err != nil {
		return err
	}
	for i := range of {
		of[i].Blocked = blocked[i]
	}
	if behind == upTo {
		return nil
	}
	return s.wasSpread(ctx, Lease{}, behind, upTo)
}

// suppressionLookups is how many leads one transaction looks for at most on behalf of
// suppressions, so that nobody's list keeps everybody's pushes waiting: a tenth of a
// second.
const suppressionLookups = 20_000

// suppressionRows is how many suppressions a transaction takes, each of which looks
// for a lead in every campaign that has unfinished ones.
func (s *Store) suppressionRows(ctx context.Context) (rows int, err error) {
	if s.engine.shared() {
		return spreadRows, nil
	}
	const sqlBusyCampaigns = `
		SELECT count(*) FROM (SELECT campaign_id FROM campaign_counts GROUP BY campaign_id
		                      HAVING sum(pending + dialing + dnd + held) > 0) AS n`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlBusyCampaigns, func(r row) error {
			rows = max(1, suppressionLookups/max(1, r.int()))
			return nil
		})
	})
	return rows, err
}

func (t *tx) suppress(tenant saaf.TenantID, env saaf.Environment, n *NewSuppression, by saaf.By) (Suppressed, error) {
	s := saaf.Suppression{
		Scope: n.Scope, TenantID: tenant, CampaignID: n.Campaign, Environment: env, Phone: n.Phone,
		Reason: saaf.MaskNumbers(n.Reason), Source: saaf.MaskNumbers(n.Source), ExpiresAt: n.Expires, Actor: by.Actor,
		CreatedAt: t.now, UpdatedAt: t.now,
	}
	switch n.Scope {
	case saaf.DeploymentScope:
		s.TenantID, s.CampaignID = 0, 0
	case saaf.TenantScope:
		s.CampaignID = 0
	case saaf.CampaignScope:
		if t.shared {
			break // see ownCampaigns
		}
		if _, err := readCampaign(t.conn, tenant, env, n.Campaign); err != nil {
			return Suppressed{}, err
		}
	default:
		return Suppressed{}, fmt.Errorf("there is no scope %q", n.Scope)
	}
	s.Hash = t.hasher(s.TenantID).Hash(n.Phone)
	there, found, err := t.findSuppression(&s)
	if err != nil {
		return Suppressed{}, err
	}
	if found {
		return t.prolong(there, n, by)
	}
	s.ID = saaf.SuppressionID(t.ids.Next())
	seq, err := t.suppressionChanged()
	if err != nil {
		return Suppressed{}, err
	}
	const sqlInsertSuppression = `
		INSERT INTO suppressions (id, tenant_id, campaign_id, environment, phone_hash, phone, reason, source, expires_at, actor,
		  created_at, updated_at, ended_at, end_reason, end_actor, changed_seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, NULL, '', '', $12)`
	_, err = t.exec(sqlInsertSuppression, s.ID, s.TenantID, s.CampaignID, s.Environment, s.Hash[:], s.Phone, s.Reason, s.Source,
		s.ExpiresAt, s.Actor, s.CreatedAt, seq)
	if err != nil {
		return Suppressed{}, err
	}
	if err := t.recordSuppression("made", &s, by, s.Reason); err != nil {
		return Suppressed{}, err
	}
	blocked, err := t.recheckPhone(&s, "", by, s.Reason, nil)
	return Suppressed{Suppression: s, Made: true, Blocked: blocked}, err
}

// findSuppression is the entry that has the number of s on the same list.
func (t *tx) findSuppression(s *saaf.Suppression) (there saaf.Suppression, found bool, err error) {
	const sqlFindSuppression = `SELECT ` + suppressionColumns + `
		WHERE tenant_id = $1 AND phone_hash = $2 AND campaign_id = $3 AND environment = $4 AND ended_at IS NULL`
	err = t.conn.query(sqlFindSuppression, func(r row) error {
		there, found = scanSuppression(r), true
		return nil
	}, s.TenantID, s.Hash[:], s.CampaignID, s.Environment)
	return there, found, err
}

// prolong lets the later expiry win. An entry whose person was erased gets no
// phone back.
func (t *tx) prolong(s saaf.Suppression, n *NewSuppression, by saaf.By) (Suppressed, error) {
	if s.ExpiresAt.IsZero() || !n.Expires.IsZero() && !n.Expires.After(s.ExpiresAt) {
		return Suppressed{Suppression: s}, nil
	}
	seq, err := t.suppressionChanged()
	if err != nil {
		return Suppressed{}, err
	}
	s.ExpiresAt, s.UpdatedAt = n.Expires, t.now
	const sqlProlong = `UPDATE suppressions SET expires_at = $1, updated_at = $2, changed_seq = $3 WHERE id = $4 AND tenant_id = $5`
	if _, err := t.exec(sqlProlong, s.ExpiresAt, s.UpdatedAt, seq, s.ID, s.TenantID); err != nil {
		return Suppressed{}, err
	}
	return Suppressed{Suppression: s}, t.recordSuppression("prolonged", &s, by, saaf.MaskNumbers(n.Reason))
}

// listsAt is the number of the last change of the lists.
func (t *tx) listsAt() (int64, error) {
	d, err := t.readDeployment()
	return d.suppressionSeq, err
}

// suppressionChanged numbers a change of the lists.
func (t *tx) suppressionChanged() (seq int64, err error) {
	const sqlSuppressionChanged = `UPDATE deployment SET suppression_seq = suppression_seq + 1 RETURNING suppression_seq`
	t.wrote, t.indexed, t.deploymentRead = true, false, false
	err = t.conn.query(sqlSuppressionChanged, func(r row) error {
		seq = r.int64()
		return nil
	})
	return seq, err
}

// suppressionFact is what the ledger keeps of a change of a list.
type suppressionFact struct {
	What        string             `json:"what"` // made, prolonged, lifted or expired
	Suppression saaf.SuppressionID `json:"suppression"`
	Scope       string             `json:"scope"`
	Campaign    saaf.CampaignID    `json:"campaign,omitzero"`
	Environment saaf.Environment   `json:"environment"`
	Phone       saaf.PhoneHash     `json:"phone"`
	Source      string             `json:"source,omitempty"`
	Expires     time.Time          `json:"expires_at,omitzero"`
}

func (t *tx) recordSuppression(what string, s *saaf.Suppression, by saaf.By, reason string) error {
	return t.record(s.TenantID, 0, s.Environment, saaf.StageSuppression, by, reason, suppressionFact{
		What: what, Suppression: s.ID, Scope: string(s.Scope), Campaign: s.CampaignID, Environment: s.Environment,
		Phone: s.Hash, Source: s.Source, Expires: s.ExpiresAt,
	})
}

var errNoSuppression = &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Suppression not found; list those there are with GET /suppressions"}

// Lift ends a suppression by hand. The leads that it blocked are judged anew in
// the same transaction: one that nothing else blocks is held. find asks the
// registry, and what else source names. A suppression of the whole deployment has
// the tenant 0.
func (s *Store) Lift(ctx context.Context, tenant saaf.TenantID, id saaf.SuppressionID, source string, by saaf.By, reason string, find Finder) (lifted saaf.Suppression, err error) {
	reason = saaf.MaskNumbers(reason)
	var behind, upTo int64
	err = s.write(ctx, everything, 1, func(t *tx) error {
		const sqlSuppression = `SELECT ` + suppressionColumns + ` WHERE id = $1 AND tenant_id = $2 AND ended_at IS NULL`
		found := false
		err := t.conn.query(sqlSuppression, func(r row) error {
			lifted, found = scanSuppression(r), true
			return nil
		}, id, tenant)
		if err != nil {
			return err
		}
		if !found {
			return errNoSuppression
		}
		if behind, err = t.listsAt(); err != nil {
			return err
		}
		if err := t.end(&lifted, "lifted", source, by, reason, find); err != nil {
			return err
		}
		upTo, err = t.listsAt()
		return err
	})
	if err == nil {
		err = s.spreadEnded(ctx, Lease{}, []saaf.Suppression{lifted}, behind, upTo, source, by, reason, find)
	}
	return lifted, wrap("lift suppression", err)
}

// end ends a suppression and judges the leads anew that it blocked.
func (t *tx) end(s *saaf.Suppression, what, source string, by saaf.By, reason string, find Finder) error {
	seq, err := t.suppressionChanged()
	if err != nil {
		return err
	}
	s.EndedAt, s.EndReason, s.EndActor, s.UpdatedAt = t.now, reason, by.Actor, t.now
	const sqlEndSuppression = `
		UPDATE suppressions SET ended_at = $1, end_reason = $2, end_actor = $3, updated_at = $1, changed_seq = $4
		 WHERE id = $5 AND tenant_id = $6`
	if _, err := t.exec(sqlEndSuppression, t.now, reason, by.Actor, seq, s.ID, s.TenantID); err != nil {
		return err
	}
	if err := t.recordSuppression(what, s, by, reason); err != nil {
		return err
	}
	_, err = t.recheckPhone(s, source, by, reason, find)
	return err
}

// ExpireSuppressions ends up to limit suppressions whose time was over at now. It
// returns how many.
func (s *Store) ExpireSuppressions(ctx context.Context, l Lease, now time.Time, limit int, source string, find Finder) (n int, err error) {
	const sqlExpired = `SELECT ` + suppressionColumns + `
		WHERE ended_at IS NULL AND expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2`
	due := func(conn session) (list []saaf.Suppression, err error) {
		err = conn.query(sqlExpired, func(r row) error {
			list = append(list, scanSuppression(r))
			return nil
		}, now, limit)
		return list, err
	}
	rows, err := s.suppressionRows(ctx)
	if err != nil {
		return 0, wrap("find expired suppressions", err)
	}
	limit = min(limit, rows)
	var waiting []saaf.Suppression
	err = s.read(ctx, func(conn session) error { waiting, err = due(conn); return err })
	if err != nil || len(waiting) == 0 {
		return 0, wrap("find expired suppressions", err)
	}
	var list []saaf.Suppression
	var behind, upTo int64
	err = s.write(ctx, everything, limit, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		list, err = due(t.conn) // as they stand now
		if err != nil {
			return err
		}
		if behind, err = t.listsAt(); err != nil {
			return err
		}
		for i := range list {
			if err := t.end(&list[i], "expired", source, saaf.System, "expired", find); err != nil {
				return err
			}
		}
		n = len(list)
		upTo, err = t.listsAt()
		return err
	})
	if err == nil {
		err = s.spreadEnded(ctx, l, list, behind, upTo, source, saaf.System, "expired", find)
	}
	return n, wrap("expire suppressions", err)
}

// spreadEnded has every campaign take that suppressions have ended, where the
// transaction could not.
func (s *Store) spreadEnded(ctx context.Context, l Lease, list []saaf.Suppression, behind, upTo int64, source string, by saaf.By, reason string, find Finder) error {
	if !s.engine.shared() || len(list) == 0 {
		return nil
	}
	if _, err := s.spread(ctx, l, list, source, by, func(*saaf.Suppression) string { return reason }, find); err != nil {
		return err
	}
	return s.wasSpread(ctx, l, behind, upTo)
}

// SuppressionFilter narrows a list of suppressions. Nil members do not narrow.
type SuppressionFilter struct {
	Phone    *saaf.Phone
	Campaign *saaf.CampaignID
	Ended    bool // also those that block no more
}

// Suppressions lists the suppressions of a tenant, newest first; tenant 0 has those
// of the whole deployment. A key of the test environment sees its own alone.
func (s *Store) Suppressions(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, f SuppressionFilter, below saaf.Cursor, limit int) (list []saaf.Suppression, err error) {
	var hash []byte
	if f.Phone != nil {
		h := s.Hasher(tenant).Hash(*f.Phone)
		hash = h[:]
	}
	sql, args := suppressionsQuery(tenant, env, f, hash, below, limit)
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sql, func(r row) error {
			list = append(list, scanSuppression(r))
			return nil
		}, args...)
	})
	return list, wrap("list suppressions", err)
}

func suppressionsQuery(tenant saaf.TenantID, env saaf.Environment, f SuppressionFilter, hash []byte, below saaf.Cursor, limit int) (sql string, args []any) {
	w := where{}
	w.and("tenant_id = ?", tenant)
	w.and("environment = ?", env)
	if below != 0 {
		w.and("id < ?", below)
	}
	if hash != nil {
		w.and("phone_hash = ?", hash)
	}
	if f.Campaign != nil {
		w.and("campaign_id = ?", *f.Campaign)
	}
	if !f.Ended {
		w.and("ended_at IS NULL")
	}
	return w.build(`SELECT `+suppressionColumns, "ORDER BY id DESC LIMIT ?", limit)
}

// SuppressedBy finds for each phone the suppression of the tenant, or of the
// deployment, that blocks it in campaigns of the environment, 0 for none. Lists of
// single campaigns do not count.
func (s *Store) SuppressedBy(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phones []saaf.Phone) (ids []saaf.SuppressionID, err error) {
	const sqlSuppressedBy = `
		SELECT id, environment FROM suppressions
		 WHERE tenant_id = $1 AND phone_hash = $2 AND campaign_id = 0 AND ended_at IS NULL`
	err = s.read(ctx, func(conn session) error {
		ids = make([]saaf.SuppressionID, len(phones))
		for _, owner := range []saaf.TenantID{0, tenant} {
			hasher := s.Hasher(owner)
			for i, p := range phones {
				hash := hasher.Hash(p)
				err := conn.query(sqlSuppressedBy, func(r row) error {
					id, of := saaf.SuppressionID(r.int64()), saaf.Environment(r.text())
					if of == saaf.Live || of == env {
						ids[i] = id
					}
					return nil
				}, owner, hash[:])
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return ids, wrap("look suppressions up", err)
}
