package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"saaf/dnd"
	"saaf/scrub"
)

// progressLine draws how far a long piece of work is, on a terminal and nothing
// elsewhere: a bar, and words behind it. A line stays within 80 columns, since one
// that is broken cannot be drawn over.
type progressLine struct {
	con     *console
	bar     *progressbar.ProgressBar
	stage   string
	started time.Time
}

// show draws done of total. Another stage begins a bar of its own. words is given
// the time since the stage began.
func (l *progressLine) show(stage string, done, total int64, words func(elapsed time.Duration) string) {
	if !l.con.terminal {
		return
	}
	if l.bar == nil || stage != l.stage {
		l.finish()
		l.stage, l.started = stage, time.Now()
		l.bar = progressbar.NewOptions64(max(total, 1),
			progressbar.OptionSetWriter(l.con.err),
			progressbar.OptionSetPredictTime(false), // it is in the words
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetWidth(8),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	l.bar.Describe(words(time.Since(l.started)))
	// A bar that cannot be drawn must not stop the work.
	_ = l.bar.Set64(done)
}

// finish removes the bar.
func (l *progressLine) finish() {
	if l.bar != nil {
		_ = l.bar.Finish()
		l.bar = nil
	}
}

// fetching draws how much is there of a file that comes from the database.
func (l *progressLine) fetching(done, total int64) {
	l.show("fetching", done, total, func(elapsed time.Duration) string {
		return "fetching the snapshot " + ofBytes(done, total) + timeLeft(done, total, elapsed)
	})
}

// importBar draws the progress of an import.
type importBar struct {
	line   progressLine
	waits  time.Time // since when servers are waited for, zero: not yet
	waited bool      // that was said
}

func newImportBar(con *console) *importBar { return &importBar{line: progressLine{con: con}} }

func (b *importBar) show(p dnd.Progress) {
	b.line.show(string(p.Stage), p.BytesDone, p.BytesTotal, func(elapsed time.Duration) string { return importWords(p, elapsed) })
}

// spreading draws how far the snapshot is on its way to all servers. Where nothing is
// drawn it says once who is waited for, when that takes over a second.
func (b *importBar) spreading(p scrub.SpreadProgress) {
	switch {
	case b.line.con.terminal || len(p.Waiting) == 0 || b.waited:
	case b.waits.IsZero():
		b.waits = time.Now()
	case time.Since(b.waits) > sayAfter:
		b.waited = true
		fmt.Fprintf(b.line.con.err, "Waiting until %s can answer from the snapshot, two minutes at most; one that was killed counts as running for about ten seconds\n", p.Waiting[0].String())
	}
	b.line.show(string(p.Stage), p.BytesDone, p.BytesTotal, func(elapsed time.Duration) string { return spreadWords(p, elapsed) })
}

// spreadWords is a snapshot on its way to all servers in words: how many can answer
// from it, and the machine of the first that cannot.
func spreadWords(p scrub.SpreadProgress, elapsed time.Duration) string {
	text := string(p.Stage) + " " + ofBytes(p.BytesDone, p.BytesTotal)
	if len(p.Waiting) == 0 {
		return text + timeLeft(p.BytesDone, p.BytesTotal, elapsed)
	}
	text += fmt.Sprintf(" on %d/%d, not %.12s", p.Servers-len(p.Waiting), p.Servers, p.Waiting[0].Host)
	if more := len(p.Waiting) - 1; more > 0 {
		text += fmt.Sprintf(" +%d", more)
	}
	return text
}

func (b *importBar) finish() { b.line.finish() }

// importWords is an import in words: which of its three stages it is at, bytes,
// rows, and the time that is left of the stage.
func importWords(p dnd.Progress, elapsed time.Duration) string {
	number := map[dnd.Stage]int{dnd.Hashing: 1, dnd.Reading: 2, dnd.Writing: 3}[p.Stage]
	text := fmt.Sprintf("%d/3 %s %s", number, p.Stage, ofBytes(p.BytesDone, p.BytesTotal))
	if p.Stage == dnd.Reading {
		text += ", " + rowsAt(p.Rows, elapsed)
	}
	return text + timeLeft(p.BytesDone, p.BytesTotal, elapsed)
}

// rowsAt is a count of rows and how many come in a second.
func rowsAt(rows int64, elapsed time.Duration) string {
	perSecond := int64(float64(rows) / max(elapsed.Seconds(), 0.001))
	return short(rows) + " rows at " + short(perSecond) + "/s"
}

// timeLeft is the time until the end, when it goes on as it went so far; "" while
// it is too early to say.
func timeLeft(done, total int64, elapsed time.Duration) string {
	if done <= 0 || elapsed < time.Second {
		return ""
	}
	rest := float64(elapsed) * float64(total-done) / float64(done)
	return fmt.Sprintf(", %v left", time.Duration(rest).Round(time.Second))
}

// short is n with one decimal: 999, 12.3k, 345.6M.
func short(n int64) string {
	size, unit := unitOf(n)
	if size == 1 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.1f%s", float64(n)/size, unit)
}

// ofBytes is a part of a total in the unit of the total: 5.1/12.4 GB.
func ofBytes(part, total int64) string {
	size, unit := unitOf(total)
	if size == 1 {
		return fmt.Sprintf("%d/%d B", part, total)
	}
	return fmt.Sprintf("%.1f/%.1f %sB", float64(part)/size, float64(total)/size, unit)
}

func unitOf(n int64) (size float64, unit string) {
	switch {
	case n >= 1e12:
		return 1e12, "T"
	case n >= 1e9:
		return 1e9, "G"
	case n >= 1e6:
		return 1e6, "M"
	case n >= 1e3:
		return 1e3, "k"
	}
	return 1, ""
}
