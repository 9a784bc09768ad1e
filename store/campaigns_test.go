package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"saaf"
)

// everySetting is a campaign's settings with nothing left at its default.
func everySetting() saaf.CampaignSettings {
	return saaf.CampaignSettings{
		Name: "दिवाली \"2026\"\n", DialMode: "predictive", VoiceAgentID: new("agent-7"), PostAnswerAction: saaf.ConnectVoiceAgent,
		PredictiveTargetAbandon: new(0.0275), PredictiveMaxWait: new(1.5), PredictiveMinRatio: new(0.0), PredictiveMaxRatio: new(3.25),
		MaxAttempts: 20, RetryDelay: 604_800, MaxConcurrent: new(10_000),
		CallingWindow: &saaf.CallingWindow{Start: 10 * 60, End: 18*60 + 30, Days: []int{1, 5, 7}},
		CallerID:      new("+911140001234"),
	}
}

func TestCampaignsComeBackAsTheyWereStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empty := settings("x")
	empty.VoiceAgentID, empty.CallerID = new(""), new("")
	for _, want := range []saaf.CampaignSettings{settings("plain"), everySetting(), empty} {
		made, err := b.CreateCampaign(t.Context(), b.tenant, saaf.Test, want)
		b.must(err)
		b.equal("made", saaf.Campaign{
			ID: made.ID, TenantID: b.tenant, Environment: saaf.Test, CampaignSettings: want,
			Status: saaf.CampaignDraft, CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt,
		}, made)
		if made.ID == 0 || made.CreatedAt.IsZero() {
			t.Errorf("no id or time: %+v", made)
		}
		read, err := b.Campaign(t.Context(), b.tenant, saaf.Test, made.ID)
		b.must(err)
		b.equal("read", made, read)
	}
}

func TestUpdateCampaign(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		before, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
		b.must(err)
		other := b.newCampaign(b.tenant, saaf.Live)
		b.pass(time.Minute)
		want := before
		for _, s := range []saaf.CampaignSettings{everySetting(), settings("plain again")} {
			want.CampaignSettings, want.Status, want.UpdatedAt = s, saaf.CampaignPaused, b.now()
			got, err := b.UpdateCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, func(c *saaf.Campaign) error {
				b.equal("given to change", before, *c)
				c.CampaignSettings, c.Status = s, saaf.CampaignPaused
				return nil
			})
			b.must(err)
			b.equal("updated", want, got)
			before, err = b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
			b.must(err)
			b.equal("read", want, before)
		}
		untouched, err := b.Campaign(t.Context(), b.tenant, saaf.Live, other)
		b.must(err)
		if untouched.Name != "Diwali" || untouched.Status != saaf.CampaignDraft {
			t.Errorf("another campaign changed too: %+v", untouched)
		}

		refusal := &saaf.Error{Code: saaf.Conflict, Word: "no"}
		_, err = b.UpdateCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, func(c *saaf.Campaign) error {
			c.Name = "never stored"
			return refusal
		})
		if err != error(refusal) {
			t.Errorf("change refused: %v; want its own error", err)
		}
		after, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
		b.must(err)
		b.equal("after a refused change", before, after)
	})
}

// Pages stay right while campaigns come and go between them.
func TestCampaignPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := []saaf.CampaignID{b.campaign}
	for range 7 {
		want = append(want, b.newCampaign(b.tenant, saaf.Live))
		b.newCampaign(b.tenant, saaf.Test)
	}
	stranger := b.newTenant("Stranger")
	b.newCampaign(stranger, saaf.Live)
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, want[6], saaf.System))
	want = slices.Delete(want, 6, 7)
	slices.Reverse(want)

	var got []saaf.CampaignID
	below := saaf.Cursor(0)
	for {
		page, err := b.Campaigns(t.Context(), b.tenant, saaf.Live, below, 3)
		b.must(err)
		for _, c := range page {
			got = append(got, c.ID)
			one, err := b.Campaign(t.Context(), b.tenant, saaf.Live, c.ID)
			b.must(err)
			b.equal("in the list", one, c)
		}
		if len(page) < 3 {
			break
		}
		below = saaf.Cursor(page[2].ID)
		b.newCampaign(b.tenant, saaf.Live)
	}
	b.equal("campaigns", want, got)
}

