package api

import (
	"log/slog"
	"net/http"
	"time"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// RawRead reads the body of a bulk push as the server does, and returns how many leads
// are in it. It is what reading is measured by, and stores nothing.
func RawRead(body []byte) (leads int, err error) {
	l := leadReaders.Get().(*leadReader)
	defer leadReaders.Put(l)
	defer l.reset()
	if err := l.read(body, (*leadReader).list); err != nil {
		return 0, err
	}
	return len(l.rows), nil
}

// RawPush answers bulk pushes as if they were stored: HTTP, reading, normalising,
// checking and answering without a key and a transaction. It is what the part of the
// registry in a push is measured by. It serves one request at a time.
type RawPush struct {
	// What each request took for the registry, and in the handler as a whole. They may be
	// read when the server is closed.
	Checks, Requests []time.Duration

	api      API
	check    Checker
	res      intake.Result
	phones   []saaf.Phone
	verdicts []saaf.Verdict
}

// Checker asks the registry about phones at a time, and appends the verdicts to a list.
type Checker func(to []saaf.Verdict, phones []saaf.Phone, now time.Time) []saaf.Verdict

// NewRawPush returns the handler over a registry. Accesses go to log.
func NewRawPush(check Checker, log *slog.Logger) (*RawPush, http.Handler) {
	p := &RawPush{check: check, res: intake.Result{Rows: make([]intake.Outcome, saaf.MaxBulk)}, phones: make([]saaf.Phone, saaf.MaxBulk)}
	p.api.bodies = web.Bodies{Max: web.DefaultMaxBody, MaxInFlight: web.DefaultMaxInFlight}
	p.api.web.Log = log
	return p, p.api.web.Wrap(p.api.web.Handle(p.serve))
}

func (p *RawPush) serve(w http.ResponseWriter, r *http.Request) error {
	begun := time.Now()
	l, err := p.api.readBody(&call{w: w, r: r}, (*leadReader).list)
	if err != nil {
		return err
	}
	defer l.release()
	for i := range l.rows {
		in := &l.rows[i].Input
		var reason saaf.Reason
		if p.phones[i], reason = (saaf.PhonePolicy{}).Parse(in.Phone); reason != saaf.ReasonNone {
			return reason.Err()
		}
		if reason := in.Check(); reason != saaf.ReasonNone {
			return reason.Err()
		}
	}
	start := time.Now()
	p.verdicts = p.check(p.verdicts[:0], p.phones[:len(l.rows)], start)
	p.Checks = append(p.Checks, time.Since(start))
	p.res.Valid, p.res.Rows = len(l.rows), p.res.Rows[:len(l.rows)]
	for i := range p.verdicts {
		p.res.Rows[i] = intake.Outcome{ID: saaf.LeadID(p.phones[i]), DND: p.verdicts[i].Reason.Blocked()}
	}
	l.answer = appendBulk(l.answer[:0], &p.res, l.sent, nil)
	err = web.WriteRaw(w, http.StatusOK, l.answer)
	p.Requests = append(p.Requests, time.Since(begun))
	return err
}
