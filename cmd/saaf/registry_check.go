package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// checkRow is what the check command prints for one number.
type checkRow struct {
	Phone      string          `json:"phone"`            // as it was given
	Valid      bool            `json:"valid"`            // whether a push would take it
	Number     string          `json:"number,omitempty"` // the 10 digits
	Checked    bool            `json:"dnd_checked"`
	Clean      bool            `json:"dnd_clean"`
	Reason     string          `json:"reason"`
	Categories *dnd.Categories `json:"categories,omitempty"` // of a partial block, for the record: it blocks all the same
	Snapshot   saaf.SnapshotID `json:"snapshot,omitzero"`
	Date       saaf.Date       `json:"effective_date,omitzero"`
}

func (c *registryCheckCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		view, err := c.activeView(ctx, reg, c.RegistryMaxAge)
		if err != nil {
			return err
		}
		rows := make([]checkRow, len(c.Phones))
		for i, phone := range c.Phones {
			rows[i] = checkPhone(view, phone, time.Now())
		}
		return con.result(rows, func(w io.Writer) { printChecks(w, rows) })
	})
}

// activeView is the active snapshot as a server with this age limit sees it.
func (d dataFlags) activeView(ctx context.Context, reg saaf.RegistryState, maxAge time.Duration) (*dnd.View, error) {
	if err := positiveAge(maxAge); err != nil {
		return nil, err
	}
	r, err := dnd.NewRegistry(dnd.Config{MaxAge: maxAge})
	if err != nil {
		return nil, &usageError{"--registry-max-age: " + err.Error()}
	}
	if reg.Active != nil {
		path := filepath.Join(d.registryDir(), reg.Active.SHA256.String()+dnd.Extension)
		var snap *dnd.Snapshot
		err := dnd.Verify(ctx, path, reg.Active.SHA256)
		if err == nil {
			snap, err = dnd.Open(path)
		}
		if err != nil {
			return nil, fmt.Errorf("the active snapshot %s cannot be opened, so that servers answer unknown: %w", reg.Active.ID, err)
		}
		r.Use(snap, saaf.SnapshotRef{ID: reg.Active.ID, EffectiveDate: reg.Active.EffectiveDate})
	}
	return r.View(), nil
}

// checkPhone reads the number with fixed lines on, because the registry holds
// them whatever a deployment accepts.
func checkPhone(view *dnd.View, sent string, now time.Time) checkRow {
	row := checkRow{Phone: sent}
	p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(sent)
	if reason != saaf.ReasonNone {
		row.Reason = string(reason)
		return row
	}
	verdict := view.Check(p, now)
	row.Valid, row.Number = true, p.National()
	row.Checked, row.Clean, row.Reason = verdict.Reason.Checked(), verdict.Reason.Clean(), verdict.Reason.String()
	row.Snapshot, row.Date = verdict.Snapshot.ID, verdict.Snapshot.EffectiveDate
	if e, ok := view.Lookup(p); ok && e.Listed && !e.Categories.Empty() {
		row.Categories = &e.Categories
	}
	return row
}

func printChecks(w io.Writer, rows []checkRow) {
	lines := make([][]string, len(rows))
	for i, r := range rows {
		verdict := "unknown"
		switch {
		case !r.Valid:
			verdict = "invalid"
		case r.Clean:
			verdict = "clean"
		case r.Checked:
			verdict = "blocked"
		}
		reason := r.Reason
		if r.Categories != nil {
			reason += " (categories " + r.Categories.String() + ")"
		}
		lines[i] = []string{r.Phone, r.Number, verdict, reason, r.Date.String()}
	}
	table(w, []string{"PHONE", "NUMBER", "VERDICT", "REASON", "REGISTRY DATED"}, lines)
}
