package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"saaf"
)

// maxGroupRows is from how many leads on a transaction takes no more jobs. Larger
// ones would make single pushes wait longer without making bulk any faster.
const maxGroupRows = 4000

// smallRows is up to how many rows a job counts as small.
const smallRows = 8

// job is one write that waits for a writer. run decides and writes; it may run more
// than once, when the group it was in had to be taken apart or the database undid
// it, and must then do the same again.
type job struct {
	ctx   context.Context
	of    scope
	rows  int
	run   func(*tx) error
	adds  *addition  // set for leads that come in, instead of run
	since time.Time  // when it was queued
	doubt bool       // an earlier try may be on the disk
	done  chan error // receives once, after COMMIT or instead of it; not at all when Run ends before
}

// scope is what a job reads and writes, for an engine whose transactions run beside
// each other.
type scope struct {
	campaign saaf.CampaignID // 0: what belongs to a tenant or the deployment
	shared   bool            // beside other shared ones of the campaign; else alone
	sign     bool            // see signs
}

// alone is the scope of a job that has a campaign to itself.
func alone(campaign saaf.CampaignID) scope { return scope{campaign: campaign} }

var (
	// everything is the scope of a job about a tenant or the deployment.
	everything = scope{}
	// beside is the scope of one that nothing else of a tenant or the deployment has
	// to wait for.
	beside = scope{shared: true}
	// signs is the scope of one that keeps this process alive in the eyes of others: its
	// heartbeat, its leases, its word about the requests of keys. It waits for no lock of
	// others longer than [signLimit], and is Unavailable then.
	signs = scope{shared: true, sign: true}
)

// lane is a part of the queue with writers of its own, where transactions run beside
// each other. Whoever has the lock of a campaign can hold every writer that takes its
// pushes, and whoever has that of the deployment the one that takes its changes: neither
// may keep the rest waiting, least of all what shows that this process lives.
type lane int

const (
	ofCampaigns  lane = iota // and of everything, for an engine with one writer
	ofDeployment             // one after the other anyway
	ofFacts                  // beside
	ofSigns
	lanes
)

// laneOf is where a job waits whose engine has lanes.
func laneOf(of scope) lane {
	switch {
	case of.campaign != 0:
		return ofCampaigns
	case of.sign:
		return ofSigns
	case of.shared:
		return ofFacts
	}
	return ofDeployment
}

// queue is what waits for the writers. Small jobs go first, so that one lead is
// never held behind a queue of bulk requests.
type queue struct {
	maxSmall, maxRows int           // of each lane
	apart             bool          // a group is of one campaign, and there are lanes
	stopped           chan struct{} // closed when Run has answered its last job

	most int // writers at one campaign: it may be locked, and one is left for the others

	mu    sync.Mutex
	lanes [lanes]laneQueue        // guarded by mu
	busy  map[saaf.CampaignID]int // guarded by mu; writers that are at a campaign
	ended bool                    // guarded by mu; nothing more will come
}

// laneQueue is what waits in a lane.
type laneQueue struct {
	small    []*job
	bulk     []*job
	bulkRows int
	wake     *sync.Cond // something was queued, or nothing more will come
}

func newQueue(c Config, apart bool) *queue {
	q := &queue{maxSmall: c.QueueSingles, maxRows: c.QueueLeads, apart: apart, stopped: make(chan struct{})}
	for i := range q.lanes {
		q.lanes[i].wake = sync.NewCond(&q.mu)
	}
	q.most, q.busy = c.Writers, make(map[saaf.CampaignID]int)
	return q
}

var (
	errBusy = &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", RetryAfter: time.Second,
		Message: "Too many writes are waiting; try again shortly"}
	errStopped = &saaf.Error{Code: saaf.Unavailable, Word: "stopping", RetryAfter: time.Second,
		Message: "The server is stopping; try again shortly"}
	errDisk = &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
		Message: "The store cannot write at the moment; nothing of this request was stored"}
	// errUnknown is the one failure after which a job may be on the disk.
	errUnknown = &saaf.Error{Code: saaf.Unavailable, Word: "storage_unavailable", RetryAfter: 5 * time.Second,
		Message: "The store failed while it was writing, and whether this request was stored is not known; look, or send it again: no lead is stored twice"}
)

