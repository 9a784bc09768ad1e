package scrubber

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// example is the documented configuration, and the directory of its secret.
func example(t *testing.T) (text, dir string) {
	t.Helper()
	b, err := os.ReadFile("../docs/scrubber.example.json")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	save(t, filepath.Join(dir, "scrubber.key"), secret+"\n")
	return string(b), dir
}

func save(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	text, dir := example(t)
	name := filepath.Join(dir, "scrubber.json")
	save(t, name, text)
	got, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	got.Request.Body = json.RawMessage(strings.Join(strings.Fields(string(got.Request.Body)), ""))
	want := &Config{
		Name: "aggregator", Mode: saaf.Beside, URL: "https://scrub.example.com/v1/check", Method: "POST",
		Headers: map[string]saaf.Secret{"Authorization": secret, "X-Client": "saaf"},
		Batch:   100, Parallel: 2, Timeout: 5 * time.Second, Retries: 2,
		Breaker: Breaker{Failures: 5, CoolDown: 30 * time.Second}, MaxAge: 24 * time.Hour,
		Request: Request{Phone: National, Body: json.RawMessage(`{"channel":"voice","numbers":"$phones"}`)},
		Response: Response{Results: "data.results", Phone: "number", Verdict: "status",
			Clean: []Scalar{{'"', "not_registered"}}, Blocked: []Scalar{{'"', "fully_blocked"}}, Partial: []Scalar{{'"', "partially_blocked"}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Scalar{})); diff != "" {
		t.Error(diff)
	}
	asJSON, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(asJSON), fmt.Sprintf("%v %+v %#v", got, got, *got)} {
		checkQuiet(t, text)
	}
}

// The members of the example that have a default say what it is.
func TestDefaults(t *testing.T) {
	t.Parallel()
	text, dir := example(t)
	full, err := parseConfig([]byte(text), dir)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"method", "batch", "parallel", "timeout", "retries", "breaker", "max_age", "allow_private"} {
		delete(members, name)
	}
	delete(members["request"].(map[string]any), "phone")
	short, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseConfig(short, dir)
	if err != nil {
		t.Fatal(err)
	}
	full.Request.Body, got.Request.Body = nil, nil
	if diff := cmp.Diff(full, got, cmp.AllowUnexported(Scalar{})); diff != "" {
		t.Error(diff)
	}
}

