package scrub

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"saaf"
	"saaf/intake"
	"saaf/internal/apptest"
	"saaf/scrubber"
	"saaf/store"
)

// asks puts an outside checker into the service and the intake.
func (b *bundle) asks(mode saaf.SourceMode, change map[string]any) *apptest.Checker {
	b.t.Helper()
	c := apptest.NewChecker()
	b.t.Cleanup(c.Close)
	members := map[string]any{"breaker": map[string]any{"failures": 100, "cool_down": "1s"}, "max_age": "1h"}
	maps.Copy(members, change)
	file, err := c.Config(b.t.TempDir(), string(mode), members)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg, err := scrubber.Load(file)
	if err != nil {
		b.t.Fatal(err)
	}
	source, err := scrubber.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.uses(source)
	return c
}

// uses is a start of the process with this source, nil for none.
func (b *bundle) uses(source *scrubber.Source) {
	b.source, b.memory = source, memory{}
	b.intake = intake.NewService(b.store, b.registry, source, saaf.PhonePolicy{})
}

// unpaced does a pass that does not wait for the pause after the one before.
func (b *bundle) unpaced() {
	b.t.Helper()
	b.memory.questions, b.memory.aged = pace{}, time.Time{}
	b.rechecks()
}

// ages makes what was found so much older.
func (b *bundle) ages(d time.Duration) {
	b.t.Helper()
	b.alters(fmt.Sprintf("UPDATE leads SET checked_at = checked_at - %d", d.Milliseconds()))
}

func (b *bundle) checkLead(p saaf.Phone, want found) saaf.Lead {
	b.t.Helper()
	l := b.leads()[p]
	if got := foundOf(l); got != want {
		b.t.Errorf("%v is %v %v, want %v %v", p, got.status, got.reason, want.status, want.reason)
	}
	return l
}

// heads lists the heads of the evidence of a stage.
func (b *bundle) heads(stage saaf.Stage) (list []saaf.EntryHead) {
	b.t.Helper()
	entries, err := b.store.LedgerAfter(b.t.Context(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range entries {
		head, err := entries[i].ParseHead()
		if err != nil {
			b.t.Fatal(err)
		}
		if head.Stage == stage {
			list = append(list, head)
		}
	}
	return list
}

func failing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

const (
	one   saaf.Phone = 9_000_000_001
	two   saaf.Phone = 9_000_000_002
	three saaf.Phone = 9_000_000_003
)

// A checker that was down comes back: what it did not answer for is asked again.
func TestSourceComesBack(t *testing.T) {
	t.Parallel()
	for _, mode := range []saaf.SourceMode{saaf.Beside, saaf.Instead} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if mode == saaf.Beside {
				b.lists(three)
			}
			c := b.asks(mode, nil)
			c.Fail(failing)
			for _, p := range []saaf.Phone{one, two} {
				b.push(p)
			}
			b.unpaced()
			b.checkLead(one, unchecked)
			c.Fail(nil)
			c.Say(two.National(), "partial")
			c.Asked()
			b.rechecks() // within the pause
			if got := c.Asked(); len(got) > 0 {
				t.Errorf("asked about %v in the cool-down", got)
			}
			b.unpaced()
			l := b.checkLead(one, clean)
			b.checkLead(two, partly)
			b.checkCounts()
			if (l.Verdict.Snapshot.ID != 0) != (mode == saaf.Beside) || l.Verdict.CheckedAt.IsZero() {
				t.Errorf("%+v", l.Verdict)
			}
			heads := b.heads(saaf.StageRescrub)
			if h := heads[len(heads)-1]; h.Source != mode.Evidence("dlt") {
				t.Errorf("evidence names %q", h.Source)
			}
			c.Asked()
			b.unpaced()
			if got := c.Asked(); len(got) > 0 {
				t.Errorf("asked again about %v", got)
			}
		})
	}
}

