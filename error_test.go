package saaf

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  *Error
		want string
	}{
		{&Error{Message: "no such lead"}, "no such lead"},
		{&Error{Message: "cannot store", Err: io.ErrUnexpectedEOF}, "cannot store: unexpected EOF"},
		{InvalidField("name", "too long", "t"), "body.name: too long"},
		{&Error{Message: "hidden", Fields: []FieldError{BodyField("a", "one", "t"), BodyField("b.c", "two", "t")}, Err: io.EOF},
			"body.a: one; body.b.c: two: EOF"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestErrorCode(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	for _, tt := range []struct {
		err  error
		want Code
	}{
		{nil, Internal},
		{cause, Internal},
		{&Error{Message: "unclassified"}, Internal},
		{ErrLeadNotFound, NotFound},
		{fmt.Errorf("get lead: %w", ErrLeadNotFound), NotFound},
		{errors.Join(cause, fmt.Errorf("push: %w", &Error{Code: Unavailable, Err: cause})), Unavailable},
		{&Error{Code: Conflict, Err: ErrLeadNotFound}, Conflict}, // the outermost speaks
	} {
		if got := ErrorCode(tt.err); got != tt.want {
			t.Errorf("%v: code %d, want %d", tt.err, got, tt.want)
		}
	}
	if err := fmt.Errorf("push: %w", &Error{Err: cause}); !errors.Is(err, cause) {
		t.Errorf("%v hides its cause", err)
	}
}

func TestInvalidField(t *testing.T) {
	t.Parallel()
	err := InvalidField("calling_window.start", "before 09:00", "value_error.window")
	want := &Error{Code: Invalid, Word: "invalid", Fields: []FieldError{
		{Loc: []string{"body", "calling_window", "start"}, Msg: "before 09:00", Type: "value_error.window"}}}
	if diff := cmp.Diff(want, err); diff != "" {
		t.Error(diff)
	}
	b, jsonErr := json.Marshal(err.Fields)
	if jsonErr != nil || string(b) != `[{"loc":["body","calling_window","start"],"msg":"before 09:00","type":"value_error.window"}]` {
		t.Errorf("%s, %v", b, jsonErr)
	}
}

// reasonConstants reads the constants from the source, so that none is forgotten.
func reasonConstants(t *testing.T) (all []Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, Reason(value))
		}
		return true
	})
	return all
}

func TestReasonsAreComplete(t *testing.T) {
	t.Parallel()
	constants := reasonConstants(t)
	if !slices.Contains(constants, ReasonLength) || !slices.Contains(constants, ReasonDuplicate) {
		t.Fatalf("the source was not read: %q", constants)
	}
	for _, r := range constants {
		if entry, ok := reasons[r]; ok != (r != ReasonNone) || ok && (entry.msg == "" || entry.typ == "") {
			t.Errorf("reason %q: in the table %v, %+v", r, ok, entry)
		}
	}
	for r := range reasons {
		if !slices.Contains(constants, r) {
			t.Errorf("the table has %q, which is no constant", r)
		}
	}
}

// TestReasonTypes: the type of a refused phone is made of its reason.
func TestReasonTypes(t *testing.T) {
	t.Parallel()
	for _, r := range []Reason{ReasonLength, ReasonInvalidCharacter, ReasonInternational, ReasonServiceNumber,
		ReasonDigitCount, ReasonNotMobileRange, ReasonNotAssignedRange} {
		got := r.FieldError()
		want := FieldError{Loc: []string{"body", "phone"}, Msg: r.Message(), Type: "value_error.phone." + string(r)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", r, diff)
		}
	}
	for r, want := range map[Reason][]string{
		ReasonNotAnObject:    {"body"},
		ReasonNUL:            {"body"},
		ReasonMetadataDepth:  {"body", "metadata"},
		ReasonExternalIDType: {"body", "external_id"},
	} {
		if diff := cmp.Diff(want, r.FieldError().Loc); diff != "" {
			t.Errorf("%s: %s", r, diff)
		}
	}
}

// TestReasonMessages: a limit in a sentence is the limit in force.
func TestReasonMessages(t *testing.T) {
	t.Parallel()
	for r, limit := range map[Reason]int{
		ReasonNameLength: MaxName, ReasonEmailLength: MaxEmail, ReasonExternalIDLength: MaxExternalID,
		ReasonMetadataSize: MaxMetadataBytes, ReasonMetadataDepth: MaxMetadataDepth,
	} {
		if !strings.Contains(r.Message(), " "+strconv.Itoa(limit)+" ") {
			t.Errorf("%s: %q does not name %d", r, r.Message(), limit)
		}
	}
}

func TestReasonErr(t *testing.T) {
	t.Parallel()
	err := ReasonServiceNumber.Err()
	want := &Error{Code: Invalid, Word: "invalid", Fields: []FieldError{ReasonServiceNumber.FieldError()}}
	if diff := cmp.Diff(want, err); diff != "" {
		t.Error(diff)
	}
	if ErrorCode(err) != Invalid || !strings.HasPrefix(err.Error(), "body.phone: ") {
		t.Errorf("%v", err)
	}
}
