package api

import (
	"context"
	"net/http"
	"time"

	"saaf"
	"saaf/store"
	"saaf/web"
)

// suppressionRow is one row of a bulk request and what became of it.
type suppressionRow struct {
	sent    web.Value // the phone as it was sent, nil when there was none
	list    store.NewSuppression
	refused saaf.Reason
	made    store.Suppressed
}

// suppressMany is POST /suppressions:bulk: up to 500, all good rows in one
// transaction, an outcome for each row in the order of the request.
func (a *API) suppressMany(c *call) error {
	f, release, err := a.fields(c, "suppressions")
	if err != nil {
		return err
	}
	defer release()
	sent := f.list("suppressions", "suppressions", saaf.MaxBulk)
	if err := f.err(); err != nil {
		return err
	}
	rows, now := make([]suppressionRow, len(sent)), time.Now()
	for i, v := range sent {
		rows[i] = readSuppressionRow(v, f.ignored, now)
	}
	if err := a.suppressRows(c, rows); err != nil {
		return err
	}
	return web.WriteRaw(c.w, http.StatusOK, appendSuppressed(make([]byte, 0, 64+128*len(rows)), rows, f.ignored.list()))
}

func readSuppressionRow(v web.Value, ignored *ignoredMembers, now time.Time) suppressionRow {
	if v.Kind() != web.Object {
		return suppressionRow{refused: saaf.ReasonNotAnObject}
	}
	f := fieldsOf(v, ignored, suppressionMembers...)
	row := suppressionRow{sent: f.members["phone"], list: readSuppression(f, now)}
	if len(f.wrong) > 0 {
		row.refused = rowReason(f.wrong[0])
	}
	return row
}

// suppressRows stores the good rows. A campaign can go between the look at it and
// the transaction, which then does nothing: its rows are sorted out and the others
// tried again.
func (a *API) suppressRows(c *call, rows []suppressionRow) error {
	for {
		var list []store.NewSuppression
		var places []int
		known := make(map[saaf.CampaignID]error)
		for i := range rows {
			row := &rows[i]
			if err := a.sortOut(c.r.Context(), c.key, row, known); err != nil {
				return err
			}
			if row.refused == saaf.ReasonNone {
				list, places = append(list, row.list), append(places, i)
			}
		}
		if len(list) == 0 {
			return nil
		}
		made, err := a.store.Suppress(c.r.Context(), c.key.TenantID, c.key.Environment, list, c.by())
		if saaf.ErrorCode(err) == saaf.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		for i, place := range places {
			rows[place].made = made[i]
		}
		return nil
	}
}

// sortOut refuses a row that names a list on which the key may not put anything.
func (a *API) sortOut(ctx context.Context, key *saaf.Key, row *suppressionRow, known map[saaf.CampaignID]error) error {
	if row.refused != saaf.ReasonNone {
		return nil
	}
	err := a.permitted(ctx, key, &row.list, known)
	switch saaf.ErrorCode(err) {
	case saaf.Forbidden:
		row.refused = "operator_only"
	case saaf.NotFound:
		row.refused = "campaign_not_found"
	default:
		return err
	}
	return nil
}

// appendSuppressed writes the answer of a bulk request.
func appendSuppressed(dst []byte, rows []suppressionRow, warnings []string) []byte {
	var added, exists, invalid int64
	results := make([]byte, 0, 128*len(rows))
	for i := range rows {
		row := &rows[i]
		if i > 0 {
			results = append(results, ',')
		}
		results = append(results, `{"phone":`...)
		if row.sent == nil {
			results = append(results, "null"...)
		} else {
			results = append(results, row.sent...)
		}
		switch {
		case row.refused != saaf.ReasonNone:
			invalid++
			results = append(results, `,"status":"invalid","id":null,"reason":`...)
			results = append(web.AppendString(results, string(row.refused)), '}')
			continue
		case row.made.Made:
			added++
			results = append(results, `,"status":"added","id":"`...)
		default:
			exists++
			results = append(results, `,"status":"exists","id":"`...)
		}
		results = append(row.made.ID.AppendTo(results), `","leads_blocked":`...)
		results = append(web.AppendInt(results, int64(row.made.Blocked)), '}')
	}
	dst = web.AppendInt(append(dst, `{"total":`...), int64(len(rows)))
	dst = web.AppendInt(append(dst, `,"added":`...), added)
	dst = web.AppendInt(append(dst, `,"exists":`...), exists)
	dst = web.AppendInt(append(dst, `,"invalid":`...), invalid)
	dst = append(append(append(dst, `,"results":[`...), results...), ']')
	if len(warnings) > 0 {
		dst = appendWarnings(dst, warnings)
	}
	return append(dst, "}\n"...)
}
