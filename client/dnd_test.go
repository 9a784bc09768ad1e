package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/client"
)

func TestCheckDND(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.CheckDND(t.Context(), []string{"+91 98765 43210", blocked, "invalid"})
	if err != nil || len(got) != 3 || got[0].Registry == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []client.DNDCheck{
		{Phone: "+91 98765 43210", Valid: true, Number: "9876543210", DNDChecked: true, DNDClean: true, Reason: "not_registered", Registry: got[0].Registry},
		{Phone: blocked, Valid: true, Number: blocked, DNDChecked: true, Reason: "ncpr_full_block", Registry: got[0].Registry},
		{Phone: "invalid", Reason: "invalid_character"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := b.CheckDND(t.Context(), nil); err != nil || len(got) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	refused(t, 422, "invalid")(b.CheckDND(t.Context(), make([]string, 501)))
}

// refused fails unless a call was answered with the status and the code.
func refused(t *testing.T, status int, code string) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != status || e.Code != code {
			t.Errorf("%v, want %d %s", err, status, code)
		}
	}
}

func TestImportRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	today := saaf.DateOf(time.Now()).String()
	before, err := b.RegistryStatus(t.Context())
	if err != nil || before.State != "fresh" || before.ID == "" || before.AgeDays == nil || before.ActivatedAt == nil || len(before.Snapshots) != 1 ||
		before.Snapshots[0].ID != before.ID || !before.Snapshots[0].Active || before.AllLeadsChecked || before.Sweep == nil {
		t.Fatalf("%+v, %v", before, err)
	}
	file := io.MultiReader(strings.NewReader("13,"+blocked+",0,A,2\n"), strings.NewReader("13,6000000002,0,A,2\n")) // of no known length
	im, err := b.operator.ImportRegistry(t.Context(), file, client.RegistryFile{Mode: "delta", EffectiveDate: today, Override: "adds & \"removes\""})
	if err != nil || im.State != "queued" {
		t.Fatalf("%+v, %v", im, err)
	}
	for im.State == "queued" || im.State == "running" {
		if im, err = b.operator.RegistryImport(t.Context(), im.ID); err != nil {
			t.Fatal(err)
		}
	}
	if im.State != "completed" || im.Rows != 2 || im.RowsActive != 2 || im.Override != `adds & "removes"` || im.FinishedAt == nil || im.SnapshotID == "" {
		t.Errorf("%+v", im)
	}
	after, err := b.RegistryStatus(t.Context())
	if err != nil || after.ID != im.SnapshotID || after.Numbers != 2 || after.BaseSHA256 != before.SHA256 || len(after.Snapshots) != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	back, err := b.operator.RollBackRegistry(t.Context(), "a wrong file")
	if err != nil || back.ID != before.ID || back.Numbers != 1 {
		t.Errorf("%+v, %v", back, err)
	}
	refused(t, 409, "nothing_to_roll_back")(b.operator.RollBackRegistry(t.Context(), "again"))
	refused(t, 422, "invalid")(b.operator.RollBackRegistry(t.Context(), ""))
	refused(t, 422, "invalid")(b.operator.ImportRegistry(t.Context(), file, client.RegistryFile{Mode: "all", EffectiveDate: today}))
	refused(t, 404, "not_found")(b.operator.RegistryImport(t.Context(), "../registry"))
	refused(t, 403, "operator_only")(b.ImportRegistry(t.Context(), file, client.RegistryFile{Mode: "full", EffectiveDate: today}))
	refused(t, 403, "operator_only")(b.RegistryImport(t.Context(), im.ID))
	refused(t, 403, "operator_only")(b.RollBackRegistry(t.Context(), "x"))
}

// A file that cannot be read to its end is not imported in part, and one that is
// refused for its date is not sent.
func TestImportRegistryHalfAFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := errors.New("the disk is broken")
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("13,6000000002,0,A,2\n"))
		_ = w.CloseWithError(broken)
	}()
	_, err := b.operator.ImportRegistry(t.Context(), r, client.RegistryFile{Mode: "delta", EffectiveDate: saaf.DateOf(time.Now()).String()})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	list, err := b.store.UnfinishedImports(t.Context())
	if err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
	var sent bytes.Buffer
	refused(t, 422, "invalid")(b.operator.ImportRegistry(t.Context(), io.TeeReader(strings.NewReader("13,6000000002,0,A,2\n"), &sent),
		client.RegistryFile{Mode: "delta", EffectiveDate: "9999-12-31"}))
	if sent.Len() > 0 {
		t.Errorf("%q was sent", &sent)
	}
}

