package web

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// FuzzParse holds Parse, Members and Elements against encoding/json: the same
// texts are accepted, and every value is found with its exact name and its exact
// bytes, duplicates included and in their order.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", " ", "null", " true\r\n", "false", "0", "-1.50e+10", `"a"`, `""`, `"\ud800\u0041\\\""`, "{}", "[]", "{ }", "[ ]",
		`{"a":1,"A":2,"a":3}`, `{"":"","\u0061":[{"b":null},[]],"c" : { "d" : [ 1 , 2 ] } }`,
		`[1,[2,[3,"]"]],{"}":"{"}]`, `{"phone":"९८७६५","metadata":{"n":123456789012345678901234567890,"m":1.10}}`,
		`{"a\"}":"b\\","c":["\\\"]",1],"\\":{"\"":"{"}}`,
		"{} {}", "{", `{"a"}`, `{"a":1,}`, "[1,]", "[1 2]", "01", "nul", "'a'", "\"\x01\"", "\"\xff\"", "\ufeff{}", "[\u00a01]",
		strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := bytes.Clone(body)
		v, err := Parse(body)
		deep := bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 10_000 // json.Valid gives up there
		if accept := utf8.Valid(body) && json.Valid(body); accept != (err == nil) && !deep {
			t.Fatalf("accepted %v: %v", err == nil, err)
		}
		if err != nil {
			if saaf.ErrorCode(err) != saaf.Malformed {
				t.Fatalf("%v has code %d", err, saaf.ErrorCode(err))
			}
			return
		}
		walk(t, v, bytes.Trim(sent, " \t\r\n"))
		if !bytes.Equal(body, sent) {
			t.Fatal("the body was changed")
		}
	})
}

// walk compares v and everything in it with what encoding/json makes of text.
func walk(t *testing.T, v Value, text []byte) {
	t.Helper()
	if !bytes.Equal(v, text) {
		t.Fatalf("the value is %q, want %q", v, text)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		t.Fatal(err)
	}
	kind := byte(Null)
	switch tok := first.(type) {
	case json.Delim:
		kind = byte(tok)
	case string:
		kind = String
		if v.Text() != tok {
			t.Fatalf("%q is the text %q, want %q", v, v.Text(), tok)
		}
	case json.Number:
		kind = Number
		if string(v) != tok.String() {
			t.Fatalf("the number is %q, want %q", v, tok)
		}
	case bool:
		if kind = False; tok {
			kind = True
		}
	}
	if v.Kind() != kind {
		t.Fatalf("%q has the kind %q, want %q", v, v.Kind(), kind)
	}
	if kind != String && v.Text() != "" {
		t.Fatalf("%q has the text %q", v, v.Text())
	}
	for name, member := range v.Members() {
		if kind != Object || !dec.More() {
			t.Fatalf("member %q in %q is not there", name, v)
		}
		want, err := dec.Token()
		if err != nil || name != want {
			t.Fatalf("the name is %q, want %q, %v", name, want, err)
		}
		walk(t, member, next(t, dec))
	}
	for el := range v.Elements() {
		if kind != Array || !dec.More() {
			t.Fatalf("element %q in %q is not there", el, v)
		}
		walk(t, el, next(t, dec))
	}
	if dec.More() {
		t.Fatalf("not all of %q was walked", v)
	}
}

