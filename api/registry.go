package api

import (
	"context"
	"net/http"
	"time"

	"saaf"
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
	BaseSHA256     any    `json:"base_sha256"` // of the file that a delta lies on
	Numbers        int64  `json:"numbers"`
	PartialNumbers int64  `json:"partial_numbers"`
	Rows           int64  `json:"rows"`
	Malformed      int64  `json:"malformed"`
	Conflicts      int64  `json:"conflicts"`
	ActivatedAt    any    `json:"activated_at"`
	// AllLeadsChecked is false while leads that came before this snapshot are
	// still being re-checked; Sweep is how far that is.
	AllLeadsChecked bool           `json:"all_leads_checked"`
	Sweep           *sweepView     `json:"sweep"`
	Snapshots       []snapshotView `json:"snapshots"` // that are kept, the active one first
	Warnings        []string       `json:"warnings,omitempty"`

	Source *sourceView `json:"source,omitempty"` // only with an outside checker
}

// sweepView is how far the re-check of all leads is.
type sweepView struct {
	Done    int64 `json:"done"`    // campaigns
	Total   int64 `json:"total"`   // campaigns
	Changed int64 `json:"changed"` // leads whose verdict changed so far
}

// snapshotView is a snapshot that is kept.
type snapshotView struct {
	ID            saaf.SnapshotID `json:"id"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	Mode          saaf.ImportMode `json:"mode"`
	Numbers       int64           `json:"numbers"`
	SHA256        saaf.SHA256     `json:"sha256"`
	BaseSHA256    any             `json:"base_sha256"`
	Active        bool            `json:"active"`
}

// getRegistry says which snapshot this process answers from.
func (a *API) getRegistry(c *call) error {
	v, err := a.showRegistry(c.r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, v)
}

func (a *API) showRegistry(ctx context.Context) (registryView, error) {
	st := a.scrub.Status(time.Now())
	v := registryView{State: st.State, ID: nullable(st.ID), EffectiveDate: nullable(st.EffectiveDate),
		AgeDays: ageDays(st.State, st.Age), Snapshots: []snapshotView{}, Warnings: st.Warnings, Source: showSource(st.Source)}
	reg, err := a.store.Registry(ctx)
	if err != nil {
		return v, err
	}
	if snap := reg.Active; snap != nil && snap.ID == st.ID {
		v.Mode, v.SHA256, v.BaseSHA256 = snap.Mode, snap.SHA256, nullable(snap.BaseSHA256)
		v.Numbers, v.PartialNumbers = snap.Numbers, snap.PartialNumbers
		v.Rows, v.Malformed, v.Conflicts = snap.Rows, snap.Malformed, snap.Conflicts
		v.ActivatedAt = reg.ActivatedAt.Format(web.TimeLayout)
		v.AllLeadsChecked = reg.AllChecked()
		v.Sweep = showSweep(&reg)
	}
	kept, err := a.scrub.Kept(ctx)
	for i, s := range kept {
		v.Snapshots = append(v.Snapshots, snapshotView{ID: s.ID, EffectiveDate: s.EffectiveDate, Mode: s.Mode, Numbers: s.Numbers,
			SHA256: s.SHA256, BaseSHA256: nullable(s.BaseSHA256), Active: i == 0})
	}
	return v, err
}

// showSweep is how far the re-check for the active snapshot is, nil when it is
// through or nothing is active.
func showSweep(reg *saaf.RegistryState) *sweepView {
	switch {
	case reg.Active == nil || reg.AllChecked():
		return nil
	case reg.Sweep.Activation != reg.Activation:
		return &sweepView{} // it has not begun
	}
	return &sweepView{reg.Sweep.Done, reg.Sweep.Total, reg.Sweep.Changed}
}

// rollBackRegistry is POST /dnd/registry:rollback: the snapshot is active again that
// the active one replaced, and this process answers from it.
func (a *API) rollBackRegistry(c *call) error {
	f, release, err := a.fields(c, "reason")
	if err != nil {
		return err
	}
	defer release()
	reason := f.reason("reason")
	if err := f.err(); err != nil {
		return err
	}
	if err := a.scrub.RollBack(c.r.Context(), c.by(), reason); err != nil {
		return err
	}
	v, err := a.showRegistry(c.r.Context())
	if err != nil {
		return err
	}
	v.Warnings = append(v.Warnings, f.ignored.list()...)
	return web.WriteJSON(c.w, http.StatusOK, v)
}
