package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"saaf"
)

// suppress puts numbers of one scope on a list with a live key of the tenant.
func (b *bundle) suppress(scope saaf.SuppressionScope, campaign saaf.CampaignID, phones ...saaf.Phone) []Suppressed {
	b.t.Helper()
	var list []NewSuppression
	for _, p := range phones {
		list = append(list, NewSuppression{Scope: scope, Campaign: campaign, Phone: p, Reason: "asked", Source: "call"})
	}
	made, err := b.Suppress(b.ctx, b.tenant, saaf.Live, list, asha)
	b.must(err)
	return made
}

// finding is a registry that answers the same about every number.
func finding(v saaf.Verdict) Finder {
	return func(phones []saaf.Phone) []saaf.Verdict { return slices.Repeat([]saaf.Verdict{v}, len(phones)) }
}

// addTo adds one clean lead to a campaign.
func (b *bundle) addTo(tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID, p saaf.Phone, snap saaf.SnapshotRef) saaf.LeadID {
	b.t.Helper()
	batch := &LeadBatch{Campaign: campaign, Leads: []NewLead{{Phone: p, Verdict: verdict(saaf.NotRegistered, snap)}}}
	b.must(b.AddLeads(b.ctx, tenant, env, batch))
	return batch.Leads[0].ID
}

