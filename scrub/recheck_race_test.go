package scrub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
	"saaf/store"
)

// changed begins the line that is logged when a pass has written leads.
const changed = "leads changed by re-check"

// spread pushes one lead with the phone into each of n campaigns, and names them
// in the order of a pass.
func (b *bundle) spread(n int, p saaf.Phone) (campaigns []saaf.CampaignID) {
	b.t.Helper()
	for range n {
		b.campaign = b.newCampaign()
		b.push(p)
		campaigns = append(campaigns, b.campaign)
	}
	slices.Sort(campaigns)
	return campaigns
}

// in is what the campaigns hold about the phone.
func (b *bundle) in(campaigns []saaf.CampaignID, p saaf.Phone) (list []found) {
	b.t.Helper()
	for _, b.campaign = range campaigns {
		list = append(list, foundOf(b.leads()[p]))
		b.checkCounts()
	}
	return list
}

// onceChanged has fn run in the middle of a pass: after its first change.
func (b *bundle) onceChanged(fn func()) {
	once := sync.OnceFunc(fn)
	b.events.then(func(line string) {
		if strings.HasPrefix(line, changed) {
			once()
		}
	})
}

// A pass that a restart cut short is done again, and comes to the same end.
func TestPassCutShort(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 9_000_000_001
	b := setup(t)
	first := b.lists()
	b.rechecks()
	campaigns := b.spread(4, p)
	second := b.lists(p)

	ctx, cancel := context.WithCancel(t.Context())
	b.onceChanged(cancel)
	if err := b.recheck(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the pass ended with %v", err)
	}
	if got, want := b.in(campaigns, p), []found{blocked, clean, clean, clean}; !slices.Equal(got, want) {
		t.Errorf("the pass left %v", got)
	}
	if got := b.state().Confirmed; got != first.ID {
		t.Errorf("confirmed up to %v", got)
	}

	b = b.reopen()
	b.loads()
	done := make(chan struct{})
	b.events.then(func(line string) {
		if strings.HasPrefix(line, "all leads re-checked") {
			close(done)
		}
	})
	stop := b.runs()
	<-done
	stop()
	if got, want := b.in(campaigns, p), []found{blocked, blocked, blocked, blocked}; !slices.Equal(got, want) {
		t.Errorf("after the restart: %v", got)
	}
	if got := b.state().Confirmed; got != second.ID {
		t.Errorf("confirmed up to %v", got)
	}
}

// A snapshot is confirmed when the pass went through and not otherwise.
func TestPassThatLosesItsRegistry(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 9_000_000_001
	for _, name := range []string{"the registry moves", "it grows stale", "it is taken away"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lose := map[string]func(*bundle){
					"the registry moves": func(b *bundle) { b.lists() },
					"it grows stale":     func(*bundle) { time.Sleep(7 * 24 * time.Hour) },
					"it is taken away":   func(b *bundle) { b.registry.Use(nil, saaf.SnapshotRef{}) },
				}[name]
				b := setup(t)
				first := b.lists()
				b.rechecks()
				campaigns := b.spread(3, p)
				b.lists(p)
				b.onceChanged(func() { lose(b) })
				b.rechecks()
				if got, want := b.in(campaigns, p), []found{blocked, clean, clean}; !slices.Equal(got, want) {
					t.Errorf("the pass left %v", got)
				}
				if got, n := b.state().Confirmed, b.events.count("all leads re-checked"); got != first.ID || n != 1 {
					t.Errorf("confirmed up to %v, %d passes were done", got, n)
				}
				last := b.lists()
				b.rechecks()
				if got, want := b.in(campaigns, p), []found{held, clean, clean}; !slices.Equal(got, want) {
					t.Errorf("the next pass left %v", got)
				}
				if got := b.state().Confirmed; got != last.ID {
					t.Errorf("confirmed up to %v", got)
				}
			})
		})
	}
}

// The pass waits for leads that were judged by the snapshot before and are being
// committed while it begins.
func TestPassWaitsForWhatIsBeingCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const p saaf.Phone = 9_000_000_001
		b := setup(t)
		b.lists()
		second := b.imports(b.full(rows("A", p, filler))).Snapshot

		// Into one transaction: the lead, and behind it a job that takes its time.
		begin := b.holds()
		go b.push(p)
		synctest.Wait()
		reached, commit := make(chan struct{}), make(chan struct{})
		go func() {
			_, err := b.store.UpdateCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, func(*saaf.Campaign) error {
				close(reached)
				<-commit
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		begin()
		<-reached

		b.loads()
		go b.rechecks()
		synctest.Wait()
		if n := len(b.leads()); n != 0 {
			t.Fatal("the lead was committed too early for this test")
		}
		close(commit)
		synctest.Wait()
		if got := foundOf(b.leads()[p]); got != blocked {
			t.Errorf("the lead is %v", got)
		}
		if got := b.state().Confirmed; got != second.ID {
			t.Errorf("confirmed up to %v", got)
		}
	})
}

