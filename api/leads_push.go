package api

import (
	"net/http"
	"strconv"
	"time"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// pushLead is POST .../leads: one lead, 201 when it is on the disk.
func (a *API) pushLead(c *call) error {
	body, release, err := a.body(c)
	if err != nil {
		return err
	}
	defer release()
	var ignored ignoredMembers
	in, reasons := decodeLead(body, &ignored)
	phone := saaf.Phone(0)
	if len(reasons) == 0 || reasons[0] != saaf.ReasonPhoneMissing && reasons[0] != saaf.ReasonPhoneType {
		var reason saaf.Reason
		if phone, reason = a.intake.Policy().Parse(in.Phone); reason != saaf.ReasonNone {
			reasons = append([]saaf.Reason{reason}, reasons...)
		}
	}
	if reason := in.Check(); reason != saaf.ReasonNone {
		reasons = append(reasons, reason)
	}
	if len(reasons) > 0 {
		e := &saaf.Error{Code: saaf.Invalid, Word: "invalid"}
		for _, r := range reasons {
			e.Fields = append(e.Fields, r.FieldError())
		}
		return e
	}
	lead, err := a.intake.Push(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, in, phone, c.by())
	if err != nil {
		return err
	}
	dst := appendLead(make([]byte, 0, 512+len(lead.Metadata)), &lead, a.scrub.Backing(time.Now()))
	if w := ignored.list(); len(w) > 0 {
		dst = appendWarnings(dst[:len(dst)-1], w)
		dst = append(dst, '}')
	}
	return web.WriteRaw(c.w, http.StatusCreated, append(dst, '\n'))
}

// pushLeads is POST .../leads:bulk: up to 500 leads in one transaction, an
// outcome for each row in the order of the request.
func (a *API) pushLeads(c *call) error {
	body, release, err := a.body(c)
	if err != nil {
		return err
	}
	defer release()
	var ignored ignoredMembers
	var list web.Value
	for name, v := range body.Members() {
		if name == "leads" {
			list = v
		} else {
			ignored.add(name)
		}
	}
	if list == nil {
		return saaf.InvalidField("leads", "field required", "value_error.missing")
	}
	if list.Kind() != web.Array {
		return saaf.InvalidField("leads", "leads must be a list of leads", "type_error.list")
	}
	var rows []intake.Row
	var sent []web.Value // each phone as it was sent, nil when there was none
	for el := range list.Elements() {
		if len(rows) == saaf.MaxBulk {
			return saaf.InvalidField("leads", "ensure this list has at most 500 leads; send the rest in another request", "value_error.list.max_items")
		}
		row := intake.Row{Refused: saaf.ReasonNotAnObject}
		if el.Kind() == web.Object {
			var reasons []saaf.Reason
			row.Input, reasons = decodeLead(el, &ignored)
			row.Refused = saaf.ReasonNone
			if len(reasons) > 0 {
				row.Refused = reasons[0]
			}
		}
		rows, sent = append(rows, row), append(sent, member(el, "phone"))
	}
	res, err := a.intake.PushBulk(c.r.Context(), c.key.TenantID, c.key.Environment, c.campaign.ID, rows, c.by())
	if err != nil {
		return err
	}
	return web.WriteRaw(c.w, http.StatusOK, appendBulk(make([]byte, 0, 64+96*len(rows)), &res, sent, ignored.list()))
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
