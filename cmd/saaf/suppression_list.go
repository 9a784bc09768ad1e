package main

import (
	"context"
	"fmt"
	"io"

	"saaf"
	"saaf/store"
)

type suppressionListCmd struct {
	Tenant   string `placeholder:"ID" help:"Only the lists of this tenant, ten_...; without it, those of all tenants and of the deployment."`
	Campaign string `placeholder:"ID" help:"Only those for this campaign, camp_..."`
	Phone    string `placeholder:"PHONE" help:"Only those of this number."`
	Env      string `enum:"live,test," default:"" help:"Only those of this environment: live or test."`
	All      bool   `help:"Also those that were lifted or have expired."`
	Unmask   bool   `help:"Show whole numbers. They are personal data: mind where the output goes."`
	Limit    int    `default:"1000" placeholder:"N" help:"List at most so many of each tenant and environment; 0 lists all (${default})."`
	dataFlags
}

// listPage is how many opt-outs are read at a time.
const listPage = 500

func (c *suppressionListCmd) Run(ctx context.Context, con *console) error {
	if c.Limit < 0 {
		return &usageError{"--limit must be 0 or more"}
	}
	filter := store.SuppressionFilter{Ended: c.All}
	if c.Campaign != "" {
		id, ok := saaf.ParseID[saaf.CampaignID](c.Campaign)
		if !ok {
			return &usageError{fmt.Sprintf("--campaign %q is not a campaign id (camp_...)", c.Campaign)}
		}
		filter.Campaign = &id
	}
	if c.Phone != "" {
		p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(c.Phone)
		if reason != saaf.ReasonNone {
			return &usageError{fmt.Sprintf("--phone cannot be read (%s): write it like 9876543210", reason)}
		}
		filter.Phone = &p
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		owners, err := listOwners(ctx, st, c.Tenant)
		if err != nil {
			return err
		}
		views, more := []suppressionView{}, false
		for _, owner := range owners {
			for _, env := range c.environments() {
				some, cut, err := c.list(ctx, st, owner, env, filter)
				if err != nil {
					return err
				}
				views, more = append(views, some...), more || cut
			}
		}
		if more {
			fmt.Fprintf(con.err, "Note: there are more; raise --limit, or --limit 0 for all\n")
		}
		return con.result(views, func(w io.Writer) { printSuppressions(w, views) })
	})
}

func (c *suppressionListCmd) environments() []saaf.Environment {
	if c.Env != "" {
		return []saaf.Environment{saaf.Environment(c.Env)}
	}
	return []saaf.Environment{saaf.Live, saaf.Test}
}

// list reads the opt-outs of one owner and environment, up to the limit. more tells
// that there are others.
func (c *suppressionListCmd) list(ctx context.Context, st *store.Store, owner saaf.TenantID, env saaf.Environment, filter store.SuppressionFilter) (views []suppressionView, more bool, err error) {
	var below saaf.Cursor
	for {
		page, err := st.Suppressions(ctx, owner, env, filter, below, listPage)
		if err != nil {
			return nil, false, err
		}
		for i := range page {
			if c.Limit > 0 && len(views) == c.Limit {
				return views, true, nil
			}
			views = append(views, showSuppression(&page[i], c.Unmask))
		}
		if len(page) < listPage {
			return views, false, nil
		}
		below = saaf.Cursor(page[len(page)-1].ID)
	}
}

func printSuppressions(w io.Writer, views []suppressionView) {
	rows := make([][]string, len(views))
	for i, v := range views {
		list := "all tenants"
		switch v.Scope {
		case saaf.TenantScope:
			list = v.TenantID.String()
		case saaf.CampaignScope:
			list = v.CampaignID.String()
		}
		phone, state := "erased", "blocks"
		if v.Phone != nil {
			phone = *v.Phone
		}
		switch {
		case v.EndedAt != "":
			state = "ended " + v.EndedAt + ": " + v.EndReason
		case v.ExpiresAt != "":
			state = "blocks until " + v.ExpiresAt
		}
		rows[i] = []string{v.ID.String(), phone, list, string(v.Environment), v.Reason, v.Source, state}
	}
	table(w, []string{"ID", "NUMBER", "LIST", "ENVIRONMENT", "REASON", "SOURCE", "STATE"}, rows)
}
