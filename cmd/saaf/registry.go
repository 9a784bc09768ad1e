package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
	"saaf/web"
)

type registryCmd struct {
	Import   registryImportCmd   `cmd:"" help:"Import registry files; returns when every running server answers from them."`
	Status   registryStatusCmd   `cmd:"" help:"Show which snapshot is active, how old it is, and who answers from it."`
	Check    registryCheckCmd    `cmd:"" help:"Look numbers up in the active snapshot."`
	Generate registryGenerateCmd `cmd:"" help:"Write files of made-up numbers, for trials and measurements."`
}

type registryImportCmd struct {
	Files         []string `arg:"" type:"existingfile" placeholder:"FILE" help:"Registry files: .csv, .csv.gz or .zip, in the five-column layout."`
	Full          bool     `xor:"mode" required:"" help:"The files are the whole registry and replace what is there."`
	Delta         bool     `xor:"mode" required:"" help:"The files are changes to the active snapshot, in the order given."`
	EffectiveDate string   `required:"" placeholder:"YYYY-MM-DD" help:"The day in India that the files speak for."`
	Override      *string  `placeholder:"REASON" help:"Activate in spite of a refusal; the reason is recorded."`
	dataFlags
}

type registryStatusCmd struct {
	RegistryMaxAge time.Duration `default:"168h" env:"SAAF_REGISTRY_MAX_AGE" placeholder:"DURATION" help:"Age from which the servers no longer answer (${default})."`
	dataFlags
}

type registryCheckCmd struct {
	Phones         []string      `arg:"" name:"phone" help:"Phone numbers in any spelling that a push takes."`
	RegistryMaxAge time.Duration `default:"168h" env:"SAAF_REGISTRY_MAX_AGE" placeholder:"DURATION" help:"Age from which the servers no longer answer (${default})."`
	dataFlags
}

func (c *registryImportCmd) Run(ctx context.Context, con *console) error {
	date, err := saaf.ParseDate(c.EffectiveDate)
	if err != nil {
		return &usageError{"--effective-date: " + err.Error()}
	}
	req := scrub.ImportRequest{Files: c.Files, Mode: saaf.FullSet, EffectiveDate: date, By: saaf.By{Actor: actor()}}
	if c.Override != nil {
		if req.Override = strings.TrimSpace(*c.Override); req.Override == "" {
			return &usageError{"--override needs a reason: it is recorded with the snapshot"}
		}
	}
	if c.Delta {
		req.Mode = saaf.Delta
	}
	return c.withStore(ctx, con, false, func(ctx context.Context, st *store.Store) error {
		bar := newImportBar(con)
		req.Progress = bar.show
		res, err := scrub.Import(ctx, st, c.registryDir(), req)
		bar.finish()
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted: nothing was changed, the registry stays as it was")
		case err != nil && res.Report != nil && len(res.Report.Refusals) > 0:
			printReport(con.err, res.Report)
			return refused(res.Report)
		case err != nil:
			return err
		}
		if res.Version != 0 {
			if err := c.awaitServers(ctx, st, res.Version, res.Snapshot.ID, awaitRegistry); err != nil {
				return err
			}
		}
		view := struct {
			ID saaf.SnapshotID `json:"id"`
			*dnd.Report
		}{res.Snapshot.ID, res.Report}
		return con.result(view, func(w io.Writer) {
			printReport(w, res.Report)
			if res.Report.NoOp != 0 {
				fmt.Fprintf(w, "\nNothing to do: these files are in snapshot %s already, dated %s.\n", res.Report.NoOp, res.Snapshot.EffectiveDate)
				return
			}
			fmt.Fprintf(w, "\nActive: %s, dated %s, %s numbers.\n", res.Snapshot.ID, res.Snapshot.EffectiveDate, thousands(res.Snapshot.Numbers))
		})
	})
}

// refused is the closing sentence under a report that lists the refusals.
func refused(r *dnd.Report) error {
	for _, f := range r.Refusals {
		if f.Rule.Final() {
			return errors.New("the import is refused and the registry stays as it was; this cannot be overridden: correct it and import again")
		}
	}
	return errors.New("the import is refused and the registry stays as it was: correct the files, or, if they are right, import them again with --override REASON")
}

// printReport writes what an import read, counted and refused.
func printReport(w io.Writer, r *dnd.Report) {
	rows := make([][]string, 0, len(r.Files)+1)
	line := func(name string, c dnd.Counts) []string {
		return []string{name, thousands(c.Rows), thousands(c.Active), thousands(c.Deleted), thousands(c.Malformed)}
	}
	for _, f := range r.Files {
		if f.Skipped {
			rows = append(rows, []string{f.Name, "applied before"})
			continue
		}
		rows = append(rows, line(f.Name, f.Counts))
	}
	if len(r.Files) > 1 {
		rows = append(rows, line("total", r.Total))
	}
	if len(rows) > 0 {
		table(w, []string{"FILE", "ROWS", "A", "D", "MALFORMED"}, rows)
	}
	for i, m := range r.MalformedRows {
		if i == 10 {
			fmt.Fprintf(w, "  ... and %s more malformed rows\n", thousands(r.Total.Malformed-10))
			break
		}
		place := m.File
		if m.Member != "" {
			place += " " + m.Member
		}
		fmt.Fprintf(w, "  malformed: %s line %d: %s\n", place, m.Line, m.Reason)
	}
	if r.Mode == saaf.Delta {
		fmt.Fprintf(w, "  changes: %s added, %s removed, %s with other preferences\n",
			thousands(r.Changes.Added), thousands(r.Changes.Removed), thousands(r.Changes.Changed))
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", s)
	}
	for _, f := range r.Refusals {
		verb := "refused"
		if r.Overridden {
			verb = "overridden"
		}
		fmt.Fprintf(w, "  %s (%s): %s\n", verb, f.Rule, f.Sentence)
	}
}

