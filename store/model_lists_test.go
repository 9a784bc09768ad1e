package store

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"saaf"
)

// The opt-out lists of the model.

type modelSuppression struct {
	id       saaf.SuppressionID
	tenant   saaf.TenantID   // 0: the deployment
	campaign saaf.CampaignID // 0: all
	env      saaf.Environment
	phone    saaf.Phone
	expires  time.Time
	ended    bool
	erased   bool
}

// blocks reports whether the entry counts for a phone in a campaign.
func (s *modelSuppression) blocks(c *modelCampaign, p saaf.Phone) bool {
	return !s.ended && s.phone == p && s.concerns(c)
}

func (s *modelSuppression) concerns(c *modelCampaign) bool {
	return (s.tenant == 0 || s.tenant == c.tenant) && (s.campaign == 0 || s.campaign == c.id) && (s.env == saaf.Live || c.env == saaf.Test)
}

func (m *model) listed(c *modelCampaign, p saaf.Phone) bool {
	return slices.ContainsFunc(m.lists, func(s *modelSuppression) bool { return s.blocks(c, p) })
}

// hold is the verdict once the lists were asked.
func (m *model) hold(c *modelCampaign, p saaf.Phone, v saaf.Verdict) saaf.Verdict {
	if m.listed(c, p) {
		v.Reason = saaf.Suppressed
		if v.CheckedAt.IsZero() {
			v.CheckedAt = someTime
		}
	}
	return v
}

// rejudge judges all leads that an entry is about.
func (m *model) rejudge(s *modelSuppression, v saaf.Verdict) (changed int) {
	for _, c := range m.campaigns {
		if l := c.lead(s.phone); l != nil && !c.deleted && s.concerns(c) {
			changed += m.judge(l, m.hold(c, s.phone, v))
		}
	}
	return changed
}

// process picks one of the two that have the store open.
func (m *model) process(rt *rapid.T) *bundle {
	return rapid.SampledFrom([]*bundle{m.bundle, m.other}).Draw(rt, "process")
}

// instants are when entries expire: never, or one of three.
var instants = []time.Time{{}, checkedAt.Add(1 * time.Hour), checkedAt.Add(2 * time.Hour), checkedAt.Add(3 * time.Hour)}

func (m *model) suppress(rt *rapid.T) {
	tenant := rapid.SampledFrom(m.tenants).Draw(rt, "tenant")
	env := rapid.SampledFrom([]saaf.Environment{saaf.Live, saaf.Test}).Draw(rt, "environment")
	var list []NewSuppression
	var refused error
	for range rapid.IntRange(1, 3).Draw(rt, "entries") {
		n := NewSuppression{
			Scope:   rapid.SampledFrom([]saaf.SuppressionScope{saaf.CampaignScope, saaf.TenantScope, saaf.DeploymentScope}).Draw(rt, "scope"),
			Phone:   phone(rapid.IntRange(0, 30).Draw(rt, "phone")),
			Expires: rapid.SampledFrom(instants).Draw(rt, "expires"),
		}
		if c := m.pick(rt); n.Scope == saaf.CampaignScope {
			n.Campaign = c.id
			if c.deleted || c.tenant != tenant || c.env != env {
				refused = saaf.ErrCampaignNotFound
			}
		}
		list = append(list, n)
	}
	made, err := m.process(rt).Suppress(m.ctx, tenant, env, list, saaf.System)
	if err != refused {
		rt.Fatalf("Suppress = %v, want %v", err, refused)
	}
	if err != nil {
		return
	}
	for i := range list {
		m.suppressed(rt, tenant, env, &list[i], &made[i])
	}
}

