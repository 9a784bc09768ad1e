package api

import (
	"context"
	"net/http"
	"time"

	"saaf"
	"saaf/store"
	"saaf/web"
)

// reportView is how the verdicts of a campaign stand.
type reportView struct {
	CampaignID saaf.CampaignID  `json:"campaign_id"`
	Total      int64            `json:"total"`
	Leads      map[string]int64 `json:"leads"`   // by status
	Reasons    map[string]int64 `json:"reasons"` // by dnd_reason, as leads show it now
	Checked    int64            `json:"checked"`
	Clean      int64            `json:"clean"`
	Blocked    int64            `json:"blocked"`
	Held       int64            `json:"held"`
	Unchecked  int64            `json:"unchecked"`

	LastChange *changeView `json:"last_change"` // by the last activation, null before the first
	// ConfirmedSnapshot is the one up to which all leads are confirmed.
	ConfirmedSnapshot any        `json:"confirmed_snapshot"`
	AllLeadsChecked   bool       `json:"all_leads_checked"`
	Sweep             *sweepView `json:"sweep"`
}

// changeView is what the re-check after an activation has changed so far.
type changeView struct {
	Activation  int64    `json:"activation"`
	ActivatedAt string   `json:"activated_at"`
	Snapshot    snapshot `json:"snapshot"`
	Blocked     int64    `json:"blocked"` // since
	Held        int64    `json:"held"`    // blocked before
	Other       int64    `json:"other"`
}

// snapshot names a snapshot.
type snapshot struct {
	ID            saaf.SnapshotID `json:"id"`
	EffectiveDate saaf.Date       `json:"effective_date"`
}

// dndReport is GET .../dnd-report.
func (a *API) dndReport(c *call) error {
	rep, reg, err := a.readReport(c)
	if err != nil {
		return err
	}
	v := reportView{CampaignID: c.campaign.ID, Total: rep.Leads.Total(), Leads: make(map[string]int64),
		AllLeadsChecked: reg.AllChecked(), Sweep: showSweep(&reg)}
	for status, n := range rep.Leads {
		v.Leads[saaf.LeadStatus(status).String()] = n
	}
	backing := a.scrub.Backing(time.Now())
	if !backing.Since.IsZero() {
		// Findings of an outside checker age one by one, and nothing counts that.
		aged, err := a.store.CountAged(c.r.Context(), c.key.TenantID, c.campaign.ID, backing)
		if err != nil {
			return err
		}
		aged = min(aged, rep.Found[saaf.NotRegistered]) // which was read a moment before
		rep.Found[saaf.NotRegistered] -= aged
		rep.Found[saaf.RegistryStale] += aged
	}
	v.countReasons(&rep.Found, backing.Answers)
	if s := reg.Active; s != nil {
		v.LastChange = &changeView{Activation: reg.Activation, ActivatedAt: reg.ActivatedAt.Format(web.TimeLayout),
			Snapshot: snapshot{s.ID, s.EffectiveDate},
			Blocked:  rep.Changes.Blocked, Held: rep.Changes.Held, Other: rep.Changes.Other}
	}
	v.ConfirmedSnapshot, err = a.confirmed(c.r.Context(), reg.Confirmed)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, v)
}

// readReport reads what stands about the campaign and about the registry, both of
// the same activation.
func (a *API) readReport(c *call) (rep store.DNDReport, reg saaf.RegistryState, err error) {
	for {
		if reg, err = a.store.Registry(c.r.Context()); err != nil {
			return rep, reg, err
		}
		rep, err = a.store.DNDReport(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID)
		if err != nil || rep.Changes.Activation == reg.Activation {
			return rep, reg, err
		}
	}
}

// countReasons counts the findings as leads show them: a clean one is not clean while
// nothing that answers stands behind it.
func (v *reportView) countReasons(found *saaf.FindingCounts, answers bool) {
	v.Reasons = make(map[string]int64)
	for i, n := range found {
		shown := saaf.Verdict{Reason: saaf.VerdictReason(i)}.AsShown(saaf.Backing{Answers: answers}).Reason
		v.Reasons[saaf.VerdictReason(i).String()] += 0 // every word is there
		v.Reasons[shown.String()] += n
		switch {
		case shown.Clean():
			v.Clean += n
		case shown.Blocked():
			v.Blocked += n
		case shown == saaf.HeldAfterBlock:
			v.Held += n
		}
		if shown.Checked() {
			v.Checked += n
		} else {
			v.Unchecked += n
		}
	}
}

// confirmed names a snapshot of the register, null for none.
func (a *API) confirmed(ctx context.Context, id saaf.SnapshotID) (any, error) {
	if id == 0 {
		return nil, nil
	}
	s, err := a.store.Snapshot(ctx, id)
	return snapshot{s.ID, s.EffectiveDate}, err
}
