package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/client"
)

func TestPushLead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	start := time.Now().Add(-time.Second)
	got, err := b.PushLead(t.Context(), campaign.ID, client.NewLead{
		Phone: "+91 98765 43210", Name: "आशा <Sharma> & Co", Email: "asha@example.in", ExternalID: "crm-7", Metadata: json.RawMessage(`{"plan":"pro"}`)})
	if err != nil {
		t.Fatal(err)
	}
	read, err := b.Lead(t.Context(), campaign.ID, got.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Errorf("pushed and read differ: %s", diff)
	}
	if _, ok := saaf.ParseID[saaf.LeadID](got.ID); !ok || got.CreatedAt.Before(start) || !got.UpdatedAt.Equal(got.CreatedAt) ||
		got.DNDCheckedAt == nil || got.DNDCheckedAt.Before(start) || got.DNDRegistry == nil {
		t.Errorf("%+v", got)
	}
	want := client.Lead{
		ID: got.ID, CampaignID: campaign.ID, Phone: "9876543210", Name: new("आशा <Sharma> & Co"), Email: new("asha@example.in"), ExternalID: new("crm-7"),
		Metadata: json.RawMessage(`{"plan":"pro"}`), Status: "pending", DNDChecked: true, DNDClean: true, DNDReason: "not_registered",
		DNDCheckedAt: got.DNDCheckedAt, DNDRegistry: got.DNDRegistry, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPushLeadWithAPhoneAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.PushLead(t.Context(), b.campaign().ID, client.NewLead{Phone: blocked})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "dnd" || got.DNDClean || !got.DNDChecked || got.DNDReason != "ncpr_full_block" || got.Name != nil || got.Email != nil ||
		got.ExternalID != nil || string(got.Metadata) != "null" || got.Warnings != nil {
		t.Errorf("%+v", got)
	}
}

// Every value of the metadata comes back as it was: only white space between
// values may go on the way out.
func TestMetadata(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign, bulk := b.campaign().ID, b.campaign().ID
	all := []string{
		`{}`,
		`{"price":1.10,"exp":1E+2,"neg":-0,"tiny":1e-400}`,
		`{"id":123456789012345678901234567890}`,
		`{"z":1,"a":2,"a":3,"Z":{"b":[1,{"c":null}]}}`,
		`{"नाम":"आशा","html":"<b>&amp;</b>","esc":"\u0041\ud83d\ude00\/\n"}`,
		"{\"sep\":\"\u2028\u2029\"}",
		"{ \"pretty\" : [ 1 ,\n\t2 ] }",
	}
	var leads []client.NewLead
	for i, metadata := range all {
		leads = append(leads, client.NewLead{Phone: fmt.Sprintf("98%08d", i), Metadata: json.RawMessage(metadata)})
		if pushed, err := b.PushLead(t.Context(), campaign, leads[i]); err != nil || string(pushed.Metadata) != compact(t, metadata) {
			t.Errorf("%s came back as %s, %v", metadata, pushed.Metadata, err)
		}
	}
	if res, err := b.PushLeads(t.Context(), bulk, leads); err != nil || res.Valid != len(leads) {
		t.Errorf("%+v, %v", res, err)
	}
	for _, campaign := range []string{campaign, bulk} {
		page, err := b.Leads(t.Context(), campaign, nil, "")
		if err != nil || len(page.Items) != len(all) {
			t.Fatalf("%d leads, %v", len(page.Items), err)
		}
		for i, metadata := range all {
			if got := page.Items[len(all)-1-i].Metadata; string(got) != compact(t, metadata) {
				t.Errorf("%s was stored as %s", metadata, got)
			}
		}
	}
}