// A checker that is down is asked for one batch in a cool-down, by pass after pass
// over a backlog.
func TestDeadSourceIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.asks(saaf.Instead, map[string]any{"batch": 2, "parallel": 2, "breaker": map[string]any{"failures": 3, "cool_down": "1h"}})
	c.Fail(failing)
	phones := numbers(one, 40)
	if _, err := b.intake.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, bulk(phones...), saaf.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b.unpaced()
	}
	if got := len(c.Asked()); got > 4*2 {
		t.Errorf("asked about %d numbers", got)
	}
	if st := b.Status(time.Now()); st.Source.State.Circuit != scrubber.Open || len(st.Warnings) != 1 ||
		!strings.Contains(st.Warnings[0], "dlt failed too often and is left alone until") || !strings.Contains(st.Warnings[0], "502") {
		t.Errorf("%+v", st)
	}
	c.Fail(nil)
	fresh := b.asks(saaf.Instead, map[string]any{"batch": 2})
	b.rechecks()
	if got := len(fresh.Asked()); got != len(phones) {
		t.Errorf("asked about %d numbers of %d", got, len(phones))
	}
	b.checkCounts()
}

// A number for which a checker has no word is asked about rarely, and the others
// are none the worse.
func TestPace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.asks(saaf.Instead, nil)
	c.Say(one.National(), "perhaps")
	c.Say(two.National(), "perhaps")
	b.push(one)
	b.push(two)
	var pauses []time.Duration
	now := time.Now()
	for range 12 {
		b.memory.questions.next = time.Time{}
		b.rechecks()
		pauses = append(pauses, b.memory.questions.pause)
	}
	if first, last := pauses[0], pauses[len(pauses)-1]; first != time.Second || last != maxPause || !slices.IsSorted(pauses) {
		t.Errorf("pauses %v", pauses)
	}
	if b.memory.questions.due(b.source, now.Add(maxPause-time.Second)) || !b.memory.questions.due(b.source, time.Now().Add(maxPause)) {
		t.Error("the pause is not kept")
	}
	c.Say(one.National(), "clean")
	b.memory.questions.next = time.Time{}
	b.rechecks()
	b.checkLead(one, clean)
	if got := b.memory.questions.pause; got != time.Second {
		t.Errorf("a pause of %v after an answer", got)
	}
}

// What the file blocks is blocked at once, whether the checker answers or not; what
// it no longer blocks is held when both find it clean.
func TestSweepBeside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(one, two, three)
	c := b.asks(saaf.Beside, nil)
	const other = saaf.Phone(9_000_000_009)
	for _, p := range []saaf.Phone{one, two, three, other} {
		b.push(p)
	}
	b.unpaced()
	c.Asked()
	c.Say(two.National(), "full")
	c.Fail(failing)
	snap := b.lists(three, other)
	b.unpaced()
	b.checkLead(one, blocked)
	b.checkLead(two, blocked)
	b.checkLead(other, blocked)
	if got := b.state(); got.AllChecked() {
		t.Error("all leads count as checked, and the checker did not answer")
	}
	if got := c.Asked(); !slices.Equal(got, []string{one.National(), two.National()}) {
		t.Errorf("asked about %v", got)
	}
	c.Fail(nil)
	b.unpaced()
	b.checkLead(one, held)
	b.checkLead(two, blocked)
	b.checkLead(three, blocked)
	if got := b.state(); got.Confirmed != snap.ID {
		t.Errorf("confirmed is %v", got.Confirmed)
	}
	b.checkCounts()
}