// mistakesTable changes the example; says is what the error must hold besides the
// member.
var mistakesTable = []struct{ old, new, member, says string }{
	{`"name": "aggregator",`, ``, "name", "write one word"},
	{`"aggregator"`, `"Two words"`, "name", "write one word"},
	{`"aggregator"`, `"file"`, "name", "registry file"},
	{`"aggregator"`, `7`, "name", "in quotes"},
	{`"name"`, `"Name"`, "Name", "no such setting"},
	{`"name"`, `"skip_check": true, "name"`, "skip_check", "no such setting"},
	{`"name"`, `"name": "other", "name"`, "", "twice"},
	{`"beside"`, `"off"`, "mode", `"instead"`},
	{`"beside"`, `true`, "mode", "in quotes"},
	{`https://scrub.example.com/v1/check`, ``, "url", "whole address"},
	{`https://scrub.example.com/v1/check`, `scrub.example.com`, "url", "whole address"},
	{`https://scrub.example.com/v1/check`, `https://:443/`, "url", "whole address"},
	{`https://scrub.example.com/v1/check`, `https:scrub.example.com`, "url", "whole address"},
	{`https://scrub.example.com/v1/check`, `https://%zz/`, "url", "whole address"},
	{`https:`, `http:`, "url", "use https"},
	{`https:`, `ftp:`, "url", "use https"},
	{`https://scrub.example.com`, `http://10.0.0.1`, "url", "use https"},
	{`https://scrub.example.com`, `http://localhost.example.com`, "url", "use https"},
	{`https://`, `https://user:swordfish@`, "url", "password"},
	{`v1/check`, `v1/check#top`, "url", "#"},
	{`scrub.example.com`, `169.254.169.254`, "url", "metadata"},
	{`scrub.example.com`, `[::ffff:169.254.169.254]`, "url", "metadata"},
	{`scrub.example.com`, `0.0.0.0`, "url", "reserved"},
	{`scrub.example.com`, `[fe80::1]:443`, "url", "link-local"},
	{`"POST"`, `"GET"`, "method", `"PUT"`},
	{`"X-Client"`, `"X Client"`, "headers", "not the name of a header"},
	{`"X-Client"`, `"Content-Length"`, "headers", "take Content-Length out"},
	{`"X-Client"`, `"host"`, "headers", "take host out"},
	{`"X-Client"`, `"authorization"`, "headers", "once"},
	{`"X-Client": "saaf"`, `"X-Client": ""`, "headers", "not empty"},
	{`"X-Client": "saaf"`, `"X-Client": "a\nswordfish"`, "headers", "one line"},
	{`"X-Client": "saaf"`, `"X-Client": 7`, "headers", "write a text"},
	{`"X-Client": "saaf"`, `"X-Client": {"file": "scrubber.key", "x": 1}`, "headers", "write a text"},
	{`"X-Client": "saaf"`, `"X-Client": {"file": ""}`, "headers", "write a text"},
	{`"X-Client": "saaf"`, `"X-Client": {"path": "scrubber.key"}`, "headers", "write a text"},
	{`{"file": "scrubber.key"}`, `{"file": "missing.key"}`, "headers", "missing.key"},
	{`{"file": "scrubber.key"}`, `{"file": "long.key"}`, "headers", "more than 8192 bytes"},
	{`{"file": "scrubber.key"}`, `{"file": "lines.key"}`, "headers", "one line"},
	{`{"file": "scrubber.key"}`, `{"file": "empty.key"}`, "headers", "not empty"},
	{`"batch": 100`, `"batch": 0`, "batch", "from 1 to 500; it is 0"},
	{`"batch": 100`, `"batch": 501`, "batch", "from 1 to 500"},
	{`"batch": 100`, `"batch": 1e2`, "batch", "whole number"},
	{`"batch": 100`, `"batch": "100"`, "batch", "whole number"},
	{`"batch": 100`, `"batch": null`, "batch", "whole number"},
	{`"parallel": 2`, `"parallel": 17`, "parallel", "from 1 to 16"},
	{`"5s"`, `"31s"`, "timeout", "30s"},
	{`"5s"`, `"0s"`, "timeout", "100ms"},
	{`"5s"`, `5`, "timeout", "duration"},
	{`"5s"`, `"5"`, "timeout", "duration"},
	{`"retries": 2`, `"retries": 6`, "retries", "from 0 to 5"},
	{`"retries": 2`, `"retries": -1`, "retries", "from 0 to 5"},
	{`"failures": 5`, `"failures": 0`, "breaker.failures", "from 1 to 100"},
	{`"failures": 5`, `"fails": 5`, "breaker.fails", "cool_down, failures"},
	{`"cool_down": "30s"`, `"cool_down": "2h"`, "breaker.cool_down", "1h"},
	{`{"failures": 5, "cool_down": "30s"}`, `false`, "breaker", "object of settings"},
	{`"24h"`, `"169h"`, "max_age", "168h"},
	{`"24h"`, `"-1h"`, "max_age", "1m"},
	{`"allow_private": false`, `"allow_private": "no"`, "allow_private", "true or false"},
	{`"phone": "national"`, `"phone": "local"`, "request.phone", `"e164"`},
	{`"$phones"`, `[]`, "request.body", `"$phones" once`},
	{`"$phones"`, `["$phones", "$phones"]`, "request.body", `"$phones" once`},
	{`"$phones"`, `["$phones", "$phone"]`, "request.body", "begin with $"},
	{`"numbers": "$phones"`, `"$phones": 1`, "request.body", `"$phones" once`},
	{`"numbers": "$phones"`, `"channel": "$phones"`, "request.body", "twice"},
	{`"body"`, `"text"`, "request.text", "no such setting"},
	{`"data.results"`, `"data..results"`, "response.results", "single dots"},
	{`"data.results"`, `"$.results."`, "response.results", "single dots"},
	{`"verdict": "status",`, ``, "response.verdict", "write the member"},
	{`"verdict": "status"`, `"verdict": "number"`, "response.verdict", "another member"},
	{`["not_registered"]`, `[]`, "response.clean", "at least one"},
	{`["not_registered"]`, `"not_registered"`, "response.clean", "write a list"},
	{`["not_registered"]`, `["not_registered", null]`, "response.clean", "write a list"},
	{`["not_registered"]`, `["not_registered", ["x"]]`, "response.clean", "write a list"},
	{`["not_registered"]`, `["not_registered", "\ud800"]`, "response.clean", "write a list"},
	{`["not_registered"]`, `[""]`, "response.clean", "left empty"},
	{`["fully_blocked"]`, `[]`, "response.blocked", "at least one"},
	{`["fully_blocked"]`, `["not_registered"]`, "response", `"not_registered" once`},
	{`["partially_blocked"]`, `["not_registered"]`, "response", `"not_registered" once`},
	{`"partial"`, `"default": "clean", "partial"`, "response.default", "no such setting"},
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	text, dir := example(t)
	save(t, filepath.Join(dir, "long.key"), strings.Repeat("swordfish", 1000))
	save(t, filepath.Join(dir, "lines.key"), "swordfish\nswordfish\n")
	save(t, filepath.Join(dir, "empty.key"), "\n")
	for _, m := range mistakesTable {
		if !strings.Contains(text, m.old) {
			t.Errorf("the example has no %s", m.old)
		}
		c, err := parseConfig([]byte(strings.Replace(text, m.old, m.new, 1)), dir)
		if err == nil || c != nil {
			t.Errorf("%s instead of %s is taken", m.new, m.old)
			continue
		}
		if !strings.HasPrefix(err.Error(), m.member) || !strings.Contains(err.Error(), m.says) {
			t.Errorf("%s instead of %s: %v", m.new, m.old, err)
		}
		checkQuiet(t, err.Error())
	}
}

