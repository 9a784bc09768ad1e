package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// commits is how many transactions there were. On the embedded engine that is how many
// the write-ahead log holds: the last frame of each says how large the database is
// after it, the others say 0.
func (b *bundle) commits() (n int) {
	b.t.Helper()
	if b.engine.shared() {
		return int(b.Store.commits.Load())
	}
	const header, frameHeader, page = 32, 24, 4096
	wal, err := os.ReadFile(filepath.Join(b.dir, fileName+"-wal"))
	b.must(err)
	for at := header; at+frameHeader <= len(wal); at += frameHeader + page {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// push adds a batch in the background.
func (b *bundle) push(ctx context.Context, leads ...NewLead) (batch *LeadBatch, answer <-chan error) {
	batch = &LeadBatch{Campaign: b.campaign, Leads: leads}
	return batch, b.pushBatch(ctx, batch)
}

func (b *bundle) pushBatch(ctx context.Context, batch *LeadBatch) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- b.AddLeads(ctx, b.tenant, saaf.Live, batch) }()
	return answer
}

// later runs a job of the test's own in the background, which counts as so many
// leads, and can share a transaction with pushes to the campaign of the bundle.
func (b *bundle) later(rows int, fn func(*tx) error) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- b.write(b.ctx, b.in(), rows, fn) }()
	return answer
}

// bulk is a push that counts as 500 leads and brings one, the n-th of those: what
// matters is how the writer takes it. Before it writes it calls refresh.
func (b *bundle) bulk(n int, refresh func([]NewLead)) <-chan error {
	batch := &LeadBatch{Campaign: b.campaign, Leads: leads(500_000+n, 500_001+n), Refresh: refresh}
	return b.later(500, func(x *tx) error { return x.addLeads(b.tenant, saaf.Live, batch) })
}

func TestCommitsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.commits()
	for n := range 5 {
		b.add(b.campaign, leads(n, n+1)...)
	}
	if n := b.commits() - before; n != 5 {
		t.Fatalf("5 leads one after another took %d commits: this way of counting is wrong", n)
	}
}

// What waits while one transaction is on its way to the disk shares the next.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pushes, rows, commits int }{
		{300, 1, 1},
		{8, 500, 1},
		{20, 500, 3}, // from 4,000 leads on the next go into another
		{2, 4001, 2},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.pushes, c.rows), func(t *testing.T) {
			t.Parallel()
			timeless(t, func(t *testing.T) {
				b := setup(t)
				release := b.block()
				before := b.commits()
				if b.engine.shared() { // those that occupy the writers count too
					before += b.cfg.Writers + 1 + ownLanes
				}
				var answers []<-chan error
				for n := range c.pushes {
					answers = append(answers, b.later(c.rows, func(x *tx) error {
						return x.addLeads(b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(n, n+1)})
					}))
				}
				b.waiting(c.pushes)
				release()
				for _, answer := range answers {
					b.must(<-answer)
				}
				if n := b.commits() - before; n != c.commits {
					t.Errorf("%d pushes took %d commits; want %d", c.pushes, n, c.commits)
				}
				if n := b.number(`SELECT count(*) FROM leads`); n != int64(c.pushes) {
					t.Errorf("%d leads", n)
				}
				b.checkCounts(b.campaign)
			})
		})
	}
}

// One lead is not held behind a queue of bulk requests.
func TestSinglesGoBeforeBulk(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setupWith(t, Config{Writers: 1})
		release := b.block()
		var ran atomic.Int32 // bulk batches that the writer has got to
		var answers []<-chan error
		for n := range 12 {
			answers = append(answers, b.bulk(n, func([]NewLead) { ran.Add(1) }))
		}
		b.waiting(12)
		before := int32(-1)
		single := &LeadBatch{Campaign: b.campaign, Leads: leads(9000, 9001), Refresh: func([]NewLead) { before = ran.Load() }}
		answers = append(answers, b.pushBatch(t.Context(), single))
		b.waiting(13)
		release()
		for _, answer := range answers {
			b.must(<-answer)
		}
		if before > 1 {
			t.Errorf("%d bulk batches went before the single lead", before)
		}
	})
}