// The checker blocks and later does not: the lead is held, and freed by a release
// that both agree to.
func TestBlockedOutside(t *testing.T) {
	t.Parallel()
	for _, mode := range []saaf.SourceMode{saaf.Beside, saaf.Instead} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			by := saaf.By{Actor: "test"}
			if mode == saaf.Beside {
				b.lists(three)
			}
			c := b.asks(mode, nil)
			c.Say(one.National(), "full")
			made, err := b.store.Suppress(t.Context(), b.tenant, saaf.Live, []store.NewSuppression{{Scope: saaf.TenantScope, Phone: two, Reason: "asked"}}, by)
			if err != nil {
				t.Fatal(err)
			}
			b.push(one)
			b.push(two)
			b.checkLead(one, blocked)
			if _, err := b.Lift(t.Context(), b.tenant, made[0].ID, by, "a mistake"); err != nil {
				t.Fatal(err)
			}
			l := b.checkLead(two, held)
			for _, step := range []struct {
				says  string
				fail  http.HandlerFunc
				want  found
				freed int
			}{
				{"clean", failing, held, 0},
				{"perhaps", nil, held, 0},
				{"clean", nil, clean, 1},
			} {
				c.Say(two.National(), step.says)
				c.Fail(step.fail)
				done, err := b.Release(t.Context(), b.tenant, saaf.Live, b.campaign, []saaf.LeadID{l.ID}, by, "wrote to us")
				if err != nil || done.Released != step.freed {
					t.Errorf("%+v, %v", done, err)
				}
				b.checkLead(two, step.want)
			}
			heads := b.heads(saaf.StageManual)
			if h := heads[len(heads)-1]; h.Source != mode.Evidence("dlt") {
				t.Errorf("evidence names %q", h.Source)
			}
		})
	}
}

// The check of numbers that are no leads asks about those that are not suppressed.
func TestCheckOutside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(three)
	c := b.asks(saaf.Beside, nil)
	by := saaf.By{Actor: "test"}
	if _, err := b.store.Suppress(t.Context(), b.tenant, saaf.Live, []store.NewSuppression{{Scope: saaf.TenantScope, Phone: two, Reason: "asked"}}, by); err != nil {
		t.Fatal(err)
	}
	c.Say(one.National(), "partial")
	const free, odd saaf.Phone = 9_000_000_004, 9_000_000_005
	c.Say(odd.National(), "perhaps")
	verdicts, err := b.Check(t.Context(), b.tenant, saaf.Live, []saaf.Phone{one, two, three, free, odd}, by)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []saaf.VerdictReason{saaf.PartialBlock, saaf.Suppressed, saaf.FullBlock, saaf.NotRegistered, saaf.RegistryUnavailable} {
		if verdicts[i].Reason != want {
			t.Errorf("%d: %v, want %v", i, verdicts[i].Reason, want)
		}
	}
	if got := c.Asked(); !slices.Equal(got, []string{one.National(), free.National(), odd.National()}) {
		t.Errorf("asked about %v", got)
	}
}

// A suppression that runs out: the checker is asked about the lead afterwards.
func TestExpiryAsksLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.asks(saaf.Instead, nil)
	by := saaf.By{Actor: "test"}
	_, err := b.store.Suppress(t.Context(), b.tenant, saaf.Live,
		[]store.NewSuppression{{Scope: saaf.TenantScope, Phone: two, Reason: "asked", Expires: time.Now().Add(-time.Hour)}}, by)
	if err != nil {
		t.Fatal(err)
	}
	b.push(two)
	c.Asked()
	if err := b.expire(t.Context(), store.Lease{}); err != nil {
		t.Fatal(err)
	}
	b.checkLead(two, found{saaf.LeadDND, saaf.RegistryUnavailable})
	if got := c.Asked(); len(got) > 0 {
		t.Errorf("the writer asked about %v", got)
	}
	b.rechecks()
	b.checkLead(two, held)
}

// checkCleanIsListed compares what the store lists and counts as clean with what is
// shown as clean.
func (b *bundle) checkCleanIsListed() {
	b.t.Helper()
	backing := b.Backing(time.Now())
	aged := int64(0)
	want := map[bool][]saaf.LeadID{}
	for _, l := range b.leads() {
		clean := l.Verdict.AsShown(backing).Reason.Clean()
		want[clean] = append(want[clean], l.ID)
		if l.Verdict.Reason.Clean() && !clean {
			aged++
		}
	}
	for _, clean := range []bool{true, false} {
		list, err := b.store.Leads(b.t.Context(), b.tenant, b.campaign, store.LeadFilter{Clean: &clean, Backing: backing}, 0, 1000)
		if err != nil {
			b.t.Fatal(err)
		}
		var got []saaf.LeadID
		for _, l := range list {
			got = append(got, l.ID)
		}
		slices.Sort(got)
		slices.Sort(want[clean])
		if !slices.Equal(got, want[clean]) {
			b.t.Errorf("clean %v lists %v, shown are %v", clean, got, want[clean])
		}
	}
	if got, err := b.store.CountAged(b.t.Context(), b.tenant, b.campaign, backing); err != nil || got != aged {
		b.t.Errorf("%d leads count as aged, %d are: %v", got, aged, err)
	}
}

