package api

import (
	"net/http"
	"time"

	"saaf"
	"saaf/web"
)

// healthz is 200 while the process runs.
func (a *API) healthz(w http.ResponseWriter, r *http.Request) error {
	web.EventOf(r.Context()).Route = "/healthz"
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz is 200 as soon as a push would be stored durably. A missing or stale
// registry does not make it 503: leads are taken and wait unchecked. Nor does a full disk:
// what is read is answered, and another server of the store would find no more room.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) error {
	web.EventOf(r.Context()).Route = "/readyz"
	if err := a.ready(); err != nil {
		return &saaf.Error{Code: saaf.Unavailable, Word: "not_ready", Message: "Not ready: " + err.Error(), RetryAfter: time.Second}
	}
	st := a.scrub.Status(time.Now())
	warnings := st.Warnings
	if a.warn != nil {
		warnings = append(a.warn(), warnings...)
	}
	if warnings == nil {
		warnings = []string{}
	}
	ready := map[string]any{
		"status": "ready",
		"registry": map[string]any{
			"state":          st.State,
			"id":             nullable(st.ID),
			"effective_date": nullable(st.EffectiveDate),
			"age_days":       ageDays(st.State, st.Age),
		},
		"warnings": warnings,
	}
	if st.Source != nil {
		ready["source"] = showSource(st.Source)
	}
	return web.WriteJSON(w, http.StatusOK, ready)
}

// showMetrics is what the process counts, for whoever watches it.
func (a *API) showMetrics(w http.ResponseWriter, r *http.Request) error {
	web.EventOf(r.Context()).Route = "/metrics"
	a.metrics.ServeHTTP(w, r)
	return nil
}

// nullable is nil for the zero value, so that it is written as null.
func nullable[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// ageDays is whole days, null when there is no registry.
func ageDays(state string, age time.Duration) any {
	if state == "none" {
		return nil
	}
	return int(age / (24 * time.Hour))
}
