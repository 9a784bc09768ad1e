package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
)

// checkRow is what the check command prints for one number.
type checkRow struct {
	Phone       string             `json:"phone"`            // as it was given
	Valid       bool               `json:"valid"`            // whether a push would take it
	Number      string             `json:"number,omitempty"` // the 10 digits
	Checked     bool               `json:"dnd_checked"`
	Clean       bool               `json:"dnd_clean"`
	Reason      string             `json:"reason"`
	Detail      string             `json:"detail,omitempty"`     // what is wrong with a number that cannot be read
	Categories  *dnd.Categories    `json:"categories,omitempty"` // of a partial block, for the record: it blocks all the same
	Suppression saaf.SuppressionID `json:"suppression,omitzero"` // the opt-out that blocks
	Snapshot    saaf.SnapshotID    `json:"snapshot,omitzero"`
	Date        saaf.Date          `json:"effective_date,omitzero"`
}

func (c *registryCheckCmd) Run(ctx context.Context, con *console) error {
	var tenant saaf.TenantID // 0: the list of the deployment alone
	if c.Tenant != "" {
		var err error
		if tenant, err = flagTenant(c.Tenant); err != nil {
			return err
		}
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		view, err := c.activeView(ctx, con, st, reg, c.RegistryMaxAge)
		if err != nil {
			return err
		}
		rows, phones := make([]checkRow, len(c.Phones)), make([]saaf.Phone, len(c.Phones))
		for i, phone := range c.Phones {
			rows[i], phones[i] = checkPhone(view, phone, time.Now())
		}
		lists, err := st.SuppressedBy(ctx, tenant, saaf.Environment(c.Env), phones)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].suppress(lists[i])
		}
		return con.result(rows, func(w io.Writer) {
			printChecks(w, rows)
			if tenant == 0 {
				fmt.Fprintln(w, "\nOf the opt-out lists only that of the whole deployment was looked into: add --tenant ID for a tenant's.")
			} else {
				fmt.Fprintln(w, "\nThe opt-out lists of the tenant and of the whole deployment were looked into, those of single campaigns were not.")
			}
		})
	})
}

// activeView is the active snapshot as a server with this age limit sees it. What is
// missing here is fetched, where servers share the store.
func (d dataFlags) activeView(ctx context.Context, con *console, st *store.Store, reg saaf.RegistryState, maxAge time.Duration) (*dnd.View, error) {
	if err := positiveAge(maxAge); err != nil {
		return nil, err
	}
	r, err := dnd.NewRegistry(dnd.Config{MaxAge: maxAge})
	if err != nil {
		return nil, &usageError{"--registry-max-age: " + err.Error()}
	}
	if reg.Active != nil {
		line := progressLine{con: con}
		err := scrub.Fetch(ctx, st, d.registryDir(), reg.Active, line.fetching)
		line.finish()
		var snap *dnd.Snapshot
		if err == nil {
			snap, err = scrub.OpenVerified(ctx, st, d.registryDir(), reg.Active)
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
func checkPhone(view *dnd.View, sent string, now time.Time) (row checkRow, p saaf.Phone) {
	row.Phone = sent
	p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(sent)
	if reason != saaf.ReasonNone {
		row.Reason, row.Detail = string(reason), reason.Message()
		return row, 0
	}
	verdict := view.Check(p, now)
	row.Valid, row.Number = true, p.National()
	row.Checked, row.Clean, row.Reason = verdict.Reason.Checked(), verdict.Reason.Clean(), verdict.Reason.String()
	row.Snapshot, row.Date = verdict.Snapshot.ID, verdict.Snapshot.EffectiveDate
	if e, ok := view.Lookup(p); ok && e.Listed && !e.Categories.Empty() {
		row.Categories = &e.Categories
	}
	return row, p
}

// suppress says that an opt-out blocks the number, whatever the registry says.
func (r *checkRow) suppress(id saaf.SuppressionID) {
	if !r.Valid || id == 0 {
		return
	}
	r.Checked, r.Clean, r.Reason, r.Suppression = saaf.Suppressed.Checked(), saaf.Suppressed.Clean(), saaf.Suppressed.String(), id
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
		if r.Detail != "" {
			reason += ": " + r.Detail
		}
		if r.Categories != nil {
			reason += " (categories " + r.Categories.String() + ")"
		}
		if r.Suppression != 0 {
			reason = r.Reason + " by " + r.Suppression.String()
		}
		lines[i] = []string{r.Phone, r.Number, verdict, reason, r.Date.String()}
	}
	table(w, []string{"PHONE", "NUMBER", "VERDICT", "REASON", "REGISTRY DATED"}, lines)
}
