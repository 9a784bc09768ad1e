package store

import (
	"context"
	"errors"
	"time"

	"saaf"
)

// Lease is the right to do a piece of work that one process does at a time. What
// the work writes names it, and is refused with [ErrLeaseLost] in the very
// transaction when the lease has gone to another: a process that was only slow must
// not write beside its successor. The zero Lease is not asked about, for what people
// do by hand.
type Lease struct {
	Name  string
	Fence int64 // grows whenever the lease is claimed or given back
}

// ErrLeaseLost is the Conflict of a write whose lease has gone to another process.
var ErrLeaseLost = &saaf.Error{Code: saaf.Conflict, Word: "lease_lost", Message: "Another process has taken this work over"}

// Claim takes a lease for ttl when nobody has it, by the clock of the database; ok
// is false when somebody has. Every claim is a new one: a process that has the lease
// keeps it by [Store.Renew].
func (s *Store) Claim(ctx context.Context, name string, ttl time.Duration) (l Lease, ok bool, err error) {
	c, err := s.claim(ctx, name, ttl)
	return c.Lease, err == nil && c.Fence != 0, err
}

// claimed is what came of a claim.
type claimed struct {
	Lease               // Fence is 0 when another has it
	at    time.Time     // by the clock of this process, before the lease began
	free  time.Duration // for how long another has it, unless that one renews it
}

func (s *Store) claim(ctx context.Context, name string, ttl time.Duration) (c claimed, err error) {
	err = s.write(ctx, signs, 1, func(t *tx) error {
		c = claimed{Lease: Lease{Name: name}, at: time.Now()}
		now, err := s.engine.clock(t.conn)
		if err != nil {
			return err
		}
		// First a look: the claim itself locks the row, for which writes under the lease
		// would have to wait.
		const sqlLeaseUntil = `SELECT until FROM leases WHERE name = $1`
		err = t.conn.query(sqlLeaseUntil, func(r row) error {
			c.free = max(0, r.time().Sub(now))
			return nil
		}, name)
		if err != nil || c.free > 0 {
			return err
		}
		const sqlClaim = `
			INSERT INTO leases AS l (name, holder, fence, until) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = l.fence + 1, until = excluded.until
			 WHERE l.until <= $4
			RETURNING fence`
		return t.conn.query(sqlClaim, func(r row) error {
			t.wrote = true
			c.Fence = r.int64()
			return nil
		}, name, s.server, now.Add(ttl), now)
	})
	return c, wrap("claim "+name, err)
}

// Renew keeps a lease for another ttl from now on. It is [ErrLeaseLost] when
// somebody else has claimed it since; one that has only run out is renewed.
func (s *Store) Renew(ctx context.Context, l Lease, ttl time.Duration) error {
	_, err := s.renew(ctx, l, ttl)
	return err
}

// renew returns a time before the renewed lease began, by the clock of this process.
func (s *Store) renew(ctx context.Context, l Lease, ttl time.Duration) (at time.Time, err error) {
	const sqlRenew = `UPDATE leases SET until = $1 WHERE name = $2 AND fence = $3`
	err = s.write(ctx, signs, 1, func(t *tx) error {
		at = time.Now()
		now, err := s.engine.clock(t.conn)
		if err != nil {
			return err
		}
		n, err := t.exec(sqlRenew, now.Add(ttl), l.Name, l.Fence)
		if err == nil && n == 0 {
			err = ErrLeaseLost
		}
		return err
	})
	return at, wrap("renew "+l.Name, err)
}

// Release gives a lease back, so that others need not wait for its end. One that was
// lost stays with whom it belongs to.
func (s *Store) Release(ctx context.Context, l Lease) error {
	const sqlRelease = `UPDATE leases SET until = 0, fence = fence + 1 WHERE name = $1 AND fence = $2`
	err := s.write(ctx, signs, 1, func(t *tx) error {
		_, err := t.exec(sqlRelease, l.Name, l.Fence)
		return err
	})
	return wrap("release "+l.Name, err)
}

// fenced is [ErrLeaseLost] unless the lease is still the one that was claimed, and
// it stays so until the transaction has ended.
func (t *tx) fenced(l Lease) error {
	if l == (Lease{}) {
		return nil
	}
	const sqlFence = `SELECT fence FROM leases WHERE name = $1 FOR SHARE`
	var fence int64
	err := t.conn.query(sqlFence, func(r row) error { fence = r.int64(); return nil }, l.Name)
	if err == nil && fence != l.Fence {
		err = ErrLeaseLost
	}
	return err
}

// endLeases ends the leases of processes that are gone, of which the caller is sure.
func (t *tx) endLeases() error {
	const sqlEndLeases = `UPDATE leases SET until = 0, fence = fence + 1`
	_, err := t.exec(sqlEndLeases)
	return err
}

// releaseLimit is how long giving a lease back may take at the end of work.
const releaseLimit = 5 * time.Second

// Leased waits until this process has the lease, and then does the work once. The
// lease is renewed while it goes on and given back when it has ended. The context of
// the work ends when ctx does, or when the lease is lost; [ErrLeaseLost] is returned
// then. Otherwise the error is that of the work or, when ctx ends before it has
// begun, of ctx.
func (s *Store) Leased(ctx context.Context, name string, work func(context.Context, Lease) error) error {
	c, err := s.awaitLease(ctx, name)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.keepLease(working, c, cancel)
	}()
	err = work(working, c.Lease)
	lost := errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(working), ErrLeaseLost)
	cancel(context.Canceled)
	<-kept
	if lost {
		return ErrLeaseLost
	}
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer stop()
	_ = s.Release(ending, c.Lease) // what cannot be given back runs out
	return err
}

// claimAgain is at most how long is waited before the next try to claim a lease.
const claimAgain = time.Second

// awaitLease claims a lease as soon as it is free.
func (s *Store) awaitLease(ctx context.Context, name string) (claimed, error) {
	for {
		c, err := s.claim(ctx, name, s.cfg.LeaseTTL)
		wait := claimAgain
		switch {
		case ctx.Err() != nil && (err != nil || c.Fence == 0):
			return c, ctx.Err()
		case err == nil && c.Fence != 0:
			return c, nil
		case err == nil:
			wait = min(wait, max(c.free, time.Millisecond))
		case saaf.ErrorCode(err) != saaf.Unavailable:
			return c, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// keepLease renews a lease until ctx ends. When it is lost, or could not be renewed
// for so long that it may be, it cancels the work.
func (s *Store) keepLease(ctx context.Context, c claimed, cancel context.CancelCauseFunc) {
	ttl := s.cfg.LeaseTTL
	over := time.AfterFunc(time.Until(c.at.Add(ttl)), func() { cancel(ErrLeaseLost) })
	defer over.Stop()
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		at, err := s.renew(ctx, c.Lease, ttl)
		switch {
		case err == nil:
			over.Reset(time.Until(at.Add(ttl)))
		case errors.Is(err, ErrLeaseLost):
			cancel(ErrLeaseLost)
			return
		}
	}
}
