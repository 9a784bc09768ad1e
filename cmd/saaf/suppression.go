package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"saaf"
	"saaf/dnd"
	"saaf/store"
	"saaf/web"
)

type suppressionCmd struct {
	Add    suppressionAddCmd    `cmd:"" help:"Put numbers on an opt-out list; leads that have them are blocked when it returns."`
	Import suppressionImportCmd `cmd:"" help:"Put the numbers of a CSV file on an opt-out list."`
	List   suppressionListCmd   `cmd:"" help:"List opt-outs, newest first."`
	Remove suppressionRemoveCmd `cmd:"" help:"Lift an opt-out; the leads that it blocked are held."`
}

// listFlags say which list an opt-out goes to.
type listFlags struct {
	Tenant   string `placeholder:"ID" help:"Tenant whose list it is, ten_...; may be left out when there is only one."`
	Campaign string `placeholder:"ID" help:"Campaign that it is for, camp_...; without it, all campaigns of the tenant."`
	Scope    string `enum:"campaign,tenant,all," default:"" help:"campaign, tenant, or all: every campaign of every tenant (tenant, or campaign with --campaign)."`
	Env      string `default:"live" enum:"live,test" help:"live counts for live and test campaigns, test for test campaigns only (${default})."`
	Source   string `placeholder:"TEXT" help:"Where it comes from, for instance: letter of 3 May."`
	Expires  string `placeholder:"WHEN" help:"When it ends by itself: 90d, 2027-01-31 (that day still counts) or an RFC 3339 time. Never, without it."`
	dataFlags
}

type suppressionAddCmd struct {
	Phones []string `arg:"" name:"phone" help:"Phone numbers in any spelling that a push takes."`
	Reason string   `required:"" help:"Why: it becomes part of the evidence."`
	listFlags
}

// suppressionView is an opt-out as the commands print it.
type suppressionView struct {
	ID          saaf.SuppressionID    `json:"id"`
	Scope       saaf.SuppressionScope `json:"scope"`
	TenantID    saaf.TenantID         `json:"tenant_id,omitzero"`
	CampaignID  saaf.CampaignID       `json:"campaign_id,omitzero"`
	Environment saaf.Environment      `json:"environment"`
	Phone       *string               `json:"phone"` // null once the person was erased
	Reason      string                `json:"reason"`
	Source      string                `json:"source,omitempty"`
	ExpiresAt   string                `json:"expires_at,omitempty"`
	Actor       string                `json:"actor"`
	CreatedAt   string                `json:"created_at"`
	EndedAt     string                `json:"ended_at,omitempty"`
	EndReason   string                `json:"end_reason,omitempty"`
}

func showSuppression(s *saaf.Suppression, unmask bool) suppressionView {
	v := suppressionView{
		ID: s.ID, Scope: s.Scope, TenantID: s.TenantID, CampaignID: s.CampaignID, Environment: s.Environment,
		Reason: s.Reason, Source: s.Source, ExpiresAt: timeOrNothing(s.ExpiresAt), Actor: s.Actor,
		CreatedAt: timeOrNothing(s.CreatedAt), EndedAt: timeOrNothing(s.EndedAt), EndReason: s.EndReason,
	}
	switch {
	case s.Phone == 0:
	case unmask:
		v.Phone = new(s.Phone.National())
	default:
		v.Phone = new(s.Phone.String())
	}
	return v
}

func timeOrNothing(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(web.TimeLayout)
}

// addedView is what became of one number.
type addedView struct {
	suppressionView
	Added   bool `json:"added"`         // false: it was on the list already
	Blocked int  `json:"leads_blocked"` // at once
}