func TestFullQueueIsRefused(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		tenant, campaign := b.tenant, b.campaign
		b.stop()
		b = open(t, Config{Dir: b.dir, QueueSingles: 3, QueueLeads: 100})
		b.tenant, b.campaign = tenant, campaign
		for round := range 2 { // what was taken from the queue makes room again
			base := 1000 * round
			release := b.block()
			var accepted []<-chan error
			stored := int64(0)
			try := func(from, n int, want bool) {
				t.Helper()
				before := queued(b.Store)
				_, answer := b.push(t.Context(), leads(base+from, base+from+n)...)
				b.until("the push waits, or is refused", func() bool { return queued(b.Store) > before || len(answer) > 0 })
				select {
				case err := <-answer:
					if want {
						t.Errorf("%d leads: %v; want them queued", n, err)
					} else if !isUnavailable(err, "overloaded") {
						t.Errorf("%d leads: %v; want Unavailable with RetryAfter", n, err)
					}
				default:
					if !want {
						t.Errorf("%d leads are queued; want them refused", n)
					}
					accepted = append(accepted, answer)
					stored += int64(n)
				}
			}
			try(0, 1, true)
			try(1, smallRows, true)
			try(10, 1, true)
			try(11, 1, false)
			try(11, smallRows, false)
			try(100, 60, true)
			try(200, 41, false)
			try(300, 40, true)
			try(400, smallRows+1, false)
			before := b.number(`SELECT count(*) FROM leads`)
			release()
			for _, answer := range accepted {
				b.must(<-answer)
			}
			if n := b.number(`SELECT count(*) FROM leads`) - before; n != stored {
				t.Errorf("%d leads stored, %d were accepted", n, stored)
			}

			// A request larger than the whole queue gets in when it is alone.
			release = b.block()
			accepted, stored = nil, 0
			try(500, 101, true)
			try(700, 101, false)
			try(900, smallRows+1, false)
			release()
			for _, answer := range accepted {
				b.must(<-answer)
			}
		}
		b.checkCounts(b.campaign)
	})
}

// Who goes away while waiting is skipped; who goes away while the job runs gets
// all of it. Nothing is ever half done.
func TestCancelledCallers(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		release := b.block()
		gone, leave := context.WithCancel(t.Context())
		late, tooLate := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer tooLate()
		ran := false
		refresh := func([]NewLead) { ran = true }
		skipped := b.pushBatch(gone, &LeadBatch{Campaign: b.campaign, Leads: leads(0, 100), Refresh: refresh})
		expired := b.pushBatch(late, &LeadBatch{Campaign: b.campaign, Leads: leads(100, 101), Refresh: refresh})
		_, stays := b.push(t.Context(), leads(200, 203)...)
		b.waiting(3)
		leave()
		<-late.Done()
		release()
		if err := <-skipped; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away: %v", err)
		}
		if err := <-expired; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller whose time was up: %v", err)
		}
		b.must(<-stays)
		if ran {
			t.Error("the job of a caller that had gone was begun")
		}
		if n := len(b.all(b.campaign)); n != 3 {
			t.Errorf("%d leads; want the 3 of the caller that stayed", n)
		}

		going, leave := context.WithCancel(t.Context())
		batch := &LeadBatch{Campaign: b.campaign, Leads: leads(190, 210), Refresh: func([]NewLead) { leave() }}
		b.must(b.AddLeads(going, b.tenant, saaf.Live, batch))
		for _, l := range batch.Leads {
			if l.ID == 0 {
				t.Errorf("%s has no id", l.Phone.National())
			}
		}
		if n := len(b.all(b.campaign)); n != 20 {
			t.Errorf("%d leads; want 20", n)
		}
		b.checkCounts(b.campaign)
	})
}

// What was queued before the end is stored, what comes later is refused.
func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		tenant, campaign := b.tenant, b.campaign
		b.stop()
		b = openIdle(t, Config{Dir: b.dir})
		b.tenant, b.campaign = tenant, campaign
		var answers []<-chan error
		for n := range 30 {
			_, one := b.push(t.Context(), leads(n, n+1)...)
			answers = append(answers, one, b.bulk(n, nil))
		}
		b.waiting(60)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		b.must(b.Run(ended))
		for _, answer := range answers {
			b.must(<-answer)
		}
		if n := b.number(`SELECT count(*) FROM leads`); n != 60 {
			t.Errorf("%d leads are stored; want 60", n)
		}
		b.checkCounts(b.campaign)
		for range 2 {
			_, one := b.push(t.Context(), leads(90, 91)...)
			_, bulk := b.push(t.Context(), leads(200, 300)...)
			for _, answer := range []<-chan error{one, bulk} {
				if err := <-answer; !isUnavailable(err, "stopping") {
					t.Errorf("after the end: %v; want Unavailable", err)
				}
			}
		}
	})
}

// Ending the writer at any moment loses no answer: each caller is told that its
// lead is stored, or refused, and that is so.
func TestShutdownAtAnyMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tenant, campaign := b.tenant, b.campaign
	b.stop()
	stored := int64(0)
	for round := range 10 {
		b = openIdle(t, Config{Dir: b.dir})
		b.tenant, b.campaign = tenant, campaign
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		var answers []<-chan error
		for n := range 10 {
			_, answer := b.push(t.Context(), leads(100*round+n, 100*round+n+1)...)
			answers = append(answers, answer)
			if n == round {
				cancel()
			}
		}
		for _, answer := range answers {
			switch err := <-answer; {
			case err == nil:
				stored++
			case !isUnavailable(err, "stopping"):
				t.Errorf("round %d: %v", round, err)
			}
		}
		cancel()
		b.must(<-ended)
		if n := b.number(`SELECT count(*) FROM leads`); n != stored {
			t.Fatalf("round %d: %d leads are stored, %d were acknowledged", round, n, stored)
		}
		b.checkCounts(b.campaign)
		b.stop()
	}
}

