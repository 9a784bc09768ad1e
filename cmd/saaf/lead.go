package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"saaf/client"
)

type leadCmd struct {
	Push leadPushCmd `cmd:"" help:"Push one lead and print it as stored, with its verdict."`
}

type leadPushCmd struct {
	Phone      string `arg:"" help:"Indian phone number, with or without +91, 91 or 0."`
	Campaign   string `required:"" placeholder:"ID" help:"Campaign to push to, camp_..."`
	Name       string `help:"Name of the person."`
	Email      string `help:"Email of the person."`
	ExternalID string `help:"Your own id of the person."`
	Metadata   string `placeholder:"JSON" help:"A JSON object that travels with the lead."`
	apiFlags
}

func (c *leadPushCmd) Run(ctx context.Context, con *console) error {
	if c.Metadata != "" && !json.Valid([]byte(c.Metadata)) {
		return &usageError{"--metadata is not JSON; pass an object, for instance --metadata '{\"plan\": \"pro\"}'"}
	}
	api, err := c.connect()
	if err != nil {
		return err
	}
	lead, err := api.PushLead(ctx, c.Campaign, client.NewLead{
		Phone: c.Phone, Name: c.Name, Email: c.Email, ExternalID: c.ExternalID, Metadata: json.RawMessage(c.Metadata),
	})
	if dup, ok := errors.AsType[*client.Error](err); ok && dup.LeadID != "" {
		return fmt.Errorf("%w: it is lead %s", err, dup.LeadID)
	}
	if err != nil {
		return c.reached(err)
	}
	return con.result(lead, func(w io.Writer) {
		checked := "not checked"
		switch {
		case lead.DNDRegistry != nil:
			checked = "checked against the registry dated " + lead.DNDRegistry.EffectiveDate
		case lead.DNDChecked: // by an outside checker, or an opt-out list alone
			checked = "checked"
		}
		fmt.Fprintf(w, "%s  %s  %s  (%s, %s)\n", lead.ID, lead.Phone, lead.Status, lead.DNDReason, checked)
	})
}
