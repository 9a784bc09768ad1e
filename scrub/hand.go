package scrub

import (
	"context"
	"time"

	"saaf"
	"saaf/store"
)

// find asks the registry as it is now. The writer calls it inside a transaction.
func (s *Service) find(phones []saaf.Phone) []saaf.Verdict {
	return s.registry.View().CheckAll(make([]saaf.Verdict, 0, len(phones)), phones, time.Now().UTC().Truncate(time.Millisecond))
}

// Lift ends a suppression by hand. Leads that nothing else blocks are held.
func (s *Service) Lift(ctx context.Context, tenant saaf.TenantID, id saaf.SuppressionID, by saaf.By, reason string) (saaf.Suppression, error) {
	return s.store.Lift(ctx, tenant, id, by, reason, s.find)
}

// expireChunk is how many suppressions are ended in one transaction.
const expireChunk = 100

// expire ends the suppressions whose time is over.
func (s *Service) expire(ctx context.Context) error {
	for {
		n, err := s.store.ExpireSuppressions(ctx, time.Now(), expireChunk, s.find)
		if err != nil || n < expireChunk {
			return err
		}
	}
}

// Release checks held leads of a campaign once more and frees those that are found
// clean: those named, or all that are held when ids is nil. Reason is why.
func (s *Service) Release(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, ids []saaf.LeadID, by saaf.By, reason string) (done store.Released, err error) {
	release := func(ids []saaf.LeadID) error {
		some, err := s.store.ReleaseLeads(ctx, tenant, env, campaign, ids, saaf.SourceFile, by, reason, s.find)
		done.Released += some.Released
		done.StillBlocked += some.StillBlocked
		return err
	}
	if ids != nil {
		return done, release(ids)
	}
	var above saaf.LeadID
	for {
		held, err := s.store.HeldLeads(ctx, tenant, campaign, above, recheckChunk)
		if err != nil || len(held) == 0 {
			return done, err
		}
		some := make([]saaf.LeadID, len(held))
		for i := range held {
			some[i] = held[i].ID
		}
		if err := release(some); err != nil {
			return done, err
		}
		above = some[len(some)-1]
	}
}

// Check says what is known about numbers that need not be leads: the registry's
// finding, or that they are suppressed for the tenant or the deployment. Lists of
// single campaigns do not count. It leaves evidence and returns when that is on the
// disk.
func (s *Service) Check(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, phones []saaf.Phone, by saaf.By) ([]saaf.Verdict, error) {
	lists, err := s.store.SuppressedBy(ctx, tenant, env, phones)
	if err != nil {
		return nil, err
	}
	verdicts := s.find(phones)
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
	return verdicts, s.store.RecordChecks(ctx, tenant, env, saaf.SourceFile, by, checks)
}
