package scrub

import (
	"context"

	"saaf"
	"saaf/store"
)

// leads holds the leads against the entries they name, until the first is otherwise.
func (v *verifier) leads(ctx context.Context) error {
	tenants, err := v.st.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		campaigns, err := v.st.CampaignIDs(ctx, t.ID)
		if err != nil {
			return err
		}
		for _, id := range campaigns {
			if whole, err := v.leadsOf(ctx, t.ID, id); err != nil || !whole {
				return err
			}
			faults, _, err := v.st.VerifyBlocks(ctx, id)
			if err != nil {
				return err
			}
			for _, f := range faults {
				v.problem(Problem{Campaign: f.Campaign, Block: f.Block, Lead: f.Lead, What: f.Problem})
			}
		}
	}
	return nil
}

func (v *verifier) leadsOf(ctx context.Context, tenant saaf.TenantID, campaign saaf.CampaignID) (whole bool, err error) {
	said := &saidOfLeads{st: v.st, campaign: campaign}
	hasher := v.st.Hasher(tenant)
	for above := saaf.LeadID(0); ; {
		page, err := v.st.LeadEntries(ctx, campaign, above)
		if err != nil || len(page) == 0 {
			return err == nil, err
		}
		for _, l := range page {
			p := Problem{Lead: l.Lead, Entry: l.First}
			if p.What, err = v.leadIs(ctx, &l, hasher.Hash(l.Phone), said); err != nil {
				return false, err
			}
			if p.What != "" {
				if l.Last != 0 && said.named == l.Last {
					p.Entry = l.Last
				}
				v.problem(p)
				return false, nil
			}
			v.report.Leads++
		}
		above = page[len(page)-1].Lead
		v.tell()
	}
}

// leadIs says what of a lead is otherwise than in the entries it names, "" for
// nothing.
func (v *verifier) leadIs(ctx context.Context, l *store.LeadEntry, phone saaf.PhoneHash, said *saidOfLeads) (what string, err error) {
	last := l.Last
	if last == 0 {
		last = l.First
	}
	if l.First == 0 {
		if madeAt(l.Lead) > madeAt(v.report.Deployment) {
			return "the lead came in after the ledger was begun, and names no entry of how", nil
		}
		if last == 0 {
			v.report.Unnamed++
			return "", nil
		}
	}
	for _, id := range []saaf.EntryID{l.First, last} {
		if id == 0 {
			continue
		}
		d, there, err := said.by(ctx, id, l.Lead)
		switch {
		case err != nil:
			return "", err
		case !there:
			return "the lead names an entry that is not in the ledger of its campaign", nil
		case d.Lead != l.Lead:
			return "the lead names an entry that says nothing about it", nil
		case d.Phone != phone:
			return "the lead has another number than the entry it names", nil
		case id == last && d.Reason != l.Reason:
			return "the lead stands at " + l.Reason.String() + ", and the entry it names says " + d.Reason.String(), nil
		}
	}
	return "", nil
}

// madeAt is the millisecond in an id.
func madeAt[T ~int64](id T) int64 {
	const idBitsBelowTime = 21
	return int64(id) >> idBitsBelowTime
}

// saidOfLeads is what entries of a campaign say last of each lead. Leads that came
// in or were judged together name the same entries, so that few are read twice.
type saidOfLeads struct {
	st       *store.Store
	campaign saaf.CampaignID
	entries  map[saaf.EntryID]map[saaf.LeadID]saaf.Decision // nil inside: not there
	held     int                                            // decisions in them
	named    saaf.EntryID                                   // asked for last
}

// maxHeld is how many decisions are kept in memory.
const maxHeld = 100_000

func (s *saidOfLeads) by(ctx context.Context, id saaf.EntryID, lead saaf.LeadID) (d saaf.Decision, there bool, err error) {
	s.named = id
	said, known := s.entries[id]
	if !known {
		if s.entries == nil || s.held > maxHeld {
			s.entries, s.held = make(map[saaf.EntryID]map[saaf.LeadID]saaf.Decision), 0
		}
		e, there, err := s.st.EntryOf(ctx, s.campaign, id)
		if err != nil {
			return d, false, err
		}
		if there {
			said = make(map[saaf.LeadID]saaf.Decision)
		}
		for d, err := range e.Decisions() {
			if err != nil {
				break // the walk over the chain says so
			}
			said[d.Lead] = d
		}
		s.entries[id] = said
		s.held += len(said) + 1
	}
	return said[lead], said != nil, nil
}
