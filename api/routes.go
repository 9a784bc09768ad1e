package api

import (
	"net/http"
	"slices"
	"strings"

	"saaf"
)

// base is where the API lives.
const base = "/api/v1"

// route is one line of the API.
type route struct {
	method string
	path   string     // below base; {campaign_id} makes the campaign part of the call
	scope  saaf.Scope // what the key must be allowed
	handle func(*API, *call) error
}

// routes is the whole API. Every route asks for a key; whatever names a campaign
// answers 404 to everybody but its tenant, in its environment.
func routes() []route {
	return []route{
		{"POST", "/campaigns", saaf.CampaignsWrite, (*API).createCampaign},
		{"GET", "/campaigns", saaf.CampaignsRead, (*API).listCampaigns},
		{"GET", "/campaigns/{campaign_id}", saaf.CampaignsRead, (*API).getCampaign},
		{"PATCH", "/campaigns/{campaign_id}", saaf.CampaignsWrite, (*API).patchCampaign},
		{"DELETE", "/campaigns/{campaign_id}", saaf.CampaignsWrite, (*API).deleteCampaign},
		{"POST", "/campaigns/{campaign_id}/start", saaf.CampaignsWrite, (*API).startCampaign},
		{"POST", "/campaigns/{campaign_id}/pause", saaf.CampaignsWrite, (*API).pauseCampaign},
		{"POST", "/campaigns/{campaign_id}/stop", saaf.CampaignsWrite, (*API).stopCampaign},

		{"POST", "/campaigns/{campaign_id}/leads", saaf.LeadsWrite, (*API).pushLead},
		{"POST", "/campaigns/{campaign_id}/leads:bulk", saaf.LeadsWrite, (*API).pushLeads},
		{"GET", "/campaigns/{campaign_id}/leads", saaf.LeadsRead, (*API).listLeads},
		{"GET", "/campaigns/{campaign_id}/leads/{lead_id}", saaf.LeadsRead, (*API).getLead},

		{"GET", "/dnd/registry", saaf.DNDRead, (*API).getRegistry},
	}
}

// Handler serves the API and the two routes for machines that watch it.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, rt := range routes() {
		mux.Handle(rt.method+" "+base+rt.path, a.web.Handle(a.serve(rt)))
		methods[rt.path] = append(methods[rt.path], rt.method)
		if rt.method == "GET" {
			methods[rt.path] = append(methods[rt.path], "HEAD")
		}
	}
	for path, allow := range methods {
		slices.Sort(allow)
		mux.Handle(base+path, a.web.Handle(notAllowed(allow)))
	}
	mux.Handle("GET /healthz", a.web.Handle(a.healthz))
	mux.Handle("GET /readyz", a.web.Handle(a.readyz))
	mux.Handle("/", a.web.Handle(func(http.ResponseWriter, *http.Request) error {
		return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "There is nothing at this path; the API is under " + base}
	}))
	return a.web.Wrap(mux)
}

func notAllowed(allow []string) func(http.ResponseWriter, *http.Request) error {
	return func(_ http.ResponseWriter, r *http.Request) error {
		return &saaf.Error{Code: saaf.NotAllowed, Word: "method_not_allowed", Allow: allow,
			Message: r.Method + " is not possible here; use " + strings.Join(allow, " or ")}
	}
}
