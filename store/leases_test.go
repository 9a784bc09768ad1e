package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
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

// worker is somebody in the model who wants to do the work.
type worker struct {
	lease Lease // the last that was claimed
	had   bool
}

// However claims, renewals, releases and the time come together, at most one lease
// is one that a write goes through with, and it is that which was claimed last.
func TestLeaseModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		cases := 0
		rapid.Check(t, func(rt *rapid.T) {
			const ttl = 15 * time.Second
			cases++
			name := fmt.Sprintf("work %d", cases)
			workers := make([]worker, 3)
			valid := -1         // who may write, -1 for nobody
			var until time.Time // when others may claim
			var fence int64
			written := b.number(`SELECT scrubs FROM deployment`)
			rt.Repeat(map[string]func(*rapid.T){
				"claim": func(rt *rapid.T) {
					i := rapid.IntRange(0, len(workers)-1).Draw(rt, "worker")
					l, ok, err := b.Claim(b.ctx, name, ttl)
					if want := !time.Now().Before(until); err != nil || ok != want {
						rt.Fatalf("claimed %v, %v, want %v", ok, err, want)
					}
					if !ok {
						return
					}
					if l.Name != name || l.Fence <= fence {
						rt.Fatalf("%+v after fence %d", l, fence)
					}
					workers[i], valid, until, fence = worker{l, true}, i, time.Now().Add(ttl), l.Fence
				},
				"renew": func(rt *rapid.T) {
					i := rapid.IntRange(0, len(workers)-1).Draw(rt, "worker")
					if !workers[i].had {
						rt.Skip()
					}
					err := b.Renew(b.ctx, workers[i].lease, ttl)
					switch {
					case i == valid && err != nil:
						rt.Fatalf("renewed by whom it belongs to: %v", err)
					case i == valid:
						until = time.Now().Add(ttl)
					case !errors.Is(err, ErrLeaseLost):
						rt.Fatalf("renewed by another: %v", err)
					}
				},
				"release": func(rt *rapid.T) {
					i := rapid.IntRange(0, len(workers)-1).Draw(rt, "worker")
					if !workers[i].had {
						rt.Skip()
					}
					b.must(b.Release(b.ctx, workers[i].lease))
					if i == valid {
						valid, until = -1, time.Time{}
					}
				},
				"time": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 16_000).Draw(rt, "milliseconds")) * time.Millisecond)
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
	})
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

func TestLeased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		one := b.leased("sweep")
		first := <-one.begun
		two := b.leased("sweep")
		time.Sleep(time.Hour)
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
		if took := time.Since(given); took > claimAgain {
			t.Errorf("taken up %v after it was given back", took)
		}
		b.must(b.fencedWrite(second))
		b.must(two.stop())
	})
}

// What a process that died had leased goes to another within the time of the lease.
func TestLeaseOfTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		dead, ok, err := b.Claim(t.Context(), "sweep", b.cfg.LeaseTTL) // and nothing more is heard of it
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		died := time.Now()
		heir := b.leased("sweep")
		l := <-heir.begun
		if took := time.Since(died); took != b.cfg.LeaseTTL {
			t.Errorf("taken up after %v, want %v", took, b.cfg.LeaseTTL)
		}
		if err := b.fencedWrite(dead); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("it was only slow, and writes: %v", err)
		}
		b.must(b.Release(t.Context(), dead)) // which is no longer its own
		b.must(b.fencedWrite(l))
		b.must(heir.stop())
	})
}

// Work that cannot renew its lease is told to end when others may claim it.
func TestWorkEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		w := b.leased("sweep")
		<-w.begun
		claimed := time.Now()
		release := b.block() // the writer, so that nothing is renewed
		if took := (<-w.over).Sub(claimed); took != b.cfg.LeaseTTL {
			t.Errorf("it was told %v after the claim, want %v", took, b.cfg.LeaseTTL)
		}
		release()
		if err := w.stop(); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// Work whose lease another has claimed is told to end at the next renewal.
func TestWorkThatIsOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		w := b.leased("sweep")
		l := <-w.begun
		b.must(b.Release(t.Context(), l))
		if _, ok, err := b.Claim(t.Context(), "sweep", time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		overtaken := time.Now()
		if took := (<-w.over).Sub(overtaken); took > b.cfg.LeaseTTL/3 {
			t.Errorf("it was told after %v", took)
		}
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
