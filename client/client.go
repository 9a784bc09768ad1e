package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client calls one server with one key. It is safe for concurrent use.
type Client struct {
	base string
	key  string
	http *http.Client
	slow *http.Client // for what may take any time
}

// New returns a client for the server at base, for instance
// "http://127.0.0.1:8080", with an API key.
func New(base, key string) *Client {
	// The API never redirects. Whoever does must not get the key.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(base, "/"), key: key,
		http: &http.Client{Timeout: 60 * time.Second, CheckRedirect: stay},
		slow: &http.Client{CheckRedirect: stay}}
}

// Error is an answer that is not a success.
type Error struct {
	Status    int    // HTTP status
	Code      string // the stable word, for instance "duplicate"
	Detail    string // what is wrong, in words
	LeadID    string // of the lead that is there already, for "duplicate"
	RequestID string
	Wait      time.Duration // how long to wait before the next try; 0 when the server says nothing
	Fields    []FieldError  // what is wrong with the request, for status 422
}

// FieldError names one wrong member or parameter of a request.
type FieldError struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// Error is the detail with what is needed to ask the operator.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s (status %d", e.Detail, e.Status)
	if e.Code != "" {
		text += ", code " + e.Code
	}
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	text += ")"
	if e.Wait > 0 {
		text += fmt.Sprintf(": try again in %v", e.Wait)
	}
	return text
}

// NewLead is a lead to push. Only Phone is required.
type NewLead struct {
	Phone      string          `json:"phone"`
	Name       string          `json:"name,omitempty"`
	Email      string          `json:"email,omitempty"`
	ExternalID string          `json:"external_id,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"` // one JSON object
}

