package store

import (
	"context"
	"slices"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// Finder asks the registry about phones. The writer calls it inside a transaction:
// it must be quick, must not block, and may be called more than once.
type Finder func(phones []saaf.Phone) []saaf.Verdict

// UnfinishedLead is what a re-check needs to know of a lead.
type UnfinishedLead struct {
	ID     saaf.LeadID
	Phone  saaf.Phone
	Status saaf.LeadStatus
	Reason saaf.VerdictReason
}

// CampaignLeads is a campaign and how many of its leads are unfinished.
type CampaignLeads struct {
	ID         saaf.CampaignID
	Unfinished int64
}

// CampaignsToRecheck lists the campaigns above the given one, of all tenants, that
// have unfinished leads; with onlyUnchecked those that have leads no registry has
// answered for.
func (s *Store) CampaignsToRecheck(ctx context.Context, above saaf.CampaignID, onlyUnchecked bool) (list []CampaignLeads, err error) {
	const (
		sqlUnfinished = `
			SELECT n.campaign_id, CAST(sum(n.pending + n.dialing + n.dnd + n.held) AS BIGINT)
			  FROM campaign_counts n JOIN campaigns c ON c.id = n.campaign_id
			 WHERE c.deleted_at IS NULL AND n.campaign_id > $1
			 GROUP BY n.campaign_id HAVING sum(n.pending + n.dialing + n.dnd + n.held) > 0 ORDER BY n.campaign_id`
		sqlUnchecked = `
			SELECT n.campaign_id, CAST(sum(n.pending + n.dialing + n.dnd + n.held) AS BIGINT)
			  FROM campaign_counts n JOIN campaigns c ON c.id = n.campaign_id
			 WHERE c.deleted_at IS NULL AND n.campaign_id > $1
			 GROUP BY n.campaign_id HAVING sum(n.unchecked) > 0 ORDER BY n.campaign_id`
	)
	sql := sqlUnfinished
	if onlyUnchecked {
		sql = sqlUnchecked
	}
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sql, func(r row) error {
			list = append(list, CampaignLeads{saaf.CampaignID(r.int64()), r.int64()})
			return nil
		}, above)
	})
	return list, wrap("campaigns to re-check", err)
}

func scanUnfinished(r row) UnfinishedLead {
	return UnfinishedLead{
		ID: saaf.LeadID(r.int64()), Phone: saaf.Phone(r.int64()),
		Status: saaf.LeadStatus(r.int64()), Reason: saaf.VerdictReason(r.int64()),
	}
}

// UnfinishedLeads lists unfinished leads of a campaign by id, from above the
// given one, at most limit of them.
func (s *Store) UnfinishedLeads(ctx context.Context, campaign saaf.CampaignID, above saaf.LeadID, limit int) (list []UnfinishedLead, err error) {
	const sqlUnfinishedLeads = `
		SELECT id, phone, status, reason FROM leads
		 WHERE campaign_id = $1 AND id > $2 AND status < $3
		 ORDER BY id LIMIT $4`
	list, err = s.inStates(ctx, campaign, unfinishedStates, above, limit, sqlUnfinishedLeads, campaign, above, saaf.LeadCompleted, limit)
	return list, wrap("unfinished leads", err)
}

// UnfinishedByPhone lists the unfinished leads of a campaign that have one of the
// phones.
func (s *Store) UnfinishedByPhone(ctx context.Context, campaign saaf.CampaignID, phones []saaf.Phone) (list []UnfinishedLead, err error) {
	err = s.read(ctx, func(conn session) error {
		list, err = unfinishedByPhone(conn, campaign, phones)
		return err
	})
	return list, wrap("unfinished leads by phone", err)
}

func unfinishedByPhone(conn session, campaign saaf.CampaignID, phones []saaf.Phone) (list []UnfinishedLead, err error) {
	list, err = leadsByPhone(conn, campaign, phones)
	return slices.DeleteFunc(list, func(l UnfinishedLead) bool { return l.Status.Finished() }), err
}

// Recheck is what the registry says about a lead now.
type Recheck struct {
	Lead    UnfinishedLead // as it was when it was judged
	Verdict saaf.Verdict   // of the registry; the opt-out lists are held against it when it is stored
}

// ApplyRechecks stores new findings of one campaign in one transaction, as
// [saaf.Recheck] decides, each with its evidence. A lead that has changed since it
// was judged is left alone, and counted as missed: it must be judged again. Where
// several processes serve, verdicts of a snapshot that is no longer active are
// refused as [ErrRegistryMoved].
func (s *Store) ApplyRechecks(ctx context.Context, l Lease, campaign saaf.CampaignID, source string, list []Recheck) (changed, missed int, err error) {
	err = s.write(ctx, alone(campaign), len(list), func(t *tx) error {
		changed, missed = 0, 0
		c, err := t.recheckable(l, campaign, list)
		if err != nil || c.id == 0 {
			return err
		}
		var moves []*move
		for i := range list {
			m, err := t.recheck(c, &list[i])
			if err != nil {
				return err
			}
			if m != nil {
				moves = append(moves, m)
			}
		}
		changed, err = t.move(c, moves, judging{stage: saaf.StageRescrub, source: source, by: saaf.System, sweep: true})
		missed = len(moves) - changed
		return err
	})
	if err != nil {
		return 0, 0, wrap("apply re-checks", err)
	}
	return changed, missed, nil
}

