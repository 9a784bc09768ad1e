package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
	"saaf/auth"
)

// known is what evidence about one number says that there is.
type known struct {
	Phone string
	Leads []struct {
		LeadID string `json:"lead_id"`
	}
	Decisions []struct{ Stage, Reason string }
	Facts     []any
	OptOuts   []any `json:"opt_outs"`
	From, To  string
}

// evidence asks about 9876543210. Query is behind the phone.
func (b *bundle) evidence(key, query string) (ev known) {
	b.t.Helper()
	b.do("GET", "/evidence?phone=%2B91+98765+43210"+query, "", as(key)).is(200).decode(&ev)
	if ev.Phone != "+919876543210" {
		b.t.Errorf("evidence of %s", ev.Phone)
	}
	return ev
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.fresh()
		campaign := b.campaign()
		lead := b.push(campaign, "9876543210")
		b.push(campaign, "9876543211")
		time.Sleep(24 * time.Hour) // the second of January
		b.suppress(b.key, "9876543210")
		ev := b.evidence(b.key, "")
		if len(ev.Leads) != 1 || ev.Leads[0].LeadID != lead || len(ev.Decisions) != 2 || ev.Decisions[0].Reason != "not_registered" || ev.Decisions[1].Reason != "suppressed" ||
			len(ev.Facts) != 1 || len(ev.OptOuts) != 1 {
			t.Errorf("%+v", ev)
		}
		for query, want := range map[string]int{
			"&from=2000-01-01&to=2000-01-01": 1, "&from=2000-01-02": 1, "&to=2000-01-01": 1, "&from=2000-01-02&to=2000-01-02": 1, "&from=2000-01-03": 0, "&to=1999-12-31": 0,
			"&from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00.001Z": 2, "&from=2000-01-01T05:30:00.001%2B05:30": 1, "&from=2000-01-01T05:30:00%2B05:30&to=2000-01-02T05:30:00+05:30": 1,
		} {
			if got := b.evidence(b.key, query); len(got.Decisions) != want {
				t.Errorf("%s: %d decisions, want %d: %+v", query, len(got.Decisions), want, got)
			}
		}
		if got := b.evidence(b.key, "&from=2000-01-02&to=2000-01-02"); got.From != "2000-01-02T00:00:00+05:30" || got.To != "2000-01-03T00:00:00+05:30" {
			t.Errorf("from %s to %s", got.From, got.To)
		}
		for who, key := range map[string]string{"test key": b.newKey(auth.KeySpec{Environment: saaf.Test}), "stranger": b.newKey(auth.KeySpec{TenantID: b.newTenant("Bharat Bank")})} {
			if ev := b.evidence(key, ""); len(ev.Leads) > 0 || len(ev.Decisions) > 0 || len(ev.OptOuts) > 0 {
				t.Errorf("a %s sees %+v", who, ev)
			}
		}
		for query, want := range map[string]string{
			"": "query.phone value_error.missing", "phone=": "query.phone value_error.phone.length", "phone=+12025550123": "query.phone value_error.phone.digit_count",
			"phone=9876543210&from=x": "query.from value_error.from", "phone=9876543210&to=2000-13-01": "query.to value_error.to", "phone=9876543210&since=x": "query.since value_error.unknown_parameter",
			"phone=9876543210&from=2000-01-02&to=2000-01-01": "query.to value_error.to", "phone=9876543210&from=2000-01-02T00:00:00Z&to=2000-01-02T00:00:00Z": "query.to value_error.to",
		} {
			loc, typ, _ := strings.Cut(want, " ")
			b.do("GET", "/evidence?"+query, "").wrong(loc, typ)
		}
		b.evidence(b.newKey(auth.KeySpec{Scopes: []saaf.Scope{saaf.AuditRead}}), "")
		if strings.Contains(b.log.String(), "9876543210") {
			t.Error(b.log)
		}
	})
}

func TestEvidenceOnPaper(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	b.push(b.campaign(), "9876543210")
	path := "/evidence?phone=" + url.QueryEscape("98765 43210")
	page := b.do("GET", path, "", with("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")).is(200)
	if page.header.Get("Content-Type") != "text/html; charset=utf-8" || page.header.Get("Cache-Control") != "no-store" || page.header.Get("Vary") != "Accept" ||
		page.header.Get("Content-Security-Policy") != "default-src 'none'; style-src 'unsafe-inline'" || page.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(strings.ToLower(page.body), "<!doctype html>") || !strings.Contains(page.body, "9876543210") {
		t.Errorf("%v %.500s", page.header, page.body)
	}
	json := b.do("GET", path, "").is(200)
	if json.header.Get("Content-Type") != "application/json; charset=utf-8" || json.header.Get("Vary") != "Accept" {
		t.Errorf("%v", json.header)
	}
	if a := b.do("GET", "/evidence", "", with("Accept", "text/html")).is(422); a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%v", a.header)
	}
}

func TestPrefersHTML(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "TEXT/HTML; charset=utf-8": true, "text/*": true, "application/json": false, "application/*": false, "text/plain": false,
		"text/html, application/json": false, "application/json;q=0.5, text/html": true, "text/html;q=0.5, application/json": false, "text/html;q=0.5, application/json;q=0.4": true,
		"text/html;q=0": false, "*/*, text/html;q=0.1": false, "text/html, */*;q=0.1": true, "*/*;q=0.1, text/html;q=0.2": true, "text/html;q=x, application/json;q=0.9": true,
		",,;": false, "text/html;q=0.5;q=1": false,
	} {
		if got := prefersHTML(http.Header{"Accept": {accept}}.Values("Accept")); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if !prefersHTML([]string{"application/json;q=0.1", "text/html"}) {
		t.Error("the second of two headers")
	}
}

// FuzzPrefersHTML: nothing that a caller says of what it accepts is a fault.
func FuzzPrefersHTML(f *testing.F) {
	for _, s := range []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "*/*", "text/html;q=NaN", ";q=;,", "text/html;q=1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		html := prefersHTML([]string{accept})
		if html && !strings.Contains(strings.ToLower(accept), "*") && !strings.Contains(strings.ToLower(accept), "text") {
			t.Fatalf("%q has HTML", accept)
		}
	})
}
