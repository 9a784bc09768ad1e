package store

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"saaf"
)

// share opens a store on PostgreSQL, whatever the other tests run on: one where each
// writer has a chain of its own. Stores with the same directory share a database.
func share(t *testing.T, dir string) *bundle {
	t.Helper()
	b := shareIdle(t, dir)
	b.run()
	return b
}

// shareIdle is share for a process whose writers do not run yet.
func shareIdle(t *testing.T, dir string) *bundle {
	t.Helper()
	return openIdle(t, Config{Dir: dir, URL: databaseOf(t, dir), Writers: 2})
}

// enter adds one entry to the ledger.
func (b *bundle) enter() {
	b.t.Helper()
	b.must(b.RecordRefusal(b.ctx, Lease{}, asha, "fact"))
}

// heads are the last entries of all chains, in the order of their writers.
func (b *bundle) heads() (list []saaf.CheckpointHead) {
	b.t.Helper()
	last := map[int64]saaf.CheckpointHead{}
	for _, e := range b.chain() {
		last[e.Writer] = saaf.CheckpointHead{Writer: e.Writer, Seq: e.Seq, Entry: e.ID, Hash: e.Hash}
	}
	for _, h := range last {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b saaf.CheckpointHead) int { return int(a.Writer - b.Writer) })
	return list
}

// signs makes a checkpoint and returns it.
func (b *bundle) signs() saaf.Checkpoint {
	b.t.Helper()
	if made, err := b.Checkpoint(b.ctx); err != nil || !made {
		b.t.Fatal("no checkpoint was made: ", err)
	}
	last, _, err := b.LastCheckpoint(b.ctx)
	b.must(err)
	c, err := last.Open(b.PublicKey())
	b.must(err)
	return c
}

// set runs a statement of the test's own.
func (b *bundle) set(sql string, args ...any) {
	b.t.Helper()
	b.must(b.write(b.ctx, beside, 0, func(x *tx) error {
		_, err := x.exec(sql, args...)
		return err
	}))
}

func TestCheckpointsNameEveryChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := share(t, dir), share(t, dir)
	if a.Chain() != 0 {
		t.Error("it has one chain")
	}
	var before saaf.SHA256
	for n := range int64(4) {
		[]*bundle{a, b}[n%2].enter()
		c := []*bundle{b, a}[n/2].signs()
		want := saaf.Checkpoint{Version: 1, Deployment: a.Deployment(), Seq: n + 1, At: c.At, Before: before, Key: c.Key, Heads: a.heads()}
		a.equal("checkpoint", want, c)
		last, _, err := a.LastCheckpoint(t.Context())
		a.must(err)
		before = last.Hash()
		for _, p := range []*bundle{a, b} {
			if made, err := p.Checkpoint(t.Context()); made || err != nil {
				t.Errorf("nothing has moved: made %v, %v", made, err)
			}
		}
	}
	if n := len(a.heads()); n < 2 {
		t.Errorf("%d chains of two processes", n)
	}
	if size, err := a.LedgerSize(t.Context()); size != 4 || err != nil || a.Entered() != 2 || b.Entered() != 2 {
		t.Errorf("%d entries (%v), of which %d and %d were entered", size, err, a.Entered(), b.Entered())
	}
}

// passed lets the time pass that a chain rests.
func (b *bundle) passed() {
	b.t.Helper()
	b.set(`UPDATE chains SET gone_at = gone_at - $1`, chainRest.Milliseconds())
}

// sealed are the checkpoints that sealed the chains of a process, 0 for each that none
// has.
func (b *bundle) sealed(process saaf.ServerID) (list []int64) {
	b.t.Helper()
	b.must(b.read(b.ctx, func(conn session) error {
		return conn.query(`SELECT sealed FROM chains WHERE server_id = $1`, func(r row) error {
			list = append(list, r.int64())
			return nil
		}, process)
	}))
	return list
}

func TestChainsOfTheGoneAreSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := share(t, dir), share(t, dir)
	a.enter()
	b.enter()
	b.enter()
	ofB := func(c saaf.Checkpoint) bool {
		return slices.ContainsFunc(c.Heads, func(h saaf.CheckpointHead) bool { return !slices.Contains(a.writersOf(a.server), h.Writer) })
	}
	step := func(what string, named bool, sealed int64) {
		t.Helper()
		a.enter()
		if c := a.signs(); ofB(c) != named {
			t.Errorf("%s: checkpoint %d names it: %v", what, c.Seq, !named)
		}
		for _, got := range a.sealed(b.server) {
			if got != sealed {
				t.Errorf("%s: sealed with %d, want %d", what, got, sealed)
			}
		}
	}
	step("both live", true, 0)
	a.passed()
	step("time has passed for nobody", true, 0)
	b.stop()
	step("it is first seen to be gone", true, 0)
	a.set(`UPDATE chains SET gone_at = gone_at - $1`, chainRest.Milliseconds()-time.Minute.Milliseconds())
	step("it is not gone for long", true, 0)
	a.passed()
	if made, err := a.Checkpoint(t.Context()); made || err != nil || slices.Max(a.sealed(b.server)) != 0 {
		t.Errorf("nothing has moved, and a chain is sealed: made %v, %v", made, err)
	}
	step("it is gone for long", true, 5)
	step("it was sealed", false, 5)
	step("for good", false, 5)
	a.passed()
	step("the process that signs goes on", false, 5)
	for _, got := range a.sealed(a.server) {
		if got != 0 {
			t.Errorf("its own chain was sealed with %d", got)
		}
	}
	if size, err := a.LedgerSize(t.Context()); size != int64(len(a.chain())) || err != nil {
		t.Errorf("%d entries are counted, %d are there: %v", size, len(a.chain()), err)
	}
	for _, writer := range a.writersOf(b.server) {
		if sealed, err := a.ChainSealed(t.Context(), writer); sealed != 5 || err != nil {
			t.Errorf("chain %d: sealed with %d, %v", writer, sealed, err)
		}
	}
}

// writersOf are the chains of a process.
func (b *bundle) writersOf(process saaf.ServerID) (list []int64) {
	b.t.Helper()
	b.must(b.read(b.ctx, func(conn session) error {
		return conn.query(`SELECT writer_id FROM chains WHERE server_id = $1`, func(r row) error {
			list = append(list, r.int64())
			return nil
		}, process)
	}))
	return list
}

// Nothing is added to a chain that is sealed, by whoever still believes to have it: a
// machine that slept, with all its clocks, knows of no time that has passed.
func TestSealedChainTakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openIdle(t, Config{Dir: dir, URL: databaseOf(t, dir), Writers: 1})
	b.run()
	b.enter()
	other := share(t, dir)
	other.set(`UPDATE chains SET sealed = 1, entries = 1 WHERE server_id = $1`, b.server)
	if err := b.RecordRefusal(t.Context(), Lease{}, asha, "fact"); err == nil || saaf.ErrorCode(err) != saaf.Internal {
		t.Errorf("an entry is added to it: %v", err)
	}
	if n := b.number(`SELECT count(*) FROM ledger`); n != 1 {
		t.Errorf("%d entries; want the one from before", n)
	}
	other.enter()
}

// A process that was away and comes back goes on, unless its chains are sealed. Then it
// has lost its node number and must start anew.
func TestProcessComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := share(t, dir)
	a.enter()
	for _, late := range []bool{false, true} {
		b := shareIdle(t, dir)
		running, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(running) }()
		b.enter()
		stop() // nobody renews its lease any more
		a.must(<-ended)
		e := b.engine.(*postgres)
		a.set(`UPDATE nodes SET until = 1 WHERE node = $1`, e.node.number)
		a.signs()
		a.passed()
		if !late {
			a.must(e.renew(t.Context()))
		}
		a.enter()
		a.signs()
		if sealed := a.sealed(b.server); len(sealed) != 1 || (sealed[0] != 0) != late {
			t.Errorf("late %v: sealed with %v", late, sealed)
		}
		if n := a.number(`SELECT count(*) FROM chains WHERE server_id = $1 AND sealed = 0 AND gone_at IS NOT NULL`, b.server); n != 0 {
			t.Errorf("late %v: %d chains are still thought to be gone", late, n)
		}
		if err := e.renew(t.Context()); errors.Is(err, errNodeLost) != late || err != nil && !late {
			t.Errorf("late %v: the lease is renewed with %v", late, err)
		}
		b.stop()
	}
}

// Between the look at the leases and the end of one it may be renewed.
func TestProcessComesBackWhileItIsEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := share(t, dir), share(t, dir)
	a.must(a.write(t.Context(), everything, 0, func(x *tx) error {
		now, err := a.engine.clock(x.conn)
		a.must(err)
		for process, want := range map[saaf.ServerID]bool{b.server: false, a.server: false, 0: true, saaf.ServerID(a.NewID()): true} {
			if ended, err := x.endProcess(process, now); ended != want || err != nil {
				t.Errorf("%s has ended: %v, %v", process, ended, err)
			}
		}
		return nil
	}))
}

// lostAnswer is a link whose connection breaks when it has committed.
type lostAnswer struct{ *pgLink }

func (l lostAnswer) commit() error { return errors.Join(l.pgLink.commit(), io.ErrUnexpectedEOF) }

