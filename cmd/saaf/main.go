// Command saaf takes leads for outbound campaigns, checks every number against
// the do-not-call registry the moment it arrives, and keeps the verdicts true.
//
// This package is the composition root: it reads flags and the environment,
// builds the services and wires them. One file per command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := run(ctx, os.Args[1:], &console{out: os.Stdout, err: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))})
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// console is where a command speaks: results to out, everything else to err.
type console struct {
	out, err io.Writer
	terminal bool // err is a terminal: progress may be drawn
	json     bool // out takes one JSON value and nothing else
}

// quiet is a console that nobody sees.
var quiet = &console{out: io.Discard, err: io.Discard}

// usageError is a wrong use of the command line that parsing cannot see.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, con *console) (code int) {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("saaf"),
		kong.Description(description),
		kong.Writers(con.out, con.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"today": today()},
		durations(),
		kong.Exit(func(code int) { panic(helpShown(code)) }),
	)
	if err != nil {
		panic(err) // the grammar itself is wrong
	}
	shownCode := exitOK
	defer func() {
		if p := recover(); p != nil {
			shown, ok := p.(helpShown)
			if !ok {
				panic(p)
			}
			code = max(int(shown), shownCode)
		}
	}()
	hideDatabase(parser)
	switch {
	case len(args) == 0: // nothing was asked for, and nothing is done
		con.out = con.err
		parser.Stdout = con.err
		shownCode = exitUsage
		args = []string{"--help"}
	case args[0] == "help":
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args[0] = "version"
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		var wrong *kong.ParseError
		if errors.As(err, &wrong) {
			kctx = wrong.Context
		}
		return misused(con, kctx, err)
	}
	if err := checkPlaces(kctx); err != nil {
		return misused(con, kctx, err)
	}
	con.json = c.JSON
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(con)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return misused(con, kctx, err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(con.err, "saaf: interrupted")
		return exitFailed
	}
	fmt.Fprintf(con.err, "saaf: %v\n", err)
	return exitFailed
}

// misused says what is wrong with a command line, and where the help for it is.
func misused(con *console, kctx *kong.Context, err error) int {
	var command strings.Builder
	command.WriteString("saaf")
	if kctx != nil {
		for _, p := range kctx.Path { // as far as it was understood
			if p.Command != nil {
				command.WriteString(" " + p.Command.Name)
			}
		}
	}
	fmt.Fprintf(con.err, "saaf: %v (see %s --help)\n", err, command.String())
	return exitUsage
}

// hideDatabase takes flags out of the help of commands that are for embedded stores. They
// are still read, so that somebody who names a database is told what to do instead.
func hideDatabase(parser *kong.Kong) {
	for _, node := range parser.Model.Children {
		if node.Name != "backup" && node.Name != "restore" {
			continue
		}
		for _, f := range node.Flags {
			f.Hidden = f.Hidden || strings.HasPrefix(f.Name, "database-url")
		}
	}
}

// helpShown ends a run whose help was asked for, in place of os.Exit.
type helpShown int