// suppressed takes over one answer of Suppress.
func (m *model) suppressed(rt *rapid.T, tenant saaf.TenantID, env saaf.Environment, n *NewSuppression, got *Suppressed) {
	want := &modelSuppression{tenant: tenant, campaign: n.Campaign, env: env, phone: n.Phone, expires: n.Expires}
	if n.Scope == saaf.DeploymentScope {
		want.tenant = 0
	}
	i := slices.IndexFunc(m.lists, func(s *modelSuppression) bool {
		return !s.ended && s.tenant == want.tenant && s.campaign == want.campaign && s.env == env && s.phone == n.Phone
	})
	blocked, phone := 0, n.Phone
	if i >= 0 {
		there := m.lists[i]
		if there.expires.IsZero() || n.Expires.IsZero() {
			there.expires = time.Time{}
		} else if n.Expires.After(there.expires) {
			there.expires = n.Expires
		}
		if want = there; there.erased {
			phone = 0
		}
	} else {
		want.id = got.ID
		m.lists = append(m.lists, want)
		blocked = m.rejudge(want, saaf.Verdict{})
	}
	if got.Made != (i < 0) || got.ID != want.id || got.Blocked != blocked || got.Phone != phone || !got.ExpiresAt.Equal(want.expires) ||
		got.TenantID != want.tenant || got.CampaignID != want.campaign || got.Scope != n.Scope || got.Hash != m.Hasher(want.tenant).Hash(n.Phone) {
		rt.Fatalf("Suppress %+v = %+v; want made %v, %d blocked, %+v", n, got, i < 0, blocked, want)
	}
}

// finder answers the same about every number.
func (m *model) finder(rt *rapid.T) (saaf.Verdict, Finder) {
	reason := rapid.SampledFrom([]saaf.VerdictReason{saaf.RegistryUnavailable, saaf.NotRegistered, saaf.FullBlock}).Draw(rt, "found")
	v := verdict(reason, m.snapshot)
	return v, func(phones []saaf.Phone) []saaf.Verdict { return slices.Repeat([]saaf.Verdict{v}, len(phones)) }
}

func (m *model) lift(rt *rapid.T) {
	if len(m.lists) == 0 {
		return
	}
	s := rapid.SampledFrom(m.lists).Draw(rt, "suppression")
	v, find := m.finder(rt)
	tenant := s.tenant
	if stranger := rapid.IntRange(0, 9).Draw(rt, "stranger") == 0; stranger {
		tenant = rapid.SampledFrom(m.tenants).Draw(rt, "tenant")
	}
	_, err := m.process(rt).Lift(m.ctx, tenant, s.id, saaf.SourceFile, saaf.System, "asked for", find)
	if s.ended || tenant != s.tenant {
		if saaf.ErrorCode(err) != saaf.NotFound {
			rt.Fatalf("Lift of what is not there: %v", err)
		}
		return
	}
	m.must(err)
	s.ended = true
	m.rejudge(s, v)
}

func (m *model) expire(rt *rapid.T) {
	now := rapid.SampledFrom(instants[1:]).Draw(rt, "now")
	v, find := m.finder(rt)
	want := 0
	for _, s := range m.lists {
		if !s.ended && !s.expires.IsZero() && !s.expires.After(now) {
			s.ended = true
			want++
			m.rejudge(s, v)
		}
	}
	if n, err := m.process(rt).ExpireSuppressions(m.ctx, Lease{}, now, 100, saaf.SourceFile, find); err != nil || n != want {
		rt.Fatalf("ExpireSuppressions = %d, %v; want %d", n, err, want)
	}
}

func (m *model) release(rt *rapid.T) {
	c := m.pick(rt)
	v, find := m.finder(rt)
	ids := []saaf.LeadID{1}
	var want Released
	for i := range c.leads {
		l := &c.leads[i]
		if c.deleted || rapid.Bool().Draw(rt, "choose") {
			continue
		}
		ids = append(ids, l.ID, l.ID)
		if l.Status != saaf.LeadHeld {
			continue
		}
		found := m.hold(c, l.Phone, v)
		becomes, freed := saaf.Release(found.Reason)
		if becomes != saaf.LeadHeld {
			l.Status, l.Verdict, l.UpdatedAt = becomes, found, someTime
		}
		if freed {
			want.Released++
		} else {
			want.StillBlocked++
		}
	}
	got, err := m.ReleaseLeads(m.ctx, c.tenant, c.env, c.id, ids, saaf.SourceFile, saaf.System, "by hand", find)
	switch {
	case c.deleted && err != error(saaf.ErrCampaignNotFound), !c.deleted && err != nil, got != want:
		rt.Fatalf("ReleaseLeads = %+v, %v; want %+v", got, err, want)
	}
}

