package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// A job that fails after it has written is undone and gets its own error. All
// others of its group are stored as if it had never been.
func TestPoisonedJobSpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	spoil := func(x *tx) {
		if _, err := x.createTenant("never stored"); err != nil {
			t.Error(err)
		}
	}
	for name, poison := range map[string]struct {
		job func(*bundle, *tx) error
		is  func(error) bool
	}{
		"internal error after a write": {
			func(_ *bundle, x *tx) error { spoil(x); return boom },
			func(err error) bool { return errors.Is(err, boom) },
		},
		"refusal after a write": {
			func(_ *bundle, x *tx) error { spoil(x); return saaf.ErrLeadNotFound },
			func(err error) bool { return err == error(saaf.ErrLeadNotFound) },
		},
		"internal error before any write": {
			func(*bundle, *tx) error { return boom },
			func(err error) bool { return errors.Is(err, boom) },
		},
		"panic after a write": {
			func(_ *bundle, x *tx) error { spoil(x); panic("boom") },
			func(err error) bool {
				return saaf.ErrorCode(err) == saaf.Internal && strings.Contains(err.Error(), "boom") && strings.Contains(err.Error(), "writer_fault_test.go")
			},
		},
		"broken constraint": {
			func(_ *bundle, x *tx) error {
				spoil(x)
				_, err := x.exec(`INSERT INTO deployment (one, version, id_floor) VALUES (1, 1, 1)`)
				return err
			},
			isConstraint,
		},
		"leads added, then an error": {
			func(b *bundle, x *tx) error {
				if err := x.addLeads(b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(0, 30)}); err != nil {
					return err
				}
				return boom
			},
			func(err error) bool { return errors.Is(err, boom) },
		},
		"campaign completed, then an error": {
			func(b *bundle, x *tx) error {
				if _, err := x.exec(`UPDATE campaigns SET status = 'completed' WHERE id = $1`, b.campaign); err != nil {
					return err
				}
				return boom
			},
			func(err error) bool { return errors.Is(err, boom) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeless(t, func(t *testing.T) {
				b := setup(t)
				release := b.block()
				// First of all, so that the others see in the first attempt what it wrote.
				poisoned := b.later(1, func(x *tx) error { return poison.job(b, x) })
				b.waiting(1)
				var batches []*LeadBatch
				var answers []<-chan error
				runs := 0
				for n := range 20 {
					batch := &LeadBatch{Campaign: b.campaign, Leads: leads(n, n+1)}
					batch.Refresh = func([]NewLead) { runs++ }
					batches, answers = append(batches, batch), append(answers, b.pushBatch(t.Context(), batch))
				}
				missing := b.later(1, func(*tx) error { return saaf.ErrCampaignNotFound })
				second := b.later(1, func(x *tx) error { return poison.job(b, x) })
				b.waiting(1 + 20 + 2)
				release()

				for _, answer := range []<-chan error{poisoned, second} {
					if err := <-answer; !poison.is(err) {
						t.Errorf("the poisoned job: %v", err)
					}
				}
				if err := <-missing; err != error(saaf.ErrCampaignNotFound) {
					t.Errorf("a job that was refused: %v", err)
				}
				for n, answer := range answers {
					if err := <-answer; err != nil {
						t.Errorf("job %d: %v", n, err)
					}
				}
				stored := b.all(b.campaign)
				if len(stored) != 20 {
					t.Fatalf("%d leads; want 20", len(stored))
				}
				for _, l := range stored {
					got := batches[l.Phone-phone(0)]
					if got.Leads[0].ID != l.ID || got.Leads[0].Duplicate || !got.At.Equal(l.CreatedAt) {
						t.Errorf("told %+v at %v; stored is id %v at %v", got.Leads[0], got.At, l.ID, l.CreatedAt)
					}
				}
				tenants, err := b.Tenants(t.Context())
				b.must(err)
				if len(tenants) != 1 {
					t.Errorf("the poisoned job left something: %v", tenants)
				}
				b.checkCounts(b.campaign)
				b.add(b.campaign, leads(50, 51)...)
			})
		})
	}
}