// compact is text without white space between values.
func compact(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMetadataThatIsNotJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	_, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: "9876543210", Metadata: json.RawMessage(`{"a":`)})
	if _, answered := errors.AsType[*client.Error](err); err == nil || answered || !strings.HasPrefix(err.Error(), "encode request: ") {
		t.Errorf("%v", err)
	}
	silent(t, err, b.key)
	if page, err := b.Leads(t.Context(), campaign, nil, ""); err != nil || len(page.Items) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestPushLeads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	got, err := b.PushLeads(t.Context(), campaign, []client.NewLead{{Phone: "9876543210"}, {Phone: blocked}, {Phone: "invalid"}, {Phone: "09876543210"}})
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Leads(t.Context(), campaign, nil, "")
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	want := client.BulkResult{Total: 4, Valid: 2, Invalid: 1, Duplicates: 1, Results: []client.BulkRow{
		{Phone: "9876543210", Status: "added", ID: new(page.Items[1].ID)},
		{Phone: blocked, Status: "added", ID: new(page.Items[0].ID), DND: true},
		{Phone: "invalid", Status: "invalid", Reason: "invalid_character"},
		{Phone: "09876543210", Status: "duplicate", Reason: "duplicate", LeadID: page.Items[1].ID},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, none := range [][]client.NewLead{nil, {}} {
		if got, err := b.PushLeads(t.Context(), campaign, none); err != nil || got.Total != 0 || len(got.Results) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestLeads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	var want []string
	for i := range 7 {
		lead, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: fmt.Sprintf("98%08d", i), ExternalID: "a b&c=d"})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, lead.ID)
	}
	if _, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: blocked}); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	filter := url.Values{"limit": {"3"}, "external_id": {"a b&c=d"}, "dnd_clean": {"true"}}
	var got []string
	for cursor := ""; ; {
		page, err := b.Leads(t.Context(), campaign, filter, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, lead := range page.Items {
			got = append(got, lead.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(url.Values{"limit": {"3"}, "external_id": {"a b&c=d"}, "dnd_clean": {"true"}}, filter); diff != "" {
		t.Errorf("the caller's filter was changed: %s", diff)
	}
}

func TestCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.campaign()
	counts := map[string]int{"pending": 0, "dialing": 0, "dnd": 0, "held": 0, "completed": 0, "failed": 0, "no_answer": 0}
	want := client.Campaign{ID: made.ID, Name: "Diwali", DialMode: "preview", Status: "draft", Environment: "live", LeadCounts: counts,
		CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt}
	if diff := cmp.Diff(want, made); diff != "" || time.Since(made.CreatedAt) > time.Hour {
		t.Errorf("%v %s", made.CreatedAt, diff)
	}
	ids := []string{made.ID}
	for range 200 {
		more, err := b.store.CreateCampaign(t.Context(), b.tenant, saaf.Live, saaf.CampaignSettings{Name: "x", DialMode: "preview", PostAnswerAction: saaf.ConnectAgent})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, more.ID.String())
	}
	slices.Reverse(ids)
	first, err := b.Campaigns(t.Context(), "")
	if err != nil || len(first.Items) != 200 || first.Next == "" {
		t.Fatalf("%d campaigns, next %q, %v", len(first.Items), first.Next, err)
	}
	second, err := b.Campaigns(t.Context(), first.Next)
	if err != nil || second.Next != "" {
		t.Fatalf("next %q, %v", second.Next, err)
	}
	var got []string
	for _, c := range slices.Concat(first.Items, second.Items) {
		got = append(got, c.ID)
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(made, second.Items[0]); diff != "" {
		t.Error(diff)
	}
}

// Do reaches what has no method of its own.
func TestDo(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "/", "//"} {
		b := setup(t)
		c := client.New(b.url+end, b.key)
		campaign := b.campaign()
		var out client.Campaign
		if err := c.Do(t.Context(), "PATCH", "/campaigns/"+campaign.ID, map[string]string{"name": "Holi"}, &out); err != nil || out.Name != "Holi" {
			t.Errorf("%+v, %v", out, err)
		}
		if err := c.Do(t.Context(), "POST", "/campaigns/"+campaign.ID+"/start", nil, &out); err != nil || out.Status != "running" {
			t.Errorf("%+v, %v", out, err)
		}
		if err := c.Do(t.Context(), "POST", "/campaigns/"+campaign.ID+"/stop", nil, nil); err != nil {
			t.Error(err)
		}
		untouched := out
		if err := c.Do(t.Context(), "DELETE", "/campaigns/"+campaign.ID, nil, &out); err != nil || !cmp.Equal(out, untouched) {
			t.Errorf("%+v, %v", out, err)
		}
	}
}

// Ids go into the path as they are, whatever is in them.
func TestIDsArePartOfThePath(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Method + " " + r.RequestURI + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type")
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(server.Close)
	c := client.New(server.URL, key)
	const id, escaped = "a/b?c#d%", "a%2Fb%3Fc%23d%25"
	for want, call := range map[string]func() error{
		"POST /api/v1/campaigns/" + escaped + "/leads Bearer " + key + " application/json": func() error {
			_, err := c.PushLead(t.Context(), id, client.NewLead{})
			return err
		},
		"POST /api/v1/campaigns/" + escaped + "/leads:bulk Bearer " + key + " application/json": func() error {
			_, err := c.PushLeads(t.Context(), id, nil)
			return err
		},
		"GET /api/v1/campaigns/" + escaped + "/leads/" + escaped + " Bearer " + key + " ": func() error {
			_, err := c.Lead(t.Context(), id, id)
			return err
		},
		"GET /api/v1/campaigns/" + escaped + "/leads?cursor=" + escaped + "&phone=%2B91 Bearer " + key + " ": func() error {
			_, err := c.Leads(t.Context(), id, url.Values{"phone": {"+91"}}, id)
			return err
		},
		"GET /api/v1/campaigns?limit=200 Bearer " + key + " ": func() error {
			_, err := c.Campaigns(t.Context(), "")
			return err
		},
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
		select {
		case got := <-paths:
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		default:
			t.Errorf("no request, want %s", want)
		}
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Campaigns(ctx, "")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	silent(t, err, b.key)

	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done() // the client hangs up
	}))
	t.Cleanup(server.Close)
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err = client.New(server.URL, key).Campaigns(ctx, "")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	silent(t, err)
	ctx, cancel = context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err = client.New(server.URL, key).Campaigns(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	errs := make(chan error, 40)
	for i := range cap(errs) {
		go func() {
			_, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: fmt.Sprintf("98%08d", i)})
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if page, err := b.Leads(t.Context(), campaign, url.Values{"limit": {"200"}}, ""); err != nil || len(page.Items) != 40 {
		t.Errorf("%d leads, %v", len(page.Items), err)
	}
}
