package dnd

import (
	"bytes"
	"errors"
	"slices"
)

// columns says in which column of a file, counted from 0, a field stands; absent
// for none. count is how many columns there are.
type columns struct {
	phone, preferences, opstype int
	count                       int
}

const absent = -1

// standard is the order of files without a header: service area code, phone
// number, preferences, opstype, phone type.
var standard = columns{phone: 1, preferences: 2, opstype: 3, count: 5}

// The names of columns in a header, in small letters and without what a header
// may vary. Those of the last list decide nothing but tell a header from a row.
var (
	phoneNames       = []string{"phonenumbers", "phonenumber", "phone", "mobilenumber", "mobile", "msisdn"}
	preferencesNames = []string{"preferences", "preference"}
	opstypeNames     = []string{"opstype", "optype"}
	otherNames       = []string{"serviceareacode", "servicearea", "phonetype"}
)

var (
	errNoPhoneColumn = errors.New("its header names no column Phone Numbers, or names it twice")
	errTwice         = errors.New("its header names the column Opstype or Preferences twice: which one counts cannot be told")
)

// header reads a line that names columns. ok is false when it names none, as no
// row of data does. Of two columns with one name none can be trusted.
func header(line []byte) (c columns, ok bool, err error) {
	c = columns{phone: absent, preferences: absent, opstype: absent}
	phones, twice := 0, false
	for i, more := 0, true; more; i++ {
		var field []byte
		field, line, more = cutField(line)
		c.count = i + 1
		name := columnName(field)
		switch {
		case slices.Contains(phoneNames, name):
			c.phone = i
			phones++
		case slices.Contains(preferencesNames, name):
			twice = twice || c.preferences != absent
			c.preferences = i
		case slices.Contains(opstypeNames, name):
			twice = twice || c.opstype != absent
			c.opstype = i
		case slices.Contains(otherNames, name):
		default:
			continue
		}
		ok = true
	}
	if ok && phones != 1 {
		return c, true, errNoPhoneColumn
	}
	if twice {
		return c, true, errTwice
	}
	return c, ok, nil
}

// columnName is a field of a header in small letters, without blanks, "_" and
// quotes.
func columnName(field []byte) string {
	return string(bytes.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '_', '"', '\'':
			return -1
		}
		return r
	}, bytes.ToLower(field)))
}

// fields are the fields of a row that matter. One is nil when the row has no such
// column, and empty when there is nothing in it.
type fields struct {
	phone, preferences, opstype []byte
}

// pick cuts the fields out of a line. surplus means that there is something behind
// the last column: two rows that have run into one.
func (c columns) pick(line []byte) (f fields, surplus bool) {
	for i, more := 0, true; more; i++ {
		var field []byte
		field, line, more = cutField(line)
		surplus = surplus || i >= c.count && len(field) > 0
		switch i {
		case c.phone:
			f.phone = field
		case c.preferences:
			f.preferences = field
		case c.opstype:
			f.opstype = field
		}
	}
	return f, surplus
}

// cutField cuts the first field off a line, without the blanks and the quotes
// around it. Quotes that do not fit stay in the field, and the field ends at the
// next comma: what is in it is unreadable then, what stands behind it is not.
func cutField(line []byte) (field, rest []byte, more bool) {
	start := len(line) - len(bytes.TrimLeft(line, blanks))
	if start < len(line) && line[start] == '"' {
		if end := closingQuote(line, start+1); end > 0 {
			after := bytes.TrimLeft(line[end+1:], blanks)
			if len(after) == 0 {
				return trim(line[start+1 : end]), nil, false
			}
			if after[0] == ',' {
				return trim(line[start+1 : end]), after[1:], true
			}
		}
	}
	field, rest, more = bytes.Cut(line, comma)
	return trim(field), rest, more
}

// closingQuote finds the quote that ends a field which begins at from; two quotes
// stand for one inside. It is -1 when there is none.
func closingQuote(line []byte, from int) int {
	for i := from; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		if i+1 == len(line) || line[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}

// blanks is white space inside a line.
const blanks = " \t\r"

var comma = []byte{','}

// trim is text without the blanks around it, never nil.
func trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r') {
		text = text[1:]
	}
	for n := len(text); n > 0 && (text[n-1] == ' ' || text[n-1] == '\t' || text[n-1] == '\r'); n-- {
		text = text[:n-1]
	}
	return text
}
