package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"saaf"
	"saaf/store"
)

type suppressionImportCmd struct {
	File   string `arg:"" type:"existingfile" placeholder:"FILE" help:"CSV file whose first line names its columns: phone, and if you like reason, source, expires_at."`
	Reason string `help:"Why, for rows that do not say so themselves."`
	listFlags
}

// suppressionImport is what an import of opt-outs did.
type suppressionImport struct {
	File       string       `json:"file"`
	Rows       int64        `json:"rows"` // Added, Known and Unreadable together
	Added      int64        `json:"added"`
	Known      int64        `json:"known"` // on the list already
	Unreadable int64        `json:"unreadable"`
	Blocked    int64        `json:"leads_blocked"` // at once
	Problems   []rowProblem `json:"problems,omitempty"`
	Ignored    []string     `json:"ignored_columns,omitempty"`
}

const (
	// importChunk is how many opt-outs go into one transaction: pushes wait for no
	// longer than that takes.
	importChunk = 500
	// maxProblems is how many unreadable rows are listed.
	maxProblems = 1000
)

func (c *suppressionImportCmd) Run(ctx context.Context, con *console) error {
	now := time.Now()
	entry, err := c.entry(now)
	if err != nil {
		return err
	}
	if c.Reason != "" { // otherwise each row must have its own
		if entry.Reason, err = flagReason(c.Reason); err != nil {
			return err
		}
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	read := &countingReader{r: f}
	rows, err := newSuppressionRows(read, entry, now)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(c.File), err)
	}
	return c.withStore(ctx, con, true, func(ctx context.Context, st *store.Store) error {
		tenant, err := c.owner(ctx, st, &entry)
		if err != nil {
			return err
		}
		done := suppressionImport{File: filepath.Base(c.File), Ignored: rows.unknown}
		line := progressLine{con: con}
		err = c.importRows(ctx, st, tenant, rows, &done, func() {
			line.show("importing", read.n, info.Size(), func(elapsed time.Duration) string {
				return "importing " + ofBytes(read.n, info.Size()) + ", " + rowsAt(done.Rows, elapsed) + timeLeft(read.n, info.Size(), elapsed)
			})
		})
		line.finish()
		if err != nil {
			return fmt.Errorf("stopped after %s rows, which stay in force; import the file again, what is on the list already is passed over: %w", thousands(done.Rows), err)
		}
		return errors.Join(con.result(done, func(w io.Writer) { printSuppressionImport(w, &done) }), done.incomplete())
	})
}

// incomplete is the error when somebody who opted out is not on the list: a script
// that runs on must not take them for blocked.
func (d *suppressionImport) incomplete() error {
	if d.Unreadable == 0 {
		return nil
	}
	return fmt.Errorf("%s not be read: whoever stands there is not blocked; correct the file and import it again, what is on the list already is passed over",
		counted(int(d.Unreadable), "row could", "rows could"))
}

// importRows puts the rows on the list, in transactions of importChunk. done counts
// what is committed.
func (c *suppressionImportCmd) importRows(ctx context.Context, st *store.Store, tenant saaf.TenantID, rows *suppressionRows, done *suppressionImport, progress func()) error {
	by := saaf.By{Actor: actor()}
	chunk := make([]store.NewSuppression, 0, importChunk)
	for {
		n, err := rows.Next()
		problem, bad := errors.AsType[*rowProblem](err)
		switch {
		case bad:
			done.Rows++
			done.Unreadable++
			if len(done.Problems) < maxProblems {
				done.Problems = append(done.Problems, *problem)
			}
		case err == nil:
			chunk = append(chunk, n)
		case err != io.EOF:
			return err
		}
		if len(chunk) == importChunk || err == io.EOF && len(chunk) > 0 {
			made, err := st.Suppress(ctx, tenant, saaf.Environment(c.Env), chunk, by)
			if err != nil {
				return err
			}
			done.count(made)
			chunk = chunk[:0]
			progress()
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (d *suppressionImport) count(made []store.Suppressed) {
	d.Rows += int64(len(made))
	for _, m := range made {
		if m.Made {
			d.Added++
		} else {
			d.Known++
		}
		d.Blocked += int64(m.Blocked)
	}
}

func printSuppressionImport(w io.Writer, d *suppressionImport) {
	fmt.Fprintf(w, "%s rows: %s added, %s on the list already, %s unreadable; %s blocked at once\n",
		thousands(d.Rows), thousands(d.Added), thousands(d.Known), thousands(d.Unreadable), leadCount(d.Blocked))
	if len(d.Ignored) > 0 {
		fmt.Fprintf(w, "  columns that were passed over: %s\n", strings.Join(d.Ignored, ", "))
	}
	for i := range d.Problems {
		fmt.Fprintf(w, "  unreadable: %v\n", &d.Problems[i])
	}
	if left := d.Unreadable - int64(len(d.Problems)); left > 0 {
		fmt.Fprintf(w, "  ... and %s more unreadable rows\n", thousands(left))
	}
}

// countingReader counts what is read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
