package api

import (
	"net/http"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/store"
	"saaf/web"
)

// suppress is POST /suppressions: 201, or 200 with the one that the number has on
// the list already.
func (a *API) suppress(c *call) error {
	f, release, err := a.fields(c, suppressionMembers...)
	if err != nil {
		return err
	}
	defer release()
	n := readSuppression(f, time.Now())
	// Which list it is comes before what is put on it.
	if f.members["campaign_id"].Kind() == web.String || n.Scope == saaf.DeploymentScope {
		if err := a.permitted(c.r.Context(), c.key, &n, map[saaf.CampaignID]error{}); err != nil {
			return err
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	made, err := a.store.Suppress(c.r.Context(), c.key.TenantID, c.key.Environment, []store.NewSuppression{n}, c.by())
	if err != nil {
		return err
	}
	v := showSuppression(&made[0].Suppression)
	v.Blocked, v.Warnings = &made[0].Blocked, f.ignored.list()
	status := http.StatusOK
	if made[0].Made {
		status = http.StatusCreated
	}
	return web.WriteJSON(c.w, status, v)
}

// listSuppressions is GET /suppressions: those of the key's environment, newest
// first, in pages. Without a scope they are those of the tenant and its campaigns.
func (a *API) listSuppressions(c *call) error {
	q := queryOf(c.r, "phone", "scope", "campaign_id", "ended", "limit", "cursor")
	var f store.SuppressionFilter
	var ended *bool
	var scope saaf.SuppressionScope
	q.parse("phone", func(s string) error {
		p, reason := everyNumber.Parse(s)
		if reason != saaf.ReasonNone {
			return reason.Err()
		}
		f.Phone = &p
		return nil
	})
	q.parse("scope", func(s string) (err error) { scope, err = saaf.ParseSuppressionScope(s); return err })
	q.parse("campaign_id", func(s string) error {
		id, _ := saaf.ParseID[saaf.CampaignID](s) // 0, which no campaign has, when it is no id
		f.Campaign = &id
		return nil
	})
	q.parse("ended", func(s string) error { return setParsed(&ended, s, parseBool) })
	below, limit := q.page()

	tenant := c.key.TenantID
	switch {
	case scope == saaf.DeploymentScope:
		if err := auth.RequireOperator(c.key); err != nil {
			return err
		}
		tenant = 0
	case f.Campaign != nil:
		if _, err := a.store.Campaign(c.r.Context(), tenant, c.key.Environment, *f.Campaign); err != nil {
			return err
		}
	}
	switch {
	case scope == saaf.CampaignScope && f.Campaign == nil:
		q.fail("campaign_id", "scope campaign needs the id of the campaign", "value_error.missing")
	case scope != "" && scope != saaf.CampaignScope && f.Campaign != nil:
		q.fail("campaign_id", "only scope campaign takes a campaign_id; leave one of the two out", "value_error.scope")
	case scope == saaf.TenantScope:
		f.Campaign = new(saaf.CampaignID)
	}
	if err := q.err(); err != nil {
		return err
	}
	f.Ended = ended != nil && *ended
	list, err := a.store.Suppressions(c.r.Context(), tenant, c.key.Environment, f, below, limit+1)
	if err != nil {
		return err
	}
	list, next := cut(list, limit, func(s *saaf.Suppression) int64 { return int64(s.ID) })
	items := make([]suppressionView, len(list))
	for i := range list {
		items[i] = showSuppression(&list[i])
	}
	return web.WriteJSON(c.w, http.StatusOK, map[string]any{"items": items, "next": nullable(next.String())})
}

// getSuppression is GET /suppressions/{suppression_id}, also one that has ended.
func (a *API) getSuppression(c *call) error {
	s, err := a.suppression(c)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, showSuppression(&s))
}

// liftSuppression is DELETE /suppressions/{suppression_id}?reason=...: leads that
// nothing else blocks are held.
func (a *API) liftSuppression(c *call) error {
	s, err := a.suppression(c)
	if err != nil {
		return err
	}
	q := queryOf(c.r, "reason")
	q.require("reason", "say why in a few words: the reason is part of the evidence")
	reason := q.reason("reason")
	if err := q.err(); err != nil {
		return err
	}
	if _, err := a.scrub.Lift(c.r.Context(), s.TenantID, s.ID, c.by(), reason); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// suppression reads the one that the path names. Those of the deployment are for
// operators; those of another tenant or environment are not there.
func (a *API) suppression(c *call) (s saaf.Suppression, err error) {
	ctx, env := c.r.Context(), c.key.Environment
	id, _ := saaf.ParseID[saaf.SuppressionID](c.r.PathValue("suppression_id")) // 0, which none has, when it is no id
	s, err = a.store.Suppression(ctx, c.key.TenantID, env, id)
	if saaf.ErrorCode(err) != saaf.NotFound {
		return s, err
	}
	if s, err = a.store.Suppression(ctx, 0, env, id); err == nil {
		err = auth.RequireOperator(c.key)
	}
	return s, err
}