// registryStatus is what the status command prints.
type registryStatus struct {
	State         string           `json:"state"`
	ID            saaf.SnapshotID  `json:"id,omitzero"`
	EffectiveDate saaf.Date        `json:"effective_date,omitzero"`
	AgeDays       *int             `json:"age_days"`
	Mode          saaf.ImportMode  `json:"mode,omitempty"`
	SHA256        *saaf.SHA256     `json:"sha256"`
	Numbers       int64            `json:"numbers"`
	Partial       int64            `json:"partial_numbers"`
	Rows          int64            `json:"rows"`
	Malformed     int64            `json:"malformed"`
	Conflicts     int64            `json:"conflicts"`
	Overridden    []string         `json:"overridden,omitempty"`
	Override      string           `json:"override_reason,omitempty"`
	Actor         string           `json:"actor,omitempty"`
	ActivatedAt   string           `json:"activated_at,omitempty"`
	AllChecked    bool             `json:"all_leads_checked"`
	Advice        string           `json:"advice,omitempty"`
	Servers       []registryServer `json:"servers"`
}

type registryServer struct {
	ID       saaf.ServerID   `json:"id"`
	PID      int             `json:"pid"`
	Address  string          `json:"address"`
	Snapshot saaf.SnapshotID `json:"snapshot,omitzero"`
	Problem  string          `json:"problem,omitempty"`
}

func (c *registryStatusCmd) Run(ctx context.Context, con *console) error {
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		reg, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		view, err := c.activeView(ctx, reg, c.RegistryMaxAge)
		if err != nil {
			return err
		}
		f := view.Freshness(time.Now())
		v := registryStatus{State: f.State.String(), Advice: scrub.Advice(f), Servers: []registryServer{}}
		if s := reg.Active; s != nil {
			v.ID, v.EffectiveDate, v.AgeDays = s.ID, s.EffectiveDate, new(int(f.Age/(24*time.Hour)))
			v.Mode, v.SHA256, v.Numbers, v.Partial = s.Mode, &s.SHA256, s.Numbers, s.PartialNumbers
			v.Rows, v.Malformed, v.Conflicts = s.Rows, s.Malformed, s.Conflicts
			v.Overridden, v.Override, v.Actor = s.Overridden, s.OverrideReason, s.Actor
			v.ActivatedAt, v.AllChecked = reg.ActivatedAt.Format(web.TimeLayout), reg.AllChecked()
		}
		if running, err := store.Serving(c.DataDir); err != nil {
			return err
		} else if running {
			servers, err := st.Servers(ctx)
			if err != nil {
				return err
			}
			for _, sv := range servers {
				v.Servers = append(v.Servers, registryServer{sv.ID, sv.PID, sv.Address, sv.Snapshot, sv.Problem})
			}
		}
		return con.result(v, func(w io.Writer) { printStatus(w, &v) })
	})
}

func printStatus(w io.Writer, v *registryStatus) {
	rows := [][]string{{"state", v.State}}
	if v.ID != 0 {
		rows = append(rows,
			[]string{"snapshot", v.ID.String()},
			[]string{"dated", fmt.Sprintf("%s, %d days old", v.EffectiveDate, *v.AgeDays)},
			[]string{"numbers", fmt.Sprintf("%s, of these %s with a list of categories", thousands(v.Numbers), thousands(v.Partial))},
			[]string{"made from", fmt.Sprintf("%s, %s rows, %s malformed, %s conflicts", v.Mode, thousands(v.Rows), thousands(v.Malformed), thousands(v.Conflicts))},
			[]string{"sha256", v.SHA256.String()},
			[]string{"activated", v.ActivatedAt + " by " + v.Actor})
		if v.Override != "" {
			rows = append(rows, []string{"overridden", strings.Join(v.Overridden, ", ") + ": " + v.Override})
		}
		checked := "all"
		if !v.AllChecked {
			checked = "not all yet"
		}
		rows = append(rows, []string{"leads re-checked", checked})
	}
	if len(v.Servers) == 0 {
		rows = append(rows, []string{"servers", "none running"})
	}
	for _, s := range v.Servers {
		answers := "answers unknown"
		if s.Snapshot != 0 {
			answers = "answers from " + s.Snapshot.String()
		}
		if s.Problem != "" {
			answers += ": " + s.Problem
		}
		rows = append(rows, []string{"server", fmt.Sprintf("%s (pid %d) %s", s.Address, s.PID, answers)})
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%-17s %s\n", row[0], row[1])
	}
	if v.Advice != "" {
		fmt.Fprintln(w, v.Advice)
	}
}
