package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"saaf"
	"saaf/scrub"
	"saaf/store"
)

type migrateCmd struct {
	From       string `placeholder:"DIR" help:"Data directory of the embedded store to move. No server may run on it."`
	To         string `placeholder:"URL" help:"Database, empty, to move into or to spread; without it what --database-url names."`
	Distribute bool   `help:"Spread the tables over the machines of the Citus cluster that the database is of: a step of its own, before a store is moved there."`
	Reopen     bool   `help:"Have the store in --from be used again that was moved. What has come into the database since is not in it."`
	databaseFlags
}

func (migrateCmd) Help() string {
	return `Copies everything as it is: ids, keys, campaigns, leads, opt-outs, the ledger with its signatures. The two sides are compared
and the ledger is verified in the database before anybody can use it. A move that was cut short goes on when it is run again.

The store in the directory is left as it was, but for a mark: it is not served and not written to any more, since what
comes in there would be missing in the database. audit verify and audit export still read it. --reopen takes the mark
away, for whoever gives up the database.
pepper and signing.pem do not go into the database: every process on it needs a copy of them. docs/postgres.md has the steps.

    saaf migrate --from ./saaf-data --to postgres://saaf@db.internal/saaf
    saaf migrate --from ./saaf-data --reopen
    saaf migrate --distribute --to postgres://saaf@coordinator.internal/saaf`
}

// migration is what the command prints.
type migration struct {
	Deployment *saaf.DeploymentID  `json:"deployment,omitempty"`
	Resumed    bool                `json:"resumed"`
	Already    bool                `json:"already_moved,omitempty"` // by an earlier run, which has verified it
	Reopened   bool                `json:"reopened,omitempty"`
	Campaigns  int64               `json:"campaigns"`
	Rows       int64               `json:"rows"`
	Tables     map[string]int64    `json:"tables,omitempty"`
	Ledger     *scrub.VerifyReport `json:"ledger,omitempty"`
	Snapshots  int                 `json:"snapshots"`          // whose files are in the database
	Secrets    string              `json:"secrets,omitempty"`  // directory from where every process needs a copy
	Warnings   []string            `json:"warnings,omitempty"` // about snapshots
	Statements []string            `json:"statements,omitempty"`
}

func (c *migrateCmd) Run(ctx context.Context, con *console) error {
	switch {
	case c.From == "" && c.Reopen:
		return &usageError{"name the directory of the store with --from DIR"}
	case c.From == "" && !c.Distribute:
		return &usageError{"say what to do: --from DIR moves the store there into the database, --distribute spreads the database over a cluster"}
	case c.Distribute && c.From != "":
		return &usageError{"--distribute and --from are two steps: first saaf migrate --distribute --to URL, then saaf migrate --from DIR --to URL"}
	case c.Reopen && c.To != "":
		return &usageError{"--reopen is about the directory alone: leave --to out"}
	case c.Reopen:
		return c.reopen(ctx, con)
	}
	db, err := database{url: strings.TrimSpace(c.To), secrets: c.SecretsDir}, error(nil)
	if db.url == "" {
		db, err = c.database()
	}
	switch {
	case err != nil:
		return err
	case db.url == "":
		return &usageError{"name the database with --to URL or --database-url"}
	}
	var done migration
	if c.Distribute {
		if done.Statements, err = store.Distribute(ctx, store.Config{URL: db.url}); err != nil {
			return err
		}
	}
	var took time.Duration
	if c.From != "" {
		if took, err = c.move(ctx, con, db, &done); err != nil {
			return err
		}
	}
	return con.result(&done, func(w io.Writer) { c.print(w, &done, took) })
}

// move moves the store, and says how long the verification of the ledger took.
func (c *migrateCmd) move(ctx context.Context, con *console, db database, done *migration) (took time.Duration, err error) {
	bar := moveBar{progressLine{con: con}}
	from := database{}.config(c.From)
	if _, err := os.Stat(filepath.Join(c.From, "pepper")); errors.Is(err, fs.ErrNotExist) {
		from.Secrets = db.secrets // where an embedded store may have them, too
	}
	to := store.Config{Dir: c.From, URL: db.url, Secrets: db.secrets}
	connected := con.connecting(to)
	report, err := store.Move(ctx, store.MoveConfig{
		From: from, To: to,
		Progress: func(p store.MoveProgress) {
			connected()
			bar.show(p)
		},
		Verify: func(ctx context.Context, st *store.Store) error {
			bar.finish()
			began := time.Now()
			report, err := verifyMoved(ctx, con, st)
			done.Ledger, took = &report, time.Since(began)
			if err != nil {
				return err
			}
			return running(ctx, st, func(ctx context.Context) error {
				done.Snapshots, done.Warnings, err = scrub.PublishKept(ctx, st, scrub.RegistryDir(c.From), bar.publishing)
				return err
			})
		},
	})
	connected()
	bar.finish()
	if done.Already = errors.Is(err, store.ErrMoved); done.Already {
		err = nil
	}
	if err != nil {
		return took, c.explain(err)
	}
	done.Deployment, done.Resumed, done.Campaigns, done.Rows = &report.Deployment, report.Resumed, report.Campaigns, report.Rows
	done.Tables = make(map[string]int64, len(report.Tables))
	for _, t := range report.Tables {
		done.Tables[t.Name] = t.Rows
	}
	if done.Secrets = db.secrets; done.Secrets == "" {
		done.Secrets = c.From
	}
	return took, nil
}

