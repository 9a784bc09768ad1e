package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"saaf/dnd"
)

type registryGenerateCmd struct {
	File    string `arg:"" placeholder:"FILE" help:"File to write; its name ends in .csv, .csv.gz or .zip."`
	Numbers count  `required:"" placeholder:"N" help:"Rows of the full set, each of another number: 300000000, or 300M."`
	Seed    uint64 `default:"1" placeholder:"S" help:"The same seed and flags give the same rows, another seed other ones (${default})."`

	Deleted     float64 `default:"0.3" placeholder:"SHARE" help:"Share of D rows in the full set, 0 to 1 (${default})."`
	Preferences float64 `default:"0.1" placeholder:"SHARE" help:"Share of rows with a list of categories, 0 to 1 (${default})."`
	Clustered   bool    `xor:"spread" help:"Fill blocks of 100,000 numbers that begin with 6 to a quarter: the default."`
	Uniform     bool    `xor:"spread" help:"Spread the numbers evenly from 6000000000 to 9999999999."`

	Delta       count    `xor:"kind" placeholder:"ROWS" help:"Write a delta to the full set of the other flags, instead of the set."`
	Removed     *float64 `placeholder:"SHARE" help:"Share of the delta's rows that remove a number, 0 to 1 (a twentieth, and less where that would remove over half a percent of the set)."`
	DeltaNumber int64    `default:"1" placeholder:"K" help:"Which of several deltas of this size it is; each builds on the one before (${default})."`

	Ascending   bool  `xor:"kind" help:"Write the numbers in ascending order."`
	Bare        bool  `help:"Write neither header nor quotes."`
	RowsPerFile count `placeholder:"N" help:"Write several files of so many rows, name_0, name_1 and so on."`
	Force       bool  `help:"Overwrite files that exist."`
}

// count is a number of rows, which may be written with k or M behind it.
type count int64

// UnmarshalText reads 300000000, 300M or 500k.
func (c *count) UnmarshalText(text []byte) error {
	n, ok := quantity(string(text), 1e12)
	if !ok {
		return fmt.Errorf("%q is no count of rows: write it as 300000, 300k or 300M", text)
	}
	*c = count(n)
	return nil
}

// generatedView is what the command prints as JSON.
type generatedView struct {
	Synthetic bool   `json:"synthetic"` // always: no row says anything about anybody
	Mode      string `json:"mode"`
	Numbers   count  `json:"numbers"`
	Seed      uint64 `json:"seed"`
	*dnd.GenerateReport
}

func (c *registryGenerateCmd) Run(ctx context.Context, con *console) error {
	g, err := c.generate()
	if err != nil {
		return err
	}
	bar := progressLine{con: con}
	g.Progress = func(p dnd.GenerateProgress) {
		bar.show("writing", p.Rows, p.RowsTotal, func(elapsed time.Duration) string { return generateWords(p, elapsed) })
	}
	r, err := g.Run(ctx)
	bar.finish()
	if err != nil {
		return err
	}
	v := generatedView{Synthetic: true, Mode: "full", Numbers: c.Numbers, Seed: c.Seed, GenerateReport: r}
	if g.Delta != nil {
		v.Mode = "delta"
	}
	return con.result(v, func(w io.Writer) { printGenerated(w, r) })
}

// generate turns the flags into the work.
func (c *registryGenerateCmd) generate() (*dnd.Generate, error) {
	s, err := dnd.NewSynthetic(dnd.SyntheticConfig{
		Numbers: int64(c.Numbers), Seed: c.Seed, Deleted: c.Deleted, Preferences: c.Preferences, Uniform: c.Uniform,
	})
	if err != nil {
		return nil, err
	}
	g := &dnd.Generate{Path: c.File, Registry: s, RowsPerFile: int64(c.RowsPerFile), Ascending: c.Ascending, Bare: c.Bare, Force: c.Force}
	if c.Delta == 0 {
		if c.Removed != nil || c.DeltaNumber != 1 {
			return nil, &usageError{"--removed and --delta-number are about a delta: add --delta ROWS"}
		}
		return g, nil
	}
	if c.DeltaNumber < 1 {
		return nil, &usageError{"--delta-number counts from 1"}
	}
	g.Delta, err = s.Delta(dnd.SyntheticDeltaConfig{Rows: int64(c.Delta), Removed: c.removed(), Sequence: c.DeltaNumber})
	return g, err
}

// removed is the share that was given, or one that an import takes: it refuses a
// delta that removes over 1 % of the active numbers.
func (c *registryGenerateCmd) removed() float64 {
	if c.Removed != nil {
		return *c.Removed
	}
	active := float64(c.Numbers) * (1 - c.Deleted)
	return min(0.05, 0.005*active/float64(c.Delta))
}

// generateWords is the progress in words.
func generateWords(p dnd.GenerateProgress, elapsed time.Duration) string {
	return fmt.Sprintf("writing %sB, %s%s", short(p.Bytes), rowsAt(p.Rows, elapsed), timeLeft(p.Rows, p.RowsTotal, elapsed))
}

func printGenerated(w io.Writer, r *dnd.GenerateReport) {
	rows := make([][]string, len(r.Files))
	for i, f := range r.Files {
		rows[i] = []string{f.Path, thousands(f.Rows), thousands(f.Bytes), f.SHA256.String()}
	}
	table(w, []string{"FILE", "ROWS", "BYTES", "SHA-256"}, rows)
	fmt.Fprintf(w, "\n%s rows: %s A, of these %s with categories, and %s D. The numbers are made up: never use them to decide about a call.\n",
		thousands(r.Rows), thousands(r.Active), thousands(r.Partial), thousands(r.Deleted))
}

func (registryGenerateCmd) Help() string {
	return `Writes files in the layout of the NCPR download, to try an installation and to measure it before the real files are there.

The numbers are made up. One of them may by chance be somebody's, listed here or not: the files say nothing about anybody.
Never let them decide about real calls. An installation that has imported them answers "clean" for nearly everybody who is
on the real registry; throw its data directory away, and import the real files into a new one.

A delta belongs to the full set of the same --numbers, --seed and shares: it adds numbers that are not in the set and
removes numbers that are. Import it with --delta after the set; --delta-number 2 is the next one.

    saaf registry generate trial.csv.gz --numbers 1M
    saaf registry import trial.csv.gz --full --effective-date ` + today() + ` --data-dir ./trial
    saaf registry generate changes.csv --numbers 1M --delta 20k
    saaf registry import changes.csv --delta --effective-date ` + today() + ` --data-dir ./trial
    saaf registry generate national.zip --numbers 400M --uniform --rows-per-file 10M`
}
