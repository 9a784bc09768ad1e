package dnd

import (
	"bytes"

	"saaf"
)

// row is one row of a registry file that names a number: the number, whether the
// row deletes it, and the id of its category set, packed into a word.
type row uint64

const rowDeletes row = 1 << setBits

func newRow(p saaf.Phone, deletes bool, set uint16) row {
	r := row(p)<<(setBits+1) | row(set)
	if deletes {
		r |= rowDeletes
	}
	return r
}

func (r row) deletes() bool { return r&rowDeletes != 0 }
func (r row) set() uint16   { return uint16(r & maxSets) }

func (r row) phone() saaf.Phone { return saaf.Phone(r >> (setBits + 1)) }

func (r row) head() int { return int(r.phone() / headSpan) }

// split is the head of the number and the number within it.
func (r row) split() (head int, n uint32) {
	p := uint64(r.phone())
	return int(p / headSpan), uint32(p % headSpan)
}

// Why a line is malformed as a whole.
const (
	ReasonLineTooLong      saaf.Reason = "line_too_long"     // over 4,096 bytes
	ReasonControlCharacter saaf.Reason = "control_character" // a line end of another kind, or no text at all
	ReasonTooManyFields    saaf.Reason = "too_many_fields"   // more than there are columns: two rows in one line
)

// controls are what must not be inside a line. Where lines end with a bare CR,
// what looks like one row is a whole file.
const controls = "\r\v\f\x00"

// parser reads the rows of one stream: a plain file, an unpacked one, a member of
// an archive. Once it has begun, every chunk can be read by a parser of its own.
type parser struct {
	sets      *setTable
	columns   columns
	line      int64 // how many lines were read
	begun     bool  // a line that is not blank was read
	counts    Counts
	malformed func(line int64, why saaf.Reason)
}

func newParser(sets *setTable, malformed func(line int64, why saaf.Reason)) *parser {
	return &parser{sets: sets, columns: standard, malformed: malformed}
}

// following is a parser for a chunk further on, whose lines it counts from 1.
func (p *parser) following() *parser {
	return &parser{sets: p.sets, columns: p.columns, begun: true}
}

// parse reads a chunk of whole lines, the last of which needs no end, and appends
// its rows. It fails only on a header that cannot be used; nothing can be read
// from the stream after that.
func (p *parser) parse(chunk []byte, rows []row) ([]row, error) {
	usual := p.columns == standard
	for len(chunk) > 0 {
		if usual {
			if phone, categories, deletes, length := ordinaryRow(chunk); length > 0 {
				chunk = chunk[length:]
				p.line++
				p.begun = true
				rows = append(rows, p.row(phone, deletes, Categories{low: categories}))
				continue
			}
		}
		line := chunk
		if end := bytes.IndexByte(chunk, '\n'); end >= 0 {
			line, chunk = chunk[:end], chunk[end+1:]
		} else {
			chunk = nil
		}
		p.line++
		r, ok, err := p.anyLine(line)
		if err != nil {
			return rows, err
		}
		if ok {
			rows = append(rows, r)
		}
		usual = p.columns == standard
	}
	return rows, nil
}

// row counts and packs a row. The categories of a deleted number say nothing.
func (p *parser) row(phone saaf.Phone, deletes bool, c Categories) row {
	p.counts.Rows++
	if deletes {
		p.counts.Deleted++
		return newRow(phone, true, 0)
	}
	p.counts.Active++
	if c.Empty() {
		return newRow(phone, false, 0)
	}
	p.counts.Partial++
	return newRow(phone, false, p.sets.id(c))
}

var byteOrderMark = []byte("\uFEFF")

// anyLine reads a line of any form. ok is false when it is not a row, or malformed.
func (p *parser) anyLine(line []byte) (r row, ok bool, err error) {
	if len(line) > maxLine {
		p.refuse(ReasonLineTooLong)
		return 0, false, nil
	}
	line = bytes.TrimPrefix(line, byteOrderMark) // also in the middle, where files were joined
	if bytes.ContainsAny(bytes.TrimRight(line, "\r"), controls) {
		p.refuse(ReasonControlCharacter)
		return 0, false, nil
	}
	if len(trim(line)) == 0 {
		p.counts.Blank++
		return 0, false, nil
	}
	begun := p.begun
	p.begun = true
	if !begun {
		c, isHeader, err := header(line)
		if err != nil {
			return 0, false, err
		}
		if isHeader {
			p.counts.Headers++
			p.columns = c
			return 0, false, nil
		}
	}
	f, surplus := p.columns.pick(line)
	phone, why := readPhone(f.phone)
	if surplus && why == saaf.ReasonNone {
		why = ReasonTooManyFields
	}
	if why == saaf.ReasonNone {
		return p.readRow(phone, f), true, nil
	}
	// Files that were joined bring their headers along.
	if c, isHeader, err := header(line); isHeader && err == nil && c == p.columns {
		p.counts.Headers++
		return 0, false, nil
	}
	p.refuse(why)
	return 0, false, nil
}

func (p *parser) refuse(why saaf.Reason) {
	p.begun = true
	p.counts.Rows++
	p.counts.Malformed++
	p.malformed(p.line, why)
}

// readRow reads what stands beside a phone. What it cannot read, it reads so that
// the number is blocked.
func (p *parser) readRow(phone saaf.Phone, f fields) row {
	deletes := false
	if f.opstype != nil { // without the column, rows add
		var known bool
		if deletes, known = readOpstype(f.opstype); !known {
			p.counts.UnknownOpstype++
		}
	}
	if deletes {
		return p.row(phone, true, Categories{})
	}
	c, ok := ParseCategories(f.preferences)
	if !ok {
		p.counts.UnreadablePreferences++
	}
	return p.row(phone, false, c)
}

func readOpstype(field []byte) (deletes, known bool) {
	if len(field) != 1 {
		return false, false
	}
	switch field[0] {
	case 'A', 'a':
		return false, true
	case 'D', 'd':
		return true, true
	}
	return false, false
}

// readPhone reads the phone of a row. Ten digits are taken as they stand, since
// the registry may know ranges that nobody else does; anything else is read like
// every other phone.
func readPhone(field []byte) (saaf.Phone, saaf.Reason) {
	if len(field) == 0 {
		return 0, saaf.ReasonPhoneMissing
	}
	if len(field) == 10 && field[0] != '0' {
		if n, ok := tenDigits(field); ok {
			return n, saaf.ReasonNone
		}
	}
	return saaf.PhonePolicy{FixedLines: true}.Parse(string(field))
}
