package store

import (
	"context"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// NewLead is a lead to be added: normalised, within its limits, checked. The
// writer fills in the rest.
type NewLead struct {
	Phone   saaf.Phone
	Input   saaf.LeadInput
	Verdict saaf.Verdict

	ID        saaf.LeadID // of the new lead; for a duplicate of the one that is there, 0 when that cannot be told
	Duplicate bool        // the phone was in the campaign already, or earlier in the batch

	hash  saaf.PhoneHash
	found *saaf.Verdict // of the registry, while an opt-out list overrules it
	entry saaf.EntryID  // of the ledger, that holds the decision
}

// Status is the status the lead arrives with.
func (l *NewLead) Status() saaf.LeadStatus {
	if l.Verdict.Reason.Blocked() {
		return saaf.LeadDND
	}
	return saaf.LeadPending
}

// LeadBatch is leads for one campaign, stored in one transaction: all of them or
// none.
type LeadBatch struct {
	Campaign saaf.CampaignID
	Leads    []NewLead
	By       saaf.By // who pushed them
	Source   string  // what was asked about them, as [saaf.EntryHead] names it

	// Refresh, when set, is called by the writer inside the transaction, just
	// before the rows are written, so that no lead is committed with the verdict
	// of a registry that is no longer answering. It must be quick and must not
	// block. It may be called more than once.
	Refresh func([]NewLead)

	At time.Time // set by the writer: when the leads were created
}

const sqlInsertLead = `
	INSERT INTO leads (campaign_id, id, phone, name, email, external_id, metadata,
	  status, attempts, reason, snapshot_id, checked_at, created_at, updated_at, first_entry)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $12, $12, $13)
	ON CONFLICT (campaign_id, phone) DO NOTHING`

// AddLeads stores a batch and returns when it is on the disk. A phone that is in
// the campaign already leaves the stored lead unchanged and is marked Duplicate.
// The campaign is judged inside the transaction: NotFound when it is not the
// tenant's or of the other environment, Conflict when it is completed. An error
// means that nothing was stored, but for the one that says it does not know.
func (s *Store) AddLeads(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, b *LeadBatch) error {
	hasher := s.Hasher(tenant)
	for i := range b.Leads {
		l := &b.Leads[i]
		l.hash, l.found = hasher.Hash(l.Phone), nil
	}
	err := s.write(ctx, len(b.Leads), func(t *tx) error { return t.addLeads(tenant, env, b) })
	if err != nil {
		return wrap("add leads", err)
	}
	s.fillDuplicates(ctx, b)
	return nil
}

func (t *tx) addLeads(tenant saaf.TenantID, env saaf.Environment, b *LeadBatch) error {
	if err := t.campaignFor(tenant, env, b.Campaign); err != nil {
		return err
	}
	for i := range b.Leads {
		if l := &b.Leads[i]; l.found != nil { // by an attempt that was undone
			l.Verdict, l.found = *l.found, nil
		}
	}
	if b.Refresh != nil {
		b.Refresh(b.Leads)
	}
	b.At = t.now
	c := campaignRef{b.Campaign, tenant, env}
	if err := t.holdNew(c, b.Leads); err != nil {
		return err
	}
	stmt, err := t.conn.Prepare(sqlInsertLead)
	if err != nil {
		return err
	}
	for i := range b.Leads {
		l := &b.Leads[i]
		t.wrote = true
		e, err := t.entry(entryKey{tenant, b.Campaign, env, saaf.StageIngest, l.Verdict.Snapshot.ID, b.Source})
		if err != nil {
			return err
		}
		l.entry = e.id
		added, err := insertLead(stmt, t, b.Campaign, l)
		if err != nil {
			return err
		}
		if l.Duplicate = !added; l.Duplicate {
			l.ID = 0 // fillDuplicates finds it
			continue
		}
		t.count(b.Campaign, l.Status(), l.Verdict.Reason, 1)
		e.decide(b.By, "", &saaf.Decision{
			Lead: l.ID, Phone: l.hash, New: true, Found: l.Verdict.Reason, Reason: l.Verdict.Reason, Status: l.Status(),
			Preferences: l.Verdict.Preferences, Suppression: l.Verdict.Suppression,
		})
	}
	return nil
}

// holdNew holds new leads against the opt-out lists.
func (t *tx) holdNew(c campaignRef, leads []NewLead) error {
	index, err := t.suppressed()
	if err != nil {
		return err
	}
	global := t.hasher(0).Hash
	for i := range leads {
		l := &leads[i]
		l.Verdict.Suppression = 0
		found := l.Verdict
		if index.hold(&l.Verdict, c, &judged{phone: l.Phone, hash: l.hash, global: global, now: t.now}); l.Verdict.Suppression != 0 {
			l.found = new(found)
		}
	}
	return nil
}

// insertLead binds directly rather than through query: this is the loop that
// limits the product.
func insertLead(stmt *sqlite.Stmt, t *tx, campaign saaf.CampaignID, l *NewLead) (added bool, err error) {
	l.ID = saaf.LeadID(t.ids.Next())
	stmt.BindInt64(1, int64(campaign))
	stmt.BindInt64(2, int64(l.ID))
	stmt.BindInt64(3, int64(l.Phone))
	bindText(stmt, 4, l.Input.Name)
	bindText(stmt, 5, l.Input.Email)
	bindText(stmt, 6, l.Input.ExternalID)
	if l.Input.Metadata == nil {
		stmt.BindNull(7)
	} else {
		stmt.BindBytes(7, l.Input.Metadata)
	}
	stmt.BindInt64(8, int64(l.Status()))
	stmt.BindInt64(9, int64(l.Verdict.Reason))
	if id := l.Verdict.Snapshot.ID; id != 0 {
		stmt.BindInt64(10, int64(id))
	} else {
		stmt.BindNull(10)
	}
	if at := l.Verdict.CheckedAt; !at.IsZero() {
		stmt.BindInt64(11, at.UnixMilli())
	} else {
		stmt.BindNull(11)
	}
	stmt.BindInt64(12, t.now.UnixMilli())
	stmt.BindInt64(13, int64(l.entry))
	_, err = stmt.Step()
	if rerr := stmt.Reset(); err == nil {
		err = rerr
	}
	return err == nil && t.conn.Changes() > 0, err
}

func bindText(stmt *sqlite.Stmt, i int, s *string) {
	if s == nil {
		stmt.BindNull(i)
		return
	}
	stmt.BindText(i, *s)
}

// fillDuplicates finds the ids of the leads that were there already. It reads
// what is committed, after the commit, so that the writer does not wait for it.
// The batch is stored by now: neither a caller that goes away nor a read that
// fails may turn that into an error. What cannot be read keeps the id 0.
func (s *Store) fillDuplicates(ctx context.Context, b *LeadBatch) {
	isDuplicate := func(l NewLead) bool { return l.Duplicate }
	if !slices.ContainsFunc(b.Leads, isDuplicate) {
		return
	}
	const sqlLeadByPhone = `SELECT id FROM leads WHERE campaign_id = $1 AND phone = $2`
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.read(ctx, func(conn *sqlite.Conn) error {
		for i := range b.Leads {
			l := &b.Leads[i]
			if !l.Duplicate {
				continue
			}
			err := query(conn, sqlLeadByPhone, func(r row) error {
				l.ID = saaf.LeadID(r.int64())
				return nil
			}, b.Campaign, l.Phone)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