func TestSuppressions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	lead, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: "9876543210"})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	made, err := b.Suppress(t.Context(), client.NewSuppression{Phone: "098765 43210", Reason: "asked", Source: "call 17", ExpiresAt: &until})
	if err != nil {
		t.Fatal(err)
	}
	want := client.Suppression{ID: made.ID, Scope: "tenant", Environment: "live", Phone: "9876543210", Reason: "asked", Source: "call 17", ExpiresAt: &until,
		Actor: made.Actor, CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt, LeadsBlocked: 1}
	if diff := cmp.Diff(want, made); diff != "" || made.ID == "" || made.Actor == "" {
		t.Error(diff)
	}
	if again, err := b.Suppress(t.Context(), client.NewSuppression{Phone: "9876543210", Reason: "again"}); err != nil || again.ID != made.ID || again.ExpiresAt != nil {
		t.Errorf("%+v, %v", again, err)
	}
	many, err := b.SuppressMany(t.Context(), []client.NewSuppression{{Phone: "9876543211", Reason: "x", CampaignID: campaign}, {Phone: "9876543210", Reason: "x"}, {Phone: "1"}})
	if err != nil || many.Total != 3 || many.Added != 1 || many.Exists != 1 || many.Invalid != 1 || many.Results[1].ID != made.ID || many.Results[2].Reason != "length" ||
		many.Results[0].Status != "added" || many.Results[2].Phone != "1" {
		t.Errorf("%+v, %v", many, err)
	}
	if none, err := b.SuppressMany(t.Context(), nil); err != nil || none.Total != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	page, err := b.Suppressions(t.Context(), url.Values{"limit": {"1"}}, "")
	if err != nil || len(page.Items) != 1 || page.Items[0].CampaignID != campaign || page.Items[0].Scope != "campaign" || page.Next == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err = b.Suppressions(t.Context(), url.Values{"phone": {"+91 98765 43210"}}, page.Next); err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Fatalf("%+v, %v", page, err)
	}

	if err := b.LiftSuppression(t.Context(), made.ID, "wrote & asked again"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Suppression(t.Context(), made.ID); err != nil || got.EndedAt == nil || got.EndReason != "wrote & asked again" || got.EndActor == "" {
		t.Errorf("%+v, %v", got, err)
	}
	refused(t, 404, "not_found")(nil, b.LiftSuppression(t.Context(), made.ID, "once more"))
	refused(t, 422, "invalid")(nil, b.LiftSuppression(t.Context(), many.Results[0].ID, ""))
	refused(t, 403, "operator_only")(b.Suppress(t.Context(), client.NewSuppression{Phone: "9876543210", Reason: "x", Scope: "all"}))
	if all, err := b.operator.Suppress(t.Context(), client.NewSuppression{Phone: "9876543219", Reason: "x", Scope: "all"}); err != nil || all.Scope != "all" {
		t.Errorf("%+v, %v", all, err)
	}

	if got, err := b.ReleaseLeads(t.Context(), campaign, "consent", nil); err != nil || got.Released != 0 {
		t.Errorf("nobody was named, %+v, %v", got, err)
	}
	rep, err := b.DNDReport(t.Context(), campaign)
	if err != nil || rep.CampaignID != campaign || rep.Total != 1 || rep.Held != 1 || rep.Leads["held"] != 1 || rep.Reasons["held_after_block"] != 1 || rep.Checked != 1 ||
		rep.LastChange == nil || rep.LastChange.Snapshot.ID == "" || rep.ConfirmedSnapshot != nil {
		t.Errorf("%+v, %v", rep, err)
	}
	if got, err := b.ReleaseLeads(t.Context(), campaign, "consent", []string{lead.ID}); err != nil || got.Released != 1 || got.StillBlocked != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := b.ReleaseAll(t.Context(), campaign, "consent"); err != nil || got.Released != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	refused(t, 422, "invalid")(b.ReleaseAll(t.Context(), campaign, ""))
}

func TestEvidenceAndErasure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.PushLead(t.Context(), b.campaign().ID, client.NewLead{Phone: "9876543210"}); err != nil {
		t.Fatal(err)
	}
	today := saaf.DateOf(time.Now()).String()
	got, err := b.Evidence(t.Context(), "+91 98765 43210", today, today)
	if err != nil || !json.Valid(got) || !strings.Contains(string(got), `"phone":"+919876543210"`) {
		t.Errorf("%s, %v", got, err)
	}
	page, err := b.EvidencePage(t.Context(), "9876543210", "", "")
	if err != nil || !strings.HasPrefix(strings.ToLower(string(page)), "<!doctype html>") {
		t.Errorf("%.200s, %v", page, err)
	}
	refused(t, 422, "invalid")(b.Evidence(t.Context(), "98765", "", ""))
	e, err := b.Erase(t.Context(), "9876543210", "asked by letter")
	if err != nil || e.ID == "" || e.State != "running" || e.Leads != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if read, err := b.Erasure(t.Context(), e.ID); err != nil || cmp.Diff(e, read) != "" {
		t.Errorf("%+v, %v", read, err)
	}
	refused(t, 404, "not_found")(b.Erasure(t.Context(), "era_0000000000001"))
}

// Errors name what was asked, and neither the key nor a phone.
func TestErrorsKeepNumbersToThemselves(t *testing.T) {
	t.Parallel()
	const phone = "9876543210"
	server := httptest.NewServer(http.NotFoundHandler())
	gone := client.New(server.URL, key)
	server.Close()
	nonsense := answering(t, 200, nil, "<html>")
	for _, c := range []*client.Client{gone, nonsense} {
		_, err := c.Evidence(t.Context(), phone, "", "")
		_, list := c.Leads(t.Context(), "camp_0000000000001", url.Values{"phone": {phone}}, "")
		for _, err := range []error{err, list} {
			silent(t, err)
			if err == nil || strings.Contains(err.Error(), phone) {
				t.Errorf("%v", err)
			}
		}
	}
}
