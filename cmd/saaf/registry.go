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
)

type registryCmd struct {
	Import    registryImportCmd    `cmd:"" help:"Import registry files; returns when every running server answers from them."`
	Status    registryStatusCmd    `cmd:"" help:"Show which snapshot is active, how old it is, and who answers from it."`
	Rollback  registryRollbackCmd  `cmd:"" help:"Go back to the snapshot that the active one replaced; returns when every running server answers from it."`
	Diff      registryDiffCmd      `cmd:"" help:"Compare two snapshots: how many numbers came, went and changed."`
	Check     registryCheckCmd     `cmd:"" help:"Look numbers up in the active snapshot."`
	RunImport registryRunImportCmd `cmd:"" hidden:"" help:"Do an import that came over the API."`
	Generate  registryGenerateCmd  `cmd:"" help:"Write files of made-up numbers, for trials and measurements."`
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
	Tenant         string        `placeholder:"ID" help:"Also look into the opt-out list of this tenant, ten_..."`
	Env            string        `default:"live" enum:"live,test" help:"Environment whose opt-outs count: live or test (${default})."`
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
	if serving, err := store.Serving(c.DataDir); err == nil && serving {
		req.Aside = standBack // requests go first
	}
	return c.withStore(ctx, con, false, func(ctx context.Context, st *store.Store) error {
		bar := newImportBar(con)
		req.Progress, req.Spread.Progress = bar.show, bar.spreading
		res, err := scrub.Import(ctx, st, c.registryDir(), req)
		bar.finish()
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted: nothing was changed, the registry stays as it was")
		case err != nil && res.Report != nil && len(res.Report.Refusals) > 0:
			if !con.json {
				printReport(con.err, res.Report)
				return refused(res.Report)
			}
			return errors.Join(con.result(res.Report, nil), refused(res.Report))
		case err != nil:
			return err
		}
		var late error // the import is done all the same
		if res.Version != 0 {
			late = awaitServers(ctx, con, st, res.Version, res.Snapshot.ID, awaitRegistry)
		}
		view := struct {
			ID saaf.SnapshotID `json:"id"`
			*dnd.Report
		}{res.Snapshot.ID, res.Report}
		return errors.Join(con.result(view, func(w io.Writer) {
			printReport(w, res.Report)
			if res.Report.NoOp != 0 {
				fmt.Fprintf(w, "\nNothing to do: these files are in snapshot %s already, dated %s.\n", res.Report.NoOp, res.Snapshot.EffectiveDate)
				return
			}
			fmt.Fprintf(w, "\nActive: %s, dated %s, %s numbers.\n", res.Snapshot.ID, res.Snapshot.EffectiveDate, thousands(res.Snapshot.Numbers))
		}), late)
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