// Jobs that are refused before they have written anything cost the others no
// second attempt.
func TestRefusalsDoNotTakeTheGroupApart(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		running := b.newCampaign(b.tenant, saaf.Live)
		b.move(running, saaf.CampaignRunning)
		release := b.block()
		runs := 0
		good := b.pushBatch(t.Context(), &LeadBatch{Campaign: b.campaign, Leads: leads(0, 1), Refresh: func([]NewLead) { runs++ }})
		b.waiting(1)
		refused := map[string]<-chan error{}
		for name, fn := range map[string]func() error{
			"no such campaign": func() error {
				return b.AddLeads(t.Context(), b.tenant, saaf.Test, &LeadBatch{Campaign: b.campaign, Leads: leads(0, 1)})
			},
			"delete a running campaign": func() error { return b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, running, saaf.System) },
			"tenant exists":             func() error { _, err := b.CreateTenant(t.Context(), "Asha Finance"); return err },
			"no such key":               func() error { _, _, err := b.RevokeKey(t.Context(), 1, saaf.System); return err },
			"no such tenant":            func() error { _, err := b.CreateKey(t.Context(), newKey(1, 1)); return err },
			"registry moved":            func() error { _, _, err := b.ActivateSnapshot(t.Context(), everyField(1), 99, Cause{}); return err },
			"change refused": func() error {
				_, err := b.UpdateCampaign(t.Context(), b.tenant, saaf.Live, running, func(*saaf.Campaign) error { return saaf.ErrLeadNotFound })
				return err
			},
		} {
			answer := make(chan error, 1)
			go func() { answer <- fn() }()
			refused[name] = answer
		}
		b.waiting(1 + len(refused))
		before := b.commits()
		release()
		b.must(<-good)
		for name, answer := range refused {
			if code := saaf.ErrorCode(<-answer); code != saaf.NotFound && code != saaf.Conflict {
				t.Errorf("%s: %v", name, code)
			}
		}
		if commits := b.commits() - before; runs != 1 || commits != 1 && !b.engine.shared() {
			t.Errorf("the good job ran %d times in %d commits; want once in one", runs, commits)
		}
	})
}

// When the counts cannot be written, the leads are not stored either.
func TestCountsFailWithTheirLeads(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		other := b.outside()
		_, err := other.exec(`ALTER TABLE campaign_counts RENAME TO hidden`)
		b.must(err)
		release := b.block()
		_, answer := b.push(t.Context(), leads(0, 5)...)
		tenant := b.later(1, func(x *tx) error { _, err := x.createTenant("beside"); return err })
		b.waiting(2)
		release()
		if err := <-answer; err == nil || saaf.ErrorCode(err) != saaf.Internal {
			t.Errorf("leads without counts: %v; want an internal error", err)
		}
		b.must(<-tenant)
		_, err = other.exec(`ALTER TABLE hidden RENAME TO campaign_counts`)
		b.must(err)
		if n := len(b.all(b.campaign)); n != 0 {
			t.Errorf("%d leads are stored", n)
		}
		b.add(b.campaign, leads(0, 5)...)
		b.checkCounts(b.campaign)
	})
}

// fill keeps the database from growing by more than the given pages; no pages at
// all lifts the limit.
func (b *bundle) fill(pages int64) {
	b.t.Helper()
	limit := int64(1 << 30)
	if pages > 0 {
		limit = b.number(`PRAGMA page_count`) + pages
	}
	b.must(b.write(b.ctx, everything, 0, func(x *tx) error {
		_, err := x.conn.exec(fmt.Sprintf("PRAGMA max_page_count = %d", limit))
		return err
	}))
}

