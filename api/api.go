package api

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/intake"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

// Config is what the API needs. Everything but the limits is required.
type Config struct {
	Store  *store.Store
	Auth   *auth.Service
	Intake *intake.Service
	Scrub  *scrub.Service
	Log    *slog.Logger

	// Ready returns why the process should get no requests, nil when it should.
	Ready func() error

	// Warnings are what else the process has to say in /readyz. May be nil.
	Warnings func() []string

	// Metrics answers GET /metrics, and Observe is told of every request that has
	// ended, see [web.Adapter]. Both may be nil.
	Metrics http.Handler
	Observe func(method, route string, status int, took time.Duration)

	MaxBody     int64 // bytes of one body, default 16 MiB
	MaxInFlight int64 // bytes of all bodies in flight, default 256 MiB, at least MaxBody

	// UploadIdle is how long nothing may come of a registry file before it is given
	// up, default 60 s. The time limits of the server do not count for it.
	UploadIdle time.Duration
}

// API serves the routes.
type API struct {
	store   *store.Store
	auth    *auth.Service
	intake  *intake.Service
	scrub   *scrub.Service
	ready   func() error
	warn    func() []string // nil for none
	metrics http.Handler    // nil for none
	web     web.Adapter
	bodies  web.Bodies
	idle    time.Duration // of uploads
	seen    campaignsSeen

	evidence chan struct{} // holds one for each answer of evidence that is being made
}

// New returns an API.
func New(c Config) *API {
	if c.MaxBody <= 0 {
		c.MaxBody = web.DefaultMaxBody
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = web.DefaultMaxInFlight
	}
	c.MaxInFlight = max(c.MaxInFlight, c.MaxBody) // or the largest body would never get in
	if c.UploadIdle <= 0 {
		c.UploadIdle = web.DefaultIdle
	}
	return &API{
		idle:  c.UploadIdle,
		store: c.Store, auth: c.Auth, intake: c.Intake, scrub: c.Scrub, ready: c.Ready, warn: c.Warnings, metrics: c.Metrics,
		web:    web.Adapter{Log: c.Log.With("component", "api"), Observe: c.Observe},
		bodies: web.Bodies{Max: c.MaxBody, MaxInFlight: c.MaxInFlight},

		evidence: make(chan struct{}, maxEvidenceReaders),
	}
}

// call is one authenticated request.
type call struct {
	w        http.ResponseWriter
	r        *http.Request
	key      *saaf.Key
	campaign saaf.Campaign // set where the path names one; of one that is expected only the id
	expected bool          // the campaign was not read, see [API.expectCampaign]
}

// by names the caller for the evidence.
func (c *call) by() saaf.By {
	ev := web.EventOf(c.r.Context())
	return saaf.By{Request: saaf.MaskNumbers(ev.RequestID), Actor: ev.Key}
}

// serve checks, in the order of the contract: key, rate, scope, operator, campaign.
// The body and the state are the handler's.
func (a *API) serve(rt route) web.Handler {
	namesCampaign := strings.Contains(rt.path, "{campaign_id}")
	return func(w http.ResponseWriter, r *http.Request) error {
		ev := web.EventOf(r.Context())
		ev.Route = base + rt.path
		key, err := a.auth.Authenticate(r.Context(), r.Header.Get("Authorization"))
		if err != nil {
			return err
		}
		ev.Tenant, ev.Key = key.TenantID.String(), key.ID.String()
		remaining, err := a.auth.Take(r.Context(), key, time.Now())
		// Not through Set, which would spell them X-Ratelimit-...
		w.Header()["X-RateLimit-Limit"] = []string{strconv.Itoa(key.RateLimit)}
		w.Header()["X-RateLimit-Remaining"] = []string{strconv.Itoa(remaining)}
		if err != nil {
			return err
		}
		if err := auth.Require(key, rt.scope); err != nil {
			return err
		}
		if rt.who == operatorKeys {
			if err := auth.RequireOperator(key); err != nil {
				return err
			}
		}
		c := &call{w: w, r: r, key: key}
		if namesCampaign {
			id, ok := saaf.ParseID[saaf.CampaignID](r.PathValue("campaign_id"))
			if !ok {
				return saaf.ErrCampaignNotFound
			}
			if rt.judgesCampaign() {
				err = a.expectCampaign(c, id)
			} else {
				c.campaign, err = a.store.Campaign(r.Context(), key.TenantID, key.Environment, id)
			}
			if err != nil {
				return err
			}
		}
		err = rt.handle(a, c)
		if err != nil {
			if gone := a.confirmCampaign(c); gone != nil {
				return gone // goes before what is wrong with the body
			}
		}
		return err
	}
}

// body reads the body of the call as one JSON object. Call release when nothing
// of it is used any more.
func (a *API) body(c *call) (body web.Value, release func(), err error) {
	raw, release, err := a.bodies.Read(c.r)
	if err != nil {
		return nil, nil, err
	}
	if body, err = web.Parse(raw); err == nil && body.Kind() != web.Object {
		err = errNoObject()
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return body, release, nil
}

func errNoObject() error {
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: []saaf.FieldError{
		{Loc: []string{"body"}, Msg: "the body must be a JSON object", Type: "type_error.dict"}}}
}