// Whom an entry blocks depends on its scope and on the key it was made with; on
// those alone, before and after the lead comes in.
func TestSuppressionScopes(t *testing.T) {
	t.Parallel()
	type place struct {
		tenant   saaf.TenantID
		env      saaf.Environment
		campaign saaf.CampaignID
	}
	for _, c := range []struct {
		scope   saaf.SuppressionScope
		env     saaf.Environment
		blocked []bool // of the six campaigns below
	}{
		{saaf.CampaignScope, saaf.Live, []bool{true, false, false, false, false, false}},
		{saaf.TenantScope, saaf.Live, []bool{true, true, true, false, false, false}},
		{saaf.DeploymentScope, saaf.Live, []bool{true, true, true, true, true, false}},
		{saaf.CampaignScope, saaf.Test, []bool{false, false, true, false, false, false}},
		{saaf.TenantScope, saaf.Test, []bool{false, false, true, false, false, false}},
		{saaf.DeploymentScope, saaf.Test, []bool{false, false, true, false, true, false}},
	} {
		t.Run(fmt.Sprintf("%s, %s", c.scope, c.env), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			snap := b.activate(20_000)
			other := b.newTenant("Other")
			places := []place{
				{b.tenant, saaf.Live, b.campaign},
				{b.tenant, saaf.Live, b.newCampaign(b.tenant, saaf.Live)},
				{b.tenant, saaf.Test, b.newCampaign(b.tenant, saaf.Test)},
				{other, saaf.Live, b.newCampaign(other, saaf.Live)},
				{other, saaf.Test, b.newCampaign(other, saaf.Test)},
				{b.tenant, saaf.Live, b.newCampaign(b.tenant, saaf.Live)},
			}
			b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, places[5].campaign, saaf.System))
			expect := func(when string, p saaf.Phone) {
				t.Helper()
				for i, at := range places[:5] {
					lead := saaf.Lead{Status: saaf.LeadPending, Verdict: verdict(saaf.NotRegistered, snap)}
					if c.blocked[i] {
						lead.Status, lead.Verdict.Reason = saaf.LeadDND, saaf.Suppressed
					}
					list, err := b.Leads(t.Context(), at.tenant, at.campaign, LeadFilter{Phone: &p}, 0, 9)
					b.must(err)
					if len(list) != 1 || list[0].Status != lead.Status || list[0].Verdict.Reason != lead.Verdict.Reason {
						t.Errorf("%s, campaign %d: %+v; want %s, %s", when, i, list, lead.Status, lead.Verdict.Reason)
					}
					b.checkCounts(at.campaign)
				}
			}
			for _, at := range places[:5] {
				b.addTo(at.tenant, at.env, at.campaign, phone(1), snap)
				b.addTo(at.tenant, at.env, at.campaign, phone(3), snap) // whom nobody blocks
			}
			campaign := saaf.CampaignID(0)
			if c.scope == saaf.CampaignScope {
				campaign = map[saaf.Environment]saaf.CampaignID{saaf.Live: places[0].campaign, saaf.Test: places[2].campaign}[c.env]
			}
			var list []NewSuppression
			for _, p := range []saaf.Phone{phone(1), phone(2)} {
				list = append(list, NewSuppression{Scope: c.scope, Campaign: campaign, Phone: p})
			}
			made, err := b.Suppress(t.Context(), b.tenant, c.env, list, asha)
			b.must(err)
			n := 0
			for _, is := range c.blocked {
				if is {
					n++
				}
			}
			if !made[0].Made || made[0].Blocked != n || made[1].Blocked != 0 {
				t.Errorf("made %+v; want %d blocked", made, n)
			}
			expect("before", phone(1))
			for _, at := range places[:5] {
				b.addTo(at.tenant, at.env, at.campaign, phone(2), snap)
			}
			expect("after", phone(2))

			// Without a campaign: only lists that count everywhere.
			for tenant, blocks := range map[saaf.TenantID]bool{b.tenant: c.scope != saaf.CampaignScope, other: c.scope == saaf.DeploymentScope} {
				for _, env := range []saaf.Environment{saaf.Live, saaf.Test} {
					ids, err := b.SuppressedBy(t.Context(), tenant, env, []saaf.Phone{phone(1), phone(3)})
					b.must(err)
					want := []saaf.SuppressionID{0, 0}
					if blocks && (c.env == saaf.Live || env == saaf.Test) {
						want[0] = made[0].ID
					}
					b.equal("suppressed by", want, ids)

					// What was found before the list was made is not recorded as clean behind it.
					checks := []Checked{{phone(1), verdict(saaf.NotRegistered, snap)}, {phone(3), verdict(saaf.NotRegistered, snap)}}
					b.must(b.RecordChecks(t.Context(), tenant, env, saaf.SourceFile, asha, checks))
					for k, check := range checks {
						if check.Verdict.Suppression != want[k] || check.Verdict.Reason.Clean() != (want[k] == 0) {
							t.Errorf("check %d of %s: recorded %+v; want suppressed by %s", k, env, check.Verdict, want[k])
						}
					}
				}
			}
			_, err = b.Lift(t.Context(), made[0].TenantID, made[0].ID, saaf.SourceFile, asha, "over", finding(verdict(saaf.NotRegistered, snap)))
			b.must(err)
			held := b.number(`SELECT count(*) FROM leads WHERE status = $1 AND reason = $2`, saaf.LeadHeld, saaf.HeldAfterBlock)
			if held != int64(n) {
				t.Errorf("%d leads are held; want %d", held, n)
			}
			b.checkIndex()
		})
	}
}

// A campaign of somebody else is the same as none.
func TestSuppressInCampaignsOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stranger := b.newTenant("Stranger")
	deleted := b.newCampaign(b.tenant, saaf.Live)
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, deleted, saaf.System))
	for name, who := range map[string]struct {
		tenant   saaf.TenantID
		env      saaf.Environment
		campaign saaf.CampaignID
	}{
		"another tenant":        {stranger, saaf.Live, b.campaign},
		"the other environment": {b.tenant, saaf.Test, b.campaign},
		"deleted":               {b.tenant, saaf.Live, deleted},
		"none":                  {b.tenant, saaf.Live, 0},
	} {
		_, err := b.Suppress(t.Context(), who.tenant, who.env, []NewSuppression{
			{Scope: saaf.TenantScope, Phone: phone(1)}, {Scope: saaf.CampaignScope, Campaign: who.campaign, Phone: phone(2)},
		}, asha)
		if err != error(saaf.ErrCampaignNotFound) {
			t.Errorf("%s: %v; want ErrCampaignNotFound itself", name, err)
		}
	}
	if _, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{{Phone: phone(1)}}, asha); err == nil || saaf.ErrorCode(err) != saaf.Internal {
		t.Errorf("an entry without a scope: %v", err)
	}
	if n := b.number(`SELECT count(*) FROM suppressions`); n != 0 {
		t.Errorf("%d entries; all or none", n)
	}
	b.checkIndex()
}