// Lead is a lead as it is stored.
type Lead struct {
	ID           string          `json:"id"`
	CampaignID   string          `json:"campaign_id"`
	Phone        string          `json:"phone"` // 10 digits
	Name         *string         `json:"name"`
	Email        *string         `json:"email"`
	Metadata     json.RawMessage `json:"metadata"`
	ExternalID   *string         `json:"external_id"`
	Status       string          `json:"status"`
	Attempts     int             `json:"attempts"`
	DNDChecked   bool            `json:"dnd_checked"`
	DNDClean     bool            `json:"dnd_clean"`
	DNDReason    string          `json:"dnd_reason"`
	DNDCheckedAt *time.Time      `json:"dnd_checked_at"`
	DNDRegistry  *Registry       `json:"dnd_registry"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	Warnings     []string        `json:"warnings,omitempty"`
}

// Registry names the snapshot that answered for a lead.
type Registry struct {
	ID            string `json:"id"`
	EffectiveDate string `json:"effective_date"`
}

// BulkResult is the answer of a bulk push.
type BulkResult struct {
	Total      int       `json:"total"`
	Valid      int       `json:"valid"`
	Invalid    int       `json:"invalid"`
	Duplicates int       `json:"duplicates"`
	Results    []BulkRow `json:"results"` // in the order of the request
	Warnings   []string  `json:"warnings"`
}

// BulkRow is what became of one lead of a bulk push.
type BulkRow struct {
	Phone  string  `json:"phone"` // as it was sent
	Status string  `json:"status"`
	ID     *string `json:"id"`
	Reason string  `json:"reason"`
	LeadID string  `json:"lead_id"`
	DND    bool    `json:"dnd"`
}

// NewCampaign is a campaign to create. Name and DialMode are required.
type NewCampaign struct {
	Name     string `json:"name"`
	DialMode string `json:"dial_mode"` // preview, progressive or predictive
}

// Campaign is a campaign as it is stored.
type Campaign struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	DialMode    string         `json:"dial_mode"`
	Status      string         `json:"status"`
	Environment string         `json:"environment"`
	LeadCounts  map[string]int `json:"lead_counts"`
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
}

// Page is one page of a list; Next is empty on the last one.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// PushLead pushes one lead.
func (c *Client) PushLead(ctx context.Context, campaign string, lead NewLead) (Lead, error) {
	var out Lead
	err := c.Do(ctx, "POST", "/campaigns/"+url.PathEscape(campaign)+"/leads", lead, &out)
	return out, err
}

// PushLeads pushes up to 500 leads in one transaction.
func (c *Client) PushLeads(ctx context.Context, campaign string, leads []NewLead) (BulkResult, error) {
	if leads == nil {
		leads = []NewLead{} // null is no list
	}
	var out BulkResult
	err := c.Do(ctx, "POST", "/campaigns/"+url.PathEscape(campaign)+"/leads:bulk", map[string]any{"leads": leads}, &out)
	return out, err
}

// Lead reads one lead.
func (c *Client) Lead(ctx context.Context, campaign, lead string) (Lead, error) {
	var out Lead
	err := c.Do(ctx, "GET", "/campaigns/"+url.PathEscape(campaign)+"/leads/"+url.PathEscape(lead), nil, &out)
	return out, err
}

// Leads reads one page of the leads of a campaign, newest first. Filters are
// those of the API, cursor is Next of the page before or empty.
func (c *Client) Leads(ctx context.Context, campaign string, filter url.Values, cursor string) (Page[Lead], error) {
	var out Page[Lead]
	err := c.Do(ctx, "GET", "/campaigns/"+url.PathEscape(campaign)+"/leads"+queryString(filter, cursor), nil, &out)
	return out, err
}

// CreateCampaign creates a draft.
func (c *Client) CreateCampaign(ctx context.Context, in NewCampaign) (Campaign, error) {
	var out Campaign
	err := c.Do(ctx, "POST", "/campaigns", in, &out)
	return out, err
}

// Campaigns reads one page of campaigns, newest first.
func (c *Client) Campaigns(ctx context.Context, cursor string) (Page[Campaign], error) {
	var out Page[Campaign]
	err := c.Do(ctx, "GET", "/campaigns"+queryString(url.Values{"limit": {"200"}}, cursor), nil, &out)
	return out, err
}

func queryString(filter url.Values, cursor string) string {
	q := url.Values{}
	maps.Copy(q, filter)
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Do sends one request to a path below /api/v1 and decodes the answer into out.
// A nil in sends no body, a nil out ignores the answer.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false) // metadata goes out as it was given
		if err := enc.Encode(in); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = &buf
	}
	header := http.Header{}
	if in != nil {
		header.Set("Content-Type", "application/json")
	}
	answer, err := c.send(ctx, c.http, method, path, header, body)
	if err != nil {
		return err
	}
	return decode(answer, out, method, path)
}

// sendFor is send for what may take any time, with the answer decoded into out.
func (c *Client) sendFor(ctx context.Context, out any, method, path string, header http.Header, body io.Reader) error {
	answer, err := c.send(ctx, c.slow, method, path, header, body)
	if err != nil {
		return err
	}
	return decode(answer, out, method, path)
}

func decode(answer []byte, out any, method, path string) error {
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		path, _, _ := strings.Cut(path, "?")
		return fmt.Errorf("decode answer of %s %s: %w", method, path, err)
	}
	return nil
}

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 20

// send sends one request and returns the whole answer.
func (c *Client) send(ctx context.Context, by *http.Client, method, path string, header http.Header, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := by.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		e.URL, _, _ = strings.Cut(e.URL, "?") // behind which a phone may stand
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	path, _, _ = strings.Cut(path, "?")
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer of %s %s: %w", method, path, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s %s has more than %d bytes", method, path, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, readError(resp, answer)
	}
	return answer, nil
}

// readError turns an answer into an *Error, also one that saaf did not write: what
// is not of the shape counts as missing.
func readError(resp *http.Response, answer []byte) error {
	var body struct {
		Detail    json.RawMessage `json:"detail"`
		Code      string          `json:"code"`
		LeadID    string          `json:"lead_id"`
		RequestID string          `json:"request_id"`
	}
	_ = json.Unmarshal(answer, &body)
	e := &Error{
		Status: resp.StatusCode, Code: body.Code, LeadID: body.LeadID,
		Detail:    cmp.Or(http.StatusText(resp.StatusCode), "The server failed"),
		Wait:      wait(resp.Header.Get("Retry-After")),
		RequestID: cmp.Or(body.RequestID, resp.Header.Get("X-Request-Id")),
	}
	var sentence string
	var fields []FieldError
	if json.Unmarshal(body.Detail, &sentence) == nil {
		e.Detail = cmp.Or(sentence, e.Detail)
	} else if json.Unmarshal(body.Detail, &fields) == nil && len(fields) > 0 {
		e.Fields = fields
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = strings.TrimPrefix(strings.Join(f.Loc, "."), "body.") + ": " + f.Msg
		}
		e.Detail = strings.Join(parts, "; ")
	}
	return e
}

// wait reads how many seconds a server asks to wait, 0 for none or a date.
func wait(header string) time.Duration {
	n, err := strconv.ParseUint(header, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
