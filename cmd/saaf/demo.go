package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"saaf"
	"saaf/client"
	"saaf/scrub"
	"saaf/store"
)

type demoCmd struct {
	Listen string `default:"127.0.0.1:8080" env:"SAAF_LISTEN" placeholder:"ADDRESS" help:"Address to listen on; another port is taken when it is in use (${default})."`
	Exit   bool   `help:"Stop when everything is shown, instead of leaving the server up."`

	// Without a variable: a demo must not find its way into a database that is in use.
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"Show it on this PostgreSQL database, which must be empty, instead of an embedded one. Drop it afterwards."`
}

// demoRegistry is a registry of made-up numbers in the layout of the real one.
const demoRegistry = `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"
"15","9000000001","0","A","2"
"5","9000000002","2#3#6","A","2"
"10","9000000003","0","D","2"
`

// demoLeads are pushed one by one; what each shows is in the last column.
var demoLeads = []struct {
	lead  client.NewLead
	shows string
}{
	{client.NewLead{Phone: "9876543210", Name: "Priya Sharma", Email: "priya@example.com",
		Metadata: json.RawMessage(`{"plan": "enterprise", "source": "website"}`)}, "a clean number"},
	{client.NewLead{Phone: "9000000001", Name: "Raj Patel"}, "on the registry: kept, never dialled"},
	{client.NewLead{Phone: "+91 90000-00002", Name: "Meera Nair"}, "on the registry with categories: blocked all the same"},
	{client.NewLead{Phone: "9000000003", Name: "Arjun Rao"}, "left the registry"},
	{client.NewLead{Phone: "09876543210", Name: "Priya again"}, "the first number in another spelling"},
	{client.NewLead{Phone: "+1 202 555 0123", Name: "Bob"}, "not an Indian number"},
	{client.NewLead{Phone: "1800-FLOWERS", Name: "Shop"}, "not a number"},
}

func (c *demoCmd) Run(ctx context.Context, con *console) (err error) {
	if err := knownSettings(os.Environ()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "saaf-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := dataFlags{DataDir: filepath.Join(dir, "data"), databaseFlags: databaseFlags{DatabaseURL: c.DatabaseURL}}
	if c.DatabaseURL != "" {
		there, err := store.Exists(ctx, store.Config{URL: c.DatabaseURL})
		if err == nil && there {
			err = errors.New("there is a store in this database: the demo wants an empty one")
		}
		if err != nil {
			return err
		}
	}
	if err := c.importRegistry(ctx, data, dir); err != nil {
		return err
	}
	srv, err := startServer(ctx, serverConfig{
		DataDir: data.DataDir, Database: database{url: c.DatabaseURL}, Listen: freeAddress(c.Listen), Log: slog.New(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	if err := c.show(ctx, con, srv); err != nil || c.Exit {
		srv.stop()
		return errors.Join(err, srv.wait())
	}
	return srv.wait()
}

// freeAddress is the address, or one with a free port when it is in use.
func freeAddress(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
		return addr
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // startServer says what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}

func (c *demoCmd) importRegistry(ctx context.Context, data dataFlags, dir string) error {
	file := filepath.Join(dir, "registry.csv")
	if err := os.WriteFile(file, []byte(demoRegistry), 0o600); err != nil {
		return err
	}
	return data.withStore(ctx, quiet, false, func(ctx context.Context, st *store.Store) error {
		_, err := scrub.Import(ctx, st, data.registryDir(), scrub.ImportRequest{
			Files: []string{file}, Mode: saaf.FullSet, EffectiveDate: saaf.DateOf(time.Now()), By: saaf.By{Actor: "demo"},
		})
		return err
	})
}

// demoRow is one line of what the demo shows.
type demoRow struct {
	Pushed string `json:"pushed"`
	Answer string `json:"answer"`
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	Shows  string `json:"shows"`
}

func (c *demoCmd) show(ctx context.Context, con *console, srv *server) error {
	_, _, secrets, err := firstStart(ctx, srv.store)
	if err != nil {
		return err
	}
	key := string(secrets[0])
	api := client.New(srv.url(), key)
	camp, err := api.CreateCampaign(ctx, client.NewCampaign{Name: "Demo", DialMode: "progressive"})
	if err != nil {
		return err
	}
	rows, err := pushDemoLeads(ctx, api, camp.ID)
	if err != nil {
		return err
	}
	view := map[string]any{"url": srv.url(), "key": key, "campaign_id": camp.ID, "leads": rows}
	return con.result(view, func(w io.Writer) {
		lines := make([][]string, len(rows))
		for i, r := range rows {
			lines[i] = []string{r.Pushed, r.Answer, r.Status, r.Reason, r.Shows}
		}
		what, after := "with a throwaway data directory", "removes its data"
		if c.DatabaseURL != "" {
			what, after = "on the database", "makes what is in the database useless: drop it"
		}
		fmt.Fprintf(w, "A server %s is at %s.\nIts registry holds 2 made-up numbers. Seven leads were pushed:\n\n", what, srv.url())
		table(w, []string{"PUSHED", "ANSWER", "STATUS", "REASON", "WHAT IT SHOWS"}, lines)
		if c.Exit {
			return
		}
		fmt.Fprintf(w, "\nPush one yourself:\n\n%s\n\nSee all of them:\n\n%s\n\nCtrl-C stops the server and %s.\n",
			pushLine(srv.url(), key, camp.ID), listLine(srv.url(), key, camp.ID), after)
	})
}

func pushDemoLeads(ctx context.Context, api *client.Client, campaign string) ([]demoRow, error) {
	rows := make([]demoRow, len(demoLeads))
	for i, d := range demoLeads {
		row := demoRow{Pushed: d.lead.Phone, Shows: d.shows}
		lead, err := api.PushLead(ctx, campaign, d.lead)
		var refused *client.Error
		switch {
		case err == nil:
			row.Answer, row.Status, row.Reason = "201 stored", lead.Status, lead.DNDReason
		case errors.As(err, &refused) && refused.Status < 500:
			row.Answer = fmt.Sprintf("%d refused", refused.Status)
			row.Reason = refused.Code
			if len(refused.Fields) > 0 {
				row.Reason = strings.TrimPrefix(refused.Fields[0].Type, "value_error.phone.")
			}
		default:
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}

func pushLine(url, key, campaign string) string {
	return strings.Join([]string{
		`curl -X POST ` + url + `/api/v1/campaigns/` + campaign + `/leads \`,
		`  -H "Authorization: Bearer ` + key + `" \`,
		`  -H "Content-Type: application/json" \`,
		`  -d '{"phone": "9123456789", "name": "Asha", "metadata": {"plan": "pro"}}'`,
	}, "\n")
}

func listLine(url, key, campaign string) string {
	return `curl -H "Authorization: Bearer ` + key + `" ` + url + `/api/v1/campaigns/` + campaign + `/leads`
}
