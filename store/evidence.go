package store

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"saaf"
)

const ledgerColumns = `id, campaign_id, tenant_id, writer_id, seq, head, body, hash FROM ledger`

func scanEntry(r row) saaf.EntryRow {
	e := saaf.EntryRow{ID: saaf.EntryID(r.number()), Campaign: saaf.CampaignID(r.number()), Tenant: saaf.TenantID(r.number()),
		Writer: r.number(), Seq: r.number()}
	e.Head, e.Body = r.bytes(), r.bytes()
	if hash := r.bytes(); len(hash) == len(e.Hash) { // one of another length was not written here
		copy(e.Hash[:], hash)
	}
	return e
}

// entryPage is how many entries are read at a time, so that no reader keeps the log
// of SQLite from being written back.
const entryPage = 500

// entryAt is the lowest id that an entry made at t can have.
func entryAt(t time.Time) saaf.EntryID {
	const idBitsBelowTime = 21
	if t.IsZero() {
		return 0
	}
	return saaf.EntryID(t.UnixMilli() << idBitsBelowTime)
}

// Evidence lists the entries of a tenant that name a phone, and those of the
// deployment's own opt-out list, made from one instant on and before another, in
// the order of the chain. A zero instant is no limit.
//
// It reads all entries of that time: the ledger has no index by phone, which every
// push would have to pay for.
func (s *Store) Evidence(ctx context.Context, tenant saaf.TenantID, phone saaf.Phone, from, before time.Time) (list []saaf.EntryRow, err error) {
	return s.EvidenceUpTo(ctx, tenant, phone, from, before, math.MaxInt)
}

// ErrMuchEvidence is returned by [Store.EvidenceUpTo] for more than was asked for.
var ErrMuchEvidence = errors.New("there is more evidence than that")

// EvidenceUpTo is [Store.Evidence] for entries of at most so many bytes. Whole
// entries about a number can hold thousands of decisions about others, and there is
// no end of checks that somebody may ask for.
func (s *Store) EvidenceUpTo(ctx context.Context, tenant saaf.TenantID, phone saaf.Phone, from, before time.Time, limit int) (list []saaf.EntryRow, err error) {
	const sqlTenantEntries = `SELECT ` + ledgerColumns + ` WHERE tenant_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`
	last := saaf.EntryID(1<<63 - 1)
	if !before.IsZero() {
		last = entryAt(before)
	}
	for _, owner := range []saaf.TenantID{0, tenant} {
		hash := s.Hasher(owner).Hash(phone)
		text := []byte(hash.String())
		for after, more := entryAt(from)-1, true; more; {
			err := s.read(ctx, func(conn session) error {
				n := 0
				err := conn.query(sqlTenantEntries, func(r row) error {
					n++
					e := scanEntry(r)
					after = e.ID
					if bytes.Contains(e.Body, hash[:]) && e.Names(hash) || bytes.Contains(e.Head, text) {
						if limit -= len(e.Head) + len(e.Body); limit < 0 {
							return ErrMuchEvidence
						}
						list = append(list, e)
					}
					return nil
				}, owner, after, last, entryPage)
				more = n == entryPage
				return err
			})
			if err != nil {
				return nil, wrap("read evidence", err)
			}
		}
		if owner == tenant {
			break
		}
	}
	return list, nil
}

// LeadsByPhone lists the leads of a tenant that have the phone, in all campaigns of
// the environment that are not deleted.
func (s *Store) LeadsByPhone(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phone saaf.Phone) (list []saaf.Lead, err error) {
	const (
		sqlCampaignIDs  = `SELECT id FROM campaigns WHERE tenant_id = $1 AND environment = $2 AND deleted_at IS NULL ORDER BY id`
		sqlLeadsByPhone = `SELECT ` + leadColumns + ` WHERE l.campaign_id = $1 AND l.phone = $2`
	)
	err = s.read(ctx, func(conn session) error {
		list = nil
		var ids []saaf.CampaignID
		err := conn.query(sqlCampaignIDs, func(r row) error {
			ids = append(ids, saaf.CampaignID(r.int64()))
			return nil
		}, tenant, env)
		if err != nil {
			return err
		}
		for _, id := range ids {
			err := conn.query(sqlLeadsByPhone, func(r row) error {
				list = append(list, scanLead(r))
				return nil
			}, id, phone)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return list, wrap("leads by phone", err)
}

// Checked is a check of a number that is no lead.
type Checked struct {
	Phone   saaf.Phone
	Verdict saaf.Verdict
}

// RecordChecks leaves evidence of checks that a caller asked for: what was answered
// can be proved as that of leads can. The lists are held against them once more, in
// its transaction, so that no check found clean what had been suppressed before;
// list says afterwards what is recorded.
func (s *Store) RecordChecks(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, source string, by saaf.By, list []Checked) error {
	if len(list) == 0 {
		return nil
	}
	hasher := s.Hasher(tenant)
	hashes := make([]saaf.PhoneHash, len(list))
	for i := range list {
		hashes[i] = hasher.Hash(list[i].Phone)
	}
	asked := slices.Clone(list)
	err := s.write(ctx, beside, len(list), func(t *tx) error {
		t.wrote = true
		copy(list, asked)
		index, err := t.suppressed()
		if err != nil {
			return err
		}
		d, err := t.readDeployment()
		if err != nil {
			return err
		}
		global := t.hasher(0).Hash
		for i := range list {
			v := &list[i].Verdict
			if t.shared && !d.allows(v) {
				*v = saaf.Verdict{Reason: saaf.RegistryUnavailable}
			}
			index.hold(v, campaignRef{tenant: tenant, env: env}, &judged{phone: list[i].Phone, hash: hashes[i], global: global, now: t.now})
			e, err := t.entry(entryKey{tenant: tenant, env: env, stage: saaf.StageManual, snapshot: v.Snapshot.ID, source: source})
			if err != nil {
				return err
			}
			e.decide(by, "", &saaf.Decision{Phone: hashes[i], New: true, Found: v.Reason, Reason: v.Reason,
				Preferences: v.Preferences, Suppression: v.Suppression})
		}
		return nil
	})
	return wrap("record checks", err)
}

// RecordRefusal leaves evidence of registry files that were refused.
func (s *Store) RecordRefusal(ctx context.Context, l Lease, by saaf.By, fact any) error {
	err := s.write(ctx, everything, 1, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		return t.record(0, 0, "", saaf.StageRefusal, by, "", fact)
	})
	return wrap("record refusal", err)
}