// A lead that changes between its judgement and the write is judged again in the
// same pass, because the pass is going to be confirmed.
func TestLeadThatChangesDuringThePass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const p saaf.Phone = 9_000_000_001
		b := setup(t)
		b.lists()
		campaigns := b.spread(2, p)
		for _, listed := range [][]saaf.Phone{{p}, nil} {
			b.lists(listed...)
			b.rechecks()
		}
		b.campaign = campaigns[1]
		second := b.lists(p)

		// Between the two campaigns somebody releases the second lead: that is written
		// before what the pass, which still reads it as it was, has to say.
		ready := make(chan func())
		b.onceChanged(func() {
			release := b.holds()
			go b.frees(b.leads()[p])
			synctest.Wait()
			go func() { ready <- release }()
		})
		go b.rechecks()
		release := <-ready
		synctest.Wait()
		release()
		synctest.Wait()
		want := []found{blocked, blocked}
		if got := b.in(campaigns, p); !slices.Equal(got, want) {
			t.Errorf("the pass left %v, want %v", got, want)
		}
		if got := b.state().Confirmed; got != second.ID {
			t.Errorf("confirmed up to %v", got)
		}
	})
}

// frees releases a lead on the word of a registry that lists nothing.
func (b *bundle) frees(l saaf.Lead) {
	b.t.Helper()
	done, err := b.store.ReleaseLeads(b.t.Context(), b.tenant, saaf.Live, l.CampaignID, []saaf.LeadID{l.ID}, saaf.SourceFile,
		saaf.By{Actor: "test"}, "test", func(phones []saaf.Phone) []saaf.Verdict {
			return slices.Repeat([]saaf.Verdict{{Reason: saaf.NotRegistered}}, len(phones))
		})
	if err != nil || done.Released != 1 {
		b.t.Error(done, err)
	}
}

// jams keeps the writer busy with both of its queues full, until release is called.
// The phones are pushed by then: from the first on, ten.
func (b *bundle) jams(first saaf.Phone) (release func()) {
	b.t.Helper()
	release = b.holds()
	go b.push(first)
	go b.pushes(numbers(first+1, 9))
	synctest.Wait()
	for _, n := range []int{1, 9} {
		_, err := b.intake.PushBulk(b.t.Context(), b.tenant, saaf.Live, b.campaign, slices.Repeat(bulk(first), n), saaf.By{Actor: "test"})
		if saaf.ErrorCode(err) != saaf.Unavailable {
			b.t.Errorf("a queue is not full: %v", err)
		}
	}
	return release
}

// A store that has too much to do is waited for: giving up would mean to begin
// again, for as long as the store is busy.
func TestPassOverABusyStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const p saaf.Phone = 9_000_000_001
		b := setup(t)
		b.push(p)
		b.stop()
		b = b.another(store.Config{QueueSingles: 1, QueueLeads: 1})
		snap := b.lists(p)

		release := b.jams(9_100_000_000)
		passed := make(chan error)
		go func() { passed <- b.recheck(t.Context()) }()
		time.Sleep(busyPatience / 2)
		release()
		if err := <-passed; err != nil {
			t.Errorf("the pass ended with %v", err)
		}
		if got := foundOf(b.leads()[p]); got != blocked {
			t.Errorf("the lead is %v", got)
		}
		if got := b.state().Confirmed; got != snap.ID {
			t.Errorf("confirmed up to %v", got)
		}

		// For ever is too long: Run says so, now and then, until it can no longer be sure
		// of its lease, and goes on when it has a new one.
		stop := b.runs()
		req := b.full(rows("A", filler))
		req.Override = "numbers of a test"
		last := b.imports(req).Snapshot
		release = b.jams(9_200_000_000)
		b.loads()
		time.Sleep(time.Minute)
		if n := b.events.count("re-check cut short"); n < 2 || n > 4 {
			t.Errorf("in a minute it was said %d times", n)
		}
		if n := b.events.count("the re-check was cut short, another process may go on with it"); n != 1 {
			t.Errorf("that the lease is lost was said %d times", n)
		}
		release()
		time.Sleep(2 * recheckEvery)
		stop()
		if got := foundOf(b.leads()[p]); got != held {
			t.Errorf("the lead is %v", got)
		}
		if got := b.state().Confirmed; got != last.ID {
			t.Errorf("confirmed up to %v", got)
		}
	})
}