func (c *suppressionAddCmd) Run(ctx context.Context, con *console) error {
	made, err := c.entry(time.Now())
	if err != nil {
		return err
	}
	if made.Reason, err = flagReason(c.Reason); err != nil {
		return err
	}
	list := make([]store.NewSuppression, len(c.Phones))
	for i, sent := range c.Phones {
		p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(sent)
		if reason != saaf.ReasonNone {
			return &usageError{fmt.Sprintf("phone %d of %d cannot be read (%s): write it like 9876543210; nothing was added", i+1, len(c.Phones), reason)}
		}
		list[i] = made
		list[i].Phone = p
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		tenant, err := c.owner(ctx, st, &made)
		if err != nil {
			return err
		}
		done, err := st.Suppress(ctx, tenant, saaf.Environment(c.Env), list, saaf.By{Actor: actor()})
		if err != nil {
			return err
		}
		views := make([]addedView, len(done))
		for i := range done {
			views[i] = addedView{showSuppression(&done[i].Suppression, true), done[i].Made, done[i].Blocked}
		}
		return con.result(views, func(w io.Writer) {
			for i, v := range views {
				switch {
				case v.Added:
					fmt.Fprintf(w, "%s  %s  added, %s blocked at once\n", v.ID, c.Phones[i], leadCount(int64(v.Blocked)))
				default:
					fmt.Fprintf(w, "%s  %s  on the list already, since %s\n", v.ID, c.Phones[i], v.CreatedAt)
				}
			}
		})
	})
}

func leadCount(n int64) string {
	if n == 1 {
		return "1 lead"
	}
	return thousands(n) + " leads"
}

// entry is what the flags say about every number.
func (f *listFlags) entry(now time.Time) (n store.NewSuppression, err error) {
	if n.Source, err = checkSource(f.Source); err != nil {
		return n, &usageError{"--source: " + err.Error()}
	}
	if n.Expires, err = parseExpiry(f.Expires, now); err != nil {
		return n, &usageError{"--expires: " + err.Error()}
	}
	n.Scope = saaf.SuppressionScope(f.Scope)
	if f.Campaign != "" {
		var ok bool
		if n.Campaign, ok = saaf.ParseID[saaf.CampaignID](f.Campaign); !ok {
			return n, &usageError{fmt.Sprintf("--campaign %q is not a campaign id (camp_...)", f.Campaign)}
		}
		if n.Scope == "" {
			n.Scope = saaf.CampaignScope
		}
	}
	if n.Scope == "" {
		n.Scope = saaf.TenantScope
	}
	switch isCampaign := n.Scope == saaf.CampaignScope; {
	case isCampaign && n.Campaign == 0:
		return n, &usageError{"--scope campaign needs --campaign ID"}
	case !isCampaign && n.Campaign != 0:
		return n, &usageError{fmt.Sprintf("--campaign does not go with --scope %s", n.Scope)}
	case n.Scope == saaf.DeploymentScope && f.Tenant != "":
		return n, &usageError{"--scope all is for every tenant: leave --tenant out"}
	}
	return n, nil
}

// owner is the tenant whose list it is, 0 for that of the deployment.
func (f *listFlags) owner(ctx context.Context, st *store.Store, n *store.NewSuppression) (saaf.TenantID, error) {
	if n.Scope == saaf.DeploymentScope {
		return 0, nil
	}
	return flagOrOnlyTenant(ctx, st, f.Tenant)
}

// flagTenant reads the value of --tenant.
func flagTenant(text string) (saaf.TenantID, error) {
	id, ok := saaf.ParseID[saaf.TenantID](text)
	if !ok {
		return 0, &usageError{fmt.Sprintf("--tenant %q is not a tenant id (ten_...); saaf tenant list shows those there are", text)}
	}
	return id, nil
}

// flagOrOnlyTenant is the tenant of --tenant, or the only one there is.
func flagOrOnlyTenant(ctx context.Context, st *store.Store, flag string) (saaf.TenantID, error) {
	list, err := st.Tenants(ctx)
	if err != nil {
		return 0, err
	}
	if flag == "" {
		if len(list) == 1 {
			return list[0].ID, nil
		}
		return 0, &usageError{fmt.Sprintf("there are %d tenants: say whose list it is with --tenant ID; saaf tenant list shows them", len(list))}
	}
	id, err := flagTenant(flag)
	if err != nil {
		return 0, err
	}
	for _, t := range list {
		if t.ID == id {
			return id, nil
		}
	}
	return 0, fmt.Errorf("tenant %s does not exist; saaf tenant list shows those there are", id)
}

// checkSource trims where an opt-out comes from, by the rules of the API.
func checkSource(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case utf8.RuneCountInString(text) > saaf.MaxSource:
		return "", fmt.Errorf("ensure this value has at most %d characters", saaf.MaxSource)
	case strings.IndexByte(text, 0) >= 0:
		return "", fmt.Errorf("must not hold the character U+0000")
	}
	return text, nil
}

