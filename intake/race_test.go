package intake

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// registry is one that a test answers from.
type registry struct {
	none   bool
	age    saaf.Date
	listed []saaf.Phone
}

// ready makes it the active one; begin answers from it.
func (r registry) ready(b *bundle) (begin func() saaf.SnapshotRef) {
	if r.none {
		return func() saaf.SnapshotRef {
			b.registry.Use(nil, saaf.SnapshotRef{})
			return saaf.SnapshotRef{}
		}
	}
	snap := b.imports(r.age, listOf(r.listed...))
	return func() saaf.SnapshotRef {
		b.loads()
		return saaf.SnapshotRef{ID: snap.ID, EffectiveDate: snap.EffectiveDate}
	}
}

// What is committed, and what is answered, is what the registry finds that is
// answered from when the writer gets to the lead.
func TestRegistryMovesBeforeTheCommit(t *testing.T) {
	t.Parallel()
	none, stale, clean, blocked := registry{none: true}, registry{age: 7}, registry{}, registry{listed: []saaf.Phone{full}}
	for name, c := range map[string]struct {
		before, after registry
		found         saaf.VerdictReason
	}{
		"clean to blocked":   {clean, blocked, saaf.FullBlock},
		"blocked to clean":   {blocked, clean, saaf.NotRegistered},
		"clean to clean":     {clean, registry{age: 1}, saaf.NotRegistered},
		"clean to stale":     {clean, stale, saaf.RegistryStale},
		"blocked to none":    {blocked, none, saaf.RegistryUnavailable},
		"unknown to blocked": {none, blocked, saaf.FullBlock},
		"stale to clean":     {stale, clean, saaf.NotRegistered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				c.before.ready(b)()
				swap := c.after.ready(b) // which takes the writer
				first, second := b.campaign, b.newCampaign()
				release := b.holds()
				var single saaf.Lead
				var bulk Result
				var errs [2]error
				go func() {
					single, errs[0] = b.Push(t.Context(), b.tenant, saaf.Live, first, input(full), full, saaf.By{Actor: "test"})
				}()
				go func() {
					bulk, errs[1] = b.PushBulk(t.Context(), b.tenant, saaf.Live, second, append(crowd(20), rows(full)...), saaf.By{Actor: "test"})
				}()
				synctest.Wait() // they are checked and wait for the writer
				time.Sleep(time.Minute)
				by, at := swap(), time.Now()
				release()
				synctest.Wait()
				if err := errors.Join(errs[:]...); err != nil {
					t.Fatal(err)
				}
				b.agrees(single, c.found, by, at, at)
				if diff := cmp.Diff(single, b.stored()[full]); diff != "" {
					t.Error("stored:", diff)
				}
				b.campaign = second
				b.agrees(b.stored()[full], c.found, by, at, at)
				if got, want := bulk.Rows[20].DND, c.found == saaf.FullBlock; got != want || bulk.Valid != 21 {
					t.Errorf("the bulk push of %d says blocked: %v", bulk.Valid, got)
				}
			})
		})
	}
}

// crowd is bulk rows that no registry lists, so that a request is not a small one.
func crowd(n saaf.Phone) (list []Row) {
	for i := range n {
		list = append(list, rows(6_100_000_000+i)...)
	}
	return list
}

// A registry that did not move is not asked twice.
func TestWaitingKeepsTheVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		snap := b.lists(0, ordinary)
		release := b.holds()
		at := time.Now()
		var got saaf.Lead
		var err error
		go func() { got, err = b.pushes(t.Context(), full) }()
		synctest.Wait()
		time.Sleep(time.Minute)
		release()
		synctest.Wait()
		if err != nil {
			t.Fatal(err)
		}
		b.agrees(got, saaf.FullBlock, saaf.SnapshotRef{ID: snap.ID, EffectiveDate: snap.EffectiveDate}, at, at)
		if !got.CreatedAt.Equal(at.Add(time.Minute)) {
			t.Errorf("it was made at %v", got.CreatedAt)
		}
	})
}

