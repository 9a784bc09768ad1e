package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/auth"
	"saaf/client"
)

// failure is the *client.Error in err, which must be one.
func failure(t *testing.T, err error) client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	return *e
}

// Every answer of the real server that is not a success.
func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign().ID
	there, err := b.PushLead(t.Context(), campaign, client.NewLead{Phone: "9876543210"})
	if err != nil {
		t.Fatal(err)
	}
	readOnly := b.newKey(auth.KeySpec{Scopes: []saaf.Scope{saaf.LeadsRead}})
	once := b.newKey(auth.KeySpec{RateLimit: 1})
	push := func(c *client.Client, lead client.NewLead) func() error {
		return func() error {
			_, err := c.PushLead(t.Context(), campaign, lead)
			return err
		}
	}
	good := client.NewLead{Phone: "9876543211"}
	for name, tc := range map[string]struct {
		call func() error
		want client.Error
		text string // without the request
	}{
		"no such key": {
			push(client.New(b.url, key), good),
			client.Error{Status: 401, Code: "unauthenticated", Detail: "Invalid API key"},
			"Invalid API key (status 401, code unauthenticated"},
		"no key": {
			push(client.New(b.url, ""), good),
			client.Error{Status: 401, Code: "unauthenticated", Detail: "Missing API key"},
			"Missing API key (status 401, code unauthenticated"},
		"scope": {
			push(client.New(b.url, readOnly), good),
			client.Error{Status: 403, Code: "scope_required", Detail: "Scope 'leads:write' required"},
			"Scope 'leads:write' required (status 403, code scope_required"},
		"campaign": {
			func() error { _, err := b.Lead(t.Context(), "camp_0000000000001", there.ID); return err },
			client.Error{Status: 404, Code: "not_found", Detail: "Campaign not found"},
			"Campaign not found (status 404, code not_found"},
		"lead": {
			func() error { _, err := b.Lead(t.Context(), campaign, "no-lead"); return err },
			client.Error{Status: 404, Code: "not_found", Detail: "Lead not found"},
			"Lead not found (status 404, code not_found"},
		"method": {
			func() error { return b.Do(t.Context(), "PUT", "/campaigns", nil, nil) },
			client.Error{Status: 405, Code: "method_not_allowed", Detail: "PUT is not possible here; use GET or HEAD or POST"},
			"PUT is not possible here; use GET or HEAD or POST (status 405, code method_not_allowed"},
		"duplicate": {
			push(b.Client, client.NewLead{Phone: "09876543210"}),
			client.Error{Status: 409, Code: "duplicate", Detail: "This phone is already in the campaign; the stored lead is unchanged", LeadID: there.ID},
			"This phone is already in the campaign; the stored lead is unchanged (status 409, code duplicate"},
		"too large": {
			push(b.Client, client.NewLead{Phone: "9876543211", Name: strings.Repeat("x", 1<<20)}),
			client.Error{Status: 413, Code: "too_large", Detail: "The body is larger than 1048576 bytes; send fewer leads in one request"},
			"The body is larger than 1048576 bytes; send fewer leads in one request (status 413, code too_large"},
		"fields": {
			push(b.Client, client.NewLead{Phone: "+91", Metadata: []byte("[]")}),
			client.Error{Status: 422, Code: "invalid", Fields: []client.FieldError{
				{Loc: []string{"body", "phone"}, Msg: "phone must have 5 to 20 characters; send one Indian number, for instance 9876543210", Type: "value_error.phone.length"},
				{Loc: []string{"body", "metadata"}, Msg: "metadata must be a JSON object or null", Type: "type_error.dict"}},
				Detail: "phone: phone must have 5 to 20 characters; send one Indian number, for instance 9876543210; metadata: metadata must be a JSON object or null"},
			"phone: phone must have 5 to 20 characters; send one Indian number, for instance 9876543210; metadata: metadata must be a JSON object or null (status 422, code invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.call()
			got := failure(t, err)
			id := got.RequestID
			if !strings.HasPrefix(id, "req_") || err.Error() != tc.text+", request "+id+")" {
				t.Errorf("%q, want %q", err, tc.text)
			}
			got.RequestID = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			silent(t, err, b.key, readOnly, once)
		})
	}

	limited := client.New(b.url, once)
	for range 10 { // a minute may end in between, but not ten
		if _, err = limited.Campaigns(t.Context(), ""); err != nil {
			break
		}
	}
	if got := failure(t, err); got.Status != 429 || got.Code != "rate_limited" || got.Detail != "Rate limit exceeded" || got.Wait < 1 || got.Wait > time.Minute ||
		!strings.HasSuffix(got.Error(), ": try again in "+got.Wait.String()) {
		t.Errorf("%+v", got)
	}
}

