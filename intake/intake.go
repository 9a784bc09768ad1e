package intake

import (
	"context"
	"errors"
	"slices"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrubber"
	"saaf/store"
)

// Service takes leads. It is safe for concurrent use.
type Service struct {
	store    *store.Store
	registry *dnd.Registry
	source   *scrubber.Source // nil for none
	policy   saaf.PhonePolicy
}

// NewService returns a Service that stores into st, asks registry and source about
// every number, and accepts the numbers that policy accepts. A nil source is none.
func NewService(st *store.Store, registry *dnd.Registry, source *scrubber.Source, policy saaf.PhonePolicy) *Service {
	return &Service{store: st, registry: registry, source: source, policy: policy}
}

// Policy is which numbers are accepted.
func (s *Service) Policy() saaf.PhonePolicy { return s.policy }

// Row is one row of a bulk push. Refused is set by whoever decoded the row, when
// it could not become a lead at all.
type Row struct {
	Input   saaf.LeadInput
	Refused saaf.Reason
}

// Outcome is what became of one row.
type Outcome struct {
	Reason saaf.Reason // why the row was not added; ReasonNone when it was
	ID     saaf.LeadID // the new lead, or the one that is there for a duplicate (0 if it has gone since)
	DND    bool        // added, and will not be dialled
}

// Result is what became of a bulk push. Valid, Invalid and Duplicates add up to
// the number of rows.
type Result struct {
	Valid, Invalid, Duplicates int
	Rows                       []Outcome // in the order of the request
}

// Push stores one lead and returns it as stored. The input must be within its
// limits ([saaf.LeadInput.Check]). A phone that is in the campaign already is a
// Conflict with the id of the lead that is there.
func (s *Service) Push(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, in saaf.LeadInput, phone saaf.Phone, by saaf.By) (saaf.Lead, error) {
	w := newWork()
	defer w.release()
	w.leads = append(w.leads, store.NewLead{Phone: phone, Input: in})
	b := store.LeadBatch{Campaign: campaign, By: by, Leads: w.leads}
	if err := s.add(ctx, tenant, env, &b, w); err != nil {
		return saaf.Lead{}, err
	}
	l := &b.Leads[0]
	if l.Duplicate {
		return saaf.Lead{}, &saaf.Error{Code: saaf.Conflict, Word: string(saaf.ReasonDuplicate), LeadID: l.ID,
			Message: "This phone is already in the campaign; the stored lead is unchanged"}
	}
	return saaf.Lead{
		ID: l.ID, CampaignID: campaign, Phone: phone,
		Name: in.Name, Email: in.Email, ExternalID: in.ExternalID, Metadata: in.Metadata,
		Status: l.Status(), Verdict: l.Verdict.Stored(), CreatedAt: b.At, UpdatedAt: b.At,
	}, nil
}

// PushBulk stores what can be stored of up to [saaf.MaxBulk] rows, in one
// transaction. One bad row never costs another.
func (s *Service) PushBulk(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, rows []Row, by saaf.By) (Result, error) {
	res := Result{Rows: make([]Outcome, len(rows))}
	w := newWork()
	defer w.release()
	w.leads, w.places = slices.Grow(w.leads, len(rows)), slices.Grow(w.places, len(rows))
	for i := range rows {
		phone, reason := s.judge(&rows[i])
		if reason != saaf.ReasonNone {
			res.Rows[i].Reason = reason
			res.Invalid++
			continue
		}
		w.leads = append(w.leads, store.NewLead{Phone: phone, Input: rows[i].Input})
		w.places = append(w.places, i)
	}
	if len(rows) == 0 {
		return res, nil
	}
	b := store.LeadBatch{Campaign: campaign, By: by, Leads: w.leads}
	if err := s.add(ctx, tenant, env, &b, w); err != nil {
		return Result{}, err
	}
	for j := range b.Leads {
		l, out := &b.Leads[j], &res.Rows[w.places[j]]
		out.ID = l.ID
		if l.Duplicate {
			out.Reason = saaf.ReasonDuplicate
			res.Duplicates++
			continue
		}
		out.DND = l.Verdict.Reason.Blocked()
		res.Valid++
	}
	return res, nil
}

// judge decides whether a row can become a lead, and with which number.
func (s *Service) judge(row *Row) (saaf.Phone, saaf.Reason) {
	if row.Refused != saaf.ReasonNone {
		return 0, row.Refused
	}
	phone, reason := s.policy.Parse(row.Input.Phone)
	if reason == saaf.ReasonNone {
		reason = row.Input.Check()
	}
	return phone, reason
}

// add checks a batch against the registry, and by the outside checker if there is
// one, and stores it. Should the registry move before the writer gets to the batch,
// the writer has it checked again, so that no lead is committed with the verdict of
// a snapshot that no longer answers. The outside checker is not asked again: what
// it was not asked about is unknown.
func (s *Service) add(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, b *store.LeadBatch, w *work) error {
	b.Source = s.source.Evidence()
	view := s.registry.View()
	w.phones, w.verdicts = slices.Grow(w.phones, len(b.Leads)), slices.Grow(w.verdicts, len(b.Leads))
	for i := range b.Leads {
		w.phones = append(w.phones, b.Leads[i].Phone)
	}
	look := func() {
		w.verdicts = view.CheckAll(w.verdicts[:0], w.phones, time.Now().UTC().Truncate(time.Millisecond))
	}
	look()
	// The question is not given up when the client goes away: otherwise a checker
	// that hangs would never be seen to fail where clients wait for less than its
	// timeout, and none of their leads would be stored.
	outside := s.source.Ask(context.WithoutCancel(ctx), w.phones, w.verdicts)
	settle := func(leads []store.NewLead) {
		outside.Join(w.phones, w.verdicts)
		for i := range leads {
			leads[i].Verdict = w.verdicts[i]
		}
	}
	settle(b.Leads)
	b.Refresh = func(leads []store.NewLead) {
		if current := s.registry.View(); current != view {
			view = current
			look()
			settle(leads)
		}
	}
	err := s.store.AddLeads(ctx, tenant, env, b)
	if !errors.Is(err, store.ErrRegistryMoved) {
		return err
	}
	return s.catchUp(ctx, tenant, env, b)
}

// catchUpFor is for how long a push waits for this process to take a snapshot that
// another one has activated. Its file is here already as a rule, and that takes no
// longer than until the next look at the store.
const catchUpFor = 2 * time.Second

// catchUp adds a batch once this process answers from the active snapshot. When that
// takes too long its leads are stored as unknown: an older snapshot answers nothing.
func (s *Service) catchUp(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, b *store.LeadBatch) error {
	late := time.NewTimer(catchUpFor)
	defer late.Stop()
	for {
		replaced := s.registry.View().Replaced()
		if err := s.store.AddLeads(ctx, tenant, env, b); !errors.Is(err, store.ErrRegistryMoved) {
			return err
		}
		select {
		case <-replaced:
		case <-late.C:
			b.Refresh = func(leads []store.NewLead) {
				for i := range leads {
					leads[i].Verdict = saaf.Verdict{Reason: saaf.RegistryUnavailable}
				}
			}
			return s.store.AddLeads(ctx, tenant, env, b)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
