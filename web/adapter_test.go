package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

func ok(w http.ResponseWriter, _ *http.Request) error {
	return WriteRaw(w, http.StatusOK, []byte("{}\n"))
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`^req_[A-Z2-7]{26}$`)
	for sent, keep := range map[string]bool{
		"a":                                     true,
		"req-1.2_3":                             true,
		"ABCxyz0189":                            true,
		"...":                                   true,
		strings.Repeat("a", 128):                true,
		"":                                      false,
		strings.Repeat("a", 129):                false,
		"with space":                            false,
		"semi;colon":                            false,
		"quote\"":                               false,
		"<script>":                              false,
		"slash/":                                false,
		"/before-the-digits":                    false,
		"colon:":                                false,
		"at@":                                   false,
		"bracket[":                              false,
		"accent`":                               false,
		"brace{":                                false,
		"tab\t":                                 false,
		"hindi-\u0915":                          false,
		"nul\x00":                               false,
		"line\nbreak":                           false,
		"0a0b0c0d-0e0f-1011-1213-141516171819":  true,
		"0a0b0c0d-0e0f-1011-1213-141516171819 ": false,
	} {
		b := setup(t)
		seen := ""
		a := b.get(func(w http.ResponseWriter, r *http.Request) error {
			seen = EventOf(r.Context()).RequestID
			return ok(w, r)
		}, http.Header{"X-Request-Id": {sent}})
		got := a.header.Get("X-Request-Id")
		if keep && got != sent || !keep && !made.MatchString(got) {
			t.Errorf("%q became %q", sent, got)
		}
		if seen != got {
			t.Errorf("the handler saw %q, the caller %q", seen, got)
		}
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if one, two := b.get(ok, nil).header.Get("X-Request-Id"), b.get(ok, nil).header.Get("X-Request-Id"); one == two {
		t.Errorf("both are %q", one)
	}
}

func TestAccessEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	header := http.Header{"X-Request-Id": {"r1"}, "Authorization": {"Bearer yt_live_SECRET"}, "Cookie": {"c=SECRET"}}
	a := b.get(func(_ http.ResponseWriter, r *http.Request) error {
		ev := EventOf(r.Context())
		ev.Route, ev.Tenant, ev.Key = "/things/{id}", "ten_1", "key_1"
		return saaf.ErrCampaignNotFound
	}, header)
	if a.status != http.StatusNotFound {
		t.Error(a)
	}
	events := b.log.events(t, "request")
	if len(events) != 1 {
		t.Fatalf("%d events in %s", len(events), b.log)
	}
	if took, ok := events[0]["took"].(float64); !ok || took < 0 {
		t.Errorf("took %v", events[0]["took"])
	}
	delete(events[0], "took")
	delete(events[0], "time")
	want := map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "route": "/things/{id}", "status": 404.0,
		"tenant": "ten_1", "key": "key_1", "error_code": "not_found", "request_id": "r1",
	}
	if diff := cmp.Diff(want, events[0]); diff != "" {
		t.Error(diff)
	}
	for _, secret := range []string{"SECRET", "9876543210"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("%s is in the log: %s", secret, b.log)
		}
	}
}

func TestAccessEventHasTheStatusThatWasSent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		handler Handler
		status  float64
	}{
		"written": {func(w http.ResponseWriter, _ *http.Request) error { return WriteRaw(w, 201, nil) }, 201},
		"header alone": {func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(204)
			return nil
		}, 204},
		"twice": {func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(202)
			w.WriteHeader(500)
			return nil
		}, 202},
		"body alone": {func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "{}")
			return err
		}, 200},
		"nothing": {func(http.ResponseWriter, *http.Request) error { return nil }, 200},
		"error":   {func(http.ResponseWriter, *http.Request) error { return errors.New("broken") }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a := b.get(tc.handler, nil)
			if got := b.log.events(t, "request"); len(got) != 1 || got[0]["status"] != tc.status || float64(a.status) != tc.status {
				t.Errorf("logged %v, answered %d, want %v", got, a.status, tc.status)
			}
		})
	}
}

