package main

import (
	"context"
	"fmt"
	"io"

	"saaf/client"
	"saaf/web"
)

type campaignCmd struct {
	Create campaignCreateCmd `cmd:"" help:"Create a campaign."`
	List   campaignListCmd   `cmd:"" help:"List the campaigns of the key's tenant and environment."`
}

type campaignCreateCmd struct {
	Name     string `arg:"" help:"Name of the campaign."`
	DialMode string `default:"progressive" enum:"preview,progressive,predictive" help:"preview, progressive or predictive (${default})."`
	apiFlags
}

type campaignListCmd struct{ apiFlags }

func (c *campaignCreateCmd) Run(ctx context.Context, con *console) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	made, err := api.CreateCampaign(ctx, client.NewCampaign{Name: c.Name, DialMode: c.DialMode})
	if err != nil {
		return c.reached(err)
	}
	return con.result(made, func(w io.Writer) { printCampaigns(w, []client.Campaign{made}) })
}

func (c *campaignListCmd) Run(ctx context.Context, con *console) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	all := []client.Campaign{}
	for cursor := ""; ; {
		page, err := api.Campaigns(ctx, cursor)
		if err != nil {
			return c.reached(err)
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return con.result(all, func(w io.Writer) { printCampaigns(w, all) })
}

func printCampaigns(w io.Writer, list []client.Campaign) {
	rows := make([][]string, len(list))
	for i, c := range list {
		total := 0
		for _, n := range c.LeadCounts {
			total += n
		}
		rows[i] = []string{c.ID, c.Name, c.DialMode, c.Environment, c.Status, fmt.Sprint(total), fmt.Sprint(c.LeadCounts["dnd"]), fmt.Sprint(c.LeadCounts["held"]), c.CreatedAt.Format(web.TimeLayout)}
	}
	table(w, []string{"ID", "NAME", "DIAL MODE", "ENVIRONMENT", "STATUS", "LEADS", "DND", "HELD", "CREATED"}, rows)
}
