package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
)

type registryRollbackCmd struct {
	Reason         string        `required:"" help:"Why: it becomes part of the evidence."`
	RegistryMaxAge time.Duration `default:"168h" env:"SAAF_REGISTRY_MAX_AGE" placeholder:"DURATION" help:"Age from which the servers no longer answer (${default})."`
	dataFlags
}

// rolledBack is what the roll-back command prints.
type rolledBack struct {
	ID            saaf.SnapshotID `json:"id"`
	Left          saaf.SnapshotID `json:"left"` // active before
	EffectiveDate saaf.Date       `json:"effective_date"`
	State         string          `json:"state"`
	AgeDays       int             `json:"age_days"`
	Numbers       int64           `json:"numbers"`
	Reason        string          `json:"reason"`
	Advice        string          `json:"advice,omitempty"`
	Warnings      []string        `json:"warnings,omitempty"`
}

func (c *registryRollbackCmd) Run(ctx context.Context, con *console) error {
	reason, err := flagReason(c.Reason)
	if err != nil {
		return err
	}
	if err := positiveAge(c.RegistryMaxAge); err != nil {
		return err
	}
	var warnings []string
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		bar := newImportBar(con)
		how := scrub.Spreading{Progress: bar.spreading, Warn: func(w string) { warnings = append(warnings, w) }}
		before, err := st.Registry(ctx)
		if err != nil {
			return err
		}
		active, version, err := scrub.RollBack(ctx, st, c.registryDir(), saaf.By{Actor: actor()}, reason, how)
		bar.finish()
		if err != nil {
			return err
		}
		if err := awaitServers(ctx, con, st, version, active.ID, awaitRegistry); err != nil {
			return err
		}
		view, err := c.activeView(ctx, con, st, saaf.RegistryState{Active: &active}, c.RegistryMaxAge)
		if err != nil {
			return err
		}
		f := view.Freshness(time.Now())
		v := rolledBack{
			ID: active.ID, Left: before.Active.ID, EffectiveDate: active.EffectiveDate, State: f.State.String(), AgeDays: wholeDays(f.Age),
			Numbers: active.Numbers, Reason: reason, Advice: scrub.Advice(f), Warnings: warnings,
		}
		return con.result(v, func(w io.Writer) {
			fmt.Fprintf(w, "Active again: %s, dated %s, %s old, %s numbers. It was %s.\n",
				v.ID, v.EffectiveDate, dayCount(v.AgeDays), thousands(v.Numbers), v.Left)
			fmt.Fprintln(w, "All unfinished leads are re-checked: those that are on it are blocked at once, those that have left are held.")
			for _, warning := range v.Warnings {
				fmt.Fprintf(w, "Warning: %s\n", warning)
			}
			if v.Advice != "" {
				fmt.Fprintln(w, v.Advice)
			}
		})
	})
}

// flagReason reads a --reason, for which the rules of the API hold too.
func flagReason(text string) (string, error) {
	reason, problem := saaf.CheckReason("reason", text)
	if problem != nil {
		return "", &usageError{"--reason: " + problem.Msg}
	}
	return reason, nil
}

func wholeDays(age time.Duration) int { return int(age / (24 * time.Hour)) }

// dayCount is an age for a sentence.
func dayCount(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}
