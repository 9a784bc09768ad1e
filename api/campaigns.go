package api

import (
	"net/http"

	"saaf"
	"saaf/web"
)

// createCampaign is POST /campaigns: a new draft in the environment of the key.
func (a *API) createCampaign(c *call) error {
	body, release, err := a.body(c)
	if err != nil {
		return err
	}
	defer release()
	settings := saaf.DefaultCampaignSettings()
	var ignored ignoredMembers
	if err := readSettings(body, &ignored).apply(&settings); err != nil {
		return err
	}
	made, err := a.store.CreateCampaign(c.r.Context(), c.key.TenantID, c.key.Environment, settings)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusCreated, showCampaign(&made, &ignored))
}

// listCampaigns is GET /campaigns: those of the key's tenant and environment,
// newest first, in pages.
func (a *API) listCampaigns(c *call) error {
	q := queryOf(c.r, "limit", "cursor")
	below, limit := q.page()
	if err := q.err(); err != nil {
		return err
	}
	list, err := a.store.Campaigns(c.r.Context(), c.key.TenantID, c.key.Environment, below, limit+1)
	if err != nil {
		return err
	}
	list, next := cut(list, limit, func(c *saaf.Campaign) int64 { return int64(c.ID) })
	items := make([]campaignView, len(list))
	for i := range list {
		items[i] = showCampaign(&list[i], nil)
	}
	return web.WriteJSON(c.w, http.StatusOK, map[string]any{"items": items, "next": nullable(next.String())})
}

// getCampaign is GET /campaigns/{campaign_id}.
func (a *API) getCampaign(c *call) error {
	return web.WriteJSON(c.w, http.StatusOK, showCampaign(&c.campaign, nil))
}

// patchCampaign is PATCH /campaigns/{campaign_id}: only the members sent change.
func (a *API) patchCampaign(c *call) error {
	body, release, err := a.body(c)
	if err != nil {
		return err
	}
	defer release()
	var ignored ignoredMembers
	change := readSettings(body, &ignored)
	return a.changeCampaign(c, &ignored, func(camp *saaf.Campaign) error { return change.apply(&camp.CampaignSettings) })
}

// deleteCampaign is DELETE /campaigns/{campaign_id}.
func (a *API) deleteCampaign(c *call) error {
	if err := a.store.DeleteCampaign(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, c.by()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) startCampaign(c *call) error { return a.moveCampaign(c, saaf.StartCampaign) }
func (a *API) pauseCampaign(c *call) error { return a.moveCampaign(c, saaf.PauseCampaign) }
func (a *API) stopCampaign(c *call) error  { return a.moveCampaign(c, saaf.StopCampaign) }

// moveCampaign is POST /campaigns/{campaign_id}/start, pause and stop.
func (a *API) moveCampaign(c *call, action saaf.CampaignAction) error {
	return a.changeCampaign(c, nil, func(camp *saaf.Campaign) error {
		next, err := camp.Status.After(action)
		if err != nil {
			return err
		}
		if action == saaf.StartCampaign && camp.PostAnswerAction == saaf.RunFlow {
			return &saaf.Error{Code: saaf.Conflict, Word: "not_supported",
				Message: "A campaign with post_answer_action run_flow cannot be started here; set connect_agent or connect_voice_agent"}
		}
		camp.Status = next
		return nil
	})
}

func (a *API) changeCampaign(c *call, ignored *ignoredMembers, change func(*saaf.Campaign) error) error {
	camp, err := a.store.UpdateCampaign(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, change)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, showCampaign(&camp, ignored))
}