// Every mistake is told, not only the first.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parseConfig([]byte(`{"batch": 900, "mode": "x"}`), "")
	for _, member := range []string{"name: ", "mode: ", "url: ", "batch: ", "request.body: ", "response.clean: ", "response.blocked: "} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+member) {
			t.Errorf("%q is not in %v", member, err)
		}
	}
	if _, err := New(&Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
}

func TestFilesThatAreNoConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "scrubber.json")
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "scrubber.json") {
		t.Error(err)
	}
	for _, text := range []string{"", "{", "[]", "null", `"x"`, "{} {}", "\xff", strings.Repeat(" ", maxConfigFile) + "{}"} {
		save(t, name, text)
		if c, err := Load(name); err == nil || c != nil {
			t.Errorf("%.20q is taken", text)
		}
	}
}

// The addresses of this machine may be asked over http.
func TestPlainHTTPForThisMachine(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://localhost:8090/x", "http://LOCALHOST", "http://127.0.0.1:1", "http://[::1]:8090/", "https://10.0.0.1", "https://[fd12::1]:8443/x"} {
		if err := config(url).Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAllowPrivate(t *testing.T) {
	t.Parallel()
	text, dir := example(t)
	c, err := parseConfig([]byte(strings.Replace(text, `"allow_private": false`, `"allow_private": true`, 1)), dir)
	if err != nil || !c.AllowPrivate {
		t.Errorf("%v, %v", c, err)
	}
}

// The example asks as its text promises.
func TestExampleAsks(t *testing.T) {
	t.Parallel()
	text, dir := example(t)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != secret {
			t.Errorf("Authorization: %s", got)
		}
		write(`{"data": {"results": [{"number": "6000000001", "status": "not_registered"}, {"number": "6000000002", "status": "fully_blocked"},
			{"number": "6000000003", "status": "partially_blocked"}]}}`)(w, r)
	})
	c, err := parseConfig([]byte(strings.Replace(text, "https://scrub.example.com", srv.URL, 1)), dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := newSource(t, c).Check(t.Context(), []saaf.Phone{cyd, bob, ann})
	if err != nil {
		t.Error(err)
	}
	checkFound(t, found, partial, full, clean)
}

// FuzzConfig reads any text as a configuration: what is taken is within its limits
// and makes requests that are JSON.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("../docs/scrubber.example.json")
	if err != nil {
		f.Fatal(err)
	}
	plain := strings.Replace(string(text), `{"file": "scrubber.key"}`, `"swordfish"`, 1)
	f.Add(plain)
	for _, m := range mistakesTable {
		f.Add(strings.Replace(plain, m.old, m.new, 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") || strings.Contains(text, `\u`) {
			return // no files of this machine
		}
		c, err := parseConfig([]byte(text), "")
		if err != nil {
			return
		}
		if _, err := New(c); err != nil {
			t.Fatal(err)
		}
		tpl, err := newTemplate(c.Request)
		if err != nil {
			t.Fatal(err)
		}
		if body := tpl.render([]saaf.Phone{ann, bob}); !json.Valid(body) || !strings.Contains(string(body), "6000000001") {
			t.Fatalf("%q", body)
		}
	})
}
