package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"saaf"
	"saaf/phoneblock"
)

// rosters are the phones of campaigns in memory, for the embedded store. A roster is
// made from the blocks of its campaign alone and changes only after the commit that
// changed them. So it can be dropped at any moment, and a transaction that fails has
// nothing to take back here.
type rosters struct {
	limit      int64                                                                    // bytes, of those that nobody needs at the moment
	maxWaiting int                                                                      // leads that wait for one roster
	load       func(context.Context, saaf.CampaignID) (*phoneblock.Table, int64, error) // with the seq that it was read at

	mu    sync.Mutex
	of    map[saaf.CampaignID]*roster // guarded by mu
	bytes int64                       // guarded by mu; of all tables
	tick  int64                       // guarded by mu; grows with each use
	seq   int64                       // guarded by mu; of other processes' changes, as last seen by the writer
}

// roster is one campaign's. Its table is nil while it is not in memory.
type roster struct {
	campaign saaf.CampaignID
	loading  chan struct{} // guarded by rosters.mu; closed when the load has ended, nil when there is none
	stale    bool          // guarded by rosters.mu; what is being loaded has changed meanwhile
	pins     int           // guarded by rosters.mu; pushes that need it
	waiting  int           // guarded by rosters.mu; leads of those that wait for it
	used     int64         // guarded by rosters.mu
	damage   error         // guarded by rosters.mu; why it can never be loaded

	mu    sync.RWMutex      // of the content of table, which the writer alone changes
	table *phoneblock.Table // guarded by rosters.mu
}

// errCold is returned by a job that needs the phones of its campaign when they are not
// in memory: they must be loaded first. Nothing was written.
var errCold = &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", Message: "The phones of the campaign are being read"}

// at is the roster of a campaign, made when there is none. mu is locked.
func (rs *rosters) at(campaign saaf.CampaignID) *roster {
	r := rs.of[campaign]
	if r == nil {
		r = &roster{campaign: campaign}
		rs.of[campaign] = r
	}
	rs.tick++
	r.used = rs.tick
	return r
}

// pin returns when the roster of a campaign is in memory, where it stays until unpin.
// Whoever finds it not there loads it, on a connection of its own, and the others wait:
// when too many do, they are told to come back.
func (rs *rosters) pin(ctx context.Context, campaign saaf.CampaignID, rows int) (*roster, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.at(campaign)
	r.pins++
	for r.table == nil {
		err := r.damage
		if err == nil && r.loading != nil {
			err = rs.await(ctx, r, rows)
		} else if err == nil {
			err = rs.fetch(ctx, r)
		}
		if err != nil {
			rs.release(r)
			return nil, err
		}
	}
	return r, nil
}

// unpin lets go of what pin returned.
func (rs *rosters) unpin(r *roster) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.release(r)
	rs.evict()
}

func (rs *rosters) release(r *roster) {
	if r.pins--; r.pins == 0 && r.table == nil && r.loading == nil && r.damage == nil && rs.of[r.campaign] == r {
		delete(rs.of, r.campaign)
	}
}

// await waits until a load by another goroutine has ended.
func (rs *rosters) await(ctx context.Context, r *roster, rows int) error {
	if r.waiting > 0 && r.waiting+rows > rs.maxWaiting {
		return errBusy
	}
	loaded := r.loading
	r.waiting += rows
	rs.mu.Unlock()
	var err error
	select {
	case <-loaded:
	case <-ctx.Done():
		err = ctx.Err()
	}
	rs.mu.Lock()
	r.waiting -= rows
	return err
}

// fetch loads a roster, again when it has changed meanwhile.
func (rs *rosters) fetch(ctx context.Context, r *roster) error {
	r.loading = make(chan struct{})
	defer func() {
		close(r.loading)
		r.loading = nil
	}()
	for {
		r.stale = false
		rs.mu.Unlock()
		table, seq, err := rs.load(context.WithoutCancel(ctx), r.campaign)
		rs.mu.Lock()
		if _, twice := errors.AsType[*phoneblock.TwiceError](err); twice {
			r.damage = err
		}
		if err != nil {
			return err
		}
		if r.stale || seq < rs.seq {
			continue
		}
		rs.set(r, table)
		rs.evict()
		return nil
	}
}