// parseExpiry reads when an opt-out ends: a number of days, a date in India whose
// day still counts, or a time. "" is never.
func parseExpiry(text string, now time.Time) (t time.Time, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return t, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return t, fmt.Errorf("%q is no number of days: write it like 90d", saaf.MaskNumbers(text))
		}
		t = now.AddDate(0, 0, int(n))
	} else if date, err := saaf.ParseDate(text); err == nil {
		t = (date + 1).Start()
	} else if t, err = time.Parse(time.RFC3339, text); err != nil {
		return t, fmt.Errorf("%q is no time: write it like 90d, 2027-01-31 or 2027-01-31T18:00:00+05:30", saaf.MaskNumbers(text))
	}
	t = t.UTC().Truncate(time.Millisecond)
	switch {
	case !t.After(now):
		return time.Time{}, fmt.Errorf("%q is over already", text)
	case t.Year() > 9999:
		return time.Time{}, fmt.Errorf("%q is too far away: leave it out for never", text)
	}
	return t, nil
}

type suppressionRemoveCmd struct {
	ID             string        `arg:"" help:"Opt-out to lift, sup_..."`
	Reason         string        `required:"" help:"Why: it becomes part of the evidence."`
	Tenant         string        `placeholder:"ID" help:"Tenant whose list it is on, ten_...; may be left out."`
	RegistryMaxAge time.Duration `default:"168h" env:"SAAF_REGISTRY_MAX_AGE" placeholder:"DURATION" help:"Age from which the servers no longer answer (${default})."`
	dataFlags
}

func (c *suppressionRemoveCmd) Run(ctx context.Context, con *console) error {
	id, ok := saaf.ParseID[saaf.SuppressionID](c.ID)
	if !ok {
		return &usageError{fmt.Sprintf("%q is not the id of an opt-out (sup_...); saaf suppression list shows those there are", c.ID)}
	}
	reason, err := flagReason(c.Reason)
	if err != nil {
		return err
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		view, err := c.activeView(ctx, con, st, reg, c.RegistryMaxAge)
		if _, usage := errors.AsType[*usageError](err); usage {
			return err
		} else if err != nil {
			// A registry that is damaged says nothing: leads stay blocked until one answers.
			fmt.Fprintf(con.err, "Note: %v\n", err)
			if view, err = c.activeView(ctx, con, st, saaf.RegistryState{}, c.RegistryMaxAge); err != nil {
				return err
			}
		}
		lifted, err := c.lift(ctx, st, id, reason, finderOf(view))
		if err != nil {
			return err
		}
		return con.result(showSuppression(&lifted, false), func(w io.Writer) {
			fmt.Fprintf(w, "%s is lifted. Leads that nothing else blocks are held until they are released; while no registry answers they stay blocked.\n", lifted.ID)
		})
	})
}

// finderOf asks the view about leads that an opt-out no longer blocks.
func finderOf(view *dnd.View) store.Finder {
	return func(phones []saaf.Phone) []saaf.Verdict {
		return view.CheckAll(make([]saaf.Verdict, 0, len(phones)), phones, time.Now().UTC().Truncate(time.Millisecond))
	}
}

// lift lifts an opt-out, of the tenant that was named or whoever it belongs to.
func (c *suppressionRemoveCmd) lift(ctx context.Context, st *store.Store, id saaf.SuppressionID, reason string, find store.Finder) (saaf.Suppression, error) {
	owners, err := listOwners(ctx, st, c.Tenant)
	if err != nil {
		return saaf.Suppression{}, err
	}
	for _, owner := range owners {
		lifted, err := st.Lift(ctx, owner, id, saaf.SourceFile, saaf.By{Actor: actor()}, reason, find)
		if saaf.ErrorCode(err) != saaf.NotFound {
			return lifted, err
		}
	}
	return saaf.Suppression{}, fmt.Errorf("there is no opt-out %s that blocks; saaf suppression list shows those there are", id)
}

// listOwners are the tenant of the flag, or the deployment, as 0, and all tenants.
func listOwners(ctx context.Context, st *store.Store, flag string) ([]saaf.TenantID, error) {
	if flag != "" {
		id, err := flagOrOnlyTenant(ctx, st, flag)
		return []saaf.TenantID{id}, err
	}
	tenants, err := st.Tenants(ctx)
	owners := make([]saaf.TenantID, 1, len(tenants)+1)
	for _, t := range tenants {
		owners = append(owners, t.ID)
	}
	return owners, err
}
