package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"saaf/dnd"
)

// importBar draws the progress of an import on a terminal and nothing elsewhere.
type importBar struct {
	con     *console
	bar     *progressbar.ProgressBar
	stage   dnd.Stage
	started time.Time
}

func newImportBar(con *console) *importBar { return &importBar{con: con} }

func (b *importBar) show(p dnd.Progress) {
	if !b.con.terminal {
		return
	}
	if b.bar == nil || p.Stage != b.stage {
		b.finish()
		b.stage, b.started = p.Stage, time.Now()
		b.bar = progressbar.NewOptions64(p.BytesTotal,
			progressbar.OptionSetWriter(b.con.err),
			progressbar.OptionShowBytes(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	text := string(p.Stage)
	if p.Stage == dnd.Reading {
		perSecond := int64(float64(p.Rows) / max(time.Since(b.started).Seconds(), 0.001))
		text = fmt.Sprintf("%s %s, %s rows/s", p.Stage, p.File, thousands(perSecond))
	}
	b.bar.Describe(text)
	// A bar that cannot be drawn must not stop an import.
	_ = b.bar.Set64(p.BytesDone)
}

func (b *importBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}
