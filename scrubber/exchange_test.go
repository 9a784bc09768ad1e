package scrubber

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	for format, want := range map[PhoneFormat]string{
		National: `{"a":{"list":["6000000001","6000000002"],"<":null},"z":[1.50,true,"x"]}`,
		E164:     `{"a":{"list":["+916000000001","+916000000002"],"<":null},"z":[1.50,true,"x"]}`,
		Plain91:  `{"a":{"list":["916000000001","916000000002"],"<":null},"z":[1.50,true,"x"]}`,
	} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got := map[string]string{
				"line": r.Method + " " + r.RequestURI, "body": strings.ReplaceAll(string(body), `\u003c`, "<"), "type": r.Header.Get("Content-Type"),
				"auth": r.Header.Get("Authorization"), "agent": r.UserAgent(), "encoding": r.Header.Get("Accept-Encoding"),
			}
			if diff := cmp.Diff(map[string]string{
				"line": "PUT /v1/check?kind=voice", "body": want, "type": "application/json",
				"auth": secret, "agent": "saaf", "encoding": "",
			}, got); diff != "" {
				t.Error(diff)
			}
			write(good)(w, r)
		})
		c := config(srv.URL + "/v1/check?kind=voice")
		c.Method = "PUT"
		c.Request = Request{Phone: format, Body: json.RawMessage(`{ "a": {"list": "$phones", "<": null}, "z": [1.50, true, "x"] }`)}
		found, err := newSource(t, c).Check(t.Context(), []saaf.Phone{ann, bob, ann})
		if err != nil {
			t.Error(err)
		}
		checkFound(t, found, clean, full, clean)
	}
}

// What may get well by itself is asked again, everything else is not.
func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	handlers := map[string]http.HandlerFunc{"closed": raw(""), "cut": raw(head(len(good)+1) + good)}
	again := map[string]bool{"closed": true, "cut": true}
	for _, status := range []int{408, 429, 500, 502, 503, 504, 599} {
		again[http.StatusText(status)] = true
		handlers[http.StatusText(status)] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, status := range []int{201, 204, 302, 400, 401, 403, 404, 413, 422} {
		handlers[http.StatusText(status)] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	handlers["no JSON"] = write("{")
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			c := config(serve(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					h(w, r)
					return
				}
				write(good)(w, r)
			}).URL)
			c.Retries = 1
			s := newSource(t, c)
			found, err := s.Check(t.Context(), []saaf.Phone{ann})
			if again[name] {
				// The good answer also names bob, who was not asked for.
				if err == nil || !strings.Contains(err.Error(), "not asked") {
					t.Error(err)
				}
				found, err = s.Check(t.Context(), []saaf.Phone{ann, bob})
				checkFound(t, found, clean, full)
				if err != nil || requests.Load() != 3 || s.State().Retries != 1 {
					t.Errorf("%d requests, %v", requests.Load(), err)
				}
				return
			}
			checkFound(t, found, unknown)
			if err == nil || requests.Load() != 1 {
				t.Errorf("%d requests, %v", requests.Load(), err)
			}
		})
	}
}

// A server that asks to wait longer than there is time is not waited for.
func TestRetryAfterBeyondTheTimeout(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	c := config(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}).URL)
	c.Retries = 5
	found, err := newSource(t, c).Check(t.Context(), []saaf.Phone{ann})
	checkFound(t, found, unknown)
	if err == nil || requests.Load() != 1 {
		t.Errorf("%d requests, %v", requests.Load(), err)
	}
}

// Bytes that follow an answer are read by nobody: the connection ends with it.
func TestNoConnectionIsKept(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(write(good))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	s := newSource(t, config(srv.URL))
	for range 3 {
		if _, err := s.Check(t.Context(), []saaf.Phone{ann, bob}); err != nil {
			t.Error(err)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("3 requests over %d connections", n)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(write(good))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes that fail are meant to
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(srv.Certificate())
	plain := serve(t, write(good))
	overPlain := strings.Replace(plain.URL, "http:", "https:", 1)
	for name, c := range map[string]struct {
		url  string
		tls  *tls.Config
		says string // what the error says; empty where there is none
	}{
		"trusted":      {srv.URL, &tls.Config{RootCAs: trusted}, ""},
		"not trusted":  {srv.URL, nil, "nobody whom this machine trusts"},
		"another host": {srv.URL, &tls.Config{RootCAs: trusted, ServerName: "scrub.example.org"}, "for another host"},
		"expired": {srv.URL, &tls.Config{RootCAs: trusted, Time: func() time.Time { return time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC) }},
			"expired"},
		"no TLS":      {overPlain, nil, "no TLS connection"},
		"old version": {srv.URL, &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS12}, "no TLS connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := config(c.url)
			client, err := newClient(conf)
			if err != nil {
				t.Fatal(err)
			}
			client.http.Transport.(*http.Transport).TLSClientConfig = c.tls
			s := newSource(t, conf)
			s.exchange = client.exchange
			found, err := s.Check(t.Context(), []saaf.Phone{ann, bob})
			if c.says == "" {
				checkFound(t, found, clean, full)
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkFound(t, found, unknown, unknown)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

// The circuit in front of a whole source, with the clock of a bubble.
func TestSourceLeavesAFailingCheckerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("https://scrub.example.com")
		c.Breaker = Breaker{Failures: 3, CoolDown: 30 * time.Second}
		s := newSource(t, c)
		down, requests := true, 0
		s.exchange = func(_ context.Context, body []byte) ([]byte, error) {
			requests++
			if down {
				return []byte("<html>"), nil
			}
			return answer(numbers(t, body)), nil
		}
		check := func(want saaf.VerdictReason, circuit Circuit, total int) {
			t.Helper()
			found, err := s.Check(t.Context(), []saaf.Phone{ann})
			checkFound(t, found, want)
			if (err == nil) != (want == clean) || s.State().Circuit != circuit || requests != total {
				t.Errorf("circuit %s, want %s, after %d requests, want %d: %v", s.State().Circuit, circuit, requests, total, err)
			}
		}
		check(unknown, Closed, 1)
		check(unknown, Closed, 2)
		check(unknown, Open, 3)
		check(unknown, Open, 3)
		time.Sleep(30 * time.Second)
		check(unknown, Open, 4)
		time.Sleep(30 * time.Second)
		down = false
		check(clean, Closed, 5)
		st := s.State()
		want := State{Circuit: Closed, LastAnswerAt: time.Now(), LastErrorAt: time.Now().Add(-30 * time.Second),
			LastError: "the answer is not one whole JSON value in UTF-8", Batches: 5, Failed: 4, NotAsked: 1, Clean: 1, Unknown: 5}
		if diff := cmp.Diff(want, st); diff != "" {
			t.Error(diff)
		}
	})
}
