package scrub

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/intake"
	"saaf/store"
)

// found is a status with the finding behind it.
type found struct {
	status saaf.LeadStatus
	reason saaf.VerdictReason
}

// The states of a lead that re-checks lead to.
var (
	unchecked = found{saaf.LeadPending, saaf.RegistryUnavailable}
	clean     = found{saaf.LeadPending, saaf.NotRegistered}
	blocked   = found{saaf.LeadDND, saaf.FullBlock}
	partly    = found{saaf.LeadDND, saaf.PartialBlock}
	held      = found{saaf.LeadHeld, saaf.HeldAfterBlock}
)

func foundOf(l saaf.Lead) found { return found{l.Status, l.Verdict.Reason} }

// passes does a pass and looks at every lead of the campaign: the named ones were
// written, now and by the active snapshot, and nothing about the others was.
func (b *bundle) passes(changed map[saaf.Phone]found) {
	b.t.Helper()
	want := b.leads()
	b.rechecks()
	for p, f := range changed {
		l := want[p]
		l.Status, l.UpdatedAt = f.status, time.Now().UTC()
		l.Verdict = saaf.Verdict{Reason: f.reason, Snapshot: b.registry.View().Ref(), CheckedAt: l.UpdatedAt}
		want[p] = l
	}
	if diff := cmp.Diff(want, b.leads()); diff != "" {
		b.t.Error(diff)
	}
	b.checkCounts()
}

// checkCounts compares the counts of the campaign with its leads.
func (b *bundle) checkCounts() {
	b.t.Helper()
	var want saaf.LeadCounts
	open := false
	for _, l := range b.leads() {
		want[l.Status]++
		open = open || !l.Status.Finished() && !l.Verdict.Reason.Checked()
	}
	c, err := b.store.Campaign(b.t.Context(), b.tenant, saaf.Live, b.campaign)
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.Leads); diff != "" {
		b.t.Error("counts:", diff)
	}
	list, err := b.store.CampaignsToRecheck(b.t.Context(), 0, true)
	if err != nil {
		b.t.Fatal(err)
	}
	counted := slices.ContainsFunc(list, func(c store.CampaignLeads) bool { return c.ID == b.campaign })
	if counted != open {
		b.t.Errorf("unchecked leads are counted: %v, and there: %v", counted, open)
	}
}

// In a bubble the clock stands still, so that what was written when can be told
// exactly.
func TestRecheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			a, c, both, never, finished, late saaf.Phone = 9_000_000_001, 9_000_000_003, 9_000_000_005, 9_000_000_007, 9_000_000_009, 9_000_000_011
			dials, dialsBlocked, dialsHeld    saaf.Phone = 9_000_000_013, 9_000_000_015, 9_000_000_017
		)
		b := setup(t)
		for _, p := range []saaf.Phone{a, c, both, never, finished, dials, dialsBlocked, dialsHeld} {
			b.push(p)
		}
		b.passes(nil) // there is nothing to answer
		if got := b.state().Confirmed; got != 0 {
			t.Errorf("confirmed up to %v", got)
		}

		time.Sleep(time.Minute)
		first := b.lists(a, both, dialsBlocked, dialsHeld)
		b.passes(map[saaf.Phone]found{a: blocked, both: blocked, dialsBlocked: blocked, dialsHeld: blocked,
			c: clean, never: clean, finished: clean, dials: clean})
		if got := b.state().Confirmed; got != first.ID {
			t.Errorf("confirmed up to %v", got)
		}
		b.push(late)
		b.moves(b.leads()[finished], saaf.LeadCompleted, saaf.NotRegistered)
		b.moves(b.leads()[dials], saaf.LeadDialing, saaf.NotRegistered)
		b.moves(b.leads()[dialsBlocked], saaf.LeadDialing, saaf.FullBlock)
		b.moves(b.leads()[dialsHeld], saaf.LeadDialing, saaf.HeldAfterBlock)
		time.Sleep(time.Minute)
		b.passes(nil)

		time.Sleep(time.Minute)
		second := b.lists(c, both, late, finished, dials)
		b.passes(map[saaf.Phone]found{
			a: held, c: blocked, late: blocked,
			dials: {saaf.LeadDialing, saaf.FullBlock}, dialsBlocked: {saaf.LeadDialing, saaf.HeldAfterBlock},
		})
		if got := b.state().Confirmed; got != second.ID {
			t.Errorf("confirmed up to %v", got)
		}

		// Held and still not listed: held. Listed again: blocked.
		time.Sleep(time.Minute)
		b.lists(both, dials, dialsHeld)
		b.passes(map[saaf.Phone]found{c: held, late: held, dialsHeld: {saaf.LeadDialing, saaf.FullBlock}})

		time.Sleep(time.Minute)
		b.lists(a, late)
		b.passes(map[saaf.Phone]found{a: blocked, late: blocked, both: held,
			dials: {saaf.LeadDialing, saaf.HeldAfterBlock}, dialsHeld: {saaf.LeadDialing, saaf.HeldAfterBlock}})

		// Another kind of block is another finding, with other evidence.
		time.Sleep(time.Minute)
		req := b.full(rows("A", late) + "13,9000000001,2#3,A,2\n")
		req.Override = "numbers of a test"
		b.imports(req)
		b.loads()
		b.passes(map[saaf.Phone]found{a: partly})

		// The same files again are another snapshot and no other finding.
		time.Sleep(time.Minute)
		last := b.imports(req).Snapshot
		b.loads()
		b.passes(nil)
		if got := b.state().Confirmed; got != last.ID {
			t.Errorf("confirmed up to %v", got)
		}
	})
}

