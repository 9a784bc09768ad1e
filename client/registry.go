package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// DNDCheck is what is known about one number.
type DNDCheck struct {
	Phone      any       `json:"phone"` // as it was sent
	Valid      bool      `json:"valid"`
	Number     string    `json:"number"` // 10 digits, empty when Phone is no number
	DNDChecked bool      `json:"dnd_checked"`
	DNDClean   bool      `json:"dnd_clean"`
	Reason     string    `json:"reason"`
	Registry   *Registry `json:"registry"` // which snapshot answered
}

// CheckDND asks about up to 500 numbers. The results have their order.
func (c *Client) CheckDND(ctx context.Context, phones []string) ([]DNDCheck, error) {
	if phones == nil {
		phones = []string{} // null is no list
	}
	var out struct {
		Results []DNDCheck `json:"results"`
	}
	err := c.Do(ctx, "POST", "/dnd:check", map[string]any{"phones": phones}, &out)
	return out.Results, err
}

// RegistryStatus says which snapshot the server answers from.
type RegistryStatus struct {
	State           string     `json:"state"` // fresh, warn, stale or none
	ID              string     `json:"id"`    // empty for none, and so on
	EffectiveDate   string     `json:"effective_date"`
	AgeDays         *int       `json:"age_days"`
	Mode            string     `json:"mode"`
	SHA256          string     `json:"sha256"`
	BaseSHA256      string     `json:"base_sha256"` // of the file that a delta lies on
	Numbers         int64      `json:"numbers"`
	PartialNumbers  int64      `json:"partial_numbers"`
	Rows            int64      `json:"rows"`
	Malformed       int64      `json:"malformed"`
	Conflicts       int64      `json:"conflicts"`
	ActivatedAt     *time.Time `json:"activated_at"`
	AllLeadsChecked bool       `json:"all_leads_checked"`
	Sweep           *Sweep     `json:"sweep"`     // nil unless leads are being re-checked
	Snapshots       []Snapshot `json:"snapshots"` // that are kept, the active one first
	Warnings        []string   `json:"warnings"`
}

// Sweep is how far the re-check of all leads is.
type Sweep struct {
	Done    int64 `json:"done"`    // campaigns
	Total   int64 `json:"total"`   // campaigns
	Changed int64 `json:"changed"` // leads
}

// Snapshot is a registry snapshot that is kept.
type Snapshot struct {
	ID            string `json:"id"`
	EffectiveDate string `json:"effective_date"`
	Mode          string `json:"mode"`
	Numbers       int64  `json:"numbers"`
	SHA256        string `json:"sha256"`
	BaseSHA256    string `json:"base_sha256"`
	Active        bool   `json:"active"`
}

// RegistryStatus reads which snapshot the server answers from.
func (c *Client) RegistryStatus(ctx context.Context) (RegistryStatus, error) {
	var out RegistryStatus
	err := c.Do(ctx, "GET", "/dnd/registry", nil, &out)
	return out, err
}

// RegistryFile says what an uploaded registry file is.
type RegistryFile struct {
	Mode          string // full or delta
	EffectiveDate string // YYYY-MM-DD, the day the file speaks for
	Override      string // why refusals that can be lifted shall be lifted; empty: they are not
}

// RegistryImport is an import of a registry file. It has ended when its State is
// completed, refused or failed.
type RegistryImport struct {
	ID            string            `json:"id"`
	State         string            `json:"state"`
	Mode          string            `json:"mode"`
	EffectiveDate string            `json:"effective_date"`
	Override      string            `json:"override"`
	Stage         string            `json:"stage"`
	BytesTotal    int64             `json:"bytes_total"` // of the stage
	BytesDone     int64             `json:"bytes_done"`
	Rows          int64             `json:"rows"`
	RowsActive    int64             `json:"rows_active"`
	RowsDeleted   int64             `json:"rows_deleted"`
	Malformed     int64             `json:"malformed"`
	Conflicts     int64             `json:"conflicts"`
	Warnings      []string          `json:"warnings"`
	Refusals      []RegistryRefusal `json:"refusals"`
	Problem       string            `json:"problem"` // why it failed
	SnapshotID    string            `json:"snapshot_id"`
	CreatedAt     time.Time         `json:"created_at"`
	FinishedAt    *time.Time        `json:"finished_at"`
}

// RegistryRefusal is a rule that spoke against an import.
type RegistryRefusal struct {
	Rule     string `json:"rule"`
	Sentence string `json:"sentence"`
}

// ImportRegistry uploads a registry file of any size, .csv, .csv.gz or .zip, for
// which it takes as long as ctx lets it, and returns the id and the state of the
// import that begins; [Client.RegistryImport] shows how it goes on. It needs the
// key of an operator.
func (c *Client) ImportRegistry(ctx context.Context, file io.Reader, is RegistryFile) (RegistryImport, error) {
	query := url.Values{"mode": {is.Mode}, "effective_date": {is.EffectiveDate}}
	if is.Override != "" {
		query.Set("override", is.Override)
	}
	header := http.Header{"Content-Type": {"application/octet-stream"},
		"Expect": {"100-continue"}} // a refusal comes before the file goes
	var out RegistryImport
	err := c.sendFor(ctx, &out, "POST", "/dnd/registry:import?"+query.Encode(), header, file)
	return out, err
}

// RegistryImport reads an import. It needs the key of an operator.
func (c *Client) RegistryImport(ctx context.Context, id string) (RegistryImport, error) {
	var out RegistryImport
	err := c.Do(ctx, "GET", "/dnd/registry/imports/"+url.PathEscape(id), nil, &out)
	return out, err
}

// RollBackRegistry makes the snapshot active again that the active one replaced. It
// needs the key of an operator.
func (c *Client) RollBackRegistry(ctx context.Context, reason string) (RegistryStatus, error) {
	var out RegistryStatus
	err := c.Do(ctx, "POST", "/dnd/registry:rollback", map[string]string{"reason": reason}, &out)
	return out, err
}

// DNDReport is how the verdicts of a campaign stand.
type DNDReport struct {
	CampaignID        string           `json:"campaign_id"`
	Total             int64            `json:"total"`
	Leads             map[string]int64 `json:"leads"`   // by status
	Reasons           map[string]int64 `json:"reasons"` // by dnd_reason
	Checked           int64            `json:"checked"`
	Clean             int64            `json:"clean"`
	Blocked           int64            `json:"blocked"`
	Held              int64            `json:"held"`
	Unchecked         int64            `json:"unchecked"`
	LastChange        *DNDChange       `json:"last_change"`        // nil before the first activation
	ConfirmedSnapshot *Registry        `json:"confirmed_snapshot"` // up to which all leads are confirmed
	AllLeadsChecked   bool             `json:"all_leads_checked"`
	Sweep             *Sweep           `json:"sweep"`
}

// DNDChange is what the re-check after the last activation has changed so far.
type DNDChange struct {
	Activation  int64     `json:"activation"`
	ActivatedAt time.Time `json:"activated_at"`
	Snapshot    Registry  `json:"snapshot"`
	Blocked     int64     `json:"blocked"`
	Held        int64     `json:"held"`
	Other       int64     `json:"other"`
}

// DNDReport reads how the verdicts of a campaign stand.
func (c *Client) DNDReport(ctx context.Context, campaign string) (DNDReport, error) {
	var out DNDReport
	err := c.Do(ctx, "GET", "/campaigns/"+url.PathEscape(campaign)+"/dnd-report", nil, &out)
	return out, err
}