// reopen has the store in the directory be used again.
func (c *migrateCmd) reopen(ctx context.Context, con *console) error {
	from := database{secrets: c.SecretsDir}.config(c.From)
	if _, err := os.Stat(filepath.Join(c.From, "pepper")); err == nil {
		from.Secrets = ""
	}
	err := store.Reopen(ctx, from)
	if errors.Is(err, store.ErrNotMoved) {
		return fmt.Errorf("the store in %s was not moved: it can be used as it is", c.From)
	}
	if err != nil {
		return c.explain(err)
	}
	return con.result(&migration{Reopened: true}, func(w io.Writer) {
		fmt.Fprintf(w, "The store in %s can be used again. What has come into the database since the move is not in it: stop the servers\n"+
			"there, and drop that database before anybody uses it.\n", c.From)
	})
}

// explain says what to do about the source in the words of this command's flags.
func (c *migrateCmd) explain(err error) error {
	if errors.Is(err, store.ErrNoStore) {
		return fmt.Errorf("there is no saaf store in %s: name the data directory of one with --from", c.From)
	}
	if locked, ok := errors.AsType[*store.LockedError](err); ok {
		return fmt.Errorf("a saaf serve (%s) uses the data directory %s: stop it, and run saaf migrate again", locked.Who(), c.From)
	}
	return err
}

// verifyMoved verifies the ledger in the database.
func verifyMoved(ctx context.Context, con *console, st *store.Store) (scrub.VerifyReport, error) {
	bar := newVerifyBar(con)
	defer bar.finish()
	report, err := scrub.Verify(ctx, st, scrub.VerifyOptions{Progress: bar.show})
	if err != nil {
		err = fmt.Errorf("the ledger does not verify in the database: %w. Run saaf audit verify on the source: if it says the same there, find out since when", err)
	}
	return report, err
}

func (c *migrateCmd) print(w io.Writer, m *migration, took time.Duration) {
	if c.Distribute {
		fmt.Fprintf(w, "Spread over the cluster: %s. All others were already.\n", counted(len(m.Statements), "table", "tables"))
	}
	if m.Deployment == nil {
		return
	}
	if m.Already {
		fmt.Fprintf(w, "%s is in this database already: moved, compared and verified by an earlier run. There is nothing to do.\n", m.Deployment)
		c.printNext(w, m)
		return
	}
	again := ""
	if m.Resumed {
		again = ", going on where it had been cut short"
	}
	fmt.Fprintf(w, "Moved %s: %s with %s%s.\n", m.Deployment, counted(int(m.Rows), "row", "rows"), counted(int(m.Campaigns), "campaign", "campaigns"), again)
	printVerified(w, m.Ledger, took)
	fmt.Fprintf(w, "\nThe files of %s are in the database.\n", counted(m.Snapshots, "registry snapshot", "registry snapshots"))
	for _, warning := range m.Warnings {
		fmt.Fprintf(w, "Warning: %s\n", warning)
	}
	c.printNext(w, m)
}

// printNext says what is left to do, and what must not be done.
func (c *migrateCmd) printNext(w io.Writer, m *migration) {
	fmt.Fprintf(w, "\nEvery process on the database needs pepper and signing.pem from %s: copy both into its data directory, or name\n"+
		"their directory with --secrets-dir.\n", m.Secrets)
	fmt.Fprintf(w, "The store in %s is left as it was, and marked: it is not served or written to any more, only audited.\n", c.From)
}

// moveBar draws the progress of a move.
type moveBar struct{ line progressLine }

func (b *moveBar) finish() { b.line.finish() }

func (b *moveBar) show(p store.MoveProgress) {
	stage := "copying"
	if p.Table == "" {
		stage = "comparing"
	}
	b.line.show(stage, p.Done, p.Total, func(elapsed time.Duration) string {
		if p.Table == "" {
			return "comparing both sides"
		}
		return fmt.Sprintf("%s/%s rows, %s", short(p.Done), short(p.Total), p.Table) + timeLeft(p.Done, p.Total, elapsed)
	})
}

func (b *moveBar) publishing(done, total int64) {
	b.line.show("publishing", done, total, func(elapsed time.Duration) string {
		return "publishing a snapshot " + ofBytes(done, total) + timeLeft(done, total, elapsed)
	})
}
