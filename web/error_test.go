package web

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// codes are the names of all codes, in their order.
func codes(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		if typ, ok := group.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); !ok || typ.Name != "Code" {
			continue
		}
		for _, spec := range group.Specs {
			names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
		}
	}
	return names
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"Internal": 500, "Malformed": 400, "Invalid": 422, "Unauthenticated": 401, "Forbidden": 403, "NotFound": 404,
		"Conflict": 409, "TooLarge": 413, "UnsupportedType": 415, "NotAllowed": 405, "RateLimited": 429, "Unavailable": 503,
	}
	got := map[string]int{}
	for code, name := range codes(t) {
		a := setup(t).get(func(http.ResponseWriter, *http.Request) error {
			return &saaf.Error{Code: saaf.Code(code), Word: "word", Message: "A sentence"}
		}, nil)
		got[name] = a.status
		if has := a.header.Get("WWW-Authenticate"); (has == "Bearer") != (name == "Unauthenticated") {
			t.Errorf("%s: WWW-Authenticate is %q", name, has)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShapeOfErrors(t *testing.T) {
	t.Parallel()
	field := func(names ...string) saaf.FieldError {
		return saaf.FieldError{Loc: names, Msg: "is <wrong> & \"bad\"", Type: "value_error.x"}
	}
	for name, tc := range map[string]struct {
		err  error
		body string
	}{
		"sentence": {
			saaf.ErrCampaignNotFound,
			`{"detail":"Campaign not found","code":"not_found","request_id":"r1"}`},
		"wrapped": {
			fmt.Errorf("push: %w", fmt.Errorf("add: %w", saaf.ErrCampaignNotFound)),
			`{"detail":"Campaign not found","code":"not_found","request_id":"r1"}`},
		"one field": {
			&saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: []saaf.FieldError{field("body", "phone")}},
			`{"detail":[{"loc":["body","phone"],"msg":"is <wrong> & \"bad\"","type":"value_error.x"}],"code":"invalid","request_id":"r1"}`},
		"fields": {
			&saaf.Error{Code: saaf.Invalid, Word: "invalid", Message: "not shown", Fields: []saaf.FieldError{field("body"), field("query", "a", "b")}},
			`{"detail":[{"loc":["body"],"msg":"is <wrong> & \"bad\"","type":"value_error.x"},{"loc":["query","a","b"],"msg":"is <wrong> & \"bad\"","type":"value_error.x"}],"code":"invalid","request_id":"r1"}`},
		"lead": {
			&saaf.Error{Code: saaf.Conflict, Word: "duplicate", Message: "It is there", LeadID: 1},
			`{"detail":"It is there","code":"duplicate","lead_id":"lead_0000000000001","request_id":"r1"}`},
		"cause": {
			&saaf.Error{Code: saaf.Unavailable, Word: "overloaded", Message: "Try again", Err: errors.New("SECRET")},
			`{"detail":"Try again","code":"overloaded","request_id":"r1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t).get(func(http.ResponseWriter, *http.Request) error { return tc.err }, http.Header{"X-Request-Id": {"r1"}})
			if diff := cmp.Diff(tc.body+"\n", a.body); diff != "" {
				t.Error(diff)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", "Content-Length": fmt.Sprint(len(a.body)),
				"X-Request-Id": "r1", "Retry-After": "", "Allow": "",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// An error that nobody classified is logged in full and shown to nobody.
func TestInternalErrorsAreNotShown(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain":      errors.New("open /var/lib/SECRET: no such file"),
		"wrapped":    fmt.Errorf("store: %w", errors.New("SECRET")),
		"classified": &saaf.Error{Code: saaf.Internal, Word: "SECRET", Message: "SECRET", LeadID: 1},
		"fields":     &saaf.Error{Fields: []saaf.FieldError{saaf.BodyField("SECRET", "SECRET", "SECRET")}, Allow: []string{"SECRET"}, RetryAfter: time.Second},
		"with cause": &saaf.Error{Message: "SECRET", Err: errors.New("SECRET")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a := b.get(func(http.ResponseWriter, *http.Request) error { return err }, http.Header{"X-Request-Id": {"r1"}})
			const want = `{"detail":"Internal error; tell the operator the request_id","code":"internal","request_id":"r1"}` + "\n"
			if a.status != 500 || a.body != want {
				t.Errorf("%d %s", a.status, a.body)
			}
			for name, values := range a.header {
				if strings.Contains(strings.Join(values, " "), "SECRET") {
					t.Errorf("%s is %q", name, values)
				}
			}
			logged := b.log.events(t, "request failed")
			if len(logged) != 1 || logged[0]["error"] != err.Error() || logged[0]["request_id"] != "r1" || logged[0]["level"] != "ERROR" {
				t.Errorf("logged %v", logged)
			}
		})
	}
}

// A caller that went away is not a fault of ours.
func TestCancelledRequests(t *testing.T) {
	t.Parallel()
	for _, err := range []error{context.Canceled, fmt.Errorf("read: %w", context.DeadlineExceeded)} {
		b := setup(t)
		a := b.get(func(http.ResponseWriter, *http.Request) error { return err }, nil)
		if a.status != 503 || a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, `"code":"cancelled"`) {
			t.Errorf("%v: %+v", err, a)
		}
		if logged := b.log.events(t, "request failed"); len(logged) > 0 {
			t.Errorf("%v is logged as an error: %v", err, logged)
		}
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{
		0:                                 "",
		-time.Second:                      "",
		time.Nanosecond:                   "1",
		time.Second - time.Nanosecond:     "1",
		time.Second:                       "1",
		time.Second + time.Nanosecond:     "2",
		59*time.Second + time.Millisecond: "60",
		time.Minute:                       "60",
	} {
		a := setup(t).get(func(http.ResponseWriter, *http.Request) error {
			return &saaf.Error{Code: saaf.RateLimited, Word: "rate_limited", Message: "Rate limit exceeded", RetryAfter: after}
		}, nil)
		if got := a.header.Get("Retry-After"); got != want {
			t.Errorf("%v: %q, want %q", after, got, want)
		}
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	a := setup(t).get(func(http.ResponseWriter, *http.Request) error {
		return &saaf.Error{Code: saaf.NotAllowed, Word: "method_not_allowed", Message: "No", Allow: []string{"GET", "HEAD", "POST"}}
	}, nil)
	if got := a.header.Get("Allow"); a.status != 405 || got != "GET, HEAD, POST" {
		t.Errorf("%d %q", a.status, got)
	}
}

// An answer is whole or not begun.
func TestWriteJSONThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	a := setup(t).get(func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusOK, map[string]any{"a": 1, "b": math.NaN()})
	}, nil)
	if a.status != 500 || !strings.HasPrefix(a.body, `{"detail":"Internal error`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	a := setup(t).get(func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusCreated, map[string]string{"name": "<Tom & Jerry>"})
	}, nil)
	if a.status != 201 || a.body != "{\"name\":\"<Tom & Jerry>\"}\n" || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("%+v", a)
	}
}