// Whoever may not see a campaign is told the same as for one that never was, to
// the last byte, so that nobody learns that it exists.
func TestStrangersSeeNoCampaign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move(b.campaign, saaf.CampaignCompleted) // its state must not shine through either
	stranger := b.newTenant("Stranger")
	b.newCampaign(stranger, saaf.Live)
	deleted := b.newCampaign(b.tenant, saaf.Live)
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, deleted, saaf.System))
	before, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
	b.must(err)

	for _, who := range []struct {
		name   string
		tenant saaf.TenantID
		env    saaf.Environment
		id     saaf.CampaignID
	}{
		{"another tenant", stranger, saaf.Live, b.campaign},
		{"the other environment", b.tenant, saaf.Test, b.campaign},
		{"no tenant", 0, saaf.Live, b.campaign},
		{"no environment", b.tenant, "", b.campaign},
		{"no such campaign", b.tenant, saaf.Live, b.campaign + 1},
		{"campaign 0", b.tenant, saaf.Live, 0},
		{"nothing at all", 0, "", 0},
		{"deleted", b.tenant, saaf.Live, deleted},
	} {
		for what, do := range map[string]func() error{
			"read": func() error {
				_, err := b.Campaign(t.Context(), who.tenant, who.env, who.id)
				return err
			},
			"update": func() error {
				_, err := b.UpdateCampaign(t.Context(), who.tenant, who.env, who.id, func(*saaf.Campaign) error {
					return errors.New("change was called")
				})
				return err
			},
			"delete": func() error { return b.DeleteCampaign(t.Context(), who.tenant, who.env, who.id, saaf.System) },
			"add": func() error {
				return b.AddLeads(t.Context(), who.tenant, who.env, &LeadBatch{Campaign: who.id, Leads: leads(0, 1)})
			},
			"add none": func() error {
				return b.AddLeads(t.Context(), who.tenant, who.env, &LeadBatch{Campaign: who.id})
			},
		} {
			if err := do(); err != error(saaf.ErrCampaignNotFound) {
				t.Errorf("%s: %s = %v; want ErrCampaignNotFound itself", who.name, what, err)
			}
		}
	}
	after, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
	b.must(err)
	b.equal("after all that", before, after)
	if n := b.number(`SELECT count(*) FROM leads`); n != 0 {
		t.Errorf("%d leads were stored", n)
	}
}

// From the moment DeleteCampaign returns nothing of the campaign is left to see,
// though its leads are removed later.
func TestDeletedCampaignIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.add(b.campaign, leads(0, 3)...)
	if ids, err := b.CampaignsToRecheck(t.Context(), 0, true); err != nil || len(ids) != 1 {
		t.Fatalf("CampaignsToRecheck = %v, %v", ids, err)
	}
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))

	if list, err := b.Campaigns(t.Context(), b.tenant, saaf.Live, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("Campaigns = %v, %v", list, err)
	}
	if list, err := b.Leads(t.Context(), b.tenant, b.campaign, LeadFilter{}, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("Leads = %v, %v", list, err)
	}
	if _, err := b.Lead(t.Context(), b.tenant, b.campaign, batch.Leads[0].ID); err != error(saaf.ErrLeadNotFound) {
		t.Errorf("Lead: %v", err)
	}
	for _, onlyUnchecked := range []bool{true, false} {
		if ids, err := b.CampaignsToRecheck(t.Context(), 0, onlyUnchecked); err != nil || len(ids) != 0 {
			t.Errorf("CampaignsToRecheck(%v) = %v, %v", onlyUnchecked, ids, err)
		}
	}
}

func TestDeleteCampaignDependsOnItsState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, status := range []saaf.CampaignStatus{saaf.CampaignDraft, saaf.CampaignPaused, saaf.CampaignCompleted, saaf.CampaignRunning} {
		id := b.newCampaign(b.tenant, saaf.Live)
		b.move(id, status)
		err := b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, id, saaf.System)
		_, gone := b.Campaign(t.Context(), b.tenant, saaf.Live, id)
		if status == saaf.CampaignRunning {
			if saaf.ErrorCode(err) != saaf.Conflict || gone != nil {
				t.Errorf("deleting a running campaign: %v, then %v; want Conflict, and it stays", err, gone)
			}
		} else if err != nil || gone != error(saaf.ErrCampaignNotFound) {
			t.Errorf("deleting a campaign that is %s: %v, then %v", status, err, gone)
		}
	}
}

func TestCompletedCampaignTakesNoLeads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stored := b.add(b.campaign, leads(0, 1)...)
	for _, status := range []saaf.CampaignStatus{saaf.CampaignRunning, saaf.CampaignPaused} {
		b.move(b.campaign, status)
		b.add(b.campaign, leads(len(status), len(status)+1)...)
	}
	b.move(b.campaign, saaf.CampaignCompleted)
	refreshed := false
	batch := &LeadBatch{Campaign: b.campaign, Leads: leads(0, 5), Refresh: func([]NewLead) { refreshed = true }}
	if err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch); err != error(saaf.ErrCampaignCompleted) {
		t.Errorf("AddLeads = %v; want ErrCampaignCompleted itself", err)
	}
	if refreshed {
		t.Error("the registry was asked for leads that nobody will store")
	}
	if n := len(b.all(b.campaign)); n != 3 {
		t.Errorf("%d leads; want the 3 from before", n)
	}
	if _, err := b.Lead(t.Context(), b.tenant, b.campaign, stored.Leads[0].ID); err != nil {
		t.Errorf("leads of a completed campaign can be read: %v", err)
	}
	b.checkCounts(b.campaign)
}

// The counts in a campaign are those of its own leads.
func TestCampaignShowsItsCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(other, leads(0, 2)...)
	var batch []NewLead
	for n, reason := range []saaf.VerdictReason{saaf.NotRegistered, saaf.FullBlock, saaf.PartialBlock, saaf.RegistryStale, saaf.Suppressed} {
		batch = append(batch, NewLead{Phone: phone(n), Verdict: verdict(reason, snap)})
	}
	b.add(b.campaign, batch...)
	b.add(b.campaign, batch...) // duplicates do not count
	want := saaf.LeadCounts{saaf.LeadPending: 2, saaf.LeadDND: 3}
	got, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
	b.must(err)
	b.equal("counts", want, got.Leads)
	b.checkCounts(b.campaign)
	b.checkCounts(other)
	if n := b.number(`SELECT unchecked FROM campaign_counts WHERE campaign_id = $1`, b.campaign); n != 1 {
		t.Errorf("unchecked = %d, want 1", n)
	}
}
