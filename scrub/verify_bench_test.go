package scrub

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"saaf"
	"saaf/store"
)

// BenchmarkVerify reads a whole ledger: one of bulk pushes, where an entry holds 500
// decisions, one of single pushes at the worst, where each has an entry of its own,
// and one with the leads that name the entries.
func BenchmarkVerify(b *testing.B) {
	size := 1_000_000
	if os.Getenv("SAAF_BENCH_SMALL") != "" {
		size = 5_000
	}
	of := func(each int) func(*testing.B) {
		return func(b *testing.B) {
			t := setup(b)
			t.fillLedger(size, each)
			t.benchVerify(b, size)
		}
	}
	b.Run("bulk", of(500))
	b.Run("single", of(1))
	b.Run("leads", func(b *testing.B) {
		t := setup(b)
		for n := 0; n < size; n += 500 {
			batch := store.LeadBatch{Campaign: t.campaign, By: saaf.System, Leads: make([]store.NewLead, 500)}
			for i := range batch.Leads {
				batch.Leads[i].Phone = 6_000_000_000 + saaf.Phone(n+i)
			}
			if err := t.store.AddLeads(b.Context(), t.tenant, saaf.Live, &batch); err != nil {
				b.Fatal(err)
			}
		}
		t.benchVerify(b, size)
	})
}

func (b *bundle) benchVerify(t *testing.B, size int) {
	if _, err := b.store.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for t.Loop() {
		if rep, err := b.verify(VerifyOptions{}); err != nil || rep.Decisions != int64(size) {
			t.Fatal(rep, err)
		}
	}
	t.ReportMetric(float64(size)*float64(t.N)/t.Elapsed().Seconds(), "decisions/s")
}

// fillLedger writes a ledger of so many decisions, so many in each entry.
func (b *bundle) fillLedger(size, each int) {
	b.t.Helper()
	i := b.intrude()
	var before saaf.SHA256
	at := time.Now().UTC().Truncate(time.Millisecond)
	i.run("BEGIN")
	for n := range size / each {
		id := saaf.EntryID(b.store.NewID())
		head, err := json.Marshal(saaf.EntryHead{
			Version: 1, Deployment: b.store.Deployment(), Tenant: b.tenant, Campaign: b.campaign, Entry: id, Writer: 1, Seq: int64(n + 1),
			At: at, Stage: saaf.StageIngest, RuleVersion: saaf.RuleVersion, Source: saaf.SourceFile, Decisions: each,
			Snapshot: &saaf.EntrySnapshot{ID: 1 << 40, EffectiveDate: today()},
			Requests: []saaf.EntryRequest{{Request: "req_PAKDIMXXDWT5VAZ5FIWCD56JS2", Actor: "key_38gja2x1j0001", Decisions: each}},
		})
		if err != nil {
			b.t.Fatal(err)
		}
		e := saaf.EntryRow{ID: id, Campaign: b.campaign, Tenant: b.tenant, Writer: 1, Seq: int64(n + 1), Entry: saaf.Entry{Head: head}}
		last := saaf.LeadID(0)
		for range each {
			d := saaf.Decision{Lead: saaf.LeadID(b.store.NewID()), New: true, Found: saaf.NotRegistered, Reason: saaf.NotRegistered}
			e.Body = saaf.AppendDecision(e.Body, last, &d)
			last = d.Lead
		}
		e.Hash = saaf.Link(before, e.Content())
		before = e.Hash
		i.insertEntry(&e)
	}
	i.run("COMMIT")
}