func TestPanicIsA500AndTheProcessLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.serve(func(w http.ResponseWriter, r *http.Request) error {
		switch r.URL.Path {
		case "/nil":
			var list []int
			_ = list[len(r.URL.Path)]
		case "/text":
			w.Header().Set("Content-Length", "7")
			panic("yt_live_SECRET at /var/lib/saaf")
		case "/uncomparable":
			panic([]int{1})
		}
		return ok(w, r)
	})
	for range 3 {
		for _, path := range []string{"/nil", "/text", "/uncomparable"} {
			a := send(t, s.URL+path, "", strings.NewReader(""), 0)
			want := `{"detail":"Internal error; tell the operator the request_id","code":"internal","request_id":"` + a.header.Get("X-Request-Id") + "\"}\n"
			if a.status != 500 || a.body != want {
				t.Errorf("%s: %d %s, want %s", path, a.status, a.body, want)
			}
		}
		if a := send(t, s.URL+"/fine", "", strings.NewReader(""), 0); a.status != 200 {
			t.Fatalf("afterwards %d %s", a.status, a.body)
		}
	}
	s.Close() // and with it, all events are logged
	panics := b.log.events(t, "handler panicked")
	if len(panics) != 9 {
		t.Fatalf("%d panics are logged", len(panics))
	}
	for _, event := range panics {
		stack, _ := event["stack"].(string)
		if event["request_id"] == "" || !strings.Contains(stack, "adapter_test.go") {
			t.Errorf("the log does not say where: %v", event)
		}
	}
	if events := b.log.events(t, "request"); len(events) != 12 || events[0]["status"] != 500.0 || events[0]["error_code"] != "internal" {
		t.Errorf("%v", events)
	}
}

// Half an answer must not look like a whole one.
func TestPanicInAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]any{"panic": "broken", "abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			s := b.serve(func(w http.ResponseWriter, r *http.Request) error {
				_, _ = io.WriteString(w, `{"items":[`)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				panic(p)
			})
			resp, err := http.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%q came as a whole answer", text)
			}
			s.Close()
			if events := b.log.events(t, "request"); len(events) != 1 {
				t.Errorf("%d events", len(events))
			}
			if n := len(b.log.events(t, "handler panicked")); (n == 1) != (p != http.ErrAbortHandler) {
				t.Errorf("%d panics are logged", n)
			}
		})
	}
}

func TestEventOutsideOfARequest(t *testing.T) {
	t.Parallel()
	EventOf(context.Background()).Route = "nobody reads this"
	if got := EventOf(context.Background()); *got != (Event{}) {
		t.Errorf("%+v", got)
	}
}

// What handlers are given is the connection: streaming needs its controller.
func TestRecorderUnwraps(t *testing.T) {
	t.Parallel()
	under := httptest.NewRecorder()
	if got := (&recorder{ResponseWriter: under}).Unwrap(); got != under {
		t.Errorf("%T", got)
	}
}

// Every request that has ended is told, also one whose handler panicked.
func TestObserve(t *testing.T) {
	t.Parallel()
	var told []string
	a := Adapter{Log: slog.New(slog.DiscardHandler), Observe: func(method, route string, status int, took time.Duration) {
		told = append(told, fmt.Sprintf("%s %s %d %v", method, route, status, took >= 0 && took < time.Minute))
	}}
	for _, h := range []Handler{
		func(w http.ResponseWriter, r *http.Request) error {
			EventOf(r.Context()).Route = "/here"
			return ok(w, r)
		},
		func(http.ResponseWriter, *http.Request) error { return saaf.ErrCampaignNotFound },
		func(http.ResponseWriter, *http.Request) error { panic("broken") },
	} {
		a.Wrap(a.Handle(h)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if diff := cmp.Diff([]string{"GET /here 200 true", "GET  404 true", "GET  500 true"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