// A chain whose last entries nobody knows of is left, and sealed though its process
// goes on.
func TestChainsInDoubtAreLeft(t *testing.T) {
	t.Parallel()
	b := share(t, t.TempDir())
	e := b.engine.(*postgres)
	w := &writer{store: b.Store, link: &pgLink{engine: e}, named: make(map[saaf.SnapshotID]*saaf.EntrySnapshot)}
	enter := func() error {
		j := &job{ctx: t.Context(), of: everything, done: make(chan error, 1), run: func(x *tx) error {
			return x.record(0, 0, "", saaf.StageRefusal, asha, "", "fact")
		}}
		b.must(w.commit(t.Context(), []*job{j}))
		return <-j.done
	}
	b.must(enter())
	first := w.chain.head
	w.link = lostAnswer{&pgLink{engine: e}}
	for range 2 { // in the chain there is, and in one that begins with it
		if err := enter(); !errors.Is(err, error(errUnknown)) {
			t.Fatalf("the answer got lost: %v", err)
		}
	}
	w.link = &pgLink{engine: e}
	for range 2 {
		b.must(enter())
	}
	if h := b.heads(); len(h) != 3 || h[0].Writer != first.Writer || h[0].Seq != 2 || h[1].Seq != 1 || h[2] != w.chain.head || h[2].Seq != 2 {
		t.Errorf("chains %+v, of which the first was at %+v", h, first)
	}
	if left, mine := b.writersOf(0), b.writersOf(b.server); len(left) != 2 || len(mine) != 1 || mine[0] != w.chain.head.Writer {
		t.Errorf("left are %d, those of the process are %d", left, mine)
	}
	b.signs()
	b.passed()
	b.must(enter())
	b.signs()
	if sealed := append(b.sealed(0), b.sealed(b.server)...); !slices.Equal(sealed, []int64{2, 2, 0}) {
		t.Errorf("sealed with %d", sealed)
	}
	// A transaction that entered nothing leaves no chain, whatever became of it.
	before := w.chain.head
	w.link = lostAnswer{&pgLink{engine: e}}
	j := &job{ctx: t.Context(), of: beside, done: make(chan error, 1), run: func(*tx) error { return nil }}
	b.must(w.commit(t.Context(), []*job{j}))
	if err := <-j.done; !errors.Is(err, error(errUnknown)) || w.chain.head != before {
		t.Errorf("%v, and the chain is at %+v", err, w.chain.head)
	}
}

// No page ends between two entries with one id: the second would be in none.
func TestPagesHoldWholeIDs(t *testing.T) {
	t.Parallel()
	b := share(t, t.TempDir())
	for _, twins := range []int64{1, 3, 700} {
		b.set(`DELETE FROM ledger`)
		b.set(`INSERT INTO ledger (campaign_id, id, tenant_id, writer_id, seq, head, body, hash)
			SELECT n, CASE WHEN n BETWEEN $1 AND $2 THEN $1 ELSE n END, 0, 7, n, '', '', ''
			  FROM generate_series(1, CAST($2 AS BIGINT) + 10) AS n`, entryPage-1, entryPage-2+twins)
		seen := map[int64]bool{}
		pages := 0
		for after := saaf.EntryID(0); ; pages++ {
			page, err := b.LedgerAfter(t.Context(), after)
			b.must(err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if seen[e.Seq] || e.ID < after {
					t.Errorf("%d twins: entry %d comes again, or behind its page", twins, e.Seq)
				}
				seen[e.Seq] = true
			}
			after = page[len(page)-1].ID
		}
		if want := int(twins) + entryPage + 8; len(seen) != want || pages != 2 {
			t.Errorf("%d twins: %d entries of %d in %d pages", twins, len(seen), want, pages)
		}
	}
}

func TestFrozen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := share(t, dir), share(t, dir)
	a.enter()
	count := func(s *Store) (n int) {
		t.Helper()
		list, err := s.LedgerAfter(t.Context(), 0)
		a.must(err)
		return len(list)
	}
	a.must(a.Frozen(t.Context(), func(frozen *Store) error {
		if n := count(frozen); n != 1 {
			t.Errorf("%d entries at first", n)
		}
		a.enter()
		b.enter()
		a.must(frozen.RecordRefusal(t.Context(), Lease{}, asha, "fact"))
		if n, now := count(frozen), count(a.Store); n != 1 || now != 4 {
			t.Errorf("%d entries stand still, %d are there", n, now)
		}
		a.must(frozen.Frozen(t.Context(), func(again *Store) error {
			if n := count(again); n != 1 {
				t.Errorf("%d entries in it", n)
			}
			return nil
		}))
		return nil
	}))
	boom := errors.New("boom")
	if err := a.Frozen(t.Context(), func(*Store) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("its error: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Frozen(gone, func(*Store) error { return nil }); err == nil {
		t.Error("it began when its context had ended")
	}
	for range 2 * a.cfg.Readers { // it gives its connection back
		a.must(a.Frozen(t.Context(), func(frozen *Store) error { count(frozen); return nil }))
	}
}
