package scrub

import (
	"context"
	"time"

	"saaf"
	"saaf/scrubber"
	"saaf/store"
)

// look asks the registry file as it is now.
func (s *Service) look(phones []saaf.Phone) []saaf.Verdict {
	return s.registry.View().CheckAll(make([]saaf.Verdict, 0, len(phones)), phones, time.Now().UTC().Truncate(time.Millisecond))
}

// finder asks the registry as it is when the writer calls it, inside a transaction,
// and adds what the outside checker said before.
func (s *Service) finder(outside scrubber.Answers) store.Finder {
	return func(phones []saaf.Phone) []saaf.Verdict {
		verdicts := s.look(phones)
		outside.Join(phones, verdicts)
		return verdicts
	}
}

// find is the finder for numbers that are not known beforehand: about those the
// outside checker is asked later.
func (s *Service) find(phones []saaf.Phone) []saaf.Verdict {
	return s.finder(s.source.Silence())(phones)
}

// ask asks the outside checker, if there is one.
func (s *Service) ask(ctx context.Context, phones []saaf.Phone) scrubber.Answers {
	return s.source.Ask(ctx, phones, s.look(phones))
}

// Lift ends a suppression by hand. Leads that nothing else blocks are held.
func (s *Service) Lift(ctx context.Context, tenant saaf.TenantID, id saaf.SuppressionID, by saaf.By, reason string) (saaf.Suppression, error) {
	find := s.find
	if s.source != nil {
		p, err := s.store.SuppressionPhone(ctx, tenant, id)
		if err != nil {
			return saaf.Suppression{}, err
		}
		if p != 0 { // else only the hash of the number is left
			find = s.finder(s.ask(ctx, []saaf.Phone{p}))
		}
	}
	return s.store.Lift(ctx, tenant, id, s.source.Evidence(), by, reason, find)
}

// expireChunk is how many suppressions are ended in one transaction.
const expireChunk = 100

// expire ends the suppressions whose time is over.
func (s *Service) expire(ctx context.Context, l store.Lease) error {
	for {
		n, err := s.store.ExpireSuppressions(ctx, l, time.Now(), expireChunk, s.source.Evidence(), s.find)
		if err != nil || n == 0 {
			return err
		}
	}
}

// spreadLeft finishes what a process that changed a list has left undone.
func (s *Service) spreadLeft(ctx context.Context, l store.Lease) error {
	for {
		n, err := s.store.SpreadLeft(ctx, l, time.Now(), s.source.Evidence(), s.find)
		if err != nil || n == 0 {
			return err
		}
	}
}

// Release checks held leads of a campaign once more and frees those that are found
// clean: those named, or all that are held when ids is nil. Reason is why.
func (s *Service) Release(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, ids []saaf.LeadID, by saaf.By, reason string) (done store.Released, err error) {
	release := func(held []store.UnfinishedLead) error {
		some := make([]saaf.LeadID, len(held))
		phones := make([]saaf.Phone, len(held))
		for i := range held {
			some[i], phones[i] = held[i].ID, held[i].Phone
		}
		find := s.finder(s.ask(ctx, phones))
		freed, err := s.store.ReleaseLeads(ctx, tenant, env, campaign, some, s.source.Evidence(), by, reason, find)
		done.Released += freed.Released
		done.StillBlocked += freed.StillBlocked
		return err
	}
	if ids != nil {
		held, err := s.store.HeldByID(ctx, tenant, campaign, ids)
		if err != nil {
			return done, err
		}
		return done, release(held)
	}
	chunk := recheckChunk
	if s.source != nil {
		chunk = min(chunk, s.source.Capacity())
	}
	var above saaf.LeadID
	for {
		held, err := s.store.HeldLeads(ctx, tenant, campaign, above, chunk)
		if err != nil || len(held) == 0 {
			return done, err
		}
		if err := release(held); err != nil {
			return done, err
		}
		above = held[len(held)-1].ID
	}
}

// Check says what is known about numbers that need not be leads: the finding of the
// registry and of the outside checker, or that they are suppressed for the tenant or
// the deployment. Lists of single campaigns do not count. It leaves evidence and
// returns when that is on the disk.
func (s *Service) Check(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phones []saaf.Phone, by saaf.By) ([]saaf.Verdict, error) {
	lists, err := s.store.SuppressedBy(ctx, tenant, env, phones)
	if err != nil {
		return nil, err
	}
	verdicts := s.look(phones)
	for i := range verdicts {
		if lists[i] != 0 {
			verdicts[i].Reason = saaf.Suppressed // so that nobody is asked about it
		}
	}
	outside := s.source.Ask(ctx, phones, verdicts)
	outside.Join(phones, verdicts)
	checks := make([]store.Checked, len(phones))
	for i := range verdicts {
		v := &verdicts[i]
		if lists[i] != 0 {
			v.Reason, v.Suppression, v.Preferences = saaf.Suppressed, lists[i], ""
			if v.CheckedAt.IsZero() {
				v.CheckedAt = time.Now().UTC().Truncate(time.Millisecond)
			}
		}
		checks[i] = store.Checked{Phone: phones[i], Verdict: *v}
	}
	err = s.store.RecordChecks(ctx, tenant, env, s.source.Evidence(), by, checks)
	for i := range checks {
		verdicts[i] = checks[i].Verdict
	}
	return verdicts, err
}
