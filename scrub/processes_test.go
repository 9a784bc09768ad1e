package scrub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf"
	"saaf/internal/pgtest"
	"saaf/store"
)

// Several processes over one database, which is always PostgreSQL.

// shortLease is how long work stays with a process that has died, in these tests.
const shortLease = 1500 * time.Millisecond

// nodes are processes that share a database and secrets.
type nodes struct {
	t            *testing.T
	url, secrets string
	first        *bundle
}

// startNodes starts the first process, with a tenant and a campaign.
func startNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{t: t, url: pgtest.Empty(t), secrets: t.TempDir()}
	b := n.start(t.TempDir())
	tenant, err := b.store.CreateTenant(t.Context(), "Asha")
	if err != nil {
		t.Fatal(err)
	}
	b.tenant = tenant.ID
	b.campaign = b.newCampaign()
	n.first = b
	return n
}

// start starts another one in a data directory.
func (n *nodes) start(data string) *bundle {
	n.t.Helper()
	b := open(n.t, data, store.Config{URL: n.url, Secrets: n.secrets, LeaseTTL: shortLease})
	if n.first != nil {
		b.tenant, b.campaign = n.first.tenant, n.first.campaign
	}
	return b
}

// works runs what a process does in the background until stop is called.
func (b *bundle) works() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- b.Run(ctx) }()
	go func() { ended <- b.RunImports(ctx) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			b.t.Errorf("it ended with %v", err)
		}
	}
}

// eventually waits until something is so.
func (b *bundle) eventually(what string, so func() bool) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !so(); <-tick.C {
		if time.Now().After(deadline) {
			b.t.Fatalf("it does not come to pass: %s", what)
		}
	}
}

// flips counts by the evidence how often the re-check has changed each lead.
func (b *bundle) flips() map[saaf.LeadID]int {
	b.t.Helper()
	flips := make(map[saaf.LeadID]int)
	for after := saaf.EntryID(0); ; {
		list, err := b.store.LedgerAfter(b.t.Context(), after)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 0 {
			return flips
		}
		for _, e := range list {
			after = e.ID
			head, err := e.ParseHead()
			if err != nil {
				b.t.Fatal(err)
			}
			for d, err := range e.Decisions() {
				if err != nil {
					b.t.Fatal(err)
				}
				if head.Stage == saaf.StageRescrub {
					flips[d.Lead]++
				}
			}
		}
	}
}

// sweepable is two processes that share a directory of snapshots and answer from a
// registry that lists none of 3,000 leads, all confirmed.
func sweepable(t *testing.T) (n *nodes, other *bundle, phones []saaf.Phone) {
	t.Helper()
	n = startNodes(t)
	phones = numbers(7_000_000_001, 3000)
	n.first.lists()
	n.first.pushes(phones)
	n.first.rechecks()
	other = n.start(n.first.data)
	other.loads()
	return n, other, phones
}

// checkSwept checks that each lead was blocked, and once.
func (b *bundle) checkSwept(leads int) {
	b.t.Helper()
	for p, l := range b.leads() {
		if foundOf(l) != blocked {
			b.t.Fatalf("%v is %v", p, foundOf(l))
		}
	}
	flips := b.flips()
	if len(flips) != leads {
		b.t.Errorf("by the evidence %d leads were changed, want %d", len(flips), leads)
	}
	for id, times := range flips {
		if times != 1 {
			b.t.Fatalf("%v was changed %d times by the evidence", id, times)
		}
	}
}

// One process sweeps after an activation; the others answer.
func TestOneProcessSweeps(t *testing.T) {
	t.Parallel()
	n, other, phones := sweepable(t)
	other.campaign = other.newCampaign()
	defer n.first.works()()
	defer other.works()()
	n.first.lists(phones...)
	other.loads()
	if l := other.push(phones[0]); foundOf(l) != blocked {
		t.Errorf("a lead that comes to the other process is %v", foundOf(l))
	}
	n.first.eventually("all leads are re-checked", func() bool { st := n.first.state(); return st.AllChecked() })
	const done = "all leads re-checked"
	n.first.eventually("it is logged", func() bool { return n.first.events.count(done)+other.events.count(done) == 2 })
	n.first.checkSwept(len(phones))
}

// A process is killed in the middle of a sweep, and another one finishes it within
// the time of the lease.
func TestSweepOfTheDead(t *testing.T) {
	t.Parallel()
	n, other, phones := sweepable(t)
	const has = "leads are re-checked by this process"
	died := make(chan time.Time, 1)
	n.first.onceChanged(func() {
		n.first.stop() // nothing that it does reaches the database any more
		died <- time.Now()
	})
	stop := n.first.works()
	n.first.eventually("it has the lease", func() bool { return n.first.events.count(has) > 0 })
	defer other.works()()
	other.lists(phones...)
	n.first.loads()
	at := <-died
	stop()
	other.eventually("the other one has the lease", func() bool { return other.events.count(has) > 0 })
	if took := time.Since(at); took > shortLease+5*time.Second {
		t.Errorf("taken up after %v", took)
	}
	other.eventually("all leads are re-checked", func() bool { st := other.state(); return st.AllChecked() })
	other.checkSwept(len(phones))
	if before := other.events.count("leads changed by re-check"); before == 0 || before >= len(phones)/recheckChunk {
		t.Errorf("the other one has changed %d chunks of leads", before)
	}
}

