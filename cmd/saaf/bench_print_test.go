package main

import (
	"bytes"
	"strings"
	"testing"

	"saaf/bench"
)

func TestBenchTable(t *testing.T) {
	t.Parallel()
	yes, no, floor, limit, ratio := true, false, 0.7, 87265.0, 1.02
	report := &bench.Report{Rows: []bench.Row{
		{Target: 1, Name: "bulk", Engine: "postgres", What: strings.Repeat("what ", 30), Value: 72318, Unit: "leads/s", Limit: &limit, Ratio: &ratio,
			Floor: &floor, Sense: ">=", OK: &yes, Note: strings.Repeat("note ", 30)},
		{Target: 8, Name: "mixed_single_p99", Engine: "embedded", Value: 244, Unit: "ms", Floor: &floor, Sense: "<=", OK: &no},
		{Target: 12, Name: "swap_failed", Unit: "requests"},
	}}
	var short, long bytes.Buffer
	printRows(&short, report, false)
	printRows(&long, report, true)
	for line := range strings.Lines(short.String()) {
		if len(line) > 111 {
			t.Errorf("a line of %d columns: %s", len(line)-1, line)
		}
	}
	for _, want := range []string{"bulk ", "mixed_single_p99", "\n1 of 2 floors missed.\n"} {
		if !strings.Contains(short.String(), want) || !strings.Contains(long.String(), want) {
			t.Errorf("no %q in\n%s", want, short.String())
		}
	}
	if strings.Contains(short.String(), "what") || !strings.Contains(long.String(), "what what") || !strings.Contains(long.String(), "note note") {
		t.Errorf("texts are for --verbose:\n%s", short.String())
	}
}