// A clean finding ages: it is asked for again from half of its life on, and is not
// shown as clean after it.
func TestAgeing(t *testing.T) {
	t.Parallel()
	for _, mode := range []saaf.SourceMode{saaf.Beside, saaf.Instead} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if mode == saaf.Beside {
				b.lists(three)
			}
			c := b.asks(mode, nil) // max_age is an hour
			if mode == saaf.Beside {
				b.push(three) // blocked by the file, which nobody is asked about
			}
			b.push(one)
			b.push(two)
			shown := func(p saaf.Phone) saaf.VerdictReason {
				b.checkCleanIsListed()
				return b.leads()[p].Verdict.AsShown(b.Backing(time.Now())).Reason
			}
			b.unpaced()
			c.Asked()
			b.ages(29 * time.Minute)
			b.unpaced()
			if got := c.Asked(); len(got) > 0 {
				t.Errorf("asked about %v before half of the life", got)
			}
			b.ages(2 * time.Minute)
			before := len(b.heads(saaf.StageRescrub))
			c.Fail(failing)
			aged := b.leads()[one]
			b.unpaced()
			if got := b.leads()[one]; got.Verdict != aged.Verdict || len(b.heads(saaf.StageRescrub)) != before {
				t.Error("a checker that does not answer has changed something")
			}
			b.ages(30 * time.Minute)
			if got := shown(one); got != saaf.RegistryStale {
				t.Errorf("after its life it is shown as %v", got)
			}
			c.Fail(nil)
			c.Say(two.National(), "full")
			b.unpaced()
			l := b.checkLead(one, clean)
			if age := time.Since(l.Verdict.CheckedAt); age > time.Minute || shown(one) != saaf.NotRegistered {
				t.Errorf("renewed, it is %v old and shown as %v", age, shown(one))
			}
			b.checkLead(two, blocked)
			b.checkCounts()
			// A block is not asked for again before its life is over, and then stays
			// or is held, never clean.
			c.Asked()
			b.ages(59 * time.Minute)
			b.unpaced()
			if got := c.Asked(); !slices.Equal(got, []string{one.National()}) {
				t.Errorf("asked about %v", got)
			}
			b.ages(2 * time.Minute)
			b.unpaced()
			b.checkLead(two, blocked)
			if got := c.Asked(); !slices.Equal(got, []string{two.National()}) {
				t.Errorf("asked about %v", got)
			}
			c.Say(two.National(), "clean")
			b.ages(30 * time.Minute)
			b.unpaced()
			b.checkLead(two, blocked)
			b.ages(31 * time.Minute)
			b.unpaced()
			b.checkLead(two, held)
			b.checkCounts()

			heads := b.heads(saaf.StageRescrub)
			if len(heads) < before+1 || heads[before].Decisions != 2 || heads[before].Source != mode.Evidence("dlt") {
				t.Errorf("evidence: %+v", heads)
			}
		})
	}
}

// Leads that only an outside checker found clean are not clean for a process that
// asks the file, until that has been asked.
func TestSourceTakenAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(three)
	b.rechecks()
	b.asks(saaf.Instead, nil)
	b.push(one)
	b.push(three)
	b.rechecks()
	b.checkLead(three, clean)
	b.uses(nil)
	b.checkCleanIsListed()
	for p, l := range b.leads() {
		if got := l.Verdict.AsShown(b.Backing(time.Now())).Reason; got != saaf.RegistryStale {
			t.Errorf("%v is shown as %v without the checker that found it", p, got)
		}
	}
	b.rechecks()
	l := b.checkLead(one, clean)
	if l.Verdict.Snapshot.ID == 0 {
		t.Error("no snapshot is named")
	}
	b.checkLead(three, blocked)
}

func TestStatusNamesTheSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.asks(saaf.Instead, nil)
	if st := b.Status(time.Now()); !b.Answers(time.Now()) || len(st.Warnings) > 0 ||
		st.Source.Role != "The outside checker dlt answers instead of the registry file." {
		t.Errorf("%+v, %+v", st, st.Source)
	}
	c.Fail(failing)
	b.push(one)
	if st := b.Status(time.Now()); len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "did not answer when it was asked last") {
		t.Errorf("%+v", st)
	}
	b.asks(saaf.Beside, nil)
	if st := b.Status(time.Now()); b.Answers(time.Now()) || len(st.Warnings) != 1 || st.Source.Mode != saaf.Beside {
		t.Errorf("%+v, %+v", st, st.Source)
	}
}

// Whatever file and checker say, in whatever order, no lead is shown as clean that
// one of the two did not find clean when it was asked last.
func TestOutsideModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	words := map[string]saaf.VerdictReason{"clean": saaf.NotRegistered, "full": saaf.FullBlock, "partial": saaf.PartialBlock, "perhaps": saaf.RegistryUnavailable}
	rapid.Check(t, func(rt *rapid.T) {
		// What earlier cases left would be asked about too, and open the circuit.
		c := b.asks(saaf.Beside, nil)
		b.campaign = b.newCampaign()
		defer func() {
			if err := b.store.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System); err != nil {
				rt.Error(err)
			}
		}()
		leads := map[saaf.Phone]found{}
		listed, says, down := map[saaf.Phone]bool{}, map[saaf.Phone]saaf.VerdictReason{}, false
		for _, p := range pool {
			word := rapid.SampledFrom([]string{"clean", "full", "partial", "perhaps"}).Draw(rt, "word")
			says[p] = words[word]
			c.Say(p.National(), word)
		}
		lists := func() {
			clear(listed)
			var some []saaf.Phone
			for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 0, 4, rapid.ID).Draw(rt, "listed") {
				listed[p] = true
				some = append(some, p)
			}
			// No file is like another.
			b.lists(append(some, 8_000_000_001+saaf.Phone(b.files))...)
		}
		finds := func(p saaf.Phone) saaf.VerdictReason {
			file, outside := saaf.NotRegistered, says[p]
			if listed[p] {
				file = saaf.FullBlock
			}
			if down {
				outside = saaf.RegistryUnavailable
			}
			return saaf.Beside.Combine(file, outside)
		}
		lists()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"push", "push", "registry", "word", "down", "recheck"}).Draw(rt, "step") {
			case "push":
				p := rapid.SampledFrom(pool).Draw(rt, "phone")
				if _, there := leads[p]; !there {
					b.push(p)
					reason := finds(p)
					leads[p] = found{saaf.LeadPending, reason}
					if reason.Blocked() {
						leads[p] = found{saaf.LeadDND, reason}
					}
				}
				continue
			case "registry":
				lists()
			case "word":
				p := rapid.SampledFrom(pool).Draw(rt, "phone")
				word := rapid.SampledFrom([]string{"clean", "full", "partial", "perhaps"}).Draw(rt, "word")
				// What a checker says of a clean lead it is not asked before it ages.
				if leads[p] != clean {
					says[p] = words[word]
					c.Say(p.National(), word)
				}
				continue
			case "down":
				if down = !down; down {
					c.Fail(failing)
				} else {
					c.Fail(nil)
				}
				continue
			}
			b.unpaced()
			for p, l := range leads {
				file := finds(p)
				if l.reason.Clean() && !listed[p] {
					continue
				}
				status, reason := saaf.Recheck(l.status, l.reason, file)
				leads[p] = found{status, reason}
			}
			for p, l := range b.leads() {
				want := leads[p]
				// A lead that stands as blocked is looked at again when the registry moves.
				if got := foundOf(l); got != want && !(got.reason.Blocked() && want.reason.Blocked()) && !(want == held && got.status == saaf.LeadDND) && !(got == held && want.status == saaf.LeadDND) {
					rt.Fatalf("%v is %v %v, want %v %v", p, got.status, got.reason, want.status, want.reason)
				}
				if l.Verdict.Reason.Clean() && (listed[p] || says[p] != saaf.NotRegistered) {
					rt.Fatalf("%v is clean", p)
				}
			}
		}
	})
}