// set gives a roster its table, or takes it away. mu is locked.
func (rs *rosters) set(r *roster, table *phoneblock.Table) {
	if r.table != nil {
		rs.bytes -= r.table.Bytes()
	}
	if r.table = table; table != nil {
		rs.bytes += table.Bytes()
	}
}

// evict drops those that were used the longest time ago, until the rest fits. mu is
// locked.
func (rs *rosters) evict() {
	if rs.bytes <= rs.limit {
		return
	}
	var idle []*roster
	for _, r := range rs.of {
		if r.pins == 0 && r.table != nil {
			idle = append(idle, r)
		}
	}
	slices.SortFunc(idle, func(a, b *roster) int { return cmp.Compare(a.used, b.used) })
	for _, r := range idle {
		if rs.bytes <= rs.limit {
			return
		}
		rs.set(r, nil)
		delete(rs.of, r.campaign)
	}
}

// resident is the table of a campaign if it is in memory. The writer may read it without
// further ado, others while they hold the lock of the roster.
func (rs *rosters) resident(campaign saaf.CampaignID) (*roster, *phoneblock.Table) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[campaign]
	if r == nil || r.table == nil {
		return nil, nil
	}
	rs.tick++
	r.used = rs.tick
	return r, r.table
}

// asOf is resident, nil when another process has changed something since.
func (rs *rosters) asOf(campaign saaf.CampaignID, seq int64) (*roster, *phoneblock.Table) {
	r, table := rs.resident(campaign)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.seq != seq {
		return nil, nil
	}
	return r, table
}

// blocks says in which blocks the phones are; known is false when the roster is not in
// memory.
func (rs *rosters) blocks(campaign saaf.CampaignID, phones []saaf.Phone) (in map[uint32][]saaf.Phone, known bool) {
	if rs == nil {
		return nil, false
	}
	r, table := rs.resident(campaign)
	if r == nil {
		return nil, false
	}
	in = make(map[uint32][]saaf.Phone)
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range phones {
		if block := table.Block(p); block != 0 {
			in[block] = append(in[block], p)
		}
	}
	return in, true
}

// rosterChange is a phone that came into a block, or with block 0 left the campaign.
type rosterChange struct {
	phone saaf.Phone
	block uint32
}

// apply follows a commit.
func (rs *rosters) apply(campaign saaf.CampaignID, changes []rosterChange) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[campaign]
	if r == nil {
		return
	}
	r.stale = true
	if r.table == nil {
		return
	}
	before := r.table.Bytes()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if c.block == 0 {
			r.table.Delete(c.phone)
		} else if err := r.table.Put(c.phone, c.block); err != nil {
			// It is not what the blocks are: it must be made anew from them.
			rs.bytes -= before
			r.table = nil
			return
		}
	}
	rs.bytes += r.table.Bytes() - before
}

// drop follows a commit that removed blocks of a campaign: it was deleted, and nobody
// needs its phones any more.
func (rs *rosters) drop(campaign saaf.CampaignID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[campaign]
	if r == nil {
		return
	}
	r.stale = true
	if rs.set(r, nil); r.pins == 0 && r.loading == nil {
		delete(rs.of, campaign)
	}
}

// put keeps a table that was made in a transaction.
func (rs *rosters) put(campaign saaf.CampaignID, table *phoneblock.Table) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.set(rs.at(campaign), table)
}

// moved tells of the seq that the writer has found. Another one than before: the
// phones of some campaign have changed without it.
func (rs *rosters) moved(seq int64, others bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if seq == rs.seq && !others {
		return
	}
	rs.seq = seq
	for campaign, r := range rs.of {
		r.stale = true
		if rs.set(r, nil); r.pins == 0 && r.loading == nil {
			delete(rs.of, campaign)
		}
	}
}

// own tells of the seq that this store has written itself.
func (rs *rosters) own(seq int64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.seq = max(rs.seq, seq)
}

// memory is how many campaigns are in memory and how many bytes they take.
func (rs *rosters) memory() (campaigns int, bytes int64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.of {
		if r.table != nil {
			campaigns++
		}
	}
	return campaigns, rs.bytes
}