// recheckable finds the campaign of verdicts that are to be stored, zero when it was
// deleted meanwhile. The lease must stand, and beside other processes the snapshot of
// the verdicts must be the active one: a sweep that has begun since waits for this
// transaction, and one that begins later does not look at older verdicts again.
func (t *tx) recheckable(l Lease, campaign saaf.CampaignID, list []Recheck) (c campaignRef, err error) {
	if err := t.fenced(l); err != nil {
		return c, err
	}
	if t.shared {
		d, err := t.readDeployment()
		if err != nil {
			return c, err
		}
		for i := range list {
			if !d.allows(&list[i].Verdict) {
				return c, ErrRegistryMoved
			}
		}
	}
	return t.campaignRef(campaign)
}

// campaignRef is what a verdict about a lead depends on besides its phone.
type campaignRef struct {
	id     saaf.CampaignID
	tenant saaf.TenantID
	env    saaf.Environment
}

// campaignRef finds a campaign, zero when it is gone.
func (t *tx) campaignRef(id saaf.CampaignID) (c campaignRef, err error) {
	const sqlCampaignRef = `SELECT id, tenant_id, environment FROM campaigns WHERE id = $1 AND deleted_at IS NULL`
	err = t.conn.query(sqlCampaignRef, func(r row) error {
		c = campaignRef{saaf.CampaignID(r.int64()), saaf.TenantID(r.int64()), saaf.Environment(r.text())}
		return nil
	}, id)
	return c, err
}

// judging is on whose behalf leads are judged, for the evidence.
type judging struct {
	stage  saaf.Stage
	source string
	by     saaf.By
	reason string // said by whoever decided by hand
	sweep  bool   // the re-check after an activation
}

// judged is a phone that is held against the opt-out lists.
type judged struct {
	phone  saaf.Phone
	hash   saaf.PhoneHash                  // for the lists of the tenant
	global func(saaf.Phone) saaf.PhoneHash // for the list of the deployment
	now    time.Time
}

func (t *tx) judged(tenant saaf.TenantID, p saaf.Phone) judged {
	return judged{phone: p, hash: t.hasher(tenant).Hash(p), global: t.hasher(0).Hash, now: t.now}
}

// recheck decides what a finding does to a lead: nil for nothing.
func (t *tx) recheck(c campaignRef, r *Recheck) (*move, error) {
	index, err := t.suppressed()
	if err != nil {
		return nil, err
	}
	m := &move{was: r.Lead, phone: t.judged(c.tenant, r.Lead.Phone), verdict: r.Verdict}
	index.hold(&m.verdict, c, &m.phone)
	m.status, m.reason = saaf.Recheck(r.Lead.Status, r.Lead.Reason, m.verdict.Reason)
	if m.status == r.Lead.Status && m.reason == r.Lead.Reason {
		return nil, nil
	}
	return m, nil
}

// move is what was decided about a lead.
type move struct {
	was     UnfinishedLead
	phone   judged
	status  saaf.LeadStatus
	reason  saaf.VerdictReason
	verdict saaf.Verdict // what was found

	entry saaf.EntryID // of the ledger, that holds the decision
	moved bool         // false when the lead was no longer what it had been
}

// move stores what was decided about leads of a campaign, with counts and evidence. A
// lead that is no longer what it was when it was judged is left alone. It returns how
// many were moved.
func (t *tx) move(c campaignRef, moves []*move, j judging) (moved int, err error) {
	if len(moves) == 0 {
		return 0, nil
	}
	entry := func(m *move) (*openEntry, error) {
		return t.entry(entryKey{c.tenant, c.id, c.env, j.stage, m.verdict.Snapshot.ID, j.source})
	}
	for _, m := range moves {
		e, err := entry(m)
		if err != nil {
			return 0, err
		}
		m.entry = e.id
	}
	err = t.conn.moveLeads(t, c.id, moves)
	t.wrote = t.wrote || err != nil
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		if !m.moved {
			continue
		}
		t.wrote = true
		moved++
		t.count(c.id, m.was.Status, m.was.Reason, -1)
		t.count(c.id, m.status, m.reason, 1)
		if j.sweep {
			t.countChange(c.id, m.was.Reason, m.reason)
		}
		e, err := entry(m)
		if err != nil {
			return 0, err
		}
		e.decide(j.by, j.reason, &saaf.Decision{
			Lead: m.was.ID, Phone: m.phone.hash, Had: m.was.Reason, Found: m.verdict.Reason, Reason: m.reason, Status: m.status,
			Preferences: m.verdict.Preferences, Suppression: m.verdict.Suppression,
		})
	}
	return moved, nil
}

