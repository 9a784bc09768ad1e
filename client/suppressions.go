package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// NewSuppression is a number to put on an opt-out list. Phone and Reason are
// required.
type NewSuppression struct {
	Phone      string     `json:"phone"`
	Scope      string     `json:"scope,omitempty"` // campaign, tenant (the default) or, for operators, all
	CampaignID string     `json:"campaign_id,omitempty"`
	Reason     string     `json:"reason"`
	Source     string     `json:"source,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"` // nil: never
}

// Suppression is an entry of an opt-out list.
type Suppression struct {
	ID           string     `json:"id"`
	Scope        string     `json:"scope"`
	CampaignID   string     `json:"campaign_id"`
	Environment  string     `json:"environment"`
	Phone        string     `json:"phone"` // 10 digits; empty once the person was erased
	Reason       string     `json:"reason"`
	Source       string     `json:"source"`
	ExpiresAt    *time.Time `json:"expires_at"`
	Actor        string     `json:"actor"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
	EndedAt      *time.Time `json:"ended_at"`
	EndReason    string     `json:"end_reason"`
	EndActor     string     `json:"end_actor"`
	LeadsBlocked int        `json:"leads_blocked"` // at once, in the answer of Suppress
	Warnings     []string   `json:"warnings,omitempty"`
}

// Suppress puts a number on an opt-out list. For one that is there already it
// returns the entry there is.
func (c *Client) Suppress(ctx context.Context, in NewSuppression) (Suppression, error) {
	var out Suppression
	err := c.Do(ctx, "POST", "/suppressions", in, &out)
	return out, err
}

// BulkSuppression is the answer of SuppressMany.
type BulkSuppression struct {
	Total    int              `json:"total"`
	Added    int              `json:"added"`
	Exists   int              `json:"exists"`
	Invalid  int              `json:"invalid"`
	Results  []SuppressionRow `json:"results"` // in the order of the request
	Warnings []string         `json:"warnings"`
}

// SuppressionRow is what became of one row of SuppressMany.
type SuppressionRow struct {
	Phone        string `json:"phone"`  // as it was sent
	Status       string `json:"status"` // added, exists or invalid
	ID           string `json:"id"`
	Reason       string `json:"reason"` // why it is invalid
	LeadsBlocked int    `json:"leads_blocked"`
}

// SuppressMany puts up to 500 numbers on opt-out lists in one transaction.
func (c *Client) SuppressMany(ctx context.Context, list []NewSuppression) (BulkSuppression, error) {
	if list == nil {
		list = []NewSuppression{} // null is no list
	}
	var out BulkSuppression
	err := c.Do(ctx, "POST", "/suppressions:bulk", map[string]any{"suppressions": list}, &out)
	return out, err
}

// Suppressions reads one page of suppressions, newest first. Filters are those of
// the API, cursor is Next of the page before or empty.
func (c *Client) Suppressions(ctx context.Context, filter url.Values, cursor string) (Page[Suppression], error) {
	var out Page[Suppression]
	err := c.Do(ctx, "GET", "/suppressions"+queryString(filter, cursor), nil, &out)
	return out, err
}

// Suppression reads one suppression, also one that has ended.
func (c *Client) Suppression(ctx context.Context, id string) (Suppression, error) {
	var out Suppression
	err := c.Do(ctx, "GET", "/suppressions/"+url.PathEscape(id), nil, &out)
	return out, err
}

// LiftSuppression ends a suppression. Leads that nothing else blocks are held.
func (c *Client) LiftSuppression(ctx context.Context, id, reason string) error {
	return c.Do(ctx, "DELETE", "/suppressions/"+url.PathEscape(id)+queryString(url.Values{"reason": {reason}}, ""), nil, nil)
}

// Released is what became of held leads.
type Released struct {
	Released     int      `json:"released"`
	StillBlocked int      `json:"still_blocked"`
	Warnings     []string `json:"warnings"`
}

// ReleaseLeads checks up to 500 held leads once more and frees those that are found
// clean.
func (c *Client) ReleaseLeads(ctx context.Context, campaign, reason string, leads []string) (Released, error) {
	if leads == nil {
		leads = []string{} // without a list it would be all
	}
	return c.release(ctx, campaign, map[string]any{"reason": reason, "lead_ids": leads})
}

// ReleaseAll is [Client.ReleaseLeads] for all held leads of a campaign.
func (c *Client) ReleaseAll(ctx context.Context, campaign, reason string) (Released, error) {
	return c.release(ctx, campaign, map[string]any{"reason": reason})
}

func (c *Client) release(ctx context.Context, campaign string, in any) (Released, error) {
	var out Released
	err := c.Do(ctx, "POST", "/campaigns/"+url.PathEscape(campaign)+"/leads:release", in, &out)
	return out, err
}

// Evidence reads everything that is known about a number, exactly as the server
// wrote it. From and to are days in India, YYYY-MM-DD, or times in RFC 3339; empty
// ones are no limit. It takes as long as ctx lets it.
func (c *Client) Evidence(ctx context.Context, phone, from, to string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.sendFor(ctx, &out, "GET", evidencePath(phone, from, to), nil, nil)
	return out, err
}

// EvidencePage is [Client.Evidence] as an HTML page to print.
func (c *Client) EvidencePage(ctx context.Context, phone, from, to string) ([]byte, error) {
	return c.send(ctx, c.slow, "GET", evidencePath(phone, from, to), http.Header{"Accept": {"text/html"}}, nil)
}

func evidencePath(phone, from, to string) string {
	query := url.Values{"phone": {phone}}
	for name, value := range map[string]string{"from": from, "to": to} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/evidence?" + query.Encode()
}

// Erasure is a person whose phone was removed.
type Erasure struct {
	ID           string     `json:"id"`
	State        string     `json:"state"` // running until no copy is left in the files of the store, then completed
	Reason       string     `json:"reason"`
	Actor        string     `json:"actor"`
	Leads        int        `json:"leads"`        // that were deleted
	Suppressions int        `json:"suppressions"` // that go on blocking by a hash
	CreatedAt    time.Time  `json:"created_at"`
	FinishedAt   *time.Time `json:"finished_at"`
	Warnings     []string   `json:"warnings,omitempty"`
}

// Erase deletes the leads of a person from all campaigns of the tenant. Opt-outs go
// on blocking.
func (c *Client) Erase(ctx context.Context, phone, reason string) (Erasure, error) {
	var out Erasure
	err := c.Do(ctx, "POST", "/erasures", map[string]string{"phone": phone, "reason": reason}, &out)
	return out, err
}

// Erasure reads an erasure.
func (c *Client) Erasure(ctx context.Context, id string) (Erasure, error) {
	var out Erasure
	err := c.Do(ctx, "GET", "/erasures/"+url.PathEscape(id), nil, &out)
	return out, err
}
