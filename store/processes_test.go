package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
)

// another is a second process on the database of a bundle.
func (b *bundle) another() *bundle {
	b.t.Helper()
	n := open(b.t, b.cfg)
	n.tenant, n.campaign = b.tenant, b.campaign
	return n
}

// Servers run beside each other, and are known by their signs of life.
func TestServersBesideEachOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.another()
	register := func(b *bundle, pid int) Server {
		sv, err := b.RegisterServer(t.Context(), Server{PID: pid, Version: 1})
		b.must(err)
		return sv
	}
	running := func(when string, want ...Server) {
		t.Helper()
		got, starting, err := b.Running(t.Context())
		b.must(err)
		if starting {
			t.Errorf("%s: one is starting", when)
		}
		b.equal(when, want, got, cmpopts.EquateApproxTime(time.Minute))
	}
	running("none")
	one, two := register(b, 1), register(other, 2)
	b.servers("both", one, two)
	running("both", one, two)

	b.ago(two.ID, serverSilent+time.Second)
	silent := two
	silent.Alive = false
	b.servers("one is silent", one, silent)
	running("one is silent", one)
	one.Version = 2
	b.must(b.Beat(t.Context(), one))
	b.servers("a heartbeat of the other", one, silent)
	two.Version = 2
	b.must(other.Beat(t.Context(), two))
	running("it is back", one, two)

	b.ago(two.ID, serverGone+time.Second)
	b.must(b.Beat(t.Context(), one))
	b.servers("one is gone", one)
	b.must(other.Beat(t.Context(), two))
	b.servers("it was only cut off", one, two)
	b.ago(one.ID, serverGone+time.Second)
	b.must(b.RemoveServer(t.Context(), two.ID))
	two = register(other, 2)
	b.servers("the next forgets what is gone", two)
}

// locksWaiting is how many transactions wait for another.
func (b *bundle) locksWaiting() int64 {
	return b.number(`SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE NOT l.granted AND a.datname = current_database()`)
}