// More leads than one chunk, in more than one campaign, with and without changes.
func TestRecheckOfManyLeads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	last := saaf.Phone(9_000_000_000 + recheckChunk)
	campaigns := map[saaf.CampaignID][]saaf.Phone{
		b.newCampaign(): numbers(9_000_000_000, recheckChunk+1),
		b.newCampaign(): {last},
		b.newCampaign(): numbers(9_000_000_000, 3),
	}
	want := map[saaf.Phone]found{}
	var phones []saaf.Phone
	for b.campaign, phones = range campaigns {
		first := min(3, len(phones)) // so that ids follow one another where a chunk ends
		b.pushes(phones[:first])
		b.pushes(phones[first:])
	}
	var listed []saaf.Phone
	for p := saaf.Phone(9_000_000_000); p <= last; p++ {
		want[p] = clean
		if p%3 == 0 || p == last {
			want[p] = blocked
			listed = append(listed, p)
		}
	}
	b.lists(listed...)
	b.rechecks()
	for b.campaign, phones = range campaigns {
		leads := b.leads()
		for _, p := range phones {
			if got := foundOf(leads[p]); got != want[p] {
				t.Errorf("%d of %d in its campaign is %v, want %v", p, len(phones), got, want[p])
			}
		}
		b.checkCounts()
	}
}

// pushes pushes leads in bulk.
func (b *bundle) pushes(phones []saaf.Phone) {
	b.t.Helper()
	for some := range slices.Chunk(phones, saaf.MaxBulk) {
		res, err := b.intake.PushBulk(b.t.Context(), b.tenant, saaf.Live, b.campaign, bulk(some...), saaf.By{Actor: "test"})
		if err != nil || res.Valid != len(some) {
			b.t.Fatal(res.Valid, err)
		}
	}
}

// bulk is a bulk request.
func bulk(phones ...saaf.Phone) (in []intake.Row) {
	for _, p := range phones {
		in = append(in, intake.Row{Input: saaf.LeadInput{Phone: p.National()}})
	}
	return in
}

// runs runs Run until stop is called.
func (b *bundle) runs() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("it ended with %v", err)
		}
	}
}

