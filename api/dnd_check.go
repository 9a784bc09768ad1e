package api

import (
	"net/http"

	"saaf"
	"saaf/web"
)

// checkDND is POST /dnd:check: what is known about up to 500 numbers, in the order
// of the request. One that is no number does not cost the others.
func (a *API) checkDND(c *call) error {
	f, release, err := a.fields(c, "phones")
	if err != nil {
		return err
	}
	defer release()
	sent := f.list("phones", "phones", saaf.MaxBulk)
	if err := f.err(); err != nil {
		return err
	}
	reasons := make([]saaf.Reason, len(sent))
	phones := make([]saaf.Phone, 0, len(sent))
	for i, v := range sent {
		var p saaf.Phone
		if p, reasons[i] = phoneOf(v); reasons[i] == saaf.ReasonNone {
			phones = append(phones, p)
		}
	}
	verdicts, err := a.scrub.Check(c.r.Context(), c.key.TenantID, c.key.Environment, phones, c.by())
	if err != nil {
		return err
	}
	dst := append(make([]byte, 0, 64+192*len(sent)), `{"results":[`...)
	for i, next := 0, 0; i < len(sent); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, `{"phone":`...), sent[i]...)
		if reasons[i] != saaf.ReasonNone {
			dst = append(dst, `,"valid":false,"number":null,"dnd_checked":false,"dnd_clean":false,"reason":`...)
			dst = append(web.AppendString(dst, string(reasons[i])), `,"registry":null}`...)
			continue
		}
		dst = appendChecked(dst, phones[next], &verdicts[next])
		next++
	}
	dst = append(dst, ']')
	if w := f.ignored.list(); len(w) > 0 {
		dst = appendWarnings(dst, w)
	}
	return web.WriteRaw(c.w, http.StatusOK, append(dst, "}\n"...))
}

func appendChecked(dst []byte, p saaf.Phone, v *saaf.Verdict) []byte {
	dst = append(dst, `,"valid":true,"number":"`...)
	dst = p.AppendNational(dst)
	dst = append(dst, `","dnd_checked":`...)
	dst = appendBool(dst, v.Reason.Checked())
	dst = append(dst, `,"dnd_clean":`...)
	dst = appendBool(dst, v.Reason.Clean())
	dst = append(dst, `,"reason":"`...)
	dst = append(dst, v.Reason.String()...)
	dst = append(dst, `","registry":`...)
	return append(appendSnapshot(dst, v.Snapshot), '}')
}

// appendSnapshot names a snapshot, null for none.
func appendSnapshot(dst []byte, ref saaf.SnapshotRef) []byte {
	if ref.ID == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"id":"`...)
	dst = ref.ID.AppendTo(dst)
	dst = append(dst, `","effective_date":"`...)
	dst = append(dst, ref.EffectiveDate.String()...)
	return append(dst, `"}`...)
}
