package api

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

const (
	// maxEvidence is how many bytes of entries one answer may hold. It takes about
	// ten times as much memory while it is made.
	maxEvidence = 16 << 20
	// maxEvidenceReaders is how many answers are made at a time; others wait.
	maxEvidenceReaders = 2
)

// getEvidence is GET /evidence: everything that is known about one number, as JSON
// or, for who would rather have HTML, as a page to print.
func (a *API) getEvidence(c *call) error {
	req, err := readEvidence(c.r)
	if err != nil {
		return err
	}
	req.Tenant, req.Environment, req.MaxBytes = c.key.TenantID, c.key.Environment, maxEvidence
	ev, err := a.gather(c.r.Context(), req)
	if errors.Is(err, store.ErrMuchEvidence) {
		return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: []saaf.FieldError{{Loc: []string{"query", "from"}, Type: "value_error.too_much",
			Msg: "there is more evidence about this number than fits one answer: ask for a shorter time with from and to, or use saaf audit export"}}}
	}
	if err != nil {
		return err
	}
	// A long ledger takes longer to read than the server gives to an answer.
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(a.idle))
	c.w.Header().Set("Vary", "Accept")
	if !prefersHTML(c.r.Header.Values("Accept")) {
		return web.WriteJSON(c.w, http.StatusOK, ev)
	}
	var page bytes.Buffer
	if err := ev.WriteHTML(&page); err != nil {
		return err
	}
	return web.WritePage(c.w, page.Bytes())
}

// gather gathers evidence when it is its turn, which ends before a slow caller reads.
func (a *API) gather(ctx context.Context, req scrub.EvidenceRequest) (*scrub.Evidence, error) {
	select {
	case a.evidence <- struct{}{}:
		defer func() { <-a.evidence }()
		return scrub.NewEvidence(ctx, a.store, req)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readEvidence reads what is asked for.
func readEvidence(r *http.Request) (req scrub.EvidenceRequest, err error) {
	q := queryOf(r, "phone", "from", "to")
	q.require("phone", "say whose evidence: phone=9876543210, a plus sign percent-encoded as %2B")
	q.parse("phone", func(s string) error {
		p, reason := everyNumber.Parse(s)
		if reason != saaf.ReasonNone {
			return reason.Err()
		}
		req.Phone = p
		return nil
	})
	// A plus sign that was not percent-encoded arrives as a space.
	plus := func(s string) string { return strings.Replace(s, " ", "+", 1) }
	q.parse("from", func(s string) (err error) { req.From, err = scrub.ParseEvidenceFrom(plus(s)); return err })
	q.parse("to", func(s string) (err error) {
		if req.To, err = scrub.ParseEvidenceTo(plus(s)); err == nil && !req.To.After(req.From) {
			err = errors.New("ensure that to is after from: evidence is shown from the one on and before the other")
		}
		return err
	})
	return req, q.err()
}

// prefersHTML reports whether an Accept header has text/html above JSON. Who does
// not care gets JSON.
func prefersHTML(accept []string) bool {
	const html, json = "text/html", "application/json"
	weights := map[string]float64{} // of html and json, and how exactly they were named
	exact := map[string]int{}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil || q < 0 || q > 1 {
			q = 1
		}
		for _, ours := range []string{html, json} {
			if how := matches(media, ours); how > exact[ours] {
				exact[ours], weights[ours] = how, q
			}
		}
	}
	return weights[html] > weights[json]
}

// matches is how exactly a range of Accept names a media type: 0 for not at all.
func matches(media, ours string) int {
	kind, _, _ := strings.Cut(ours, "/")
	switch media {
	case ours:
		return 3
	case kind + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}
