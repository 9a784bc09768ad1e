package api

import (
	"sync"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// leadReader reads the leads of one push, in one pass over the body. Its memory is used
// again by later pushes: what it gives shares memory with it and with the body, and ends
// with release.
type leadReader struct {
	scan    web.Scanner
	texts   []string      // what names, emails and external ids point to
	wrong   []saaf.Reason // of the last lead that was read
	ignored ignoredMembers
	inLeads ignoredMembers // those in the leads of a list, which are named behind the others

	in   saaf.LeadInput // a single one
	rows []intake.Row   // of a list
	sent []web.Value    // the phone of each row as it was sent, nil when there was none

	answer []byte

	releaseBody func()
}

var leadReaders = sync.Pool{New: func() any { return new(leadReader) }}

// maxAnswer is up to how many bytes memory for an answer is kept.
const maxAnswer = 256 << 10

// readBody has the body of the call read. Call release in the end.
func (a *API) readBody(c *call, read func(*leadReader) error) (*leadReader, error) {
	body, releaseBody, err := a.bodies.Read(c.r)
	if err != nil {
		return nil, err
	}
	l := leadReaders.Get().(*leadReader)
	l.releaseBody = releaseBody
	if err := l.read(body, read); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// read has a body read, which must be one object. What is wrong with its JSON goes
// before what read finds.
func (l *leadReader) read(body []byte, read func(*leadReader) error) (err error) {
	l.scan.Reset(body)
	if l.scan.Kind() == web.Object {
		err = read(l)
	} else {
		l.scan.Value()
		err = errNoObject()
	}
	if !l.scan.Done() {
		return l.scan.Err()
	}
	return err
}

// release ends the use of everything that was read.
func (l *leadReader) release() {
	l.reset()
	l.releaseBody()
	l.releaseBody = nil
	leadReaders.Put(l)
}

// reset forgets what was read.
func (l *leadReader) reset() {
	l.scan.Release()
	l.in = saaf.LeadInput{}
	clear(l.texts)
	clear(l.rows)
	clear(l.sent)
	l.texts, l.rows, l.sent = l.texts[:0], l.rows[:0], l.sent[:0]
	l.ignored, l.inLeads = nil, nil
	if cap(l.answer) > maxAnswer {
		l.answer = nil
	}
}

// lead reads the lead that is next, an object. A member that is given twice counts as
// its last value; what is of a wrong type is in l.wrong; names that are not part of a
// lead go to ignored. sent is the phone as it came, nil for none.
func (l *leadReader) lead(in *saaf.LeadInput, ignored *ignoredMembers) (sent web.Value) {
	var name, email, externalID, metadata web.Value
	var phoneText, nameText, emailText, externalText string
	l.scan.Enter()
	for member, ok := l.scan.Member(); ok; member, ok = l.scan.Member() {
		switch member {
		case "phone":
			sent, phoneText = l.scan.Text()
		case "name":
			name, nameText = l.scan.Text()
		case "email":
			email, emailText = l.scan.Text()
		case "external_id":
			externalID, externalText = l.scan.Text()
		case "metadata":
			metadata = l.scan.Value()
		default:
			l.scan.Value()
			ignored.add(member)
		}
	}
	l.wrong = l.wrong[:0]
	switch {
	case sent == nil:
		l.wrong = append(l.wrong, saaf.ReasonPhoneMissing)
	case sent.Kind() != web.String:
		l.wrong = append(l.wrong, saaf.ReasonPhoneType)
	}
	in.Phone = phoneText
	in.Name = l.text(name, nameText, saaf.ReasonNameType)
	in.Email = l.text(email, emailText, saaf.ReasonEmailType)
	in.ExternalID = l.text(externalID, externalText, saaf.ReasonExternalIDType)
	in.Metadata = nil
	switch metadata.Kind() {
	case web.Null:
	case web.Object:
		in.Metadata = metadata
	default:
		l.wrong = append(l.wrong, saaf.ReasonMetadataType)
	}
	return sent
}

// text is a member that is a string, which says this, or null.
func (l *leadReader) text(v web.Value, says string, ifWrong saaf.Reason) *string {
	switch v.Kind() {
	case web.Null:
		return nil
	case web.String:
		if len(l.texts) == cap(l.texts) { // those before stay where they are
			l.texts = make([]string, 0, min(3*saaf.MaxBulk, 2*cap(l.texts)+3))
		}
		l.texts = append(l.texts, says)
		return &l.texts[len(l.texts)-1]
	}
	l.wrong = append(l.wrong, ifWrong)
	return nil
}

// single reads the object of a push of one lead into in.
func (l *leadReader) single() error {
	l.lead(&l.in, &l.ignored)
	return nil
}

// list reads the object of a bulk push into rows and sent.
func (l *leadReader) list() (err error) {
	found := false
	l.scan.Enter()
	for member, ok := l.scan.Member(); ok; member, ok = l.scan.Member() {
		if member != "leads" {
			l.scan.Value()
			l.ignored.add(member)
			continue
		}
		// One that is given twice counts as its last value.
		clear(l.rows)
		l.rows, l.sent, l.inLeads = l.rows[:0], l.sent[:0], nil
		found, err = true, l.leads()
	}
	if !found {
		return saaf.InvalidField("leads", "field required", "value_error.missing")
	}
	for _, name := range l.inLeads {
		l.ignored.add(name)
	}
	return err
}

func (l *leadReader) leads() (err error) {
	if l.scan.Kind() != web.Array {
		l.scan.Value()
		return saaf.InvalidField("leads", "leads must be a list of leads", "type_error.list")
	}
	l.scan.Enter()
	for l.scan.Element() {
		switch {
		case len(l.rows) == saaf.MaxBulk:
			l.scan.Value()
			err = errTooManyLeads()
		case l.scan.Kind() != web.Object:
			l.scan.Value()
			l.rows, l.sent = append(l.rows, intake.Row{Refused: saaf.ReasonNotAnObject}), append(l.sent, nil)
		default:
			l.rows = append(l.rows, intake.Row{})
			row := &l.rows[len(l.rows)-1]
			l.sent = append(l.sent, l.lead(&row.Input, &l.inLeads))
			if len(l.wrong) > 0 {
				row.Refused = l.wrong[0]
			}
		}
	}
	return err
}

func errTooManyLeads() error {
	return saaf.InvalidField("leads", "ensure this list has at most 500 leads; send the rest in another request", "value_error.list.max_items")
}
