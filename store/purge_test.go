package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
)

// leftovers is how many rows of a campaign are in the store.
func (b *bundle) leftovers(id saaf.CampaignID) int64 {
	b.t.Helper()
	return b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1`, id) +
		b.number(`SELECT count(*) FROM campaign_counts WHERE campaign_id = $1`, id) +
		b.number(`SELECT count(*) FROM campaigns WHERE id = $1`, id)
}

// purging runs RunPurge until stop is called.
func (b *bundle) purging() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.ctx))
	done := make(chan error, 1)
	go func() { done <- b.RunPurge(ctx, func(err error) { b.t.Errorf("purge: %v", err) }) }()
	return func() {
		b.t.Helper()
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("RunPurge: %v", err)
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		doomed := []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live), b.newCampaign(b.tenant, saaf.Live)}
		kept := b.newCampaign(b.tenant, saaf.Live)
		b.add(doomed[0], leads(0, 2*purgeChunk+1)...) // more than one transaction
		b.add(doomed[1], leads(0, 1)...)
		b.add(kept, leads(0, 3)...)
		want := b.all(kept)
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, doomed[0], saaf.System)) // before the purge runs

		stop := b.purging()
		b.until("a campaign that was deleted before is gone", func() bool { return b.leftovers(doomed[0]) == 0 })
		for _, id := range doomed[1:] { // while it runs
			b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, id, saaf.System))
		}
		b.until("those that were deleted meanwhile are gone", func() bool { return b.leftovers(doomed[1])+b.leftovers(doomed[2]) == 0 })
		stop()
		b.equal("another campaign", want, b.all(kept))
		b.checkCounts(kept)
	})
}

// What a process that died had not removed yet is removed by the next one.
func TestPurgeGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		b.add(b.campaign, leads(0, purgeChunk+7)...)
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
		b.must(b.write(t.Context(), everything, 0, func(x *tx) error { // the first transaction of a purge
			_, err := x.exec(`DELETE FROM leads WHERE id IN (SELECT id FROM leads LIMIT $1)`, purgeChunk)
			return err
		}))
		b = b.reopen()
		if n := b.number(`SELECT count(*) FROM leads`); n != 7 {
			t.Fatalf("%d leads before the purge", n)
		}
		stop := b.purging()
		b.until("the campaign is gone", func() bool { return b.leftovers(b.campaign) == 0 })
		stop()
	})
}

// A purge that finds the queue full comes back; it does not end the server.
func TestPurgeWaitsWhenTheStoreIsBusy(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		b.stop()
		b = open(t, Config{Dir: b.dir, QueueLeads: purgeChunk})
		b.tenant = b.newTenant("Busy")
		b.campaign = b.newCampaign(b.tenant, saaf.Live)
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
		release := b.block()
		bulk := make(chan error, 1)
		other := b.campaign
		go func() {
			bulk <- b.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: other, Leads: leads(0, purgeChunk)})
		}()
		synctest.Wait()
		stop := b.purging()
		b.pass(10 * time.Second)
		if n := b.leftovers(b.campaign); n == 0 {
			t.Error("purged though the queue was full")
		}
		release()
		if err := <-bulk; err != error(saaf.ErrCampaignNotFound) {
			t.Errorf("leads for a deleted campaign: %v", err)
		}
		b.pass(10 * time.Second)
		synctest.Wait()
		if n := b.leftovers(b.campaign); n != 0 {
			t.Errorf("%d rows left", n)
		}
		stop()
	})
}