func (m *model) erase(rt *rapid.T) {
	tenant, p := rapid.SampledFrom(m.tenants).Draw(rt, "tenant"), phone(rapid.IntRange(0, 30).Draw(rt, "phone"))
	env := rapid.SampledFrom([]saaf.Environment{saaf.Live, saaf.Test}).Draw(rt, "environment")
	leads, lists := 0, 0
	for _, c := range m.campaigns {
		if c.tenant == tenant && (env == saaf.Live || c.env == env) && c.lead(p) != nil {
			leads++
			c.leads = slices.DeleteFunc(c.leads, func(l saaf.Lead) bool { return l.Phone == p })
		}
	}
	for _, s := range m.lists {
		if (s.tenant == tenant || s.tenant == 0) && (env == saaf.Live || s.env == env) && s.phone == p {
			s.erased = true
			if !s.ended && s.tenant == tenant {
				lists++
			}
		}
	}
	e, err := m.process(rt).Erase(m.ctx, tenant, env, p, saaf.System, "asked for")
	if err != nil || e.Leads != leads || e.Suppressions != lists {
		rt.Fatalf("Erase = %+v, %v; want %d leads and %d suppressions", e, err, leads, lists)
	}
}

// checkLists compares the lists and the copies of them that writers keep.
func (m *model) checkLists(rt *rapid.T) {
	for _, c := range m.campaigns {
		for i := range c.leads {
			l := &c.leads[i]
			if listed := m.listed(c, l.Phone); !c.deleted && !l.Status.Finished() && listed != (l.Verdict.Reason == saaf.Suppressed) {
				rt.Errorf("lead %s is listed: %v, and its finding is %s", l.ID, listed, l.Verdict.Reason)
			}
		}
	}
	type entry struct {
		ID      saaf.SuppressionID
		Phone   saaf.Phone
		Expires time.Time
		Ended   bool
	}
	for _, tenant := range append([]saaf.TenantID{0}, m.tenants...) {
		for _, env := range []saaf.Environment{saaf.Live, saaf.Test} {
			var want, got []entry
			for _, s := range m.lists {
				if s.tenant == tenant && s.env == env {
					p := s.phone
					if s.erased {
						p = 0
					}
					want = append(want, entry{s.id, p, s.expires, s.ended})
				}
			}
			slices.SortFunc(want, func(a, b entry) int { return int(b.ID - a.ID) })
			list, err := m.Suppressions(m.ctx, tenant, env, SuppressionFilter{Ended: true}, 0, 1000)
			m.must(err)
			for _, s := range list {
				got = append(got, entry{s.ID, s.Phone, s.ExpiresAt, !s.EndedAt.IsZero()})
			}
			m.equal("suppressions", want, got)
		}
	}
	m.checkIndex()
	m.other.checkIndex()
}

// checkReport compares the figures of a campaign with its leads.
func (m *model) checkReport(rt *rapid.T, c *modelCampaign) {
	var want DNDReport
	for _, l := range c.leads {
		want.Leads[l.Status]++
		want.Found[l.Verdict.Reason]++
	}
	got, err := m.DNDReport(m.ctx, c.tenant, c.env, c.id)
	m.must(err)
	got.Changes = Changes{}
	m.equal("report of "+c.id.String(), want, got)
}

// checkEvidence follows the chain, and holds every lead against the last decision
// about it.
func (m *model) checkEvidence(rt *rapid.T) {
	type last struct {
		entry    saaf.EntryID
		decision saaf.Decision
	}
	decided := map[saaf.LeadID]last{}
	for _, e := range m.chain() {
		for d, err := range e.Decisions() {
			m.must(err)
			if had, there := decided[d.Lead]; there == d.New || there && had.decision.Reason != d.Had {
				rt.Errorf("entry %s: %+v behind %+v", e.ID, d, had.decision)
			}
			decided[d.Lead] = last{e.ID, d}
		}
	}
	for _, c := range m.campaigns {
		for _, l := range c.leads {
			if c.deleted {
				continue
			}
			d := decided[l.ID]
			if d.decision.Reason != l.Verdict.Reason || d.decision.Status != l.Status && !m.called[l.ID] ||
				d.decision.Phone != m.Hasher(c.tenant).Hash(l.Phone) {
				rt.Errorf("the last decision about %+v is %+v", l, d.decision)
			}
			if id := m.number(`SELECT coalesce(last_entry, first_entry) FROM leads WHERE id = $1`, l.ID); saaf.EntryID(id) != d.entry {
				rt.Errorf("lead %s names the entry %s; want %s", l.ID, saaf.EntryID(id), d.entry)
			}
		}
	}
}
