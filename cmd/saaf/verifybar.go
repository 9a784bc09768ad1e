package main

import (
	"time"

	"github.com/schollz/progressbar/v3"

	"saaf/scrub"
)

// verifyBar draws the progress of a verification on a terminal and nothing
// elsewhere.
type verifyBar struct {
	con *console
	bar *progressbar.ProgressBar
}

func newVerifyBar(con *console) *verifyBar { return &verifyBar{con: con} }

func (b *verifyBar) show(p scrub.VerifyProgress) {
	if !b.con.terminal {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions64(p.OfEntries,
			progressbar.OptionSetWriter(b.con.err),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	text := "entries"
	if p.Leads > 0 {
		text = "leads " + thousands(p.Leads)
	}
	b.bar.Describe(text)
	// A bar that cannot be drawn must not stop a verification.
	_ = b.bar.Set64(min(p.Entries, p.OfEntries))
}

func (b *verifyBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}
