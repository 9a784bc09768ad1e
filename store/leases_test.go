package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"saaf"
	"saaf/internal/pgtest"
)

// fencedWrite is a write of leased work.
func (b *bundle) fencedWrite(l Lease) error {
	return b.write(b.ctx, everything, 0, func(t *tx) error {
		if err := t.fenced(l); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE deployment SET scrubs = scrubs + 1`)
		return err
	})
}

// passes moves the leases of a name as if that much time had passed.
func (b *bundle) passes(name string, d time.Duration) {
	b.t.Helper()
	b.must(b.write(b.ctx, beside, 0, func(t *tx) error {
		_, err := t.exec(`UPDATE leases SET until = until - $1 WHERE name = $2`, d.Milliseconds(), name)
		return err
	}))
}

// worker is somebody in the model who wants to do the work.
type worker struct {
	lease Lease // the last that was claimed
	had   bool
}

// However claims, renewals, releases and the time come together, at most one lease
// is one that a write goes through with, and it is that which was claimed last.
func TestLeaseModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cases := 0
	rapid.Check(t, func(rt *rapid.T) {
		// Time goes in hours here, so that the time that the test takes does not matter.
		const ttl = 15*time.Hour + 30*time.Minute
		cases++
		name := fmt.Sprintf("work %d", cases)
		workers := make([]worker, 3)
		valid := -1            // who may write, -1 for nobody
		var left time.Duration // until others may claim
		var fence int64
		written := b.number(`SELECT scrubs FROM deployment`)
		some := func(rt *rapid.T) (i int, w *worker) {
			i = rapid.IntRange(0, len(workers)-1).Draw(rt, "worker")
			return i, &workers[i]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"claim": func(rt *rapid.T) {
				i, w := some(rt)
				l, ok, err := b.Claim(b.ctx, name, ttl)
				if want := left <= 0; err != nil || ok != want {
					rt.Fatalf("claimed %v, %v, want %v", ok, err, want)
				}
				if !ok {
					return
				}
				if l.Name != name || l.Fence <= fence {
					rt.Fatalf("%+v after fence %d", l, fence)
				}
				*w, valid, left, fence = worker{l, true}, i, ttl, l.Fence
			},
			"renew": func(rt *rapid.T) {
				i, w := some(rt)
				if !w.had {
					return
				}
				err := b.Renew(b.ctx, w.lease, ttl)
				switch {
				case i == valid && err != nil:
					rt.Fatalf("renewed by whom it belongs to: %v", err)
				case i == valid:
					left = ttl
				case !errors.Is(err, ErrLeaseLost):
					rt.Fatalf("renewed by another: %v", err)
				}
			},
			"release": func(rt *rapid.T) {
				i, w := some(rt)
				if !w.had {
					return
				}
				b.must(b.Release(b.ctx, w.lease))
				if i == valid {
					valid, left = -1, 0
				}
			},
			"time": func(rt *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 16).Draw(rt, "hours")) * time.Hour
				b.passes(name, d)
				left -= d
			},
			"": func(rt *rapid.T) {
				for i, w := range workers {
					if !w.had {
						continue
					}
					err := b.fencedWrite(w.lease)
					switch {
					case i == valid && err != nil:
						rt.Fatalf("worker %d cannot write: %v", i, err)
					case i == valid:
						written++
					case !errors.Is(err, ErrLeaseLost):
						rt.Fatalf("worker %d writes with an old fence: %v", i, err)
					}
				}
				if n := b.number(`SELECT scrubs FROM deployment`); n != written {
					rt.Fatalf("%d writes, want %d", n, written)
				}
			},
		})
	})
}

// leaseTTL is that of the tests in which time passes, which is real on PostgreSQL.
func leaseTTL() time.Duration {
	if !pgtest.Served() {
		return 15 * time.Second
	}
	return 900 * time.Millisecond
}

// leasing opens a store whose leases last as long as those of tests.
func leasing(t *testing.T) *bundle { return open(t, Config{Dir: t.TempDir(), LeaseTTL: leaseTTL()}) }

// soon is how much later than it should something may happen in real time.
func soon() time.Duration {
	if !pgtest.Served() {
		return 0
	}
	return 5 * time.Second
}

// leased is work under a lease.
type leased struct {
	begun chan Lease     // receives each lease that it gets
	over  chan time.Time // receives when the work was told to end
	stop  func() error   // ends it; the error is that of [Store.Leased]
}

func (b *bundle) leased(name string) leased {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.ctx))
	w := leased{begun: make(chan Lease, 1), over: make(chan time.Time, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- b.Leased(ctx, name, func(ctx context.Context, l Lease) error {
			w.begun <- l
			<-ctx.Done()
			w.over <- time.Now()
			return nil
		})
	}()
	w.stop = func() error {
		cancel()
		return <-ended
	}
	return w
}

// awaitRenewals returns when a lease has been renewed so often.
func (b *bundle) awaitRenewals(name string, times int) {
	b.t.Helper()
	tick := time.NewTicker(leaseTTL() / 20)
	defer tick.Stop()
	var last int64
	for deadline := time.Now().Add(time.Minute); times >= 0; <-tick.C {
		if until := b.number(`SELECT until FROM leases WHERE name = $1`, name); until != last {
			last = until
			times--
		}
		if time.Now().After(deadline) {
			b.t.Fatal("the lease is not renewed")
		}
	}
}

func TestLeased(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := leasing(t)
		one := b.leased("sweep")
		first := <-one.begun
		two := b.leased("sweep")
		b.awaitRenewals("sweep", 4) // longer than one lease
		select {
		case l := <-two.begun:
			t.Errorf("%+v was claimed beside %+v", l, first)
		default:
		}
		b.must(b.fencedWrite(first))
		other := b.leased("another")
		<-other.begun
		b.must(other.stop())

		b.must(one.stop())
		given := time.Now()
		if err := b.fencedWrite(first); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("a write after the lease was given back: %v", err)
		}
		second := <-two.begun
		if took := time.Since(given); took > claimAgain+soon() {
			t.Errorf("taken up %v after it was given back", took)
		}
		b.must(b.fencedWrite(second))
		b.must(two.stop())
	})
}

// What a process that died had leased goes to another within the time of the lease.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := leasing(t)
		died := time.Now()
		dead, ok, err := b.Claim(t.Context(), "sweep", leaseTTL()) // and nothing more is heard of it
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		heir := b.leased("sweep")
		l := <-heir.begun
		if took := time.Since(died); took < leaseTTL() || took > leaseTTL()+soon() {
			t.Errorf("taken up after %v, want %v", took, leaseTTL())
		}
		if err := b.fencedWrite(dead); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("it was only slow, and writes: %v", err)
		}
		b.must(b.Release(t.Context(), dead)) // which is no longer its own
		b.must(b.fencedWrite(l))
		b.must(heir.stop())
	})
}

// Work whose lease another has claimed is told to end at the next renewal.
func TestWorkThatIsOvertaken(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := leasing(t)
		w := b.leased("sweep")
		l := <-w.begun
		b.must(b.Release(t.Context(), l))
		if _, ok, err := b.Claim(t.Context(), "sweep", time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		overtaken := time.Now()
		if took := (<-w.over).Sub(overtaken); took > leaseTTL()/3+soon() {
			t.Errorf("it was told after %v", took)
		}
		if err := w.stop(); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// Work that cannot renew its lease is told to end when others may claim it.
func TestWorkEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := leasing(t)
		w := b.leased("sweep")
		<-w.begun
		claimed := time.Now()
		release := b.block() // the writer, so that nothing is renewed
		if took := (<-w.over).Sub(claimed); took != leaseTTL() {
			t.Errorf("it was told %v after the claim, want %v", took, leaseTTL())
		}
		release()
		if err := w.stop(); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// In an embedded store the next server has everything that the one before had.
func TestLeasesOfTheServerBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dead, ok, err := b.Claim(t.Context(), "sweep", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	_, err = b.RegisterServer(t.Context(), Server{})
	b.must(err)
	if err := b.fencedWrite(dead); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the one before writes: %v", err)
	}
	if l, ok, err := b.Claim(t.Context(), "sweep", time.Hour); !ok || err != nil || l.Fence <= dead.Fence {
		t.Errorf("%+v, %v, %v after %+v", l, ok, err, dead)
	}
}

// What a process does under a lease is refused in the transaction that would store it,
// once the lease has gone to another.
func TestWritesOfAnOldFence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	b.add(b.campaign, leads(0, 1)...)
	list, err := b.UnfinishedLeads(t.Context(), b.campaign, 0, 10)
	b.must(err)
	found := []Recheck{{list[0], verdict(saaf.FullBlock, snap)}}
	im, err := b.QueueImport(t.Context(), RegistryImport{Mode: saaf.FullSet, File: "x"})
	b.must(err)
	soon := b.now().Add(time.Minute)
	_, err = b.Suppress(t.Context(), b.tenant, saaf.Live, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(7), Expires: soon}}, saaf.System)
	b.must(err)
	_, err = b.Erase(t.Context(), b.tenant, saaf.Live, phone(99), saaf.System, "asked")
	b.must(err)

	old, ok, err := b.Claim(t.Context(), "work", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	b.must(b.Release(t.Context(), old))
	if _, ok, err := b.Claim(t.Context(), "work", time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	find := func(phones []saaf.Phone) []saaf.Verdict { return make([]saaf.Verdict, len(phones)) }
	before := b.number(`SELECT count(*) FROM ledger`)
	for what, write := range map[string]func() error{
		"re-check": func() error {
			_, _, err := b.ApplyRechecks(b.ctx, old, b.campaign, saaf.SourceFile, found)
			return err
		},
		"renewal": func() error {
			_, err := b.RenewLeads(b.ctx, old, b.campaign, saaf.SourceFile, found)
			return err
		},
		"progress": func() error { return b.SweepProgress(b.ctx, old, saaf.Sweep{Activation: 1, Done: 7}) },
		"confirm":  func() error { return b.ConfirmSnapshot(b.ctx, old, 1) },
		"expiry": func() error {
			_, err := b.ExpireSuppressions(b.ctx, old, soon.Add(time.Hour), 10, saaf.SourceFile, find)
			return err
		},
		"spread": func() error {
			_, err := b.spread(b.ctx, old, []saaf.Suppression{{TenantID: b.tenant, Environment: saaf.Live, Phone: phone(0)}}, saaf.SourceFile,
				saaf.System, func(*saaf.Suppression) string { return "" }, find)
			return err
		},
		"was spread": func() error { return b.wasSpread(b.ctx, old, 0, 1) },
		"activation": func() error {
			_, _, err := b.ActivateSnapshot(b.ctx, saaf.Snapshot{Mode: saaf.FullSet, EffectiveDate: 20_001}, snap.ID, Cause{Import: im.ID, Lease: old})
			return err
		},
		"refusal":      func() error { return b.RecordRefusal(b.ctx, old, saaf.System, "fact") },
		"import moved": func() error { return b.ImportMoved(b.ctx, old, im.ID, ImportProgress{Stage: "late"}) },
		"import ended": func() error { return b.ImportEnded(b.ctx, old, RegistryImport{ID: im.ID, State: ImportFailed}) },
		"purge":        func() error { return b.purgeCampaign(b.ctx, old, b.campaign) },
		"erasure":      func() error { _, err := b.scrubErased(b.ctx, old); return err },
	} {
		if err := write(); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := b.number(`SELECT count(*) FROM ledger`); n != before {
		t.Errorf("%d entries were written", n-before)
	}
	if st := b.state(); st.Activation != 1 || st.ConfirmedActivation != 0 || st.Sweep.Done != 0 {
		t.Errorf("the registry is %+v", st)
	}
	if im = b.readImport(im.ID); im.State != ImportQueued || im.Stage != "" {
		t.Errorf("the import is %+v", im)
	}
	if n := b.number(`SELECT count(*) FROM leads WHERE reason <> $1`, saaf.RegistryUnavailable); n != 0 {
		t.Errorf("%d leads were changed", n)
	}
	if n := b.number(`SELECT count(*) FROM suppressions WHERE ended_at IS NOT NULL`) + b.number(`SELECT count(*) FROM erasures WHERE finished_at IS NOT NULL`); n != 0 {
		t.Errorf("%d suppressions and erasures were ended", n)
	}
}