func next(t *testing.T, dec *json.Decoder) json.RawMessage {
	t.Helper()
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                  "The body is empty; send one JSON object",
		" \r\n\t":           "The body is empty; send one JSON object",
		"{\"a\":\"\xe0\"}":  "The body is not valid UTF-8; encode it as UTF-8 and send it again",
		"\xff\xfe{\x00}":    "The body is not valid UTF-8; encode it as UTF-8 and send it again",
		"{} {}":             "The body is not one JSON value: invalid character '{' after top-level value",
		`{"phone":"1"`:      "The body is not one JSON value: unexpected end of JSON input",
		"phone=9876543210":  "The body is not one JSON value: invalid character 'p' looking for beginning of value",
		"\ufeff{}":          "The body is not one JSON value: invalid character 'ï' looking for beginning of value",
		"{'a': 1}":          "The body is not one JSON value: invalid character '\\'' looking for beginning of object key string",
		"{\"a\":\"\t\"}":    "The body is not one JSON value: invalid character '\\t' in string literal",
		`{"a":NaN}`:         "The body is not one JSON value: invalid character 'N' looking for beginning of value",
		"[1,2,]":            "The body is not one JSON value: invalid character ']' looking for beginning of value",
		"{\"a\":1}\x00":     "The body is not one JSON value: invalid character '\\x00' after top-level value",
		"// no\n{\"a\": 1}": "The body is not one JSON value: invalid character '/' looking for beginning of value",
	} {
		_, err := Parse([]byte(body))
		want := &saaf.Error{Code: saaf.Malformed, Word: "malformed", Message: want}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
	}
}

// There is no limit to nesting, as there is in encoding/json.
func TestParseDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1000, 10_000, 10_001, 1_000_000} {
		open, close := strings.Repeat(`[{"a":`, depth), strings.Repeat("}]", depth)
		v, err := Parse([]byte(open + "1" + close))
		if err != nil {
			t.Errorf("%d levels: %v", depth, err)
			continue
		}
		for range v.Elements() { // walks over all of it
		}
		for _, wrong := range []string{open + close, open + "1" + close[1:], open + "1" + close + "]"} {
			if _, err := Parse([]byte(wrong)); saaf.ErrorCode(err) != saaf.Malformed {
				t.Errorf("%d levels that do not close: %v", depth, err)
			}
		}
	}
}

func TestWalkingCanStop(t *testing.T) {
	t.Parallel()
	obj := Value(`{"a":1,"b":2}`)
	for name, v := range obj.Members() {
		if name != "a" || string(v) != "1" {
			t.Errorf("%q is %q", name, v)
		}
		break
	}
	for v := range Value(`[1,2]`).Elements() {
		if string(v) != "1" {
			t.Errorf("%q", v)
		}
		break
	}
}

// A value that somebody appends to must not write over what stands behind it in
// the body.
func TestPartsOfABodyAreSafeToAppendTo(t *testing.T) {
	t.Parallel()
	const body = `{"a":[1,2],"b":3}`
	v, err := Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range v.Members() {
		_ = append(member, "xxxx"...)
		for el := range member.Elements() {
			_ = append(el, "xxxx"...)
		}
	}
	if string(v) != body {
		t.Errorf("the body became %q", v)
	}
}

func TestMissingMemberIsNull(t *testing.T) {
	t.Parallel()
	var missing Value
	if missing.Kind() != Null || missing.Text() != "" {
		t.Errorf("kind %q, text %q", missing.Kind(), missing.Text())
	}
	for name := range missing.Members() {
		t.Errorf("member %q", name)
	}
	for el := range missing.Elements() {
		t.Errorf("element %q", el)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var n int
	if err := Value("7").Decode(&n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	for _, s := range []string{"7.5", `"7"`, "99999999999999999999", "{}"} {
		if err := Value(s).Decode(&n); err == nil {
			t.Errorf("%s became %d", s, n)
		}
	}
}

// Reading a body must take time in proportion to its length, however it nests.
func BenchmarkWalk(b *testing.B) {
	row := `{"phone":"9876543210","name":"Asha","metadata":{"plan":"pro","tags":["a","b"],"deep":{"x":[1,2,{"y":null}]}}}`
	body := []byte(`{"leads":[` + strings.Repeat(row+",", 499) + row + `]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		v, err := Parse(body)
		if err != nil {
			b.Fatal(err)
		}
		rows := 0
		for _, list := range v.Members() {
			for el := range list.Elements() {
				for range el.Members() {
					rows++
				}
			}
		}
		if rows != 1500 {
			b.Fatalf("%d members", rows)
		}
	}
}