// A new snapshot is not waited for: the clock of the bubble does not move.
func TestRunRechecksAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const a, c saaf.Phone = 9_000_000_001, 9_000_000_002
		b := setup(t)
		b.push(a)
		stop := b.runs()
		defer stop()
		time.Sleep(90 * time.Second)
		start := time.Now()
		for i, step := range []struct {
			listed []saaf.Phone
			a, c   found
		}{
			{[]saaf.Phone{c}, clean, blocked},
			{[]saaf.Phone{a}, blocked, held},
			{[]saaf.Phone{c}, held, blocked},
			{nil, held, held},
			{[]saaf.Phone{a, c}, blocked, blocked},
		} {
			snap := b.lists(step.listed...)
			synctest.Wait()
			if i == 0 {
				b.push(c)
			}
			leads := b.leads()
			if foundOf(leads[a]) != step.a || foundOf(leads[c]) != step.c {
				t.Errorf("step %d: %v and %v", i+1, foundOf(leads[a]), foundOf(leads[c]))
			}
			if got := b.state().Confirmed; got != snap.ID {
				t.Errorf("step %d: confirmed up to %v", i+1, got)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		if n := b.events.count("all leads re-checked"); n != 5 {
			t.Errorf("%d passes were done", n)
		}
	})
}

// Leads that nobody has answered for are found without a new snapshot.
func TestRunChecksTheUnchecked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const a, c saaf.Phone = 9_000_000_001, 9_000_000_002
		b := setup(t)
		snap := b.lists(a)
		stop := b.runs()
		defer stop()
		synctest.Wait()
		if got := b.state().Confirmed; got != snap.ID {
			t.Fatalf("confirmed up to %v", got)
		}
		batch := store.LeadBatch{Campaign: b.campaign, Leads: []store.NewLead{{Phone: a}, {Phone: c}}}
		if err := b.store.AddLeads(t.Context(), b.tenant, saaf.Live, &batch); err != nil {
			t.Fatal(err)
		}
		b.checkCounts()
		if l := b.leads(); foundOf(l[a]) != unchecked || foundOf(l[c]) != unchecked {
			t.Fatalf("before: %v and %v", foundOf(l[a]), foundOf(l[c]))
		}
		time.Sleep(recheckEvery)
		synctest.Wait()
		if l := b.leads(); foundOf(l[a]) != blocked || foundOf(l[c]) != clean {
			t.Errorf("after: %v and %v", foundOf(l[a]), foundOf(l[c]))
		}
		b.checkCounts()
		if n := b.events.count("all leads re-checked"); n != 1 {
			t.Errorf("all leads were gone through %d times", n)
		}
	})
}

// A registry that is too old frees nobody and blocks nobody, whether it was old
// when it came or has grown old.
func TestStaleRegistryChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const a, c, late saaf.Phone = 9_000_000_001, 9_000_000_002, 9_000_000_003
		b := setup(t)
		first := b.lists(a)
		b.push(a)
		b.push(c)
		stop := b.runs()
		synctest.Wait()

		old := b.full(rows("A", c, filler))
		old.EffectiveDate -= 7
		b.imports(old)
		b.loads()
		before := b.leads()
		time.Sleep(3 * recheckEvery)
		if l := b.push(late); foundOf(l) != (found{saaf.LeadPending, saaf.RegistryStale}) {
			t.Errorf("a push finds %v", foundOf(l))
		}
		b.checkCounts()
		after := b.leads()
		delete(after, late)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
		if got := b.state().Confirmed; got != first.ID {
			t.Errorf("confirmed up to %v", got)
		}

		third := b.lists(c)
		synctest.Wait()
		l := b.leads()
		if foundOf(l[a]) != held || foundOf(l[c]) != blocked || foundOf(l[late]) != clean {
			t.Errorf("the next one: %v, %v, %v", foundOf(l[a]), foundOf(l[c]), foundOf(l[late]))
		}

		before = b.leads()
		stop()
		time.Sleep(8 * 24 * time.Hour)
		stop = b.runs()
		time.Sleep(3 * recheckEvery)
		stop()
		if got := b.Status(time.Now()).State; got != "stale" {
			t.Errorf("after eight days it is %s", got)
		}
		if diff := cmp.Diff(before, b.leads()); diff != "" {
			t.Error("ageing wrote:", diff)
		}
		if got := b.state().Confirmed; got != third.ID {
			t.Errorf("confirmed up to %v", got)
		}
		if n := b.events.count("re-check cut short"); n != 0 {
			t.Errorf("%d errors", n)
		}
	})
}