// A barrier waits for the pushes of other processes that were judged before it.
func TestBarrierOverProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.another()
	quiet := b.newCampaign(b.tenant, saaf.Live)
	b.add(quiet, leads(0, 1)...)
	judged, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	pushed := make(chan error, 1)
	go func() {
		batch := &LeadBatch{Campaign: b.campaign, Leads: leads(0, 1), Refresh: func([]NewLead) {
			once.Do(func() { close(judged) })
			<-release
		}}
		pushed <- other.AddLeads(t.Context(), b.tenant, saaf.Live, batch)
	}()
	<-judged
	passed := make(chan error, 1)
	go func() { passed <- b.Barrier(t.Context()) }()
	eventually(t, "the barrier waits", func() bool {
		select {
		case err := <-passed:
			close(release)
			t.Fatalf("the barrier did not wait: %v", err)
		default:
		}
		return b.locksWaiting() > 0
	})
	close(release)
	b.must(<-passed)
	if n := b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1`, b.campaign); n != 1 {
		t.Errorf("%d leads are committed when the barrier has passed", n)
	}
	b.must(<-pushed)
}

// Of processes that see at the same time that a lease is free one gets it.
func TestClaimsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before, ok, err := b.Claim(t.Context(), "work", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	b.must(b.Release(t.Context(), before))
	locked, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() { // whoever looks sees it free, and then has to wait
		held <- b.write(b.ctx, everything, 0, func(t *tx) error {
			err := t.fenced(Lease{Name: "work", Fence: before.Fence + 1})
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	got := make(chan bool, 2)
	for range 2 {
		other := b.another()
		go func() {
			_, ok, err := other.Claim(other.ctx, "work", time.Hour)
			if err != nil {
				t.Error(err)
			}
			got <- ok
		}()
	}
	eventually(t, "both wait", func() bool { return b.locksWaiting() == 2 })
	close(release)
	b.must(<-held)
	if one, two := <-got, <-got; one == two {
		t.Errorf("both got the same answer, %v", one)
	}
}

// A lease goes to another only when what is being written under it is committed: the
// heir finds all of it.
func TestClaimWaitsForWritesUnderWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.another()
	l, ok, err := b.Claim(t.Context(), "work", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	b.passes("work", time.Hour)
	writing, release := make(chan struct{}), make(chan struct{})
	written, claimed := make(chan error, 1), make(chan error, 1)
	var once sync.Once
	go func() {
		written <- b.write(b.ctx, everything, 0, func(t *tx) error {
			if err := t.fenced(l); err != nil {
				return err
			}
			once.Do(func() { close(writing) })
			<-release
			_, err := t.exec(`UPDATE deployment SET scrubs = scrubs + 1`)
			return err
		})
	}()
	<-writing
	go func() {
		_, ok, err := other.Claim(t.Context(), "work", time.Hour)
		if err == nil && !ok {
			err = errors.New("it is not free")
		}
		claimed <- err
	}()
	eventually(t, "the claim waits", func() bool {
		select {
		case err := <-claimed:
			close(release)
			t.Fatalf("the claim did not wait: %v", err)
		default:
		}
		return b.locksWaiting() > 0
	})
	close(release)
	b.must(<-claimed)
	if n := b.number(`SELECT scrubs FROM deployment`); n != 1 {
		t.Error("what was written is not there when the lease has gone")
	}
	b.must(<-written)
}

// What was found by a snapshot that another process has replaced is not stored: its
// sweep may have been there already.
func TestRecheckByAReplacedSnapshot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.another()
	old := b.activate(20_000)
	lead := leads(0, 1)
	lead[0].Verdict = verdict(saaf.NotRegistered, old)
	b.add(b.campaign, lead...)
	current := other.activate(20_001)
	read := func() []UnfinishedLead {
		list, err := b.UnfinishedLeads(t.Context(), b.campaign, 0, 10)
		b.must(err)
		return list
	}
	found := func(v saaf.Verdict) []Recheck { return []Recheck{{read()[0], v}} }
	was := b.all(b.campaign)
	if _, _, err := b.ApplyRechecks(t.Context(), Lease{}, b.campaign, saaf.SourceFile, found(verdict(saaf.FullBlock, old))); !errors.Is(err, ErrRegistryMoved) {
		t.Errorf("a re-check: %v", err)
	}
	if _, err := b.RenewLeads(t.Context(), Lease{}, b.campaign, saaf.SourceFile, found(verdict(saaf.NotRegistered, old))); !errors.Is(err, ErrRegistryMoved) {
		t.Errorf("a renewal: %v", err)
	}
	b.equal("the lead", was, b.all(b.campaign))
	if n, _, err := b.ApplyRechecks(t.Context(), Lease{}, b.campaign, saaf.SourceFile, found(verdict(saaf.FullBlock, current))); n != 1 || err != nil {
		t.Errorf("by the active one: %d, %v", n, err)
	}
	if n, err := b.RenewLeads(t.Context(), Lease{}, b.campaign, saaf.SourceFile, found(verdict(saaf.FullBlock, current))); n != 1 || err != nil {
		t.Errorf("a renewal by the active one: %d, %v", n, err)
	}
}

// The requests of a key are counted together, minute by minute.
func TestUseKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	processes := []*bundle{b, b.another()}
	const minute = 29_000_000
	var group sync.WaitGroup
	for _, p := range processes {
		for range 10 {
			group.Go(func() {
				_, err := p.UseKeys(t.Context(), minute, []KeyUse{{2, 20}, {1, 1}})
				b.must(err)
			})
		}
	}
	group.Wait()
	byKey := cmpopts.SortSlices(func(a, b KeyUse) bool { return a.Key < b.Key })
	use := func(minute int64, want []KeyUse, used ...KeyUse) {
		t.Helper()
		got, err := b.UseKeys(t.Context(), minute, used)
		b.must(err)
		b.equal("totals", want, got, byKey)
	}
	use(minute, []KeyUse{{1, 25}, {2, 400}, {3, 7}}, KeyUse{3, 7}, KeyUse{1, 5}, KeyUse{2, 0})
	use(minute+1, []KeyUse{{1, 3}}, KeyUse{1, 3})
	use(minute, []KeyUse{{1, 26}}, KeyUse{1, 1}) // a clock that is behind
	use(minute+2, []KeyUse{{1, 4}}, KeyUse{1, 4})
	if n := b.number(`SELECT count(*) FROM key_usage WHERE minute = $1`, minute); n != 0 {
		t.Errorf("%d rows are left of a minute that is long over", n)
	}
	use(minute+2, []KeyUse{{1, 5}}, KeyUse{1, 1})
}

// The work that a process was at when it died is done by another one.
func TestPurgeOfTheDead(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir(), LeaseTTL: leaseTTL()})
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, saaf.Live)
	b.add(b.campaign, leads(0, 3*purgeChunk)...)
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
	dead, ok, err := b.Claim(t.Context(), purgeLease, leaseTTL())
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	other := b.another()
	ctx, stop := context.WithCancel(t.Context())
	purged := make(chan error, 1)
	go func() { purged <- other.RunPurge(ctx, func(err error) { t.Error(err) }) }()
	eventually(t, "it is purged", func() bool { return b.leftovers(b.campaign) == 0 })
	if err := b.fencedWrite(dead); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the first still writes: %v", err)
	}
	stop()
	b.must(<-purged)
}
