package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"saaf"
	"saaf/store"
)

// rowsNow is when the rows of these tests are read.
var rowsNow = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// readRows reads a whole file into lines like 9876543210/reason/source/expiry, and
// problems.
func readRows(t *testing.T, text string) (rows []string, problems []rowProblem) {
	t.Helper()
	r, err := newSuppressionRows(strings.NewReader(text), store.NewSuppression{Reason: "asked", Source: "list"}, rowsNow)
	if err != nil {
		t.Fatal(err)
	}
	for {
		n, err := r.Next()
		problem, bad := errors.AsType[*rowProblem](err)
		switch {
		case err == io.EOF:
			return rows, problems
		case bad:
			problems = append(problems, *problem)
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, fmt.Sprintf("%s/%s/%s/%s", n.Phone.National(), n.Reason, n.Source, timeOrNothing(n.Expires)))
		}
	}
}

func TestSuppressionRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"defaults":              {"phone\n9876543210\n", "9876543210/asked/list/"},
		"no end, CRLF, BOM":     {"\ufeffPhone\r\n9876543210\r\n\r\n9876543211", "9876543210/asked/list/ 9876543211/asked/list/"},
		"columns in any order":  {"source,Expires_At,PHONE NUMBER,reason\ncall,2026-12-31,09876543210,no\n", "9876543210/no/call/2026-12-31T18:30:00.000Z"},
		"semicolons":            {"phone;reason\n9876543210;\"a;b\"\n", "9876543210/a;b/list/"},
		"tabs":                  {"phone\treason\n9876543210\tno\n", "9876543210/no/list/"},
		"short row":             {"phone,reason,source\n9876543210\n", "9876543210/asked/list/"},
		"quotes":                {"phone,reason\n\"+91 98765 43210\",\"said \"\"no\"\", twice\"\n", `9876543210/said "no", twice/list/`},
		"fixed line":            {"phone\n01123456789\n", "1123456789/asked/list/"},
		"numbers in the reason": {"phone,reason\n9876543210,calls from 9123456789\n", "9876543210/calls from xxxxxx6789/list/"},
		"open quote costs one":  {"phone,reason\n9876543210,\"open\n9876543211,x\n", "2! 9876543211/x/list/"},
		"long line costs one":   {"phone,reason\n9876543210," + strings.Repeat("x", 40_000) + "\n9876543211,x", "2! 9876543211/x/list/"},
		"long reason costs one": {"phone,reason\n9876543210," + strings.Repeat("x", 501) + "\n9876543211,x", "2! 9876543211/x/list/"},
		"long last line":        {"phone\n9876543210\n" + strings.Repeat("9", 20_000), "9876543210/asked/list/ 3!"},
		"latin-1 costs one":     {"phone,reason\n9876543210,caf\xe9\n9876543211,x", "2! 9876543211/x/list/"},
		"nothing in it":         {"phone,reason\n,why\n", "2!"},
		"not a phone":           {"phone\n12\n98765O3210\n", "2! 3!"},
		"too many columns":      {"phone,reason\n9876543210,a,b\n", "2!"},
		"over, or never":        {"phone,expires_at\n9876543210,2020-01-01\n9876543210,soon\n9876543210,\n", "2! 3! 9876543210/asked/list/"},
	} {
		rows, problems := readRows(t, c.text)
		var got []string
		for len(rows)+len(problems) > 0 {
			// Problems know their line; rows stand between them.
			if len(problems) > 0 && (len(rows) == 0 || problems[0].Line <= len(got)+2) {
				got, problems = append(got, fmt.Sprintf("%d!", problems[0].Line)), problems[1:]
				continue
			}
			got, rows = append(got, rows[0]), rows[1:]
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q\nwant %q", name, strings.Join(got, " "), c.want)
		}
	}
}

func TestSuppressionHeader(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "the file is empty",
		"\n9876543210\n":         "must name the columns",
		"9876543210\n":           "must name the columns",
		"reason,source\n":        "must name the columns",
		"phone,reason,number\n":  "two columns are the phone",
		"\xff\xfep\x00h\x00":     "is UTF-16",
		"phone,\"reason\n1\n":    "line 1: the header cannot be read",
		"phone,caf\xe9\n":        "line 1: the header cannot be read",
		strings.Repeat("x", 2e4): "line 1: the line has more than",
	} {
		_, err := newSuppressionRows(strings.NewReader(text), store.NewSuppression{}, rowsNow)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "",
		" 90d ":                     "2027-02-23T10:00:00.000Z",
		"2026-11-25":                "2026-11-25T18:30:00.000Z", // today still counts, in India
		"2027-01-31T18:00:00+05:30": "2027-01-31T12:30:00.000Z",
		"0d":                        "!", "-1d": "!", "d": "!", "99999d": "!", "2026-11-24": "!", "tomorrow": "!", "2026-11-25T10:00:00Z": "!", "9999-12-31": "9999-12-31T18:30:00.000Z", "9999-12-31T23:59:59-12:00": "!",
	} {
		got, err := parseExpiry(text, rowsNow)
		switch {
		case (err != nil) != (want == "!"):
			t.Errorf("%q: %v", text, err)
		case err == nil && timeOrNothing(got) != want:
			t.Errorf("%q is %s, want %s", text, timeOrNothing(got), want)
		}
	}
}

// FuzzSuppressionRows reads any bytes behind a header. Whatever they are, the row
// behind them is read, and no problem tells what was in a row.
func FuzzSuppressionRows(f *testing.F) {
	for _, s := range []string{"9876543210,a,b,\n", "\"", "\"a\nb\"", "9876543210,\"x\"\"y\",,2099-01-01", strings.Repeat("9", 17_000), "\xff\xfe", "\r\n\r\n", ",,,,", "９８７６５４３２１０"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, middle []byte) {
		const last = "9123456789"
		text := "phone,reason,source,expires_at\n" + string(middle) + "\n" + last + "\n"
		rows, problems := readRows(t, text)
		if len(rows) == 0 || !strings.HasPrefix(rows[len(rows)-1], last+"/asked/list/") {
			t.Fatalf("the last row was not read: %q", rows)
		}
		if lines := strings.Count(text, "\n"); len(rows)+len(problems) > lines-1 {
			t.Fatalf("%d rows and %d problems of %d lines", len(rows), len(problems), lines)
		}
		line := 1
		for _, p := range problems {
			if p.Line <= line {
				t.Fatalf("a problem of line %d comes after line %d", p.Line, line)
			}
			line = p.Line
			said := strings.ReplaceAll(p.Problem, saaf.ReasonLength.Message(), "") // which has an example
			if saaf.MaskNumbers(said) != said {
				t.Fatalf("the problem shows a number: %s", p.Problem)
			}
		}
	})
}
