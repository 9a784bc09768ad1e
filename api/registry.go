package api

import (
	"net/http"
	"time"

	"saaf/web"
)

// registryView is the answer of GET /dnd/registry.
type registryView struct {
	State          string `json:"state"` // fresh, warn, stale or none
	ID             any    `json:"id"`
	EffectiveDate  any    `json:"effective_date"`
	AgeDays        any    `json:"age_days"`
	Mode           any    `json:"mode"`
	SHA256         any    `json:"sha256"`
	Numbers        int64  `json:"numbers"`
	PartialNumbers int64  `json:"partial_numbers"`
	Rows           int64  `json:"rows"`
	Malformed      int64  `json:"malformed"`
	Conflicts      int64  `json:"conflicts"`
	ActivatedAt    any    `json:"activated_at"`
	// AllLeadsChecked is false while leads that came before this snapshot are
	// still being re-checked.
	AllLeadsChecked bool     `json:"all_leads_checked"`
	Warnings        []string `json:"warnings,omitempty"`

	Source *sourceView `json:"source,omitempty"` // only with an outside checker
}

// getRegistry says which snapshot this process answers from.
func (a *API) getRegistry(c *call) error {
	st := a.scrub.Status(time.Now())
	v := registryView{State: st.State, ID: nullable(st.ID), EffectiveDate: nullable(st.EffectiveDate),
		AgeDays: ageDays(st.State, st.Age), Warnings: st.Warnings, Source: showSource(st.Source)}
	reg, err := a.store.Registry(c.r.Context())
	if err != nil {
		return err
	}
	if snap := reg.Active; snap != nil && snap.ID == st.ID {
		v.Mode, v.SHA256 = snap.Mode, snap.SHA256
		v.Numbers, v.PartialNumbers = snap.Numbers, snap.PartialNumbers
		v.Rows, v.Malformed, v.Conflicts = snap.Rows, snap.Malformed, snap.Conflicts
		v.ActivatedAt = reg.ActivatedAt.Format(web.TimeLayout)
		v.AllLeadsChecked = reg.AllChecked()
	}
	return web.WriteJSON(c.w, http.StatusOK, v)
}