// recheckPhone judges the leads anew that a change of a suppression concerns. With
// a nil find the registry is not asked: the suppression itself blocks. source names
// what find asks. It returns how many changed.
func (t *tx) recheckPhone(s *saaf.Suppression, source string, by saaf.By, reason string, find Finder) (changed int, err error) {
	if t.shared {
		return 0, nil
	}
	campaigns, err := t.concerned(s)
	if err != nil {
		return 0, err
	}
	d, err := t.readDeployment()
	if err != nil {
		return 0, err
	}
	for _, c := range campaigns {
		leads, err := t.leadsOf(c, s)
		if err != nil {
			return 0, err
		}
		n, err := t.rejudge(c, leads, d.active, judging{stage: saaf.StageRescrub, source: source, by: by, reason: reason}, find)
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// rejudge judges leads of a campaign anew because of a suppression.
func (t *tx) rejudge(c campaignRef, leads []UnfinishedLead, active saaf.SnapshotID, j judging, find Finder) (changed int, err error) {
	var moves []*move
	for _, l := range leads {
		r := Recheck{Lead: l}
		if find != nil {
			r.Verdict = find([]saaf.Phone{l.Phone})[0]
			if id := r.Verdict.Snapshot.ID; id != 0 && id != active {
				// All leads may have been re-checked by the active one already: nobody
				// would look at this one again.
				r.Verdict = saaf.Verdict{Reason: saaf.RegistryUnavailable}
			}
		}
		m, err := t.recheck(c, &r)
		if err != nil {
			return 0, err
		}
		if m != nil {
			moves = append(moves, m)
		}
	}
	return t.move(c, moves, j)
}

// The finding stands in it as a number, for the index of the suppressed leads.
const sqlSuppressedLeadsOf = `
	SELECT id, phone, status, reason FROM leads
	 WHERE campaign_id = $1 AND reason = 5 AND status < $2 ORDER BY id`

var suppressedStates = phoneblock.Where(func(s saaf.LeadStatus, r saaf.VerdictReason) bool {
	return r == saaf.Suppressed && !s.Finished()
})

// leadsOf finds the unfinished leads of a campaign that a suppression is about.
// When the person was erased only the hash can tell, and all suppressed leads are
// looked at.
func (t *tx) leadsOf(c campaignRef, s *saaf.Suppression) (list []UnfinishedLead, err error) {
	if s.Phone != 0 {
		return unfinishedByPhone(t.conn, c.id, []saaf.Phone{s.Phone})
	}
	hasher := t.hasher(s.TenantID)
	keep := func(l UnfinishedLead) {
		if hasher.Hash(l.Phone) == s.Hash {
			list = append(list, l)
		}
	}
	err = amongBlocks(t.conn, func(blocks blockReader) error {
		return blocks.walk(c.id, question{states: suppressedStates}, func(entries []phoneblock.Entry) (bool, error) {
			for _, l := range unfinishedOf(entries) {
				keep(l)
			}
			return true, nil
		})
	}, func() error {
		return t.conn.query(sqlSuppressedLeadsOf, func(r row) error { keep(scanUnfinished(r)); return nil }, c.id, saaf.LeadCompleted)
	})
	return list, err
}

// concerned lists the campaigns with unfinished leads that a suppression counts for.
func (t *tx) concerned(s *saaf.Suppression) (list []campaignRef, err error) {
	const (
		unfinishedOf    = `(SELECT CAST(sum(n.pending + n.dialing + n.dnd + n.held) AS BIGINT) FROM campaign_counts n WHERE n.campaign_id = c.id)`
		sqlAllCampaigns = `
			SELECT c.id, c.tenant_id, c.environment, ` + unfinishedOf + ` FROM campaigns c WHERE c.deleted_at IS NULL`
		sqlTenantCampaigns = `
			SELECT c.id, c.tenant_id, c.environment, ` + unfinishedOf + ` FROM campaigns c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL`
	)
	keep := func(r row) error {
		c := campaignRef{saaf.CampaignID(r.int64()), saaf.TenantID(r.int64()), saaf.Environment(r.text())}
		open := r.int64() > 0 || t.counts[c.id] != nil // leads of this transaction are not counted yet
		if l := (listing{campaign: s.CampaignID, env: s.Environment}); open && l.blocks(c.id, c.env) {
			list = append(list, c)
		}
		return nil
	}
	if s.TenantID == 0 {
		return list, t.conn.query(sqlAllCampaigns, keep)
	}
	return list, t.conn.query(sqlTenantCampaigns, keep, s.TenantID)
}
