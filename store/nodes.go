package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"saaf"
)

// A process makes ids while it has leased a node number. The number goes to another
// one when the lease has run out, so no id may be made, or written, behind that.
const (
	nodeLeased = 30 * time.Second
	nodeRenew  = 5 * time.Second
	nodeMargin = 5 * time.Second // before the end of the lease, for what is under way

	idTimeBits = 21 // an id begins with the milliseconds, above these
)

// nodeLease is the node number of a process.
type nodeLease struct {
	number int64
	fence  int64
	until  atomic.Pointer[time.Time] // by this process's clocks
}

var errNodeLost = errors.New("the node number of this process was taken from it, because the database could not be reached for too long: start it again")

// lease takes the node number that was free for the longest time.
func (e *postgres) lease(ctx context.Context) error {
	const sqlLeaseNode = `
		UPDATE nodes SET fence = fence + 1, until = $1
		 WHERE node = (SELECT node FROM nodes WHERE until < $2 ORDER BY until, node LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING node, fence, floor`
	var floor int64
	err := e.setUp(ctx, func(conn session) error {
		now, err := databaseClock(conn)
		if err != nil {
			return err
		}
		e.node.fence = 0
		err = conn.query(sqlLeaseNode, func(r row) error {
			e.node.number, e.node.fence, floor = r.int64(), r.int64(), r.int64()
			return nil
		}, now+nodeLeased.Milliseconds(), now)
		if err == nil && e.node.fence == 0 {
			err = fmt.Errorf("all %d node numbers are taken: so many processes use this database, or did half a minute ago", saaf.MaxNode+1)
		}
		return err
	})
	if err != nil {
		return err
	}
	if e.store.ids, err = saaf.NewIDSource(int(e.node.number), floor); err != nil {
		return err
	}
	e.store.server = saaf.ServerID(e.store.ids.Next())
	return e.renew(ctx)
}

// renew prolongs the lease, and says up to which id it counts.
func (e *postgres) renew(ctx context.Context) error {
	const sqlRenewNode = `UPDATE nodes SET holder = $1, until = $2, floor = $3 WHERE node = $4 AND fence = $5`
	began := time.Now()
	floor := max(began.Add(2*nodeLeased).UnixMilli()<<idTimeBits, e.store.ids.Last())
	return e.setUp(ctx, func(conn session) error {
		now, err := databaseClock(conn)
		if err != nil {
			return err
		}
		n, err := conn.exec(sqlRenewNode, e.store.server, now+nodeLeased.Milliseconds(), floor, e.node.number, e.node.fence)
		if err == nil && n == 0 {
			return errNodeLost
		}
		if err == nil {
			e.node.until.Store(new(began.Add(nodeLeased)))
		}
		return err
	})
}

// giveBack ends the lease. One that is not given back runs out.
func (e *postgres) giveBack() {
	ctx, cancel := context.WithTimeout(e.opened, time.Second)
	defer cancel()
	const sqlReturnNode = `UPDATE nodes SET until = $1, floor = $2 WHERE node = $3 AND fence = $4`
	_ = e.setUp(ctx, func(conn session) error {
		now, err := databaseClock(conn)
		if err == nil {
			_, err = conn.exec(sqlReturnNode, now, e.store.ids.Last(), e.node.number, e.node.fence)
		}
		return err
	})
}

// keepLease renews the lease until ctx ends. An error means that it is lost.
func (e *postgres) keepLease(ctx context.Context) error {
	tick := time.NewTicker(nodeRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, nodeRenew)
		err := e.renew(try)
		cancel()
		if errors.Is(err, errNodeLost) {
			return err
		}
	}
}

// leased is nil while ids may be written.
func (e *postgres) leased() error {
	// By either of its clocks: one of them stands still while the machine sleeps.
	now, until := time.Now(), e.node.until.Load().Add(-nodeMargin)
	if now.After(until) || now.Round(0).After(until.Round(0)) {
		return errNodeExpired
	}
	return nil
}

var errNodeExpired = errors.New("the lease of the node number has run out and could not be renewed")

// databaseClock is the time of the database in Unix milliseconds: leases are judged by
// one clock.
func databaseClock(conn session) (now int64, err error) {
	const sqlClock = `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`
	err = conn.query(sqlClock, func(r row) error { now = r.int64(); return nil })
	return now, err
}
