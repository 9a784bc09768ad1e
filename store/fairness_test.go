package store

import (
	"context"
	"testing"
	"time"

	"saaf"
)

// A push that comes while a change waits to have the campaign for itself goes behind it:
// pushes of several processes, one beside the other, would keep it out for ever.
func TestPushesDoNotOvertakeChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.another()
	begun, release := make(chan struct{}), make(chan struct{})
	open := make(chan error, 1)
	go func() {
		open <- b.write(t.Context(), scope{campaign: b.campaign, shared: true}, 1, func(x *tx) error {
			err := x.campaignFor(b.tenant, saaf.Live, b.campaign)
			close(begun)
			<-release
			return err
		})
	}()
	<-begun
	change := make(chan error, 1)
	go func() {
		change <- other.write(t.Context(), alone(b.campaign), 1, func(*tx) error { return nil })
	}()
	b.until("the change waits", func() bool { return b.locksWaiting() == 1 })
	_, push := b.push(t.Context(), leads(0, 1)...)
	b.until("the push waits, or is done", func() bool { return len(push) > 0 || b.locksWaiting() == 2 })
	if len(push) > 0 {
		t.Error("the push has overtaken the change")
	}
	close(release)
	for _, answer := range []<-chan error{open, change, push} {
		b.must(<-answer)
	}
}

// A process that does not go on with its transaction, paused or cut off, loses it, and
// nobody waits for its locks. When it wakes up it finds out, and does it anew.
func TestPausedTransactionIsOver(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{idleFor: 200 * time.Millisecond, retryFor: time.Minute})
	other := b.another()
	before := b.number(`SELECT count(*) FROM tenants`)
	begun, wake := make(chan struct{}, 9), make(chan struct{})
	paused := make(chan error, 1)
	go func() {
		paused <- b.write(t.Context(), everything, 1, func(x *tx) error {
			_, err := x.createTenant("paused")
			begun <- struct{}{}
			<-wake
			return err
		})
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := other.CreateTenant(ctx, "beside")
		answer <- err
	}()
	select {
	case err := <-answer:
		b.must(err)
	case <-ctx.Done():
		t.Error("a paused process keeps everybody waiting")
	}
	close(wake)
	want := int64(2)
	if err := <-paused; err == error(errUnknown) { // its COMMIT was written, and nobody read it
		want = 1
	} else {
		b.must(err)
	}
	if n := b.number(`SELECT count(*) FROM tenants`) - before; n != want {
		t.Errorf("%d tenants were made, want %d", n, want)
	}
}
