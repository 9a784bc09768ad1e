package api

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"saaf"
	"saaf/auth"
)

// Whatever a push is, to a campaign that has gone it is answered with the 404 of one
// that never was, also by a process that has seen the campaign and did not delete it.
func TestPushesToACampaignThatHasGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strangers := map[string]string{
		"another tenant": b.newKey(auth.KeySpec{TenantID: b.newTenant("Ravi")}),
		"the other side": b.newKey(auth.KeySpec{Environment: saaf.Test}),
	}
	var never string
	for _, c := range []struct{ path, body string }{
		{"/leads", `{"phone":"9876543210"}`},
		{"/leads", `{"phone":"9876543211"}`}, // a duplicate
		{"/leads", `{"phone":"1"}`},
		{"/leads", `{"phone":`},
		{"/leads", `[]`},
		{"/leads", `{}`},
		{"/leads", ``},
		{"/leads:bulk", `{"leads":[{"phone":"9876543210"}]}`},
		{"/leads:bulk", `{"leads":[{"phone":"1"}]}`}, // no row is stored
		{"/leads:bulk", `{"leads":[]}`},
		{"/leads:bulk", `{"leads":7}`},
		{"/leads:bulk", `{}`},
		{"/leads:bulk", "{\"\xff\":1}"},
	} {
		id := b.campaign()
		b.push(id, "9876543211")
		push := func(campaign string) string {
			return b.do("POST", "/campaigns/"+campaign+c.path, c.body, with("X-Request-Id", "r1")).is(404).body
		}
		if never == "" {
			never = push("camp_0000000000001")
		}
		for who, key := range strangers {
			if got := b.do("POST", "/campaigns/"+id+c.path, c.body, as(key), with("X-Request-Id", "r1")).is(404).body; got != never {
				t.Errorf("%s %s by %s: %s", c.path, c.body, who, got)
			}
		}
		campaign, ok := saaf.ParseID[saaf.CampaignID](id)
		if !ok {
			t.Fatal(id)
		}
		if err := b.store.DeleteCampaign(t.Context(), b.tenant, saaf.Live, campaign, saaf.By{Actor: "another process"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := push(id); got != never {
				t.Errorf("%s %s: %s", c.path, c.body, got)
			}
		}
	}
}

// A campaign is read for the first push to it, and not for each.
func TestCampaignOfAPushIsReadOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var api *API
	b2 := setup(t, func(c *Config) { api = New(*c) })
	id, _ := saaf.ParseID[saaf.CampaignID](b2.campaign())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	expect := func(ctx context.Context, id saaf.CampaignID) error {
		c := &call{r: httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("")), key: &saaf.Key{TenantID: b2.tenant, Environment: saaf.Live}}
		return api.expectCampaign(c, id)
	}
	if err := expect(gone, id); err == nil {
		t.Error("it was not read at first")
	}
	if err := expect(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := expect(gone, id); err != nil {
		t.Errorf("it was read again: %v", err)
	}
	c := &call{r: httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), key: &saaf.Key{TenantID: b2.tenant, Environment: saaf.Live}}
	c.campaign.ID = id
	if api.campaignJudged(c, saaf.ErrCampaignCompleted); !api.seen.has(c.seen()) {
		t.Error("a campaign that is there was forgotten")
	}
	if api.campaignJudged(c, saaf.ErrCampaignNotFound); api.seen.has(c.seen()) {
		t.Error("a campaign that has gone is still expected")
	}
	other, _ := saaf.ParseID[saaf.CampaignID](b.campaign())
	if err := expect(t.Context(), other); err != saaf.ErrCampaignNotFound {
		t.Errorf("one of another store: %v", err)
	}
}

func TestMemoryForCampaignsIsBounded(t *testing.T) {
	t.Parallel()
	var s campaignsSeen
	for i := range saaf.CampaignID(2*maxSeen + 1) {
		s.add(campaignSeen{campaign: i})
		if !s.has(campaignSeen{campaign: i}) || len(s.seen) > maxSeen {
			t.Fatalf("%d are remembered after %d", len(s.seen), i+1)
		}
	}
}
