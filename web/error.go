package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"saaf"
)

// statuses is the one table from code to HTTP status.
var statuses = map[saaf.Code]int{
	saaf.Internal:        http.StatusInternalServerError,
	saaf.Malformed:       http.StatusBadRequest,
	saaf.Invalid:         http.StatusUnprocessableEntity,
	saaf.Unauthenticated: http.StatusUnauthorized,
	saaf.Forbidden:       http.StatusForbidden,
	saaf.NotFound:        http.StatusNotFound,
	saaf.Conflict:        http.StatusConflict,
	saaf.TooLarge:        http.StatusRequestEntityTooLarge,
	saaf.UnsupportedType: http.StatusUnsupportedMediaType,
	saaf.NotAllowed:      http.StatusMethodNotAllowed,
	saaf.RateLimited:     http.StatusTooManyRequests,
	saaf.Unavailable:     http.StatusServiceUnavailable,
}

// errorBody is the shape of every error. Code and request id are additions to
// the public documentation.
type errorBody struct {
	Detail    any    `json:"detail"` // a sentence, or a list of field errors for 422
	Code      string `json:"code"`
	LeadID    string `json:"lead_id,omitempty"`
	RequestID string `json:"request_id"`
}

// writeError answers with err in the public shape. An error that is not a
// [saaf.Error] is internal: it is logged in full and shown to nobody.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	ev := EventOf(r.Context())
	e, ok := errors.AsType[*saaf.Error](err)
	switch {
	case ok && e.Code != saaf.Internal:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &saaf.Error{Code: saaf.Unavailable, Word: "cancelled", Message: "The request was cancelled before it was done", RetryAfter: time.Second}
	default:
		log.ErrorContext(r.Context(), "request failed", "request_id", ev.RequestID, "error", err)
		e = &saaf.Error{Word: "internal", Message: "Internal error; tell the operator the request_id"}
	}
	ev.ErrorCode = e.Word

	body := errorBody{Detail: e.Message, Code: e.Word, RequestID: ev.RequestID}
	if len(e.Fields) > 0 {
		body.Detail = e.Fields
	}
	if e.LeadID != 0 {
		body.LeadID = e.LeadID.String()
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if len(e.Allow) > 0 {
		w.Header().Set("Allow", strings.Join(e.Allow, ", "))
	}
	if e.Code == saaf.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	WriteJSON(w, statuses[e.Code], body)
}

// WriteJSON encodes v and answers with it. It encodes before it writes the
// status, so that an answer is whole or not begun.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return WriteRaw(w, status, buf.Bytes())
}

// WriteRaw answers with JSON that is encoded already. An error of the connection
// is nobody's: the caller has gone.
func WriteRaw(w http.ResponseWriter, status int, body []byte) error {
	write(w, status, "application/json; charset=utf-8", body)
	return nil
}

// WritePage answers with an HTML page that needs nothing but itself: a browser
// runs no script in it and fetches nothing for it.
func WritePage(w http.ResponseWriter, page []byte) error {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	write(w, http.StatusOK, "text/html; charset=utf-8", page)
	return nil
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
