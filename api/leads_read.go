package api

import (
	"net/http"
	"time"

	"saaf"
	"saaf/store"
	"saaf/web"
)

// listLeads is GET .../leads: newest first, filtered, in pages.
func (a *API) listLeads(c *call) error {
	now := time.Now()
	backing := a.scrub.Backing(now)
	q := queryOf(c.r, "status", "dnd_clean", "phone", "external_id", "created_after", "created_before", "limit", "cursor")
	f := store.LeadFilter{Backing: backing}
	q.parse("status", func(s string) error { return setParsed(&f.Status, s, saaf.ParseLeadStatus) })
	q.parse("dnd_clean", func(s string) error { return setParsed(&f.Clean, s, parseBool) })
	q.parse("phone", func(s string) error { return setParsed(&f.Phone, s, a.parsePhone) })
	q.parse("external_id", func(s string) error { f.ExternalID = &s; return nil })
	q.parse("created_after", func(s string) error { return setParsed(&f.CreatedAfter, s, parseTime) })
	q.parse("created_before", func(s string) error { return setParsed(&f.CreatedBefore, s, parseTime) })
	below, limit := q.page()
	if err := q.err(); err != nil {
		return err
	}
	if f.Clean != nil && !backing.Answers {
		// Without a fresh registry, or what stands instead of it, no lead is shown as clean, so that none is
		// listed as clean and all are listed as not clean.
		if *f.Clean {
			return web.WriteRaw(c.w, http.StatusOK, []byte(`{"items":[],"next":null}`+"\n"))
		}
		f.Clean = nil
	}
	leads, err := a.store.Leads(c.r.Context(), c.key.TenantID, c.campaign.ID, f, below, limit+1)
	if err != nil {
		return err
	}
	leads, next := cut(leads, limit, func(l *saaf.Lead) int64 { return int64(l.ID) })
	dst := append(make([]byte, 0, 64+640*len(leads)), `{"items":[`...)
	for i := range leads {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendLead(dst, &leads[i], backing)
	}
	dst = append(dst, `],"next":`...)
	if next == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = web.AppendString(dst, next.String())
	}
	return web.WriteRaw(c.w, http.StatusOK, append(dst, "}\n"...))
}

// getLead is GET .../leads/{lead_id}.
func (a *API) getLead(c *call) error {
	id, ok := saaf.ParseID[saaf.LeadID](c.r.PathValue("lead_id"))
	if !ok {
		return saaf.ErrLeadNotFound
	}
	lead, err := a.store.Lead(c.r.Context(), c.key.TenantID, c.campaign.ID, id)
	if err != nil {
		return err
	}
	return web.WriteRaw(c.w, http.StatusOK, append(appendLead(nil, &lead, a.scrub.Backing(time.Now())), '\n'))
}

// parsePhone takes every form that a push takes.
func (a *API) parsePhone(s string) (saaf.Phone, error) {
	p, reason := a.intake.Policy().Parse(s)
	if reason != saaf.ReasonNone {
		return 0, reason.Err()
	}
	return p, nil
}
