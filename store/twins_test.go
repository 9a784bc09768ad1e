package store

import (
	"slices"
	"sync"
	"testing"

	"saaf"
)

// Several processes on one database, as one test process with several stores.

// Clients that send every batch to two processes at once, and twice to each: every phone
// is stored once, and every row is answered once as new.
func TestBatchesSentToTwoProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := open(t, Config{Dir: b.dir, Node: 5})
	other.tenant = b.tenant
	campaigns := []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live)}
	const clients, batches = 8, 5
	answered := make([][]*LeadBatch, clients*batches)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := range batches {
				from := 40 * (c*batches + n)
				list := leads(from-10, from+[]int{1, 9, 30}[n%3]) // some are also those of the batch before
				var sent []*LeadBatch
				var once sync.WaitGroup
				for i := range 4 {
					batch := &LeadBatch{Campaign: campaigns[c%2], Leads: slices.Clone(list)}
					sent = append(sent, batch)
					once.Go(func() {
						if err := []*bundle{b, other}[i%2].AddLeads(t.Context(), b.tenant, saaf.Live, batch); err != nil {
							t.Error(err)
						}
					})
				}
				once.Wait()
				answered[c*batches+n] = sent
			}
		})
	}
	wg.Wait()
	type key struct {
		campaign saaf.CampaignID
		phone    saaf.Phone
	}
	added, told := map[key]saaf.LeadID{}, map[key]saaf.LeadID{}
	for _, sent := range answered {
		for _, batch := range sent {
			for _, l := range batch.Leads {
				k := key{batch.Campaign, l.Phone}
				if !l.Duplicate {
					if added[k] != 0 {
						t.Errorf("%s is answered as new twice", l.Phone.National())
					}
					added[k] = l.ID
				}
				if told[k] != 0 && told[k] != l.ID {
					t.Errorf("%s is told to be %d and %d", l.Phone.National(), told[k], l.ID)
				}
				told[k] = l.ID
			}
		}
	}
	stored := map[key]saaf.LeadID{}
	for _, c := range campaigns {
		for _, l := range b.all(c) {
			if stored[key{c, l.Phone}] != 0 {
				t.Errorf("%s is stored twice", l.Phone.National())
			}
			stored[key{c, l.Phone}] = l.ID
		}
		b.checkCounts(c)
		other.checkCounts(c)
	}
	b.equal("leads that were answered as new", stored, added)
	if n := b.decided(); n != len(stored) {
		t.Errorf("%d decisions about %d new leads", n, len(stored))
	}
}
