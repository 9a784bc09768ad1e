package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"saaf/bench"
)

type benchAllCmd struct {
	Leads       count  `default:"1M" placeholder:"N" help:"Leads that fill one campaign, 10k or more (${default})."`
	Numbers     count  `default:"100M" placeholder:"N" help:"Numbers in the registry, 1M or more (${default})."`
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"Empty PostgreSQL database: also measure that engine. What is stored there stays."`
	benchFlags
}

type benchVerifyCmd struct {
	DataDir     string `arg:"" name:"data-dir" type:"existingdir" help:"Directory of an engine in what was left: saaf-bench-.../embedded."`
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"Its PostgreSQL database."`
}

func (c *benchAllCmd) Run(ctx context.Context, con *console) error {
	config := bench.Config{Leads: int64(c.Leads), Numbers: int64(c.Numbers), DatabaseURL: c.DatabaseURL}
	if err := config.Validate(); err != nil {
		return &usageError{"--leads, --numbers: " + err.Error()}
	}
	h, finish, err := c.host(con)
	if err != nil {
		return err
	}
	defer finish()
	report, err := bench.Run(ctx, h, config)
	finish()
	if err != nil {
		return err
	}
	return errors.Join(con.result(report, func(w io.Writer) { printRows(w, &report) }), unverified(report.Problems))
}

func (c *benchVerifyCmd) Run(ctx context.Context, con *console) error {
	h, finish, err := (&benchFlags{Dir: os.TempDir()}).host(con)
	if err != nil {
		return err
	}
	defer finish()
	problems, err := bench.Verify(ctx, h, c.DataDir, c.DatabaseURL)
	if err != nil {
		return err
	}
	v := struct {
		Verified bool     `json:"verified"`
		Problems []string `json:"problems"`
	}{len(problems) == 0, append([]string{}, problems...)}
	return errors.Join(con.result(v, func(w io.Writer) { printVerdict(w, problems) }), unverified(problems))
}

// unverified is the error of content that is not as it must be. A floor that is missed
// is none: how quick a machine is is no fault.
func unverified(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("what was stored is not what was acknowledged: %s", problems[0])
}

func printRows(w io.Writer, report *bench.Report) {
	rows := make([][]string, len(report.Rows))
	for i, r := range report.Rows {
		row := []string{strconv.Itoa(r.Target), r.Engine, r.What, bench.Figure(r.Value) + " " + r.Unit, "", "", "", "", r.Note}
		if r.Limit != nil {
			row[4], row[5] = bench.Figure(*r.Limit)+" "+r.Unit, bench.Figure(*r.Ratio)
		}
		if r.Floor != nil {
			row[6], row[7] = r.Sense+" "+bench.Figure(*r.Floor), map[bool]string{true: "yes", false: "NO"}[*r.OK]
		}
		rows[i] = row
	}
	table(w, []string{"#", "ENGINE", "WHAT", "VALUE", "LIMIT", "RATIO", "FLOOR", "OK", "NOTE"}, rows)
	printVerdict(w, report.Problems)
}

func printVerdict(w io.Writer, problems []string) {
	if len(problems) == 0 {
		fmt.Fprintln(w, "\nVerified: every acknowledged lead is there, once, with its verdict, and the ledger is whole.")
		return
	}
	fmt.Fprintln(w, "\nNOT verified:")
	for _, p := range problems {
		fmt.Fprintln(w, "  "+p)
	}
}
