package web

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// bundle is an adapter and its log.
type bundle struct {
	t   *testing.T
	log *logBuffer
	Adapter
}

func setup(t *testing.T) *bundle {
	t.Helper()
	log := new(logBuffer)
	return &bundle{t: t, log: log, Adapter: Adapter{Log: slog.New(slog.NewJSONHandler(log, nil))}}
}

// serve answers from h over a real connection, as the API does.
func (b *bundle) serve(h Handler) *httptest.Server {
	b.t.Helper()
	s := httptest.NewServer(b.Wrap(b.Handle(h)))
	b.t.Cleanup(s.Close)
	return s
}

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// get answers one request without a connection.
func (b *bundle) get(h Handler, header http.Header) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), "GET", "/thing?phone=9876543210", nil)
	maps.Copy(r.Header, header)
	rec := httptest.NewRecorder()
	b.Wrap(b.Handle(h)).ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// send sends one request over a real connection. Length -1 sends body in chunks.
// It may be called from any goroutine.
func send(t *testing.T, url, contentType string, body io.Reader, length int64) (a answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, body)
	if err != nil {
		t.Error(err)
		return a
	}
	r.ContentLength = length
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return a
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// logBuffer collects what is logged, one JSON object in each line.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// events are the lines with the message msg.
func (l *logBuffer) events(t *testing.T, msg string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if event["msg"] == msg {
			found = append(found, event)
		}
	}
	return found
}