// Answers that saaf did not write, or that did not come whole.
func TestErrorsOfOthers(t *testing.T) {
	t.Parallel()
	const html = "<html><body><h1>502 Bad Gateway</h1></body></html>"
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   client.Error
		text   string
	}{
		"proxy": {502, http.Header{"Content-Type": {"text/html"}}, html,
			client.Error{Status: 502, Detail: "Bad Gateway"}, "Bad Gateway (status 502)"},
		"nothing": {503, nil, "",
			client.Error{Status: 503, Detail: "Service Unavailable"}, "Service Unavailable (status 503)"},
		"request id in the header alone": {504, http.Header{"X-Request-Id": {"r1"}}, html,
			client.Error{Status: 504, Detail: "Gateway Timeout", RequestID: "r1"}, "Gateway Timeout (status 504, request r1)"},
		"a status without a name": {599, nil, "",
			client.Error{Status: 599, Detail: "The server failed"}, "The server failed (status 599)"},
		"another object": {500, nil, `{"message":"broken"}`,
			client.Error{Status: 500, Detail: "Internal Server Error"}, "Internal Server Error (status 500)"},
		"no object": {500, nil, `["broken"]`,
			client.Error{Status: 500, Detail: "Internal Server Error"}, "Internal Server Error (status 500)"},
		"null detail": {404, nil, `{"detail":null,"code":"x"}`,
			client.Error{Status: 404, Code: "x", Detail: "Not Found"}, "Not Found (status 404, code x)"},
		"empty detail": {404, nil, `{"detail":""}`,
			client.Error{Status: 404, Detail: "Not Found"}, "Not Found (status 404)"},
		"code of another type": {404, nil, `{"detail":"gone","code":7,"request_id":"r1"}`,
			client.Error{Status: 404, Detail: "gone", RequestID: "r1"}, "gone (status 404, request r1)"},
		"empty fields": {422, nil, `{"detail":[]}`,
			client.Error{Status: 422, Detail: "Unprocessable Entity"}, "Unprocessable Entity (status 422)"},
		"fields of another shape": {422, nil, `{"detail":[{"loc":["body",7],"msg":"bad"}]}`,
			client.Error{Status: 422, Detail: "Unprocessable Entity"}, "Unprocessable Entity (status 422)"},
		"half an answer": {409, nil, `{"detail":"dup`,
			client.Error{Status: 409, Detail: "Conflict"}, "Conflict (status 409)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, tc.status, tc.header, tc.body).Lead(t.Context(), "c", "l")
			if diff := cmp.Diff(tc.want, failure(t, err)); diff != "" || err.Error() != tc.text {
				t.Errorf("%q, want %q\n%s", err, tc.text, diff)
			}
			silent(t, err)
		})
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header     http.Header
		body, text string
	}{
		"not JSON":      {nil, "<html>", "decode answer of GET /campaigns/c/leads/l: "},
		"another shape": {nil, `{"id":7}`, "decode answer of GET /campaigns/c/leads/l: "},
		"cut short":     {http.Header{"Content-Length": {"100"}}, `{"id":"x"`, "read answer of GET /campaigns/c/leads/l: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, 200, tc.header, tc.body).Lead(t.Context(), "c", "l")
			if err == nil || !strings.HasPrefix(err.Error(), tc.text) {
				t.Errorf("%v, want %s", err, tc.text)
			}
			silent(t, err)
		})
	}
}

func TestServersThatCannotBeReached(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]*client.Client{
		"nobody listens":   client.New(gone.URL, key),
		"no URL":           client.New("://", key),
		"no host":          client.New("", key),
		"another scheme":   client.New("ftp://127.0.0.1", key),
		"key of two lines": client.New(gone.URL, key+"\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Campaigns(t.Context(), "")
			if _, answered := errors.AsType[*client.Error](err); err == nil || answered {
				t.Errorf("%v", err)
			}
			silent(t, err)
		})
	}
}

// The key goes to the server it is for, and to nobody that this one names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := answering(t, status, http.Header{"Location": {other.URL + "/api/v1/campaigns"}}, "")
		_, err := c.CreateCampaign(t.Context(), client.NewCampaign{})
		if got := failure(t, err); got.Status != status {
			t.Errorf("%+v", got)
		}
		silent(t, err)
	}
}
