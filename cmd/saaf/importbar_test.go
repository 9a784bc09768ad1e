package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"saaf/dnd"
	"saaf/scrub"
	"saaf/store"
)

// A national registry: 300 million rows, 9.3 GB of text.
func TestImportWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		progress dnd.Progress
		elapsed  time.Duration
		want     string
	}{
		{dnd.Progress{Stage: dnd.Hashing, File: "full.csv", BytesDone: 4_650_000_000, BytesTotal: 9_300_000_000}, 9 * time.Second,
			"1/3 hashing 4.7/9.3 GB, 9s left"},
		{dnd.Progress{Stage: dnd.Reading, File: "part-07-of-40.csv", BytesDone: 3_100_000_000, BytesTotal: 9_300_000_000, Rows: 100_000_000}, 50 * time.Second,
			"2/3 reading 3.1/9.3 GB, 100.0M rows at 2.0M/s, 1m40s left"},
		{dnd.Progress{Stage: dnd.Writing, BytesDone: 125_000_000, BytesTotal: 500_000_000, Rows: 300_000_000}, time.Second,
			"3/3 writing 125.0/500.0 MB, 3s left"},
		// It is too early to say when it ends.
		{dnd.Progress{Stage: dnd.Reading, BytesDone: 1 << 20, BytesTotal: 9_300_000_000, Rows: 33_825}, 10 * time.Millisecond,
			"2/3 reading 0.0/9.3 GB, 33.8k rows at 3.4M/s"},
		{dnd.Progress{Stage: dnd.Reading, BytesDone: 0, BytesTotal: 800}, time.Minute,
			"2/3 reading 0/800 B, 0 rows at 0/s"},
	} {
		if diff := cmp.Diff(c.want, importWords(c.progress, c.elapsed)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSpreadWords(t *testing.T) {
	t.Parallel()
	behind := store.Server{Host: "node-3", PID: 4711}
	for _, c := range []struct {
		progress scrub.SpreadProgress
		want     string
	}{
		{scrub.SpreadProgress{Stage: scrub.Publishing, BytesDone: 130e6, BytesTotal: 520e6}, "publishing 130.0/520.0 MB, 6s left"},
		{scrub.SpreadProgress{Stage: scrub.Preparing, BytesDone: 1_040e6, BytesTotal: 1_560e6, Servers: 3, Waiting: []store.Server{behind}},
			"preparing 1.0/1.6 GB on 2/3, not node-3"},
		{scrub.SpreadProgress{Stage: scrub.Preparing, BytesTotal: 1_560e6, Servers: 3, Waiting: []store.Server{behind, {}, {}}},
			"preparing 0.0/1.6 GB on 0/3, not node-3 +2"},
	} {
		if diff := cmp.Diff(c.want, spreadWords(c.progress, 2*time.Second)); diff != "" {
			t.Error(diff)
		}
	}
}

// drawn is what an import of three stages draws.
func drawn(terminal bool) string {
	var out bytes.Buffer
	bar := newImportBar(&console{err: &out, terminal: terminal})
	const total = 99_999_999_999
	for _, stage := range []dnd.Stage{dnd.Hashing, dnd.Reading, dnd.Writing} {
		for _, done := range []int64{0, total / 1000, total} {
			bar.show(dnd.Progress{Stage: stage, File: strings.Repeat("long", 30) + ".csv", BytesDone: done, BytesTotal: total, Rows: done / 31})
		}
	}
	bar.finish()
	return out.String()
}

func TestImportBarFitsATerminal(t *testing.T) {
	t.Parallel()
	text := drawn(true)
	for _, stage := range []string{"1/3 hashing", "2/3 reading", "3/3 writing"} {
		if !strings.Contains(text, stage) {
			t.Errorf("%s is not drawn", stage)
		}
	}
	// The longest words there can be, drawn with the bar as it is.
	longest := importWords(dnd.Progress{Stage: dnd.Reading, BytesDone: 999e9, BytesTotal: 9999e8, Rows: 999_900_000}, 999*time.Hour)
	var out bytes.Buffer
	line := progressLine{con: &console{err: &out, terminal: true}}
	line.show("x", 1, 1000, func(time.Duration) string { return longest })
	line.show("y", 1, 1000, func(time.Duration) string {
		crowd := make([]store.Server, 99)
		crowd[0] = store.Server{Host: strings.Repeat("long", 30), PID: 4194304}
		return spreadWords(scrub.SpreadProgress{Stage: scrub.Preparing, BytesDone: 999e9, BytesTotal: 9999e8, Servers: 199, Waiting: crowd}, 999*time.Hour)
	})
	for _, line := range regexp.MustCompile(`[\r\n]`).Split(text+out.String(), -1) {
		if n := utf8.RuneCountInString(line); n >= 80 {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("a bar is left standing: %q", text)
	}
}

func TestImportBarIsForTerminals(t *testing.T) {
	t.Parallel()
	if text := drawn(false); text != "" {
		t.Errorf("%q", text)
	}
}
