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
	Verbose     bool   `help:"Also print what each row is, and notes: the table gets wide."`
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
	load, known := loadAverage()
	if known {
		fmt.Fprintf(con.err, "The load average of this machine is %.2f\n", load)
	}
	if load > idleLoad {
		fmt.Fprintln(con.err, "Warning: other programs use this machine: figures will be worse than saaf is, and times no measure of it")
	}
	report, err := bench.Run(ctx, h, config)
	finish()
	if err != nil {
		return err
	}
	return errors.Join(con.result(report, func(w io.Writer) { printRows(w, &report, c.Verbose) }), unverified(report.Problems))
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

// idleLoad is the load average above which a machine does something else.
const idleLoad = 0.5

// loadAverage is how many processes wanted a processor in the last minute, where the system
// says it.
func loadAverage() (load float64, known bool) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, false
	}
	_, err = fmt.Sscan(string(text), &load)
	return load, err == nil
}

func printRows(w io.Writer, report *bench.Report, verbose bool) {
	header := []string{"NAME", "ENGINE", "VALUE", "LIMIT", "RATIO", "FLOOR", "OK"}
	if verbose {
		header = append([]string{"#"}, append(header, "WHAT", "NOTE")...)
	}
	var floors, missed int
	rows := make([][]string, len(report.Rows))
	for i, r := range report.Rows {
		row := []string{r.Name, r.Engine, bench.Figure(r.Value) + " " + r.Unit, "", "", "", ""}
		if r.Limit != nil {
			row[3], row[4] = bench.Figure(*r.Limit)+" "+r.Unit, bench.Figure(*r.Ratio)
		}
		if r.Floor != nil {
			row[5], row[6] = r.Sense+" "+bench.Figure(*r.Floor), map[bool]string{true: "yes", false: "NO"}[*r.OK]
			floors++
			if !*r.OK {
				missed++
			}
		}
		if verbose {
			row = append([]string{strconv.Itoa(r.Target)}, append(row, r.What, r.Note)...)
		}
		rows[i] = row
	}
	table(w, header, rows)
	fmt.Fprintf(w, "\n%d of %d floors missed.\n", missed, floors)
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
