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
		b.add(b.campaign, leads(0, 2*purgeChunk)...)
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
		n, err := b.purgeSome(t.Context(), Lease{}, b.campaign)
		b.must(err)
		b = b.reopen()
		b.checkBlocks()
		if left := b.number(`SELECT count(*) FROM leads`); n == 0 || left == 0 || left != int64(2*purgeChunk-n) {
			t.Fatalf("%d leads are left of a purge, after %d", left, n)
		}
		stop := b.purging()
		b.until("the campaign is gone", func() bool { return b.leftovers(b.campaign) == 0 })
		stop()
	})
}

// A purge in the transaction of an erasure takes the blocks as the erasure left them, and
// none of them comes back.
func TestPurgeBesideAnErasure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(b.campaign, leads(0, 2*purgeChunk)...)
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System))
	b.must(b.write(t.Context(), everything, 0, func(x *tx) error {
		if n, err := x.eraseLead(b.campaign, phone(1)); err != nil || n != 1 {
			t.Errorf("%d leads erased: %v", n, err)
		}
		return amongBlocks(x.conn, func(blocks blockReader) error {
			_, err := x.purgeBlocks(blocks, b.campaign)
			return err
		}, nil)
	}))
	b.checkBlocks()
	if left := b.number(`SELECT min(block) FROM lead_blocks WHERE campaign_id = $1`, b.campaign); left < 2 {
		t.Errorf("block %d came back", left)
	}
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