// The same number again: the entry that is there, and the later expiry wins.
func TestSuppressAgain(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		never, soon, late := time.Time{}, b.now().Add(time.Hour), b.now().Add(2*time.Hour)
		for i, c := range []struct{ first, second, want time.Time }{
			{never, never, never}, {never, soon, never}, {soon, never, never},
			{soon, late, late}, {late, soon, late}, {soon, soon, soon},
		} {
			n := NewSuppression{Scope: saaf.TenantScope, Phone: phone(i), Reason: "first", Source: "first", Expires: c.first}
			first, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{n}, asha)
			b.must(err)
			b.pass(time.Minute)
			n.Expires, n.Reason, n.Source = c.second, "second", "second"
			second, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{n, n}, saaf.System)
			b.must(err)
			want := first[0]
			want.Made, want.ExpiresAt = false, c.want
			if !c.want.Equal(c.first) {
				want.UpdatedAt = b.now()
			}
			b.equal("again", []Suppressed{want, want}, second)
			read, err := b.Suppressions(t.Context(), b.tenant, saaf.Live, SuppressionFilter{Phone: new(phone(i))}, 0, 9)
			b.must(err)
			b.equal("read", []saaf.Suppression{want.Suppression}, read)
			if !first[0].Made || first[0].Actor != asha.Actor || !first[0].ExpiresAt.Equal(c.first) {
				t.Errorf("first: %+v", first[0])
			}
		}

		// Other lists know nothing of it, nor does the same one once it has ended.
		one := b.suppress(saaf.TenantScope, 0, phone(50))[0]
		for name, made := range map[string]Suppressed{
			"the campaign's":   b.suppress(saaf.CampaignScope, b.campaign, phone(50))[0],
			"the deployment's": b.suppress(saaf.DeploymentScope, 0, phone(50))[0],
		} {
			if !made.Made {
				t.Errorf("%s list had it already", name)
			}
		}
		test, err := b.Suppress(t.Context(), b.tenant, saaf.Test, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(50)}}, asha)
		if err != nil || !test[0].Made {
			t.Errorf("the list of the test environment: %+v, %v", test, err)
		}
		_, err = b.Lift(t.Context(), b.tenant, one.ID, saaf.SourceFile, asha, "over", finding(saaf.Verdict{}))
		b.must(err)
		if again := b.suppress(saaf.TenantScope, 0, phone(50))[0]; !again.Made || again.ID == one.ID {
			t.Errorf("after it was lifted: %+v", again)
		}
	})
}

