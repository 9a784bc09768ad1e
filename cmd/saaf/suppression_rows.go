package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"saaf"
	"saaf/store"
)

// suppressionRows reads opt-outs from a CSV file, a row on each line. It reads line
// by line and lets encoding/csv take each apart: a quote that somebody forgot to
// close then costs its own line and not the rest of the file.
type suppressionRows struct {
	in      *bufio.Reader
	entry   store.NewSuppression // what a row does not say itself
	now     time.Time
	line    int // the last one that was read, from 1
	comma   rune
	columns []string // what each column is, "" for one that is passed over
	unknown []string // names of columns that are passed over
}

// The columns of an opt-out file.
const (
	phoneColumn   = "phone"
	reasonColumn  = "reason"
	sourceColumn  = "source"
	expiresColumn = "expires_at"
)

// maxRowBytes is how long a line may be: the longest reason and source, quoted, with
// room to spare.
const maxRowBytes = 16 << 10

// rowProblem is why a row was not taken. It never says what was in it.
type rowProblem struct {
	Line    int    `json:"line"` // from 1, the header included
	Problem string `json:"problem"`
}

func (p *rowProblem) Error() string { return fmt.Sprintf("line %d: %s", p.Line, p.Problem) }

// newSuppressionRows reads the header. entry is what counts where a row says
// nothing: its reason may be empty when every row has one.
func newSuppressionRows(r io.Reader, entry store.NewSuppression, now time.Time) (*suppressionRows, error) {
	rows := &suppressionRows{in: bufio.NewReaderSize(r, maxRowBytes), entry: entry, now: now, comma: ','}
	mark, err := rows.in.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if bytes.Equal(mark, []byte{0xff, 0xfe}) || bytes.Equal(mark, []byte{0xfe, 0xff}) {
		return nil, errors.New("the file is UTF-16: save it as CSV UTF-8")
	}
	if mark, err := rows.in.Peek(3); err == nil && bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = rows.in.Discard(3)
	}
	header, err := rows.next()
	if err == io.EOF {
		return nil, errors.New("the file is empty: its first line must name the columns, of which phone is required")
	}
	if err != nil {
		return nil, err
	}
	return rows, rows.readHeader(header)
}

var errNoColumns = errors.New("the first line must name the columns, of which phone is required, and reason, source and expires_at may be there")

func (r *suppressionRows) readHeader(line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return errNoColumns
	}
	for _, c := range ";\t" {
		if !bytes.ContainsRune(line, ',') && bytes.ContainsRune(line, c) {
			r.comma = c
		}
	}
	names, err := r.split(line)
	if err != nil {
		return &rowProblem{r.line, "the header cannot be read: " + err.Error()}
	}
	known := map[string]string{
		"phone": phoneColumn, "phonenumber": phoneColumn, "number": phoneColumn, "mobile": phoneColumn,
		"reason": reasonColumn, "source": sourceColumn, "expiresat": expiresColumn, "expires": expiresColumn,
	}
	for _, name := range names {
		column := known[strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(name))]
		switch {
		case column == "":
			r.unknown = append(r.unknown, saaf.MaskNumbers(strings.ToValidUTF8(name, "?")))
		case slices.Contains(r.columns, column):
			return fmt.Errorf("two columns are the %s: leave one out", column)
		}
		r.columns = append(r.columns, column)
	}
	if !slices.Contains(r.columns, phoneColumn) {
		return errNoColumns
	}
	return nil
}

// Next is the next opt-out, io.EOF at the end. A row that cannot be taken is a
// [*rowProblem], after which it goes on.
func (r *suppressionRows) Next() (store.NewSuppression, error) {
	for {
		line, err := r.next()
		if err != nil {
			return store.NewSuppression{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		made, err := r.row(line)
		if err != nil {
			return made, &rowProblem{r.line, err.Error()}
		}
		return made, nil
	}
}

var errRowLength = fmt.Errorf("the line has more than %d bytes", maxRowBytes)

// next is the next line without its end.
func (r *suppressionRows) next() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	long := errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err == io.EOF && (long || len(line) > 0) {
		err = nil // the last line has no end
	}
	if err != nil {
		return nil, err
	}
	r.line++
	if long {
		return nil, &rowProblem{r.line, errRowLength.Error()}
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// split takes a line apart.
func (r *suppressionRows) split(line []byte) ([]string, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("it is not UTF-8: save the file as CSV UTF-8")
	}
	reader := csv.NewReader(bytes.NewReader(line))
	reader.Comma, reader.FieldsPerRecord, reader.TrimLeadingSpace = r.comma, -1, true
	fields, err := reader.Read()
	if err != nil {
		return nil, errors.New("its quotes do not fit: each field stands on one line, and quotes in it are doubled")
	}
	return fields, nil
}

func (r *suppressionRows) row(line []byte) (n store.NewSuppression, err error) {
	fields, err := r.split(line)
	if err != nil {
		return n, err
	}
	if len(fields) > len(r.columns) {
		return n, fmt.Errorf("it has %d columns and the header names %d: quote fields with commas in them", len(fields), len(r.columns))
	}
	n = r.entry
	for i, text := range fields {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		switch r.columns[i] {
		case phoneColumn:
			p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(text)
			if reason != saaf.ReasonNone {
				return n, fmt.Errorf("the phone cannot be read (%s): %s", reason, reason.Message())
			}
			n.Phone = p
		case reasonColumn:
			n.Reason = text
		case sourceColumn:
			n.Source = text
		case expiresColumn:
			if n.Expires, err = parseExpiry(text, r.now); err != nil {
				return n, fmt.Errorf("expires_at: %w", err)
			}
		}
	}
	if n.Phone == 0 {
		return n, errors.New("there is no phone")
	}
	reason, problem := saaf.CheckReason("reason", n.Reason)
	if problem != nil {
		return n, errors.New("reason: " + problem.Msg)
	}
	n.Reason = reason
	if n.Source, err = checkSource(n.Source); err != nil {
		return n, fmt.Errorf("source: %w", err)
	}
	return n, nil
}
