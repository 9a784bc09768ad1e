package api

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"saaf"
	"saaf/web"
)

// everyNumber reads phones on routes that ask about numbers or forbid them: the
// registry and opt-out lists hold fixed lines, whether leads may have them or not.
var everyNumber = saaf.PhonePolicy{FixedLines: true}

// fields reads the members of an object and collects what is wrong with them. A
// member that is given twice counts as its last value.
type fields struct {
	members map[string]web.Value
	ignored *ignoredMembers
	wrong   []saaf.FieldError
}

// fieldsOf finds the known members of obj and names the others in ignored.
func fieldsOf(obj web.Value, ignored *ignoredMembers, known ...string) *fields {
	f := &fields{members: make(map[string]web.Value, len(known)), ignored: ignored}
	for name, v := range obj.Members() {
		if slices.Contains(known, name) {
			f.members[name] = v
		} else {
			ignored.add(name)
		}
	}
	return f
}

// fields reads the body of the call. Call release when nothing of it is used any
// more.
func (a *API) fields(c *call, known ...string) (f *fields, release func(), err error) {
	body, release, err := a.body(c)
	if err != nil {
		return nil, nil, err
	}
	return fieldsOf(body, new(ignoredMembers), known...), release, nil
}

func (f *fields) fail(name, msg, typ string) {
	f.wrong = append(f.wrong, saaf.BodyField(name, msg, typ))
}

func (f *fields) err() error {
	if len(f.wrong) == 0 {
		return nil
	}
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: f.wrong}
}

// phone is a member that must be a phone, in every form a push takes.
func (f *fields) phone(name string) saaf.Phone {
	p, reason := phoneOf(f.members[name])
	if reason != saaf.ReasonNone {
		f.wrong = append(f.wrong, reason.FieldError())
	}
	return p
}

// phoneOf reads a phone, nil for none.
func phoneOf(v web.Value) (saaf.Phone, saaf.Reason) {
	switch {
	case v == nil:
		return 0, saaf.ReasonPhoneMissing
	case v.Kind() != web.String:
		return 0, saaf.ReasonPhoneType
	}
	return everyNumber.Parse(v.Text())
}

// reason is a member that must say why something is done.
func (f *fields) reason(name string) string {
	v := f.members[name]
	if v != nil && v.Kind() != web.String {
		f.fail(name, name+" must be a string", "type_error.str")
		return ""
	}
	text, wrong := saaf.CheckReason(name, v.Text())
	if wrong != nil {
		f.wrong = append(f.wrong, *wrong)
	}
	return text
}

// word is a string; there is false when it is missing or null.
func (f *fields) word(name string) (text string, there bool) {
	switch v := f.members[name]; v.Kind() {
	case web.Null:
	case web.String:
		return v.Text(), true
	default:
		f.fail(name, name+" must be a string or null", "type_error.str")
	}
	return "", false
}

// text is a string of at most limit characters, "" when it is missing or null.
func (f *fields) text(name string, limit int) string {
	text, _ := f.word(name)
	switch {
	case utf8.RuneCountInString(text) > limit:
		f.fail(name, fmt.Sprintf("ensure this value has at most %d characters", limit), "value_error.any_str.max_length")
	case strings.IndexByte(text, 0) >= 0:
		f.fail(name, "must not hold the character U+0000", "value_error.nul")
	default:
		return text
	}
	return ""
}

// future is a time after now, zero when it is missing or null.
func (f *fields) future(name string, now time.Time) time.Time {
	text, there := f.word(name)
	if !there {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	t = t.UTC().Truncate(time.Millisecond)
	switch {
	case err != nil || t.Year() > 9999: // which its offset can make of it
		f.fail(name, "ensure this value is a time in RFC 3339, for instance 2026-11-20T09:00:00Z, or null", "value_error.datetime")
	case !t.After(now):
		f.fail(name, "ensure this time is in the future, or leave it out: then it never ends", "value_error.datetime.past")
	default:
		return t
	}
	return time.Time{}
}

// list is a member that must be a list of at most limit of something.
func (f *fields) list(name, of string, limit int) (list []web.Value) {
	v := f.members[name]
	switch {
	case v == nil:
		f.fail(name, "field required", "value_error.missing")
		return nil
	case v.Kind() != web.Array:
		f.fail(name, name+" must be a list of "+of, "type_error.list")
		return nil
	}
	list = []web.Value{}
	for el := range v.Elements() {
		if len(list) == limit {
			f.fail(name, fmt.Sprintf("ensure this list has at most %d %s; send the rest in another request", limit, of), "value_error.list.max_items")
			return nil
		}
		list = append(list, el)
	}
	return list
}

// rowReason is what is wrong with a member as a row of a bulk answer says it:
// reason_missing, source_length, and for phones the words of a push.
func rowReason(f saaf.FieldError) saaf.Reason {
	field, kind := f.Loc[len(f.Loc)-1], f.Type[strings.LastIndexByte(f.Type, '.')+1:]
	switch {
	case strings.HasPrefix(f.Type, "value_error.phone."), kind == "nul":
		return saaf.Reason(kind)
	case kind == "enum":
		kind = "unknown"
	case kind == "max_length":
		kind = "length"
	case strings.HasPrefix(f.Type, "type_error."):
		kind = "type"
	}
	return saaf.Reason(field + "_" + kind)
}
