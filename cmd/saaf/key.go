package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"saaf"
	"saaf/auth"
	"saaf/store"
	"saaf/web"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create an API key and print it once."`
	List   keyListCmd   `cmd:"" help:"List the keys of all tenants; never their secrets."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key; returns when every running server refuses it."`
}

type keyCreateCmd struct {
	Tenant    string   `required:"" placeholder:"ID" help:"Tenant the key acts for, ten_..."`
	Env       string   `default:"live" enum:"live,test" help:"Environment: live or test (${default})."`
	Scope     []string `sep:"none" placeholder:"SCOPE" help:"A scope the key has, for instance leads:write; repeat for more. None means all ordinary scopes."`
	RateLimit int      `default:"600" placeholder:"N" help:"Requests per minute, 1 to 100000 (${default})."`
	Label     string   `help:"A note on what the key is for."`
	Operator  bool     `help:"The key also reaches the routes of the whole deployment: registry imports and roll-backs, opt-outs for all tenants."`
	dataFlags
}

type keyListCmd struct{ dataFlags }

type keyRevokeCmd struct {
	ID string `arg:"" help:"Key to revoke, key_..."`
	dataFlags
}

// keyView is a key as the commands print it. Key is set once, when it is made.
type keyView struct {
	ID          saaf.KeyID       `json:"id"`
	Key         string           `json:"key,omitempty"`
	TenantID    saaf.TenantID    `json:"tenant_id"`
	Environment saaf.Environment `json:"environment"`
	Label       string           `json:"label"`
	Scopes      []saaf.Scope     `json:"scopes"`
	RateLimit   int              `json:"rate_limit_per_min"`
	Operator    bool             `json:"operator"`
	Prefix      string           `json:"key_prefix"`
	LastFour    string           `json:"last_four"`
	CreatedAt   string           `json:"created_at"`
	RevokedAt   *string          `json:"revoked_at"`
}

func showKey(k saaf.Key) keyView {
	v := keyView{
		ID: k.ID, TenantID: k.TenantID, Environment: k.Environment, Label: k.Label, Scopes: k.Scopes, RateLimit: k.RateLimit,
		Operator: k.Operator, Prefix: k.Prefix, LastFour: k.LastFour, CreatedAt: k.CreatedAt.Format(web.TimeLayout),
	}
	if v.Scopes == nil {
		v.Scopes = []saaf.Scope{}
	}
	if !k.RevokedAt.IsZero() {
		v.RevokedAt = new(k.RevokedAt.Format(web.TimeLayout))
	}
	return v
}

func (c *keyCreateCmd) Run(ctx context.Context, con *console) error {
	spec := auth.KeySpec{Environment: saaf.Environment(c.Env), RateLimit: c.RateLimit, Label: c.Label, Operator: c.Operator}
	if c.RateLimit < 1 || c.RateLimit > saaf.MaxRateLimit {
		return &usageError{fmt.Sprintf("--rate-limit must be 1 to %d", saaf.MaxRateLimit)}
	}
	var ok bool
	if spec.TenantID, ok = saaf.ParseID[saaf.TenantID](c.Tenant); !ok {
		return &usageError{fmt.Sprintf("--tenant %q is not a tenant id (ten_...); saaf tenant list shows those there are", c.Tenant)}
	}
	for _, s := range c.Scope {
		scope, err := saaf.ParseScope(s)
		if err != nil {
			return &usageError{err.Error()}
		}
		spec.Scopes = append(spec.Scopes, scope)
	}
	key, secret, err := auth.NewKey(spec)
	if err != nil {
		return err
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		made, err := st.CreateKey(ctx, key)
		if err != nil {
			return err
		}
		view := showKey(made)
		view.Key = string(secret)
		return con.result(view, func(w io.Writer) {
			fmt.Fprintf(w, "%s\n", string(secret))
			fmt.Fprintf(con.err, "This is the only time the key is shown. Id %s, tenant %s, environment %s.\n", made.ID, made.TenantID, made.Environment)
		})
	})
}

func (c *keyListCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		list, err := st.Keys(ctx)
		if err != nil {
			return err
		}
		views := make([]keyView, len(list))
		rows := make([][]string, len(list))
		for i, k := range list {
			views[i] = showKey(k)
			rows[i] = keyRow(k)
		}
		return con.result(views, func(w io.Writer) {
			table(w, []string{"ID", "TENANT", "KEY", "SCOPES", "PER MINUTE", "LABEL", "STATE"}, rows)
		})
	})
}

func keyRow(k saaf.Key) []string {
	scopes := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		scopes[i] = string(s)
	}
	shown, state := strings.Join(scopes, " "), "works"
	if shown == "" {
		shown = "all ordinary"
	}
	if k.Operator {
		shown += ", operator"
	}
	if !k.RevokedAt.IsZero() {
		state = "revoked " + k.RevokedAt.Format(web.TimeLayout)
	}
	return []string{k.ID.String(), k.TenantID.String(), k.Prefix + "..." + k.LastFour, shown, fmt.Sprint(k.RateLimit), k.Label, state}
}

func (c *keyRevokeCmd) Run(ctx context.Context, con *console) error {
	id, ok := saaf.ParseID[saaf.KeyID](c.ID)
	if !ok {
		return &usageError{fmt.Sprintf("%q is not a key id (key_...); saaf key list shows those there are", c.ID)}
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		k, version, err := st.RevokeKey(ctx, id, saaf.By{Actor: actor()})
		if err != nil {
			return err
		}
		if err := awaitServers(ctx, con, st, version, 0, awaitKeys); err != nil {
			return err
		}
		return con.result(showKey(k), func(w io.Writer) { fmt.Fprintf(w, "%s is revoked\n", k.ID) })
	})
}
