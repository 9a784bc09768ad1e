package store

import (
	"errors"
	"testing"
	"time"

	"saaf"
)

// nextMillisecond waits for it: ids, and times in rows, know no less.
func nextMillisecond() time.Time {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for began.UnixMilli() == time.Now().UnixMilli() {
		<-tick.C
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	stranger := b.newTenant("Stranger")
	test := b.newCampaign(b.tenant, saaf.Test)
	foreign := b.newCampaign(stranger, saaf.Live)
	var instants []time.Time
	step := func(do func()) {
		instants = append(instants, nextMillisecond())
		do()
	}
	step(func() { b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), snap) })
	step(func() { b.addTo(b.tenant, saaf.Test, test, phone(1), snap) })
	step(func() { b.suppress(saaf.DeploymentScope, 0, phone(1)) }) // and two entries about the leads
	step(func() {
		b.must(b.RecordChecks(t.Context(), b.tenant, saaf.Live, "", asha, []Checked{{Phone: phone(2)}, {Phone: phone(1)}}))
	})
	b.addTo(b.tenant, saaf.Live, b.campaign, phone(2), snap)
	b.addTo(stranger, saaf.Live, foreign, phone(1), snap)
	b.suppress(saaf.TenantScope, 0, phone(2))
	for range entryPage + 7 { // more than one page
		b.must(b.RecordChecks(t.Context(), b.tenant, saaf.Live, "", asha, []Checked{{Phone: phone(3)}}))
	}
	step(func() { b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Test, test, asha)) })
	step(func() {
		b.must(b.RecordChecks(t.Context(), b.tenant, saaf.Live, "", asha, []Checked{{Phone: phone(1)}}))
	})

	stages := func(tenant saaf.TenantID, p saaf.Phone, from, before time.Time) (list []saaf.Stage) {
		t.Helper()
		entries, err := b.Evidence(t.Context(), tenant, p, from, before)
		b.must(err)
		for i := range entries {
			h := b.headOf(&entries[i])
			if h.Tenant != tenant && h.Tenant != 0 {
				t.Errorf("an entry of %s", h.Tenant)
			}
			list = append(list, h.Stage)
		}
		return list
	}
	// Those of the deployment stand first.
	all := []saaf.Stage{saaf.StageSuppression, saaf.StageIngest, saaf.StageIngest, saaf.StageRescrub, saaf.StageRescrub, saaf.StageManual, saaf.StageManual}
	never := time.Time{}
	b.equal("all", all, stages(b.tenant, phone(1), never, never))
	whole, err := b.Evidence(t.Context(), b.tenant, phone(1), never, never)
	b.must(err)
	bytes := 0
	for i := range whole {
		bytes += len(whole[i].Head) + len(whole[i].Body)
	}
	if list, err := b.EvidenceUpTo(t.Context(), b.tenant, phone(1), never, never, bytes); err != nil || len(list) != len(whole) {
		t.Errorf("%d entries of as many bytes as there are, %v", len(list), err)
	}
	if _, err := b.EvidenceUpTo(t.Context(), b.tenant, phone(1), never, never, bytes-1); !errors.Is(err, ErrMuchEvidence) {
		t.Errorf("of a byte less: %v", err)
	}
	b.equal("from the second on", append(all[:1:1], all[2:]...), stages(b.tenant, phone(1), instants[1], never))
	b.equal("before the second", all[1:2], stages(b.tenant, phone(1), never, instants[1]))
	b.equal("the third alone", append(all[:1:1], all[3:5]...), stages(b.tenant, phone(1), instants[2], instants[3]))
	b.equal("after all", []saaf.Stage(nil), stages(b.tenant, phone(1), time.Now().Add(time.Hour), never))
	b.equal("of a stranger", []saaf.Stage{saaf.StageSuppression, saaf.StageIngest}, stages(stranger, phone(1), never, never))
	b.equal("of the deployment", []saaf.Stage{saaf.StageSuppression}, stages(0, phone(1), never, never))
	b.equal("many pages", entryPage+7, len(stages(b.tenant, phone(3), never, never)))
	b.equal("of nobody", []saaf.Stage(nil), stages(b.tenant, phone(9), never, never))

	last := make(map[int64]saaf.SHA256) // of each chain
	for i, e := range b.chain() {
		before, err := b.EntryBefore(t.Context(), &e)
		b.must(err)
		if before != last[e.Writer] {
			t.Errorf("before entry %d: %s", i, before)
		}
		last[e.Writer] = e.Hash
	}
}

func TestLeadsByPhone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	stranger := b.newTenant("Stranger")
	second, test, deleted, foreign := b.newCampaign(b.tenant, saaf.Live), b.newCampaign(b.tenant, saaf.Test), b.newCampaign(b.tenant, saaf.Live), b.newCampaign(stranger, saaf.Live)
	b.addTo(b.tenant, saaf.Test, test, phone(1), snap)
	b.addTo(b.tenant, saaf.Live, deleted, phone(1), snap)
	b.addTo(stranger, saaf.Live, foreign, phone(1), snap)
	b.addTo(b.tenant, saaf.Live, b.campaign, phone(2), snap)
	want := []saaf.Lead{
		b.lead(second, b.addTo(b.tenant, saaf.Live, second, phone(1), snap)),
		b.lead(b.campaign, b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), snap)),
	}
	want[0], want[1] = want[1], want[0] // by campaign
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, deleted, asha))
	got, err := b.LeadsByPhone(t.Context(), b.tenant, saaf.Live, phone(1))
	b.must(err)
	b.equal("leads", want, got)
}
