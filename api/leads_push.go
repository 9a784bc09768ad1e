package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// pushLead is POST .../leads: one lead, 201 when it is on the disk.
func (a *API) pushLead(c *call) error {
	l, err := a.readBody(c, (*leadReader).single)
	if err != nil {
		return err
	}
	defer l.release()
	phone, err := a.judge(&l.in, l.wrong)
	if err != nil {
		return err
	}
	lead, err := a.intake.Push(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, l.in, phone, c.by())
	a.campaignJudged(c, err)
	if err != nil {
		return err
	}
	l.answer = appendLead(l.answer[:0], &lead, a.scrub.Backing(time.Now()))
	if w := l.ignored.list(); len(w) > 0 {
		l.answer = appendWarnings(l.answer[:len(l.answer)-1], w)
		l.answer = append(l.answer, '}')
	}
	l.answer = append(l.answer, '\n')
	return web.WriteRaw(c.w, http.StatusCreated, l.answer)
}

// judge is the phone of a single lead, or everything that is wrong with it; members of
// a wrong type are found already.
func (a *API) judge(in *saaf.LeadInput, wrong []saaf.Reason) (phone saaf.Phone, err error) {
	var e *saaf.Error
	fail := func(r saaf.Reason) {
		if e == nil {
			e = &saaf.Error{Code: saaf.Invalid, Word: "invalid"}
		}
		e.Fields = append(e.Fields, r.FieldError())
	}
	if len(wrong) == 0 || wrong[0] != saaf.ReasonPhoneMissing && wrong[0] != saaf.ReasonPhoneType {
		var reason saaf.Reason
		if phone, reason = a.intake.Policy().Parse(in.Phone); reason != saaf.ReasonNone {
			fail(reason)
		}
	}
	for _, reason := range wrong {
		fail(reason)
	}
	if reason := in.Check(); reason != saaf.ReasonNone {
		fail(reason)
	}
	if e != nil {
		return 0, e
	}
	return phone, nil
}

// pushLeads is POST .../leads:bulk: up to 500 leads in one transaction, an
// outcome for each row in the order of the request.
func (a *API) pushLeads(c *call) error {
	l, err := a.readBody(c, (*leadReader).list)
	if err != nil {
		return err
	}
	defer l.release()
	if len(l.rows) == 0 { // no transaction
		if err := a.confirmCampaign(c); err != nil {
			return err
		}
	}
	res, err := a.intake.PushBulk(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, l.rows, c.by())
	a.campaignJudged(c, err)
	if err != nil {
		return err
	}
	l.answer = appendBulk(slices.Grow(l.answer[:0], 64+96*len(l.rows)), &res, l.sent, l.ignored.list())
	return web.WriteRaw(c.w, http.StatusOK, l.answer)
}

// appendBulk writes the answer of a bulk push exactly as the public
// documentation shows it; reason, lead_id, dnd and warnings are additions.
func appendBulk(dst []byte, res *intake.Result, sent []web.Value, warnings []string) []byte {
	dst = append(dst, `{"total":`...)
	dst = strconv.AppendInt(dst, int64(len(res.Rows)), 10)
	dst = append(dst, `,"valid":`...)
	dst = strconv.AppendInt(dst, int64(res.Valid), 10)
	dst = append(dst, `,"invalid":`...)
	dst = strconv.AppendInt(dst, int64(res.Invalid), 10)
	dst = append(dst, `,"duplicates":`...)
	dst = strconv.AppendInt(dst, int64(res.Duplicates), 10)
	dst = append(dst, `,"results":[`...)
	for i := range res.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOutcome(dst, &res.Rows[i], sent[i])
	}
	dst = append(dst, ']')
	if len(warnings) > 0 {
		dst = appendWarnings(dst, warnings)
	}
	return append(dst, "}\n"...)
}

func appendOutcome(dst []byte, out *intake.Outcome, sent web.Value) []byte {
	dst = append(dst, `{"phone":`...)
	if sent == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, sent...)
	}
	switch out.Reason {
	case saaf.ReasonNone:
		dst = append(dst, `,"status":"added","id":"`...)
		dst = append(out.ID.AppendTo(dst), '"')
		if out.DND {
			dst = append(dst, `,"dnd":true`...)
		}
	case saaf.ReasonDuplicate:
		dst = append(dst, `,"status":"duplicate","id":null,"reason":"duplicate"`...)
		if out.ID != 0 {
			dst = append(dst, `,"lead_id":"`...)
			dst = append(out.ID.AppendTo(dst), '"')
		}
	default:
		dst = append(dst, `,"status":"invalid","id":null,"reason":`...)
		dst = web.AppendString(dst, string(out.Reason))
	}
	return append(dst, '}')
}
