package main

import (
	"context"
	"io"

	"saaf"
	"saaf/store"
	"saaf/web"
)

type tenantCmd struct {
	Create tenantCreateCmd `cmd:"" help:"Create a tenant: one business with campaigns and keys of its own."`
	List   tenantListCmd   `cmd:"" help:"List the tenants."`
}

type tenantCreateCmd struct {
	Name string `arg:"" help:"Name of the tenant, unique in this deployment."`
	dataFlags
}

type tenantListCmd struct{ dataFlags }

// tenantView is a tenant as the commands print it.
type tenantView struct {
	ID        saaf.TenantID `json:"id"`
	Name      string        `json:"name"`
	CreatedAt string        `json:"created_at"`
}

func showTenant(t saaf.Tenant) tenantView {
	return tenantView{t.ID, t.Name, t.CreatedAt.Format(web.TimeLayout)}
}

func (c *tenantCreateCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, false, func(ctx context.Context, st *store.Store) error {
		t, err := st.CreateTenant(ctx, c.Name)
		if err != nil {
			return err
		}
		return con.result(showTenant(t), func(w io.Writer) { printTenants(w, []saaf.Tenant{t}) })
	})
}

func (c *tenantListCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		list, err := st.Tenants(ctx)
		if err != nil {
			return err
		}
		views := make([]tenantView, len(list))
		for i, t := range list {
			views[i] = showTenant(t)
		}
		return con.result(views, func(w io.Writer) { printTenants(w, list) })
	})
}

func printTenants(w io.Writer, list []saaf.Tenant) {
	rows := make([][]string, len(list))
	for i, t := range list {
		rows[i] = []string{t.ID.String(), t.Name, t.CreatedAt.Format(web.TimeLayout)}
	}
	table(w, []string{"ID", "NAME", "CREATED"}, rows)
}
