package api

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"saaf"
	"saaf/web"
)

// base is where the API lives.
const base = "/api/v1"

// route is one line of the API.
type route struct {
	method string
	path   string     // below base; {campaign_id} makes the campaign part of the call
	scope  saaf.Scope // what the key must be allowed
	who    callers
	handle func(*API, *call) error
}

// The routes that leads come in by.
const (
	pushPath = "/campaigns/{campaign_id}/leads"
	bulkPath = "/campaigns/{campaign_id}/leads:bulk"
)

// judgesCampaign reports whether the route works on its campaign in a transaction that
// finds out itself whether the campaign is there, so that it need not be read before.
func (rt route) judgesCampaign() bool {
	return rt.method == "POST" && (rt.path == pushPath || rt.path == bulkPath)
}

// callers says which keys a route is for.
type callers bool

const (
	everyKey     callers = false
	operatorKeys callers = true // what belongs to the deployment and to no tenant
)

// routes is the whole API. Every route asks for a key; whatever names a campaign
// answers 404 to everybody but its tenant, in its environment.
func routes() []route {
	return []route{
		{"POST", "/campaigns", saaf.CampaignsWrite, everyKey, (*API).createCampaign},
		{"GET", "/campaigns", saaf.CampaignsRead, everyKey, (*API).listCampaigns},
		{"GET", "/campaigns/{campaign_id}", saaf.CampaignsRead, everyKey, (*API).getCampaign},
		{"PATCH", "/campaigns/{campaign_id}", saaf.CampaignsWrite, everyKey, (*API).patchCampaign},
		{"DELETE", "/campaigns/{campaign_id}", saaf.CampaignsWrite, everyKey, (*API).deleteCampaign},
		{"POST", "/campaigns/{campaign_id}/start", saaf.CampaignsWrite, everyKey, (*API).startCampaign},
		{"POST", "/campaigns/{campaign_id}/pause", saaf.CampaignsWrite, everyKey, (*API).pauseCampaign},
		{"POST", "/campaigns/{campaign_id}/stop", saaf.CampaignsWrite, everyKey, (*API).stopCampaign},

		{"POST", pushPath, saaf.LeadsWrite, everyKey, (*API).pushLead},
		{"POST", bulkPath, saaf.LeadsWrite, everyKey, (*API).pushLeads},
		{"GET", "/campaigns/{campaign_id}/leads", saaf.LeadsRead, everyKey, (*API).listLeads},
		{"GET", "/campaigns/{campaign_id}/leads/{lead_id}", saaf.LeadsRead, everyKey, (*API).getLead},

		{"POST", "/dnd:check", saaf.DNDRead, everyKey, (*API).checkDND},
		{"GET", "/dnd/registry", saaf.DNDRead, everyKey, (*API).getRegistry},
		{"POST", "/dnd/registry:import", saaf.DNDWrite, operatorKeys, (*API).importRegistry},
		{"GET", "/dnd/registry/imports/{import_id}", saaf.DNDRead, operatorKeys, (*API).getImport},
		{"POST", "/dnd/registry:rollback", saaf.DNDWrite, operatorKeys, (*API).rollBackRegistry},
		{"GET", "/campaigns/{campaign_id}/dnd-report", saaf.DNDRead, everyKey, (*API).dndReport},
		{"POST", "/campaigns/{campaign_id}/leads:release", saaf.DNDWrite, everyKey, (*API).releaseLeads},

		{"POST", "/suppressions", saaf.DNDWrite, everyKey, (*API).suppress},
		{"POST", "/suppressions:bulk", saaf.DNDWrite, everyKey, (*API).suppressMany},
		{"GET", "/suppressions", saaf.DNDRead, everyKey, (*API).listSuppressions},
		{"GET", "/suppressions/{suppression_id}", saaf.DNDRead, everyKey, (*API).getSuppression},
		{"DELETE", "/suppressions/{suppression_id}", saaf.DNDWrite, everyKey, (*API).liftSuppression},

		{"GET", "/evidence", saaf.AuditRead, everyKey, (*API).getEvidence},
		{"POST", "/erasures", saaf.DNDWrite, everyKey, (*API).erase},
		{"GET", "/erasures/{erasure_id}", saaf.DNDRead, everyKey, (*API).getErasure},
	}
}

// Handler serves the API and the routes for machines that watch it.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	handle := func(method, path string, h web.Handler) {
		mux.Handle(method+" "+path, a.web.Handle(h))
		methods[path] = append(methods[path], method)
		if method == "GET" {
			methods[path] = append(methods[path], "HEAD")
		}
	}
	for _, rt := range routes() {
		handle(rt.method, base+rt.path, a.serve(rt))
	}
	handle("GET", "/healthz", a.healthz)
	handle("GET", "/readyz", a.readyz)
	if a.metrics != nil {
		handle("GET", "/metrics", a.showMetrics)
	}
	for path, allow := range methods {
		slices.Sort(allow)
		mux.Handle(path, a.web.Handle(notAllowed(path, allow)))
	}
	notFound := a.web.Handle(nothingHere)
	mux.Handle("/", notFound)
	return a.web.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !canonical(r.URL.EscapedPath()) {
			notFound.ServeHTTP(w, r) // the mux would redirect, in HTML
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// canonical reports whether a path has no empty and no dot segments.
func canonical(p string) bool {
	clean := path.Clean(p)
	return strings.HasPrefix(p, "/") && (p == clean || clean != "/" && p == clean+"/")
}

func nothingHere(http.ResponseWriter, *http.Request) error {
	return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "There is nothing at this path; the API is under " + base}
}

func notAllowed(path string, allow []string) web.Handler {
	return func(_ http.ResponseWriter, r *http.Request) error {
		web.EventOf(r.Context()).Route = path
		return &saaf.Error{Code: saaf.NotAllowed, Word: "method_not_allowed", Allow: allow,
			Message: r.Method + " is not possible here; use " + strings.Join(allow, " or ")}
	}
}
