package api

import (
	"net/http"

	"saaf"
	"saaf/store"
	"saaf/web"
)

// erasureView is an erasure as the API shows it. It does not say whose it is.
type erasureView struct {
	ID           saaf.ErasureID `json:"id"`
	State        string         `json:"state"` // running until no copy is left in the files of the store, then completed
	Reason       string         `json:"reason"`
	Actor        string         `json:"actor"`
	Leads        int            `json:"leads"`        // that were deleted
	Suppressions int            `json:"suppressions"` // that go on blocking by a hash
	CreatedAt    string         `json:"created_at"`
	FinishedAt   any            `json:"finished_at"`
	Warnings     []string       `json:"warnings,omitempty"`
}

func showErasure(e *store.Erasure) erasureView {
	v := erasureView{ID: e.ID, State: "running", Reason: e.Reason, Actor: e.Actor, Leads: e.Leads, Suppressions: e.Suppressions,
		CreatedAt: e.CreatedAt.Format(web.TimeLayout), FinishedAt: optionalTime(e.FinishedAt)}
	if e.Done {
		v.State = "completed"
	}
	return v
}

// erase is POST /erasures: the leads of a person are gone when it answers, and what
// is left of them in the files of the store goes soon after.
func (a *API) erase(c *call) error {
	f, release, err := a.fields(c, "phone", "reason")
	if err != nil {
		return err
	}
	defer release()
	phone, reason := f.phone("phone"), f.reason("reason")
	if err := f.err(); err != nil {
		return err
	}
	e, err := a.store.Erase(c.r.Context(), c.key.TenantID, c.key.Environment, phone, c.by(), reason)
	if err != nil {
		return err
	}
	v := showErasure(&e)
	v.Warnings = f.ignored.list()
	return web.WriteJSON(c.w, http.StatusAccepted, v)
}

// getErasure is GET /erasures/{erasure_id}.
func (a *API) getErasure(c *call) error {
	id, _ := saaf.ParseID[saaf.ErasureID](c.r.PathValue("erasure_id")) // 0, which none has, when it is no id
	e, err := a.store.Erasure(c.r.Context(), c.key.TenantID, c.key.Environment, id)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, showErasure(&e))
}