// A process that another has taken the re-check from, in the middle of a sweep, writes
// nothing more and says so.
func TestSweepOfTheOvertaken(t *testing.T) {
	t.Parallel()
	n, other, phones := sweepable(t)
	n.first.onceChanged(func() {
		if err := other.store.Release(t.Context(), store.Lease{Name: recheckLease, Fence: 1}); err != nil {
			t.Error(err)
		}
		if _, ok, err := other.store.Claim(t.Context(), recheckLease, time.Hour); !ok || err != nil {
			t.Errorf("claimed: %v, %v", ok, err)
		}
	})
	defer n.first.works()()
	n.first.lists(phones...)
	n.first.eventually("it is said", func() bool { return n.first.events.count("the re-check was cut short") == 1 })
	if changed := len(n.first.flips()); changed != recheckChunk {
		t.Errorf("%d leads were changed, want those of the first transaction", changed)
	}
}

// A process that has not swapped yet judges nothing by its old snapshot.
func TestPassOverARegistryThatOthersMoved(t *testing.T) {
	t.Parallel()
	n, other, phones := sweepable(t)
	old := n.first.registry.View()
	other.lists(phones...)
	leads, err := n.first.store.UnfinishedLeads(t.Context(), n.first.campaign, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range leads { // as if they had been blocked before
		leads[i].Status, leads[i].Reason = saaf.LeadDND, saaf.FullBlock
	}
	begin := time.Now()
	if changed, missed, whole, err := n.first.judge(t.Context(), old, n.first.campaign, leads); changed+missed != 0 || whole || err != nil {
		t.Errorf("judged: %d changed, %d missed, whole %v, %v", changed, missed, whole, err)
	}
	if took := time.Since(begin); took > busyPatience/2 {
		t.Errorf("it took %v: as if the store were busy", took)
	}
}

// An import is done by the process whose disk has the file, whoever else runs.
func TestImportIsDoneWhereItsFileIs(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	other := n.start(t.TempDir())
	for _, b := range []*bundle{n.first, other} {
		if _, err := b.store.RegisterServer(t.Context(), store.Server{}); err != nil {
			t.Fatal(err)
		}
	}
	im := n.first.uploads(rows("A", numbers(9_000_000_001, 200)...))
	due := func(b *bundle) []dueImport {
		t.Helper()
		list, err := b.dueImports(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := due(other); len(list) != 0 {
		t.Errorf("the other process would do %+v", list)
	}
	if list := due(n.first); len(list) != 1 || list[0].ID != im.ID || list[0].givenUp != "" {
		t.Errorf("the process with the file would do %+v", list)
	}
	defer other.works()()
	stop := n.first.works()
	n.first.eventually("it is imported", func() bool { return n.first.readImport(im.ID).State == store.ImportCompleted })
	stop()
	if a := n.first.state().Activation; a != 1 {
		t.Errorf("it was activated %d times", a)
	}
}

// An import whose file went down with its server is given up, after a while in which
// that may come back.
func TestImportOfTheDead(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	sv, err := n.first.store.RegisterServer(t.Context(), store.Server{})
	if err != nil {
		t.Fatal(err)
	}
	im := n.first.uploads(rows("A", numbers(9_000_000_001, 200)...))
	other := n.start(t.TempDir())
	if err := n.first.store.RemoveServer(t.Context(), sv.ID); err != nil {
		t.Fatal(err)
	}
	if due, err := other.dueImports(t.Context()); len(due) != 0 || err != nil {
		t.Errorf("at once it is due for %+v, %v", due, err)
	}
	since, seen := other.awaited[im.ID]
	if !seen {
		t.Fatal("it is not noted")
	}
	other.awaited[im.ID] = since.Add(-uploadLost + time.Minute/2)
	if due, err := other.dueImports(t.Context()); len(due) != 0 || err != nil {
		t.Errorf("after half a minute it is due for %+v, %v", due, err)
	}
	other.awaited[im.ID] = since.Add(-uploadLost)
	stop := other.works()
	other.eventually("it is given up", func() bool { return other.readImport(im.ID).State == store.ImportFailed })
	stop()
	if p := other.readImport(im.ID).Problem; !strings.Contains(p, sv.ID.String()) || !strings.Contains(p, "Send the file again") {
		t.Errorf("problem: %q", p)
	}
	file := filepath.Join(n.first.uploadsDir(), im.File)
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	if err := n.first.removeUploads(t.Context()); err != nil { // it comes back
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// A server that comes back has another name and the file.
func TestImportOfAServerThatComesBack(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	im := n.first.uploads(rows("A", numbers(9_000_000_001, 200)...))
	n.first.stop()
	again := n.start(n.first.data)
	stop := again.works()
	again.eventually("it is imported", func() bool { return again.readImport(im.ID).State == store.ImportCompleted })
	stop()
}

func (b *bundle) readImport(id saaf.RegistryImportID) store.RegistryImport {
	b.t.Helper()
	im, err := b.store.RegistryImport(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return im
}
