package scrubber

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The configuration and the answers are walked by these few functions instead of
// being decoded into structs, because encoding/json folds the case of names, lets
// the last of two members win, and repairs broken text. Each of the three could
// turn a block into something else.

var (
	errNotJSON   = errors.New("is not one whole JSON value in UTF-8")
	errNotObject = errors.New("is not an object")
	errNotList   = errors.New("is not a list")
	errTwice     = errors.New("has the same member twice")
	errTooMany   = errors.New("has too many entries")
)

// maxEntries is how many entries an object or a list may have. Answers have one
// for each of at most 500 numbers; a body of millions of tiny ones would take many
// times its own size.
const maxEntries = 10_000

// parseJSON checks that text is UTF-8 and exactly one JSON value.
func parseJSON(text []byte) (json.RawMessage, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errNotJSON
	}
	return bytes.Trim(text, " \t\r\n"), nil
}

type member struct {
	name  string
	value json.RawMessage
}

// entriesOf lists the members of an object in the order of the text. A name that
// is there twice comes twice. v is a part of what parseJSON returned.
func entriesOf(v json.RawMessage) ([]member, error) {
	if len(v) == 0 || v[0] != '{' {
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(v))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)}
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		if all = append(all, m); len(all) > maxEntries {
			return nil, errTooMany
		}
	}
	return all, nil
}

// membersOf is entriesOf for objects in which no name may be there twice.
func membersOf(v json.RawMessage) ([]member, error) {
	all, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(all))
	for _, m := range all {
		if seen[m.name] {
			return nil, errTwice
		}
		seen[m.name] = true
	}
	return all, nil
}

// elementsOf lists the elements of an array.
func elementsOf(v json.RawMessage) ([]json.RawMessage, error) {
	if len(v) == 0 || v[0] != '[' {
		return nil, errNotList
	}
	dec := json.NewDecoder(bytes.NewReader(v))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var all []json.RawMessage
	for dec.More() {
		var e json.RawMessage
		if err := dec.Decode(&e); err != nil {
			return nil, err
		}
		if all = append(all, e); len(all) > maxEntries {
			return nil, errTooMany
		}
	}
	return all, nil
}

// path is a dot separated path to a value, cut at the dots. Empty, it is the value
// itself.
type path []string

func newPath(s string) path {
	if s == "" {
		return nil
	}
	return strings.Split(s, ".")
}

// find is the value at the end of the path, nil when a member is missing, is there
// twice, or is to be found in what is no object.
func (p path) find(v json.RawMessage) json.RawMessage {
	for _, name := range p {
		all, err := membersOf(v)
		if err != nil {
			return nil
		}
		v = nil
		for _, m := range all {
			if m.name == name {
				v = m.value
			}
		}
	}
	return v
}

// Scalar is one JSON string, number or boolean. Scalars compare with ==, exactly:
// 0 is not 0.0, "0" or false.
type Scalar struct {
	kind byte   // '"', '0', or 't' for both booleans
	text string // decoded for a string, as written for the others
}

// scalarOf reads a scalar; ok is false for null, lists, objects, what is missing,
// and strings that are no valid text.
func scalarOf(v json.RawMessage) (s Scalar, ok bool) {
	if len(v) == 0 {
		return Scalar{}, false
	}
	switch v[0] {
	case '{', '[', 'n':
		return Scalar{}, false
	case '"':
		var text string
		if err := json.Unmarshal(v, &text); err != nil || strings.ContainsRune(text, utf8.RuneError) {
			return Scalar{}, false
		}
		return Scalar{'"', text}, true
	case 't', 'f':
		return Scalar{'t', string(v)}, true
	}
	return Scalar{'0', string(v)}, true
}

// String is the scalar as JSON.
func (s Scalar) String() string {
	if s.kind != '"' {
		return s.text
	}
	quoted, _ := json.Marshal(s.text) // a string always has a form in JSON
	return string(quoted)
}