// A job that was stored is not answered as refused because the writer has ended
// since.
func TestLastAnswerIsNotLost(t *testing.T) {
	t.Parallel()
	q := newQueue(Config{QueueSingles: 1, QueueLeads: 1}, false)
	close(q.stopped)
	for range 50 {
		j := &job{done: make(chan error, 1)}
		j.done <- nil
		if err := q.wait(j); err != nil {
			t.Fatal(err)
		}
		if err := q.wait(j); !isUnavailable(err, "stopping") {
			t.Fatal(err)
		}
		j.doubt = true
		if err := q.wait(j); err != error(errUnknown) {
			t.Fatal("it may be on the disk, and is told: ", err)
		}
	}
}

// Barrier waits for bulk requests too, which small jobs overtake.
func TestBarrier(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		release := b.block()
		var answers []<-chan error
		var passed atomic.Bool
		for n := range 12 { // more than one transaction takes
			_, one := b.push(t.Context(), leads(n, n+1)...)
			answers = append(answers, one, b.bulk(n, func([]NewLead) {
				b.pass(time.Millisecond) // all others get as far as they can
				if passed.Load() {
					t.Errorf("batch %d is written after the barrier", n)
				}
			}))
		}
		b.waiting(24)
		barrier := make(chan error, 1)
		go func() {
			barrier <- b.Barrier(t.Context())
			passed.Store(true)
		}()
		b.waiting(25)
		release()
		b.must(<-barrier)
		if n := b.number(`SELECT count(*) FROM leads`); n != 24 {
			t.Errorf("%d leads behind the barrier; want 24", n)
		}
		for _, answer := range answers {
			b.must(<-answer)
		}
	})
}

// Nor is it the first of a group that has no room for all small jobs before it.
func TestBarrierWaitsForSmallJobs(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		for range 8 { // which queue a group begins with is left to chance
			release := b.block()
			var passed atomic.Bool
			var answers []<-chan error
			for range maxGroupRows/smallRows + 10 {
				answers = append(answers, b.later(smallRows, func(*tx) error {
					b.pass(time.Millisecond) // all others get as far as they can
					if passed.Load() {
						t.Error("a job runs after the barrier that was queued before it")
					}
					return nil
				}))
			}
			b.waiting(maxGroupRows/smallRows + 10)
			barrier := make(chan error, 1)
			go func() {
				barrier <- b.Barrier(t.Context())
				passed.Store(true)
			}()
			b.waiting(maxGroupRows/smallRows + 11)
			release()
			b.must(<-barrier)
			for _, answer := range answers {
				b.must(<-answer)
			}
		}
	})
}

// The write lock of another process is waited for, and not for ever.
func TestWriteLockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tampered = true // the other process does not count
	other := b.connect()
	wait := func(patience time.Duration) {
		b.must(b.write(t.Context(), everything, 0, func(x *tx) error {
			x.conn.(*sqliteLink).SetBusyTimeout(patience)
			return nil
		}))
	}
	lock := func(sql string) {
		_, err := other.exec(sql)
		b.must(err)
	}
	const patience = 200 * time.Millisecond
	wait(patience)
	lock("BEGIN IMMEDIATE")
	began := time.Now()
	_, answer := b.push(t.Context(), leads(0, 1)...)
	if err := <-answer; !isUnavailable(err, "overloaded") {
		t.Errorf("the lock was never free: %v; want Unavailable", err)
	}
	// SQLite counts the pauses between its tries, not the time, and rounds down.
	if waited := time.Since(began); waited < patience/2 {
		t.Errorf("gave up after %v; want it to wait about %v", waited, patience)
	}
	lock("ROLLBACK")

	wait(time.Minute)
	lock("BEGIN IMMEDIATE")
	batch, answer := b.push(t.Context(), leads(0, 1)...)
	_, err := other.exec(`INSERT INTO leads (campaign_id, id, phone, status, attempts, reason, created_at, updated_at)
		VALUES ($1, 7, $2, 0, 0, 0, 1, 1)`, b.campaign, phone(0))
	b.must(err)
	var block phoneblock.Block
	block.Append(phoneblock.Addition{ID: 7, Phone: phone(0), Created: 1})
	b.must(writeBlock(other, b.campaign, 1, &block, true))
	lock("COMMIT")
	b.must(<-answer)
	if l := batch.Leads[0]; !l.Duplicate || l.ID != 7 {
		t.Errorf("after the wait: %+v; want the lead that the other process wrote, id 7", l)
	}
}