// A full disk refuses what does not fit, keeps what was acknowledged, and is
// forgotten as soon as there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	metadata := []byte(`{"note":"` + strings.Repeat("x", 400) + `"}`)
	var mu sync.Mutex
	acknowledged := map[saaf.Phone]saaf.LeadID{}
	var refused []NewLead
	push := func(list []NewLead) {
		for i := range list {
			list[i].Input.Metadata = metadata
		}
		batch := &LeadBatch{Campaign: b.campaign, Leads: list}
		err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			for _, l := range batch.Leads {
				if l.Duplicate {
					t.Errorf("%s is a duplicate", l.Phone.National())
				}
				acknowledged[l.Phone] = l.ID
			}
		case isUnavailable(err, "storage_unavailable"):
			refused = append(refused, list...)
		default:
			t.Errorf("AddLeads: %v", err)
		}
	}
	check := func(when string) {
		t.Helper()
		stored := map[saaf.Phone]saaf.LeadID{}
		for _, l := range b.all(b.campaign) {
			stored[l.Phone] = l.ID
		}
		b.equal(when, acknowledged, stored)
		b.checkCounts(b.campaign)
	}
	push(leads(0, 50))
	b.fill(12)
	next := 50
	for len(refused) == 0 && next < 10_000 { // batches that fit, until one does not
		push(leads(next, next+20))
		next += 20
	}
	check("full")
	var wg sync.WaitGroup
	for range 8 {
		from := next
		next += 40
		wg.Go(func() {
			push(leads(from, from+20))
			for n := range 20 {
				push(leads(from+20+n, from+21+n))
			}
		})
	}
	wg.Wait()
	check("full, with many callers")
	if len(refused) < 8*20 {
		t.Errorf("only %d leads were refused", len(refused))
	}

	b.fill(0)
	again := refused
	refused = nil
	for chunk := range slices.Chunk(again, 25) {
		push(chunk)
	}
	if len(refused) > 0 {
		t.Errorf("%d leads are refused though there is room", len(refused))
	}
	check("room again")
	b = b.reopen()
	check("opened again")
	if n := b.number(`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'`); n != 1 {
		t.Error("the database is damaged")
	}
}

// After an error that leaves the disk in doubt the writer ends, everyone is
// answered, and nobody is told that a lead is stored.
func TestDiskInDoubt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job   func(*tx) error
		group error // what the others of its group are told
	}{
		"input/output error": {
			func(*tx) error { return fmt.Errorf("write: %w", sqlite.ResultIOErrFsync.ToError()) }, errDisk,
		},
		"damaged page": {
			func(*tx) error { return sqlite.ResultCorrupt.ToError() }, errDisk,
		},
		"failed commit": {
			// A reference to nothing, which is looked at only by the commit.
			func(x *tx) error {
				_, err := x.conn.exec("PRAGMA defer_foreign_keys = ON")
				if err == nil {
					_, err = x.createKey(newKey(1, 1))
				}
				return err
			}, errUnknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeless(t, func(t *testing.T) {
				b := setup(t)
				tenant, campaign := b.tenant, b.campaign
				b.stop()
				b = openIdle(t, Config{Dir: b.dir})
				b.tenant, b.campaign = tenant, campaign
				_, err := b.embedded().conn.exec("PRAGMA foreign_keys = ON")
				b.must(err)
				_, before := b.push(t.Context(), leads(0, 1)...)
				b.waiting(1)
				bad := b.later(1, c.job)
				b.waiting(2)
				var waiting []<-chan error
				for n := range 12 { // more than one group
					waiting = append(waiting, b.bulk(n, nil))
				}
				b.waiting(14)
				if err := b.Run(t.Context()); err == nil {
					t.Error("the writer goes on")
				}
				for _, answer := range []<-chan error{before, bad} {
					if err := <-answer; err != c.group {
						t.Errorf("in the group: %v; want %v", err, c.group)
					}
				}
				stopped := 0
				for _, answer := range waiting {
					switch err := <-answer; {
					case isUnavailable(err, "stopping"):
						stopped++
					case err != c.group:
						t.Errorf("waiting: %v", err)
					}
				}
				if stopped == 0 || stopped == len(waiting) {
					t.Errorf("%d of %d were still in the queue", stopped, len(waiting))
				}
				_, late := b.push(t.Context(), leads(1, 2)...)
				if err := <-late; !isUnavailable(err, "stopping") {
					t.Errorf("after the end: %v", err)
				}
				again := b.reopen()
				if n := len(again.all(campaign)); n != 0 {
					t.Errorf("%d leads are stored", n)
				}
				again.add(campaign, leads(0, 3)...)
				again.checkCounts(campaign)
			})
		})
	}
}
