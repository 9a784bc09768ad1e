package scrubber

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"saaf"
)

// marker stands in the body of a request for the list of numbers.
const marker = "$phones"

// template is the body of a request, ready but for the list of numbers.
type template struct {
	before, after []byte
	format        PhoneFormat
}

// newTemplate cuts the body at the marker, which must be there once.
func newTemplate(r Request) (template, error) {
	t := template{format: r.Phone}
	body, err := parseJSON(r.Body)
	if err != nil {
		return t, errors.New(`write the JSON to send, with "$phones" in the place of the list of numbers, for instance {"numbers": "$phones"}`)
	}
	places := 0
	out, err := copyJSON(nil, body, func(out []byte) []byte {
		places++
		t.before = slices.Clone(out)
		return out
	})
	switch {
	case err != nil:
		return t, err
	case places != 1:
		return t, errors.New(`write "$phones" once, in the place of the list of numbers`)
	}
	t.after = out[len(t.before):]
	return t, nil
}

// copyJSON appends v to out without white space and calls atMarker in the place of
// the marker.
func copyJSON(out []byte, v json.RawMessage, atMarker func([]byte) []byte) ([]byte, error) {
	switch v[0] {
	case '{':
		all, err := membersOf(v)
		if err != nil {
			return nil, err
		}
		out = append(out, '{')
		for i, m := range all {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(append(out, Scalar{'"', m.name}.String()...), ':')
			if out, err = copyJSON(out, m.value, atMarker); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case '[':
		all, err := elementsOf(v)
		if err != nil {
			return nil, err
		}
		out = append(out, '[')
		for i, e := range all {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = copyJSON(out, e, atMarker); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	}
	switch s, _ := scalarOf(v); {
	case s == Scalar{'"', marker}:
		return atMarker(out), nil
	case s.kind == '"' && strings.HasPrefix(s.text, "$"):
		return nil, errors.New(`"$phones" is the only text that may begin with $`)
	}
	return append(out, v...), nil
}

// render is the body that asks about phones.
func (t *template) render(phones []saaf.Phone) []byte {
	out := make([]byte, 0, len(t.before)+len(t.after)+2+len(phones)*len(`"+919876543210",`))
	out = append(append(out, t.before...), '[')
	for i, p := range phones {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(t.format.appendTo(append(out, '"'), p), '"')
	}
	return append(append(out, ']'), t.after...)
}
