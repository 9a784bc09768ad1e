package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"saaf/bench"
)

type benchCmd struct {
	All      benchAllCmd      `cmd:"" default:"withargs" help:"Measure everything, in one run: what saaf bench does."`
	Registry benchRegistryCmd `cmd:"" help:"Measure everything about the registry against its limits, in one run."`
	Verify   benchVerifyCmd   `cmd:"" help:"Check once more what a run with --keep has left."`
}

// benchFlags say where a benchmark works.
type benchFlags struct {
	Dir  string `placeholder:"DIR" help:"Directory to work in; it needs room (the one for temporary files)."`
	Keep bool   `help:"Leave the files there."`
}

// host is this machine and this program.
func (c *benchFlags) host(con *console) (*bench.Host, func(), error) {
	program, err := thisProgram()
	if err != nil {
		return nil, nil, err
	}
	b := &benchBar{line: progressLine{con: con}}
	return &bench.Host{
		Program: func(ctx context.Context, url string, args ...string) *exec.Cmd {
			return benchChild(ctx, program, url, args)
		},
		Dir: c.Dir, Keep: c.Keep,
		Log: b, Progress: b.show,
	}, b.finish, nil
}

// benchChild is a process of this program, as somebody would start it on the command
// line.
func benchChild(ctx context.Context, program, url string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = os.Args[0]
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(strings.ToUpper(kv), "SAAF_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = database{url: url}.environ(cmd.Env)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute // a server that stops finishes what it has accepted
	dieWithParent(cmd)
	return cmd
}

// benchBar draws how far a step is, and writes the lines between. Many goroutines push,
// and each tells of it.
type benchBar struct {
	mu   sync.Mutex
	line progressLine // guarded by mu
}

func (b *benchBar) show(step string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line.show(step, done, total, func(elapsed time.Duration) string { return step + timeLeft(done, total, elapsed) })
}

func (b *benchBar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line.finish()
}

func (b *benchBar) Write(text []byte) (int, error) {
	b.finish()
	return b.line.con.err.Write(text)
}

type benchRegistryCmd struct {
	Numbers count `default:"100M" placeholder:"N" help:"Numbers in the registry, 1M or more (${default})."`
	Delta   count `default:"100k" placeholder:"ROWS" help:"Rows of a delta (${default})."`
	Seconds int   `default:"20" placeholder:"S" help:"How long requests are measured before the import begins, and after it (${default})."`
	benchFlags
}

func (c *benchRegistryCmd) Run(ctx context.Context, con *console) error {
	switch {
	case c.Numbers < bench.LeastNumbers:
		return &usageError{"--numbers must be 1M or more"}
	case c.Delta < 1 || c.Delta > c.Numbers/2:
		return &usageError{"--delta must be 1 to half of --numbers"}
	case c.Seconds < 1:
		return &usageError{"--seconds must be 1 or more"}
	}
	h, finish, err := c.host(con)
	if err != nil {
		return err
	}
	defer finish()
	list, err := bench.MeasureRegistry(ctx, h, bench.RegistryConfig{Numbers: int64(c.Numbers), Delta: int64(c.Delta), Seconds: c.Seconds})
	if err != nil {
		return err
	}
	v := struct {
		Numbers count           `json:"numbers"`
		Delta   count           `json:"delta"`
		OK      bool            `json:"ok"`
		List    []bench.Measure `json:"measures"`
	}{c.Numbers, c.Delta, bench.Missed(list) == nil, list}
	if err := con.result(v, func(w io.Writer) { printMeasures(w, list) }); err != nil {
		return err
	}
	return bench.Missed(list)
}

func printMeasures(w io.Writer, list []bench.Measure) {
	rows := make([][]string, len(list))
	for i, m := range list {
		row := []string{m.What, bench.Figure(m.Value) + " " + m.Unit, "", "", "", "yes", m.Note}
		if m.Base != nil {
			row[2], row[3] = bench.Figure(*m.Base)+" "+m.Unit, fmt.Sprintf("%.2f", *m.Ratio)
		}
		switch {
		case m.Most == nil:
			row[5] = ""
		case m.Ratio != nil:
			row[4] = bench.Figure(*m.Most) + " x"
		default:
			row[4] = bench.Figure(*m.Most) + " " + m.Unit
		}
		if !m.OK {
			row[5] = "NO"
		}
		rows[i] = row
	}
	table(w, []string{"WHAT", "VALUE", "AGAINST", "RATIO", "AT MOST", "OK", "NOTE"}, rows)
}
