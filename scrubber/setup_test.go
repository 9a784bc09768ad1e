package scrubber

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"saaf"
)

// Numbers that the tests ask about, and a secret that they send.
const (
	ann    saaf.Phone = 6000000001
	bob    saaf.Phone = 6000000002
	cyd    saaf.Phone = 6000000003
	secret            = "Bearer swordfish"
)

const (
	clean   = saaf.NotRegistered
	full    = saaf.FullBlock
	partial = saaf.PartialBlock
	unknown = saaf.RegistryUnavailable
)

// listed is the mapping of answers like {"data": {"results": [{"number": "6000000001", "status": "ok"}]}}.
func listed() Response {
	return Response{
		Results: "data.results", Phone: "number", Verdict: "status",
		Clean:   []Scalar{{'"', "ok"}, {'t', "false"}, {'0', "0"}},
		Blocked: []Scalar{{'"', "dnd"}, {'t', "true"}, {'0', "1"}},
		Partial: []Scalar{{'"', "some"}},
	}
}

// keyed is the mapping of answers like {"6000000001": "ok"}.
func keyed() Response {
	r := listed()
	r.Results, r.Phone, r.Verdict = "", "", ""
	return r
}

// config is a configuration that asks url once, and patiently.
func config(url string) *Config {
	c := defaults()
	c.Name, c.Mode, c.URL = "tester", saaf.Beside, url
	c.Headers = map[string]saaf.Secret{"Authorization": secret}
	c.Timeout, c.Retries = 30*time.Second, 0
	c.Request.Body = json.RawMessage(`{"numbers": "$phones"}`)
	c.Response = listed()
	return &c
}

func newSource(t *testing.T, c *Config) *Source {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// asked reads the numbers of a request with the body of config.
func asked(t *testing.T, r *http.Request) []string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return numbers(t, body)
}

func numbers(t *testing.T, body []byte) []string {
	t.Helper()
	var req struct{ Numbers []string }
	if err := json.Unmarshal(body, &req); err != nil {
		t.Error(err)
	}
	return req.Numbers
}

// answer writes what listed reads: every number with the verdict of its last digit.
func answer(numbers []string) []byte {
	var b strings.Builder
	b.WriteString(`{"data": {"results": [`)
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte(',')
		}
		status := map[byte]string{'1': `"ok"`, '2': `"dnd"`, '3': `"some"`}[n[len(n)-1]]
		if status == "" {
			status = `"who knows"`
		}
		b.WriteString(`{"number": "` + n + `", "status": ` + status + `}`)
	}
	b.WriteString(`]}}`)
	return []byte(b.String())
}

// verdictOf is what answer says of a number.
func verdictOf(p saaf.Phone) saaf.VerdictReason {
	return map[saaf.Phone]saaf.VerdictReason{1: clean, 2: full, 3: partial}[p%10]
}

// checkQuiet fails when a text that goes to a log holds a number or the secret.
func checkQuiet(t *testing.T, text string) {
	t.Helper()
	for _, leak := range []string{"60000000", "swordfish"} {
		if strings.Contains(text, leak) {
			t.Errorf("%s in %q", leak, text)
		}
	}
}

func checkFound(t *testing.T, got []saaf.VerdictReason, want ...saaf.VerdictReason) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