// lock makes this transaction wait for those of other writers that it must not run
// beside. Leads that come in lock their campaign when they judge it, see campaignFor.
func (t *tx) lock(of scope) error {
	const (
		sqlLockDeployment = `SELECT version FROM deployment FOR UPDATE`
		sqlLockCampaign   = `SELECT id FROM campaigns WHERE id = $1 FOR UPDATE`
	)
	switch {
	case of.shared:
		return nil
	case of.campaign == 0:
		return t.conn.query(sqlLockDeployment, nil)
	}
	return t.conn.query(sqlLockCampaign, nil, of.campaign)
}

// push queues j without waiting. A full lane is Unavailable.
func (q *queue) push(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := &q.lanes[ofCampaigns]
	if q.apart {
		l = &q.lanes[laneOf(j.of)]
	}
	j.since = time.Now()
	switch {
	case j.rows <= smallRows:
		if len(l.small) >= q.maxSmall {
			return errBusy
		}
		l.small = append(l.small, j)
	// A request larger than the whole lane still gets in when it is alone.
	case l.bulkRows > 0 && l.bulkRows+j.rows > q.maxRows:
		return errBusy
	default:
		l.bulkRows += j.rows
		l.bulk = append(l.bulk, j)
	}
	l.wake.Signal()
	return nil
}

// wait returns the answer to a job that was pushed.
func (q *queue) wait(j *job) error {
	select {
	case err := <-j.done:
		return err
	case <-q.stopped:
	}
	select {
	case err := <-j.done: // one of the last that were done
		return err
	default:
		if j.doubt {
			return errUnknown
		}
		return errStopped
	}
}

// end lets next return nil when nothing is left.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for i := range q.lanes {
		q.lanes[i].wake.Broadcast()
	}
}

// next waits for work in a lane and returns a group for one transaction, nil when the
// queue has ended and nothing is left there.
func (q *queue) next(of lane) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := &q.lanes[of]
	barred := func(j *job) bool { return q.apart && of == ofCampaigns && q.busy[j.of.campaign] >= q.most }
	may := func(j *job) bool { return !barred(j) }
	for !slices.ContainsFunc(l.small, may) && !slices.ContainsFunc(l.bulk, may) {
		if q.ended && len(l.small)+len(l.bulk) == 0 {
			return nil
		}
		l.wake.Wait()
	}
	var group []*job
	rows := 0
	take := func(j *job) bool {
		if barred(j) {
			return false
		}
		if rows >= maxGroupRows || q.apart && len(group) > 0 && !together(group[0].of, j.of) {
			return false
		}
		group = append(group, j)
		rows += max(1, j.rows)
		return true
	}
	l.small = slices.DeleteFunc(l.small, take)
	l.bulk = slices.DeleteFunc(l.bulk, func(j *job) bool {
		taken := take(j)
		if taken {
			l.bulkRows -= j.rows
		}
		return taken
	})
	if q.apart {
		q.busy[group[0].of.campaign]++
	}
	return group
}

// done says that a writer has left the campaign of a group that next has returned.
func (q *queue) done(of lane, c saaf.CampaignID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy[c]--; q.busy[c] == 0 {
		delete(q.busy, c)
	}
	q.lanes[of].wake.Broadcast()
}

// together reports whether two jobs can be one transaction where each is of one
// campaign. A sign that waits for a lock must not have others wait with it.
func together(a, b scope) bool { return a == b && !a.sign }

// waiting is what waits at this moment: jobs of up to 8 leads, larger ones, and the
// leads in the latter.
func (q *queue) waiting() (small, bulk, bulkLeads int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		l := &q.lanes[i]
		small, bulk, bulkLeads = small+int64(len(l.small)), bulk+int64(len(l.bulk)), bulkLeads+int64(l.bulkRows)
	}
	return small, bulk, bulkLeads
}
