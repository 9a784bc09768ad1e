package web

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"saaf"
)

// Handler answers a request or returns why it did not.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Event is what is known of a request when it ends: one line of the log.
// Handlers fill in what they learn.
type Event struct {
	RequestID string
	Tenant    string
	Key       string
	Route     string
	ErrorCode string
}

type eventKey struct{}

// EventOf is the event of the request that ctx belongs to; outside of one it is
// a fresh event that nobody reads.
func EventOf(ctx context.Context) *Event {
	if ev, ok := ctx.Value(eventKey{}).(*Event); ok {
		return ev
	}
	return new(Event)
}

// Adapter turns handlers that return errors into what net/http serves.
type Adapter struct {
	Log *slog.Logger

	// Observe is told of every request that has ended, from the goroutine that
	// served it. Route is "" for a path that no handler claimed. nil is not told.
	Observe func(method, route string, status int, took time.Duration)
}

// Handle answers errors of h in the public shape.
func (a *Adapter) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			writeError(w, r, a.Log, err)
		}
	})
}

// Wrap gives every request an id, survives a handler that panics, and logs one
// event when the request has ended.
func (a *Adapter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ev := &Event{RequestID: requestID(r.Header.Get("X-Request-Id"))}
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, ev))
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", ev.RequestID)
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				a.Log.ErrorContext(r.Context(), "handler panicked", "request_id", ev.RequestID, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeError(rec, r, a.Log, fmt.Errorf("panic: %v", p))
					p = nil
				}
			}
			took := time.Since(start)
			if a.Observe != nil {
				a.Observe(r.Method, ev.Route, rec.status, took)
			}
			a.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
				slog.String("method", r.Method), slog.String("route", ev.Route), slog.Int("status", rec.status),
				slog.Duration("took", took), slog.String("tenant", ev.Tenant), slog.String("key", ev.Key),
				slog.String("error_code", ev.ErrorCode), slog.String("request_id", saaf.MaskNumbers(ev.RequestID)))
			if p != nil {
				// Part of an answer is out. Cut the connection, so that nobody takes it for the whole.
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK // what net/http sends for a handler that wrote nothing
		}
	})
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// requestID keeps the caller's id if it is a sane one: 1 to 128 of
// [A-Za-z0-9._-]. Otherwise it makes one.
func requestID(sent string) string {
	if len(sent) == 0 || len(sent) > 128 {
		return "req_" + rand.Text()
	}
	for i := range len(sent) {
		c := sent[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return "req_" + rand.Text()
		}
	}
	return sent
}