// What becomes of a lead whose suppression ends is what a check finds then; nobody
// is freed by it.
func TestEndOfASuppression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		found  saaf.VerdictReason
		status saaf.LeadStatus
		reason saaf.VerdictReason
	}{
		{"clean", saaf.NotRegistered, saaf.LeadHeld, saaf.HeldAfterBlock},
		{"listed", saaf.PartialBlock, saaf.LeadDND, saaf.PartialBlock},
		{"silent", saaf.RegistryUnavailable, saaf.LeadDND, saaf.RegistryUnavailable},
		{"stale", saaf.RegistryStale, saaf.LeadDND, saaf.RegistryStale},
	} {
		for _, how := range []string{"lift", "expiry"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				t.Parallel()
				timeless(t, func(t *testing.T) {
					b := setup(t)
					old := b.activate(20_000)
					id := b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), old)
					finished := b.newCampaign(b.tenant, saaf.Live)
					done := b.addTo(b.tenant, saaf.Live, finished, phone(1), old)
					b.force(finished, done, saaf.LeadCompleted, verdict(saaf.NotRegistered, old))
					called := b.newCampaign(b.tenant, saaf.Live)
					calling := b.addTo(b.tenant, saaf.Live, called, phone(1), old)
					b.force(called, calling, saaf.LeadDialing, verdict(saaf.NotRegistered, old))
					snap := b.activate(20_001)
					expires := b.now().Add(time.Hour)
					made, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1), Expires: expires}}, asha)
					b.must(err)
					if made[0].Blocked != 2 {
						t.Errorf("%d blocked; want the lead that waits and the one on a call", made[0].Blocked)
					}
					blocked, err := b.Lead(t.Context(), b.tenant, b.campaign, id)
					b.must(err)
					if blocked.Status != saaf.LeadDND || blocked.Verdict != (saaf.Verdict{Reason: saaf.Suppressed, CheckedAt: b.now()}) {
						t.Errorf("suppressed: %s, %+v", blocked.Status, blocked.Verdict)
					}
					if n, err := b.ExpireSuppressions(t.Context(), Lease{}, expires.Add(-time.Millisecond), 10, saaf.SourceFile, finding(verdict(c.found, snap))); n != 0 || err != nil {
						t.Errorf("%d expired before their time, %v", n, err)
					}
					b.pass(2 * time.Hour)
					if how == "lift" {
						_, err = b.Lift(t.Context(), b.tenant, made[0].ID, saaf.SourceFile, asha, "a mistake", finding(verdict(c.found, snap)))
						b.must(err)
					} else if n, err := b.ExpireSuppressions(t.Context(), Lease{}, b.now(), 10, saaf.SourceFile, finding(verdict(c.found, snap))); n != 1 || err != nil {
						t.Errorf("%d expired, %v", n, err)
					}
					want := blocked
					want.Status, want.Verdict, want.UpdatedAt = c.status, verdict(c.found, snap), b.now()
					want.Verdict.Reason = c.reason
					got, err := b.Lead(t.Context(), b.tenant, b.campaign, id)
					b.must(err)
					b.equal("the lead", want, got)
					onCall, err := b.Lead(t.Context(), b.tenant, called, calling)
					b.must(err)
					if onCall.Status != saaf.LeadDialing || onCall.Verdict.Reason.Clean() || !onCall.Verdict.Reason.Blocked() && onCall.Verdict.Reason != saaf.HeldAfterBlock {
						t.Errorf("on a call: %s, %s", onCall.Status, onCall.Verdict.Reason)
					}
					after, err := b.Lead(t.Context(), b.tenant, finished, done)
					b.must(err)
					if after.Status != saaf.LeadCompleted || after.Verdict.Reason != saaf.NotRegistered {
						t.Errorf("finished: %s, %s", after.Status, after.Verdict.Reason)
					}
					for _, campaign := range []saaf.CampaignID{b.campaign, finished, called} {
						b.checkCounts(campaign)
					}
					ended, err := b.Suppressions(t.Context(), b.tenant, saaf.Live, SuppressionFilter{Ended: true}, 0, 10)
					b.must(err)
					s := made[0].Suppression
					s.EndedAt, s.UpdatedAt, s.EndReason, s.EndActor = b.now(), b.now(), "a mistake", asha.Actor
					if how == "expiry" {
						s.EndReason, s.EndActor = "expired", "system"
					}
					b.equal("the entry", []saaf.Suppression{s}, ended)
					if again, err := b.ExpireSuppressions(t.Context(), Lease{}, b.now(), 10, saaf.SourceFile, nil); again != 0 || err != nil {
						t.Errorf("it expires again: %d, %v", again, err)
					}
					if _, err := b.Lift(t.Context(), b.tenant, s.ID, saaf.SourceFile, asha, "again", nil); err != error(errNoSuppression) {
						t.Errorf("it is lifted again: %v", err)
					}
					b.checkIndex()
				})
			})
		}
	}
}