// Whatever snapshot a lead names, its verdict is that of this snapshot.
func TestPushesWhileTheRegistryMoves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const pushers, each = 4, 40
	odd := make([]saaf.Phone, 0, pushers*each/2)
	for p := saaf.Phone(9_000_000_001); p < 9_000_000_000+pushers*each; p += 2 {
		odd = append(odd, p)
	}
	even := make([]saaf.Phone, 0, len(odd))
	for _, p := range odd {
		even = append(even, p-1)
	}
	lists := map[saaf.SnapshotID]saaf.Phone{0: 2, b.lists(0, listOf(odd...)).ID: 1} // whose numbers modulo 2

	var group sync.WaitGroup
	for w := range saaf.Phone(pushers) {
		group.Go(func() {
			for i := range saaf.Phone(each / 2) {
				p := 9_000_000_000 + w*each + 2*i
				if _, err := b.pushes(t.Context(), p); err != nil {
					t.Error(err)
				}
				if res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(p+1), saaf.By{Actor: "test"}); err != nil || res.Valid != 1 {
					t.Error(res, err)
				}
			}
		})
	}
	for i := range 4 {
		b.registry.Use(nil, saaf.SnapshotRef{})
		snap := b.lists(0, listOf([][]saaf.Phone{even, odd}[i%2]...))
		lists[snap.ID] = saaf.Phone(i % 2)
	}
	group.Wait()
	stored := b.stored()
	if len(stored) != pushers*each {
		t.Errorf("%d leads are stored", len(stored))
	}
	for p, l := range stored {
		remainder, known := lists[l.Verdict.Snapshot.ID]
		want := saaf.NotRegistered
		switch {
		case l.Verdict.Snapshot.ID == 0:
			want = saaf.RegistryUnavailable
		case p%2 == remainder:
			want = saaf.FullBlock
		}
		if !known || l.Verdict.Reason != want || (l.Status == saaf.LeadDND) != want.Blocked() {
			t.Errorf("%v is %v with %v", p, l.Status, l.Verdict)
		}
	}
}

// A caller who goes away while the lead waits has not stored it; one who goes
// while it is being committed has, and is told so.
func TestCancelledPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.lists(0, ordinary)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.pushes(gone, free); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who had gone: %v", err)
		}
		if _, err := b.PushBulk(gone, b.tenant, saaf.Live, b.campaign, rows(free), saaf.By{Actor: "test"}); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who had gone, in bulk: %v", err)
		}

		release := b.holds()
		waits, cancel := context.WithCancel(t.Context())
		stays := t.Context()
		var errs [4]error
		go func() { _, errs[0] = b.pushes(waits, free) }()
		go func() {
			_, errs[1] = b.PushBulk(waits, b.tenant, saaf.Live, b.campaign, crowd(20), saaf.By{Actor: "test"})
		}()
		go func() { _, errs[2] = b.pushes(stays, full) }()
		go func() {
			_, errs[3] = b.PushBulk(stays, b.tenant, saaf.Live, b.campaign, rows(partial), saaf.By{Actor: "test"})
		}()
		synctest.Wait()
		cancel()
		release()
		synctest.Wait()
		for i, want := range []error{context.Canceled, context.Canceled, nil, nil} {
			if !errors.Is(errs[i], want) {
				t.Errorf("caller %d: %v", i, errs[i])
			}
		}
		if got := sortedPhones(b); !slices.Equal(got, []saaf.Phone{full, partial}) {
			t.Errorf("stored: %v", got)
		}

		// In one transaction: the lead, and behind it a job that takes its time.
		release = b.holds()
		commits, cancel := context.WithCancel(t.Context())
		var lead saaf.Lead
		var err error
		go func() { lead, err = b.pushes(commits, free) }()
		synctest.Wait()
		reached := make(chan func())
		go func() { reached <- b.holds() }()
		synctest.Wait()
		release()
		release = <-reached
		cancel()
		release()
		synctest.Wait()
		if stored := b.stored()[free]; err != nil || lead.ID == 0 || stored.ID != lead.ID {
			t.Errorf("it was answered with %v, %v, and stored is %v", lead.ID, err, stored.ID)
		}
	})
}

func sortedPhones(b *bundle) (phones []saaf.Phone) {
	b.t.Helper()
	for p := range b.stored() {
		phones = append(phones, p)
	}
	slices.Sort(phones)
	return phones
}
