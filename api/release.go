package api

import (
	"fmt"
	"net/http"

	"saaf"
	"saaf/web"
)

// releaseLeads is POST .../leads:release: held leads are checked once more and those
// that are found clean are freed, all of the campaign or those named.
func (a *API) releaseLeads(c *call) error {
	f, release, err := a.fields(c, "reason", "lead_ids")
	if err != nil {
		return err
	}
	defer release()
	reason := f.reason("reason")
	ids := readLeadIDs(f)
	if err := f.err(); err != nil {
		return err
	}
	done, err := a.scrub.Release(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, ids, c.by(), reason)
	if err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, struct {
		Released     int      `json:"released"`
		StillBlocked int      `json:"still_blocked"`
		Warnings     []string `json:"warnings,omitempty"`
	}{done.Released, done.StillBlocked, f.ignored.list()})
}

// readLeadIDs reads which leads are meant, nil for all. A null is refused: to free
// everybody should take more than an id that was not set.
func readLeadIDs(f *fields) []saaf.LeadID {
	const name = "lead_ids"
	if f.members[name] == nil {
		return nil
	}
	ids := []saaf.LeadID{}
	for i, v := range f.list(name, "ids", saaf.MaxBulk) {
		id, ok := saaf.ParseID[saaf.LeadID](v.Text())
		if !ok {
			f.fail(fmt.Sprintf("%s.%d", name, i), "this is not the id of a lead, which looks like lead_01jd...", "value_error.id")
		}
		ids = append(ids, id)
	}
	return ids
}
