package api

import (
	"context"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/store"
	"saaf/web"
)

// suppressionView is a suppression as the API shows it.
type suppressionView struct {
	ID          saaf.SuppressionID    `json:"id"`
	Scope       saaf.SuppressionScope `json:"scope"`
	CampaignID  any                   `json:"campaign_id"`
	Environment saaf.Environment      `json:"environment"`
	Phone       any                   `json:"phone"` // null once the person was erased
	Reason      string                `json:"reason"`
	Source      any                   `json:"source"`
	ExpiresAt   any                   `json:"expires_at"`
	Actor       string                `json:"actor"`
	CreatedAt   string                `json:"created_at"`
	UpdatedAt   string                `json:"updated_at"`
	EndedAt     any                   `json:"ended_at"`
	EndReason   any                   `json:"end_reason"`
	EndActor    any                   `json:"end_actor"`
	Blocked     *int                  `json:"leads_blocked,omitempty"` // at once, when it was asked for
	Warnings    []string              `json:"warnings,omitempty"`
}

func showSuppression(s *saaf.Suppression) suppressionView {
	v := suppressionView{
		ID: s.ID, Scope: s.Scope, CampaignID: nullable(s.CampaignID), Environment: s.Environment,
		Reason: s.Reason, Source: nullable(s.Source), ExpiresAt: optionalTime(s.ExpiresAt), Actor: s.Actor,
		CreatedAt: s.CreatedAt.Format(web.TimeLayout), UpdatedAt: s.UpdatedAt.Format(web.TimeLayout),
		EndedAt: optionalTime(s.EndedAt), EndReason: nullable(s.EndReason), EndActor: nullable(s.EndActor),
	}
	if s.Phone != 0 {
		v.Phone = s.Phone.National()
	}
	return v
}

var suppressionMembers = []string{"phone", "scope", "campaign_id", "reason", "source", "expires_at"}

// readSuppression reads a suppression; what is wrong stands in f. A campaign id
// without a scope means that campaign; one that is no id stands as 0, which no
// campaign has.
func readSuppression(f *fields, now time.Time) (n store.NewSuppression) {
	n.Phone = f.phone("phone")
	n.Reason = f.reason("reason")
	n.Source = f.text("source", saaf.MaxSource)
	n.Expires = f.future("expires_at", now)
	id, named := f.word("campaign_id")
	n.Campaign, _ = saaf.ParseID[saaf.CampaignID](id)
	n.Scope = saaf.TenantScope
	if named {
		n.Scope = saaf.CampaignScope
	}
	if word, ok := f.word("scope"); ok {
		scope, err := saaf.ParseSuppressionScope(word)
		if err != nil {
			f.fail("scope", "value is not one of: campaign, tenant, all", "type_error.enum")
			return n
		}
		n.Scope = scope
	}
	switch campaign := n.Scope == saaf.CampaignScope; {
	case campaign && f.members["campaign_id"].Kind() == web.Null:
		f.fail("campaign_id", "scope campaign needs the id of the campaign", "value_error.missing")
	case !campaign && named:
		f.fail("campaign_id", "only scope campaign takes a campaign_id; leave one of the two out", "value_error.scope")
	}
	return n
}

// permitted is nil when the key may put numbers on the list that n names. known
// keeps what is found out about campaigns.
func (a *API) permitted(ctx context.Context, key *saaf.Key, n *store.NewSuppression, known map[saaf.CampaignID]error) error {
	switch n.Scope {
	case saaf.DeploymentScope:
		return auth.RequireOperator(key)
	case saaf.CampaignScope:
		err, seen := known[n.Campaign]
		if !seen {
			_, err = a.store.Campaign(ctx, key.TenantID, key.Environment, n.Campaign)
			known[n.Campaign] = err
		}
		return err
	}
	return nil
}
