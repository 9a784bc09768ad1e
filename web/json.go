package web

import (
	"encoding/json"
	"errors"
	"iter"
	"unicode/utf8"

	"saaf"
)

// Value is one JSON value exactly as it was received. Values are made by [Parse]
// alone, which has checked the whole text, so that walking through one cannot
// fail. Member names are compared exactly, unlike encoding/json does, and values
// that are only passed on are never decoded.
type Value []byte

// Parse checks that body is UTF-8 and exactly one JSON value. The Value shares
// its memory.
func Parse(body []byte) (Value, error) {
	var s Scanner
	s.Reset(body)
	if v := s.Value(); s.Done() {
		return v, nil
	}
	return nil, s.Err()
}

// Err says why a text that was passed to its end, or up to where it is broken, is not
// one JSON value.
func (s *Scanner) Err() error {
	if !utf8.Valid(s.body) {
		return malformed("The body is not valid UTF-8; encode it as UTF-8 and send it again")
	}
	if skipSpace(s.body, 0) == len(s.body) {
		return malformed("The body is empty; send one JSON object")
	}
	var discard json.RawMessage
	err := json.Unmarshal(s.body, &discard)
	if err == nil {
		return errors.New("a body that is JSON was not read as such")
	}
	return malformed("The body is not one JSON value: " + err.Error())
}

func malformed(msg string) error {
	return &saaf.Error{Code: saaf.Malformed, Word: "malformed", Message: msg}
}

// The kinds of a value.
const (
	Object = '{'
	Array  = '['
	String = '"'
	Number = '0'
	True   = 't'
	False  = 'f'
	Null   = 'n'
)

// Kind is what the value is, Null for the empty Value, which stands for a member
// that is missing.
func (v Value) Kind() byte {
	if len(v) == 0 {
		return Null
	}
	switch c := v[0]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	}
	return Number
}

// Text decodes a String; invalid escapes of surrogates become U+FFFD. Other
// kinds give "".
func (v Value) Text() string {
	if v.Kind() != String {
		return ""
	}
	inner := v[1 : len(v)-1]
	if escaped(inner) < 0 {
		return string(inner)
	}
	return string(appendUnescaped(nil, inner))
}

// Members walks an Object in the order of its text, names decoded. A name that
// is there twice comes twice: for callers, the last one counts. Other kinds have
// no members.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for i := skipSpace(v, 1); v[i] != '}'; {
			end := endOfString(v, i)
			name := Value(v[i:end]).Text()
			i = skipSpace(v, end) // at the colon
			i = skipSpace(v, i+1) // at the value
			end = endOfValue(v, i)
			if !yield(name, Value(v[i:end:end])) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

// Elements walks an Array. Other kinds have no elements.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for i := skipSpace(v, 1); v[i] != ']'; {
			end := endOfValue(v, i)
			if !yield(Value(v[i:end:end])) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

// Decode reads the value into a Go value as encoding/json does. For small
// settings, not for what must come back byte for byte.
func (v Value) Decode(into any) error { return json.Unmarshal(v, into) }

// skipSpace is the index of what is not white space, from i on.
func skipSpace(b []byte, i int) int {
	const space = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r'
	for i < len(b) && b[i] <= ' ' && space>>b[i]&1 != 0 {
		i++
	}
	return i
}

// endOfString is the index behind the string that starts at i.
func endOfString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// endOfValue is the index behind the value that starts at i.
func endOfValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return endOfString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = endOfString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default:
		for ; i < len(b); i++ {
			if c := b[i]; c <= ' ' || c == ',' || c == ']' || c == '}' {
				break
			}
		}
		return i
	}
}
