package dnd

import (
	"time"

	"saaf"
)

// View is a registry at one moment. It is immutable and safe for concurrent use.
type View struct {
	snapshot *Snapshot // nil when there is none
	ref      saaf.SnapshotRef
	from     time.Time // 00:00 IST of the effective date
	warn     time.Duration
	stale    time.Duration
	replaced chan struct{} // closed by the Use that ends the view
}

func newView(s *Snapshot, ref saaf.SnapshotRef, maxAge time.Duration) *View {
	v := &View{replaced: make(chan struct{})}
	if s == nil {
		return v
	}
	v.snapshot, v.ref = s, ref
	v.from = ref.EffectiveDate.Start()
	v.warn, v.stale = min(warnAge, maxAge), maxAge
	return v
}

// answers reports whether there is a snapshot that can say anything. One without a
// single number cannot: whatever made it, it would show the whole country as clean.
func (v *View) answers() bool { return v.snapshot != nil && v.snapshot.info.Numbers > 0 }

// Ref names the snapshot, zero when there is none.
func (v *View) Ref() saaf.SnapshotRef { return v.ref }

// Replaced is closed when the registry has another view.
func (v *View) Replaced() <-chan struct{} { return v.replaced }

// Check is the verdict about p at the instant now, by section 3 of the registry
// rules. It knows the registry only: suppressions are not its business. Where
// nothing answers, the finding is unknown and names neither snapshot nor time; so
// it does for a p outside 1000000000 to 9999999999, which is nobody's number.
func (v *View) Check(p saaf.Phone, now time.Time) saaf.Verdict {
	verdict, answers := v.verdict(now)
	if answers {
		v.settle(&verdict, p, true)
	}
	return verdict
}

// verdict is what all verdicts at the instant now have in common. When the
// registry does not answer, it is the verdict.
func (v *View) verdict(now time.Time) (common saaf.Verdict, answers bool) {
	switch state, _ := v.state(now); state {
	case None:
		return saaf.Verdict{Reason: saaf.RegistryUnavailable}, false
	case Stale:
		return saaf.Verdict{Reason: saaf.RegistryStale}, false
	}
	return saaf.Verdict{Snapshot: v.ref, CheckedAt: now}, true
}

// settle makes the verdict about p out of what all have in common, when the
// registry answers. Without ask p is known not to be listed.
func (v *View) settle(common *saaf.Verdict, p saaf.Phone, ask bool) {
	if !isPhone(p) {
		*common = saaf.Verdict{Reason: saaf.RegistryUnavailable}
		return
	}
	common.Reason = saaf.NotRegistered
	if !ask {
		return
	}
	if e := v.snapshot.Lookup(p); e.Listed {
		common.Reason, common.Preferences = e.reason(), e.Categories.String()
	}
}

// CheckAll appends the verdict about each phone to dst, as [View.Check] gives it.
// For many numbers it is several times faster.
func (v *View) CheckAll(dst []saaf.Verdict, phones []saaf.Phone, now time.Time) []saaf.Verdict {
	common, answers := v.verdict(now)
	for len(phones) > 0 {
		some := phones[:min(len(phones), batch)]
		var ask uint64
		if answers {
			ask = v.snapshot.glance(some)
		}
		for i, p := range some {
			dst = append(dst, common)
			if answers {
				v.settle(&dst[len(dst)-1], p, ask>>i&1 != 0)
			}
		}
		phones = phones[len(some):]
	}
	return dst
}

// isPhone reports whether p has ten digits and does not begin with 0.
func isPhone(p saaf.Phone) bool { return 1_000_000_000 <= p && p <= 9_999_999_999 }

// Lookup is what the snapshot holds about p, however old it is. ok is false when
// there is no snapshot. It explains a verdict; only [View.Check] makes one.
func (v *View) Lookup(p saaf.Phone) (e Entry, ok bool) {
	if v.snapshot == nil {
		return Entry{}, false
	}
	return v.snapshot.Lookup(p), true
}

// Info is what the snapshot says about itself. ok is false when there is none.
func (v *View) Info() (in Info, ok bool) {
	if v.snapshot == nil {
		return Info{}, false
	}
	return v.snapshot.Info(), true
}

// reason is the finding for a number that a fresh snapshot lists with this entry.
func (e Entry) reason() saaf.VerdictReason {
	if e.Categories.Empty() {
		return saaf.FullBlock
	}
	return saaf.PartialBlock
}
