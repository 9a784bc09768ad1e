package auth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/internal/pgtest"
	"saaf/store"
)

// twoProcesses are services over one database, with everything in between.
func twoProcesses(t *testing.T) (two [2]*bundle) {
	t.Helper()
	url, secrets := pgtest.Empty(t), t.TempDir()
	for i := range two {
		st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), URL: url, Secrets: secrets})
		if err != nil {
			t.Fatal(err)
		}
		b := &bundle{Service: NewService(st), t: t, st: st}
		working, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		writing, stopWriting := context.WithCancel(context.WithoutCancel(t.Context()))
		written, worked := make(chan error, 1), make(chan error, 1)
		go func() { written <- st.Run(writing) }()
		go func() { worked <- b.Run(working) }()
		t.Cleanup(func() {
			stop()
			err := <-worked
			stopWriting()
			if err := errors.Join(err, <-written, st.Close()); err != nil {
				t.Error(err)
			}
		})
		two[i] = b
	}
	tenant, err := two[0].st.CreateTenant(t.Context(), "Asha Motors")
	if err != nil {
		t.Fatal(err)
	}
	two[0].tenant, two[1].tenant = tenant.ID, tenant.ID
	return two
}

func TestServicesShareALimit(t *testing.T) {
	t.Parallel()
	two := twoProcesses(t)
	key, _ := two[0].key(KeySpec{})
	for minute, shares := range [][2]int{{500, 500}, {1000, 0}, {0, 700}} {
		now := time.Date(2026, 11, 20, 9, minute, 30, 0, time.UTC)
		var mu sync.Mutex
		admitted := 0
		var requests sync.WaitGroup
		for i, n := range shares {
			for range n {
				requests.Go(func() {
					if _, err := two[i].Take(t.Context(), &key, now); err == nil {
						mu.Lock()
						admitted++
						mu.Unlock()
					}
				})
			}
		}
		requests.Wait()
		if most := saaf.DefaultRateLimit + saaf.DefaultRateLimit/32; admitted < saaf.DefaultRateLimit || admitted > most {
			t.Errorf("%d and %d requests to two processes: %d let through, limit %d", shares[0], shares[1], admitted, saaf.DefaultRateLimit)
		}
	}
}

// A key that one process revokes is refused by the other within a second, whatever
// else that one is busy with.
func TestRevocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	two := twoProcesses(t)
	kept, secret := two[0].key(KeySpec{})
	doomed, lost := two[0].key(KeySpec{})
	for range 3 { // again each time the cache was dropped
		two[1].accepted("Bearer " + secret)
		two[1].accepted("Bearer " + lost)
	}
	two[0].revoke(doomed.ID)
	revoked := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		_, err := two[1].Authenticate(t.Context(), "Bearer "+lost)
		if errors.Is(err, errUnknownKey) {
			break
		}
		if took := time.Since(revoked); err != nil || took > time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
		<-tick.C
	}
	if got := two[1].accepted("Bearer " + secret); got.ID != kept.ID {
		t.Errorf("the other key is %v", got.ID)
	}
}

// A process that was paused does not let in a key that was revoked meanwhile, though it
// has it in memory.
func TestPausedProcessBelievesNoKey(t *testing.T) {
	t.Parallel()
	two := twoProcesses(t)
	key, secret := two[0].key(KeySpec{})
	paused := NewService(two[1].st) // nothing looks for changes
	enters := func() error {
		_, err := paused.Authenticate(t.Context(), "Bearer "+string(secret))
		return err
	}
	if err := enters(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two[0].st.RevokeKey(t.Context(), key.ID, saaf.System); err != nil {
		t.Fatal(err)
	}
	paused.looked = time.Now()
	if err := enters(); err != nil {
		t.Errorf("just behind a look the key is in memory: %v", err)
	}
	paused.looked = time.Now().Add(-2 * believed)
	if err := enters(); saaf.ErrorCode(err) != saaf.Unauthenticated {
		t.Errorf("long behind it: %v", err)
	}
	slept := time.Now()
	if !stale(slept.Round(0).Add(-time.Hour), slept) {
		t.Error("a machine that slept an hour by the wall clock believes what it knew")
	}
}