// One of two lists goes on blocking when the other ends.
func TestOneOfTwoSuppressionsEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	id := b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), snap)
	scopes := []saaf.SuppressionScope{saaf.CampaignScope, saaf.TenantScope, saaf.DeploymentScope}
	var made []Suppressed
	for _, scope := range scopes {
		made = append(made, b.suppress(scope, b.campaign, phone(1))...)
	}
	for i, s := range made {
		tenant := b.tenant
		if s.Scope == saaf.DeploymentScope {
			tenant = 0
			if _, err := b.Lift(t.Context(), b.tenant, s.ID, saaf.SourceFile, asha, "not mine", nil); err != error(errNoSuppression) {
				t.Errorf("a tenant lifts an entry of the deployment: %v", err)
			}
		}
		_, err := b.Lift(t.Context(), tenant, s.ID, saaf.SourceFile, asha, "over", finding(verdict(saaf.NotRegistered, snap)))
		b.must(err)
		want := saaf.Suppressed
		if i == len(made)-1 {
			want = saaf.HeldAfterBlock
		}
		l, err := b.Lead(t.Context(), b.tenant, b.campaign, id)
		b.must(err)
		if l.Verdict.Reason != want {
			t.Errorf("without that of %s the finding is %s; want %s", scopes[i], l.Verdict.Reason, want)
		}
	}
}

// A push beside the entry that blocks it is blocked in the end, whichever is first, and
// at once where they share a transaction.
func TestPushBesideASuppression(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		list := []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1)}, {Scope: saaf.DeploymentScope, Phone: phone(2)}}
		release := b.block()
		before := b.commits()
		shared := b.engine.shared()
		suppressed := make(chan error, 1)
		go func() {
			_, err := b.Suppress(t.Context(), b.tenant, saaf.Live, list, asha)
			suppressed <- err
		}()
		b.waiting(1)
		batch := &LeadBatch{Campaign: b.campaign, Leads: leads(1, 4)}
		for i := range batch.Leads {
			batch.Leads[i].Verdict = verdict(saaf.NotRegistered, snap)
			batch.Leads[i].Verdict.Preferences = "1"
		}
		pushed := b.pushBatch(t.Context(), batch)
		b.waiting(2)
		release()
		b.must(<-suppressed)
		b.must(<-pushed)
		if n := b.commits() - before; !shared && n != 1 {
			t.Fatalf("they took %d commits; want one", n)
		}
		var statuses []saaf.LeadStatus
		for _, l := range b.all(b.campaign) {
			statuses = append(statuses, l.Status)
		}
		b.equal("statuses", []saaf.LeadStatus{saaf.LeadDND, saaf.LeadDND, saaf.LeadPending}, statuses)
		for i, l := range batch.Leads {
			if blocked := i < 2; !shared && blocked != (l.Verdict.Suppression != 0) || !shared && blocked != (l.Verdict.Preferences == "") {
				t.Errorf("lead %d is told %+v", i, l.Verdict)
			}
		}
	})
}

func TestSuppressionsAreListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stranger := b.newTenant("Stranger")
	tenantWide := b.suppress(saaf.TenantScope, 0, phone(1), phone(2))
	campaign := b.suppress(saaf.CampaignScope, b.campaign, phone(1))
	all := b.suppress(saaf.DeploymentScope, 0, phone(1))
	test, err := b.Suppress(t.Context(), b.tenant, saaf.Test, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1)}}, asha)
	b.must(err)
	_, err = b.Lift(t.Context(), b.tenant, tenantWide[1].ID, saaf.SourceFile, asha, "over", finding(saaf.Verdict{}))
	b.must(err)
	for name, c := range map[string]struct {
		tenant saaf.TenantID
		env    saaf.Environment
		f      SuppressionFilter
		want   []saaf.SuppressionID
	}{
		"those that block":      {b.tenant, saaf.Live, SuppressionFilter{}, []saaf.SuppressionID{campaign[0].ID, tenantWide[0].ID}},
		"all there were":        {b.tenant, saaf.Live, SuppressionFilter{Ended: true}, []saaf.SuppressionID{campaign[0].ID, tenantWide[1].ID, tenantWide[0].ID}},
		"of a phone":            {b.tenant, saaf.Live, SuppressionFilter{Phone: new(phone(2)), Ended: true}, []saaf.SuppressionID{tenantWide[1].ID}},
		"of a campaign":         {b.tenant, saaf.Live, SuppressionFilter{Campaign: &b.campaign}, []saaf.SuppressionID{campaign[0].ID}},
		"of no campaign":        {b.tenant, saaf.Live, SuppressionFilter{Campaign: new(saaf.CampaignID(0))}, []saaf.SuppressionID{tenantWide[0].ID}},
		"of test":               {b.tenant, saaf.Test, SuppressionFilter{}, []saaf.SuppressionID{test[0].ID}},
		"of the deployment":     {0, saaf.Live, SuppressionFilter{Phone: new(phone(1))}, []saaf.SuppressionID{all[0].ID}},
		"of somebody else":      {stranger, saaf.Live, SuppressionFilter{Ended: true}, nil},
		"of a phone never seen": {b.tenant, saaf.Live, SuppressionFilter{Phone: new(phone(9)), Ended: true}, nil},
	} {
		for _, limit := range []int{1, 10} {
			var got []saaf.SuppressionID
			below := saaf.Cursor(0)
			for {
				page, err := b.Suppressions(t.Context(), c.tenant, c.env, c.f, below, limit)
				b.must(err)
				for _, s := range page {
					got = append(got, s.ID)
				}
				if len(page) < limit {
					break
				}
				below = saaf.Cursor(page[len(page)-1].ID)
			}
			b.equal(name, c.want, got)
		}
	}
}

// A suppression that is prolonged after it was found to be over, and before the
// writer gets to end it, goes on.
func TestProlongedWhileItEnds(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		id := b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), snap)
		suppress := func(hours time.Duration) error {
			_, err := b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1), Expires: b.now().Add(hours * time.Hour)}}, asha)
			return err
		}
		b.must(suppress(1))
		b.pass(2 * time.Hour)
		release := b.block()
		prolonged, expired := make(chan error, 1), make(chan error, 1)
		go func() { prolonged <- suppress(5) }()
		b.waiting(1)
		n := -1
		go func() {
			var err error
			n, err = b.ExpireSuppressions(t.Context(), Lease{}, b.now(), smallRows, saaf.SourceFile, finding(verdict(saaf.NotRegistered, snap)))
			expired <- err
		}()
		b.waiting(2)
		release()
		b.must(<-prolonged)
		b.must(<-expired)
		if l := b.lead(b.campaign, id); n != 0 || l.Status != saaf.LeadDND || l.Verdict.Reason != saaf.Suppressed {
			t.Errorf("%d ended, the lead is %s, %s", n, l.Status, l.Verdict.Reason)
		}
	})
}

// A lead that was held against a list which was then undone with its group is not
// on any.
func TestPushBesideASuppressionThatIsUndone(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		release := b.block()
		tries := 0
		suppressed := b.later(0, func(x *tx) error {
			if tries++; tries > 1 {
				return nil
			}
			_, err := x.suppress(b.tenant, saaf.Live, &NewSuppression{Scope: saaf.TenantScope, Phone: phone(1)}, asha)
			return err
		})
		b.waiting(1)
		batch, added := b.push(t.Context(), NewLead{Phone: phone(1), Verdict: verdict(saaf.NotRegistered, snap)})
		b.waiting(2)
		spoilt := b.later(0, func(x *tx) error {
			x.wrote = true
			return saaf.ErrLeadNotFound
		})
		b.waiting(3)
		release()
		b.must(<-suppressed)
		b.must(<-added)
		if err := <-spoilt; err != error(saaf.ErrLeadNotFound) || tries != 2 {
			t.Fatalf("%d tries, %v: the group was not undone", tries, err)
		}
		l := batch.Leads[0]
		if got := b.lead(b.campaign, l.ID); got.Status != saaf.LeadPending || got.Verdict != verdict(saaf.NotRegistered, snap) || l.Verdict.Suppression != 0 {
			t.Errorf("stored %s, %+v; answered %+v", got.Status, got.Verdict, l.Verdict)
		}
		b.checkIndex()
		b.chain()
	})
}