// A cancelled pass does not wait for a busy store.
func TestCancelledPassOverABusyStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		busy := &saaf.Error{Code: saaf.Unavailable}
		tries := 0
		err := patiently(ctx, func() error {
			if tries++; tries == 3 {
				cancel()
			}
			return busy
		})
		if !errors.Is(err, context.Canceled) || tries != 3 {
			t.Errorf("it ended with %v after %d tries", err, tries)
		}
	})
}

// Until a process answers from the active snapshot it re-checks nothing: what it
// answers from may free numbers that the active one lists.
func TestNoPassWithAnOlderSnapshot(t *testing.T) {
	t.Parallel()
	const p saaf.Phone = 9_000_000_001
	b := setup(t)
	b.push(p)
	b.lists()
	second := b.imports(b.full(rows("A", p, filler))).Snapshot // and not loaded
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != unchecked {
		t.Errorf("the lead is %v", got)
	}
	if got := b.state().Confirmed; got != 0 {
		t.Errorf("confirmed up to %v", got)
	}
	b.loads()
	b.rechecks()
	if got := foundOf(b.leads()[p]); got != blocked || b.state().Confirmed != second.ID {
		t.Errorf("loaded, the lead is %v", got)
	}
}

// Leads that are pushed while snapshots come and go end with the verdict of the
// last one, and none is freed that was ever blocked.
func TestPushesWhileSnapshotsAlternate(t *testing.T) {
	t.Parallel()
	const pushers, each, snapshots = 4, 60, 6
	b := setup(t)
	all := numbers(9_000_000_000, pushers*each)
	// Snapshot k lists what its bit pattern says; the last one half of all.
	listed := func(k int, p saaf.Phone) bool { return uint64(p)*0x9E3779B97F4A7C15>>(40+k)&1 != 0 }
	snapshot := func(k int) (list []saaf.Phone) {
		for _, p := range all {
			if listed(k, p) {
				list = append(list, p)
			}
		}
		return list
	}
	order := map[saaf.SnapshotID]int{b.lists(snapshot(0)...).ID: 0}

	confirmed := make(chan string, 2*snapshots)
	b.events.then(func(line string) {
		if rest, ok := strings.CutPrefix(line, "all leads re-checked snapshot="); ok {
			confirmed <- strings.Fields(rest)[0]
		}
	})
	stop := b.runs()
	answers := make([]saaf.Lead, len(all))
	var group sync.WaitGroup
	for w := range pushers {
		group.Go(func() {
			for i := w; i < len(all); i += pushers {
				l, err := b.intake.Push(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.LeadInput{}, all[i], saaf.By{Actor: "test"})
				if err != nil {
					t.Error(err)
				}
				answers[i] = l
			}
		})
	}
	var last saaf.Snapshot
	for k := 1; k < snapshots; k++ {
		last = b.lists(snapshot(k)...)
		order[last.ID] = k
	}
	group.Wait()
	for got := range confirmed {
		if got == last.ID.String() {
			break
		}
	}
	stop()

	leads := b.leads()
	for i, p := range all {
		was, is := answers[i], foundOf(leads[p])
		from, known := order[was.Verdict.Snapshot.ID]
		switch {
		case b.store.Shared() && was.Verdict == saaf.Verdict{}:
			from = -1 // nobody prepares here: while a snapshot is verified the answer is unknown
		case !known || was.Verdict.Reason.Blocked() != listed(from, p):
			t.Fatalf("%v was answered with %v", p, was.Verdict)
		}
		ever := was.Status == saaf.LeadDND
		between := ever
		for k := from + 1; k < snapshots; k++ {
			between = between || listed(k, p)
		}
		var may []found
		switch {
		case listed(snapshots-1, p):
			may = []found{blocked}
		case ever:
			may = []found{held}
		case between: // passes that were overtaken may have blocked it
			may = []found{clean, held}
		default:
			may = []found{clean}
		}
		if !slices.Contains(may, is) {
			t.Errorf("%v was answered with %v by snapshot %d and is %v, want %v", p, was.Verdict.Reason, from, is, may)
		}
	}
	b.checkCounts()
}
