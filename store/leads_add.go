package store

import (
	"context"
	"errors"
	"time"

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

	made  saaf.LeadID // the id it gets, the same whenever the transaction is tried again
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

// AddLeads stores a batch and returns when it is on the disk. A phone that is in
// the campaign already leaves the stored lead unchanged and is marked Duplicate.
// The campaign is judged inside the transaction: NotFound when it is not the
// tenant's or of the other environment, Conflict when it is completed. An error
// means that nothing was stored, but for the one that says it does not know.
func (s *Store) AddLeads(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, b *LeadBatch) error {
	hasher := s.Hasher(tenant)
	for i := range b.Leads {
		l := &b.Leads[i]
		l.hash, l.found, l.made = hasher.Hash(l.Phone), nil, 0
	}
	j := &job{
		ctx: ctx, of: scope{campaign: b.Campaign, shared: true}, rows: len(b.Leads),
		adds: &addition{campaignRef{b.Campaign, tenant, env}, b},
	}
	if err := s.admitted(j); err != nil {
		return wrap("add leads", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), duplicatesFor)
	defer cancel()
	if !j.doubt {
		_ = s.fillDuplicates(ctx, b)
		return nil
	}
	// They are stored. Which of them are its own leads must be found out.
	if err := s.patiently(ctx, func() error { return s.fillDuplicates(ctx, b) }); err != nil {
		return errUnknown
	}
	return nil
}

// admitted does a job that adds leads, once what it needs is in memory.
func (s *Store) admitted(j *job) error {
	for {
		leave, err := s.engine.admit(j.ctx, j.of.campaign, j.rows)
		if err != nil {
			return err
		}
		err = s.do(j)
		leave()
		if !errors.Is(err, errCold) {
			return err
		}
		// Another process has changed the leads of a campaign in between.
	}
}

// duplicatesFor is for how long the ids of duplicates are looked for.
const duplicatesFor = 10 * time.Second

// addition is a batch and whose it is.
type addition struct {
	of    campaignRef
	batch *LeadBatch
}

// addAll adds the batches of jobs, all to one campaign, with one statement where the
// engine has such. An error of a job is noted in errs; one that makes the transaction
// useless is returned too.
func (t *tx) addAll(jobs []*job, errs []error) error {
	var leads []*NewLead
	for i, j := range jobs {
		if errs[i] = j.ctx.Err(); errs[i] != nil {
			continue
		}
		if err := guarded(func() error { return t.prepare(j.adds) }); err != nil {
			if errs[i] = err; saaf.ErrorCode(err) == saaf.Internal {
				return err
			}
			continue
		}
		for k := range j.adds.batch.Leads {
			leads = append(leads, &j.adds.batch.Leads[k])
		}
	}
	if len(leads) == 0 {
		return nil
	}
	if err := t.conn.addLeads(t, jobs[0].of.campaign, leads); err != nil {
		return err
	}
	for i, j := range jobs {
		if errs[i] == nil {
			if err := t.account(j.adds); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare judges the leads of a batch as they are to be written.
func (t *tx) prepare(a *addition) error {
	b := a.batch
	if err := t.campaignFor(a.of.tenant, a.of.env, b.Campaign); err != nil {
		return err
	}
	if err := t.conn.ready(b.Campaign); err != nil {
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
	if err := t.judgedByActive(b.Leads); err != nil {
		return err
	}
	b.At = t.now
	if err := t.holdNew(a.of, b.Leads); err != nil {
		return err
	}
	for i := range b.Leads {
		l := &b.Leads[i]
		e, err := t.entryOf(a, l)
		if err != nil {
			return err
		}
		l.entry = e.id
		if l.made == 0 {
			l.made = saaf.LeadID(t.ids.Next())
		}
		l.ID = l.made
	}
	return nil
}

// ErrRegistryMoved is returned on a store that several processes share, when leads
// were judged by a snapshot that is not the active one. Nothing was stored: what
// another process activated must be taken first.
var ErrRegistryMoved = &saaf.Error{Code: saaf.Unavailable, Word: "registry_moved", RetryAfter: time.Second,
	Message: "The registry has moved on; try again shortly"}

// judgedByActive refuses verdicts of a snapshot that is not the active one, on a store
// that several processes share: the re-check after an activation looks at what was
// committed before, and nobody would look at these again.
func (t *tx) judgedByActive(leads []NewLead) error {
	if !t.shared {
		return nil
	}
	d, err := t.readDeployment()
	if err != nil {
		return err
	}
	for i := range leads {
		if !d.allows(&leads[i].Verdict) {
			return ErrRegistryMoved
		}
	}
	return nil
}

// allows reports whether a verdict is by the active snapshot, or by none.
func (d *deploymentState) allows(v *saaf.Verdict) bool {
	return v.Snapshot.ID == 0 || v.Snapshot.ID == d.active
}

func (t *tx) entryOf(a *addition, l *NewLead) (*openEntry, error) {
	return t.entry(entryKey{a.of.tenant, a.of.id, a.of.env, saaf.StageIngest, l.Verdict.Snapshot.ID, a.batch.Source})
}

// account counts the leads of a batch that were added and leaves their evidence.
func (t *tx) account(a *addition) error {
	for i := range a.batch.Leads {
		l := &a.batch.Leads[i]
		if l.Duplicate {
			l.ID = 0 // fillDuplicates finds it
			continue
		}
		e, err := t.entryOf(a, l)
		if err != nil {
			return err
		}
		t.count(a.of.id, l.Status(), l.Verdict.Reason, 1)
		e.decide(a.batch.By, "", &saaf.Decision{
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

// fillDuplicates finds the ids of the leads that were there already. It reads
// what is committed, after the commit, so that the writer does not wait for it.
// The batch is stored by now: neither a caller that goes away nor a read that
// fails may turn that into an error. What cannot be read keeps the id 0.
//
// A transaction that was tried again because it was not known whether it had been
// committed finds its own leads there: one with the id that was made for it was added,
// when its row says.
func (s *Store) fillDuplicates(ctx context.Context, b *LeadBatch) error {
	var phones []saaf.Phone
	for i := range b.Leads {
		if b.Leads[i].Duplicate {
			phones = append(phones, b.Leads[i].Phone)
		}
	}
	if len(phones) == 0 {
		return nil
	}
	const sqlCreatedAt = `SELECT created_at FROM leads WHERE campaign_id = $1 AND id = $2`
	return s.glance(ctx, func(conn session) error {
		list, err := leadsByPhone(conn, b.Campaign, phones)
		there := make(map[saaf.Phone]saaf.LeadID, len(list))
		for _, l := range list {
			there[l.Phone] = l.ID
		}
		var own []*NewLead
		for i := range b.Leads {
			l := &b.Leads[i]
			if !l.Duplicate {
				continue
			}
			if l.ID = there[l.Phone]; l.ID != 0 && l.ID == l.made {
				own = append(own, l)
			}
		}
		if err != nil || len(own) == 0 {
			return err
		}
		err = conn.query(sqlCreatedAt, func(r row) error { b.At = r.time(); return nil }, b.Campaign, own[0].ID)
		if err == nil {
			for _, l := range own {
				l.Duplicate = false
			}
		}
		return err
	})
}
