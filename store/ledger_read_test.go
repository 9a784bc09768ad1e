package store

import (
	"testing"

	"saaf"
)

// What leads say of their evidence is found, and says the same.
func TestLeadEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(other, leads(0, 2)...)
	batch := b.add(b.campaign, leads(0, 4)...)
	was := b.unfinished(b.campaign)
	b.recheck(b.campaign, Recheck{was[1], verdict(saaf.FullBlock, snap)})
	list, err := b.LeadEntries(t.Context(), b.campaign, 0)
	b.must(err)
	if len(list) != 4 {
		t.Fatalf("%d leads; want 4", len(list))
	}
	for i, l := range list {
		if l.Lead != batch.Leads[i].ID || l.Phone != batch.Leads[i].Phone || l.First == 0 || (l.Last != 0) != (i == 1) {
			t.Errorf("lead %d: %+v", i, l)
		}
		for _, id := range []saaf.EntryID{l.First, l.Last} {
			if id == 0 {
				continue
			}
			e, there, err := b.EntryOf(t.Context(), b.campaign, id)
			b.must(err)
			found := false
			for d, err := range e.Decisions() {
				b.must(err)
				found = found || d.Lead == l.Lead && d.New == (id == l.First)
			}
			if !there || !found || e.Campaign != b.campaign {
				t.Errorf("lead %d: the entry %s is %+v, %v", i, id, e, there)
			}
			if _, there, err := b.EntryOf(t.Context(), other, id); there || err != nil {
				t.Errorf("the entry %s is of another campaign too, %v", id, err)
			}
		}
	}
	if rest, err := b.LeadEntries(t.Context(), b.campaign, list[2].Lead); err != nil || len(rest) != 1 || rest[0] != list[3] {
		t.Errorf("above the third: %+v, %v", rest, err)
	}
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, other, asha))
	stranger := b.newTenant("Stranger")
	b.newCampaign(stranger, saaf.Live)
	ids, err := b.CampaignIDs(t.Context(), b.tenant)
	b.must(err)
	b.equal("campaigns", []saaf.CampaignID{b.campaign, other}, ids)

	var erased []Erasure
	for range 2 {
		e, err := b.Erase(t.Context(), b.tenant, saaf.Live, phone(1), asha, "asked")
		b.must(err)
		erased = append(erased, e)
	}
	_, err = b.Erase(t.Context(), b.tenant, saaf.Live, phone(2), asha, "asked")
	b.must(err)
	_, err = b.Erase(t.Context(), stranger, saaf.Live, phone(1), asha, "asked")
	b.must(err)
	got, err := b.ErasuresByPhone(t.Context(), b.tenant, phone(1))
	b.must(err)
	b.equal("erasures", erased, got)
}

// A chain is read in pages, by its numbers, and it says what comes before each entry.
func TestChainsAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 3 {
		b.add(b.campaign, leads(n, n+1)...)
	}
	b.must(b.RecordRefusal(t.Context(), Lease{}, asha, "fact"))
	chains := map[int64][]saaf.EntryRow{}
	for _, e := range b.chain() {
		chains[e.Writer] = append(chains[e.Writer], e)
	}
	total := int64(0)
	for writer, want := range chains {
		total += int64(len(want))
		for from := range len(want) + 1 {
			got, err := b.ChainAfter(t.Context(), writer, int64(from))
			b.must(err)
			b.equal("behind a number", want[from:], got, emptyIsNil)
		}
		for i := range want {
			e, there, err := b.ChainEntry(t.Context(), writer, int64(i+1))
			b.must(err)
			if b.equal("by its number", want[i], e); !there {
				t.Error("it is not there")
			}
		}
		if _, there, err := b.ChainEntry(t.Context(), writer, int64(len(want)+1)); there || err != nil {
			t.Errorf("behind the last: %v, %v", there, err)
		}
		if sealed, err := b.ChainSealed(t.Context(), writer); sealed != 0 || err != nil {
			t.Errorf("sealed by %d, %v", sealed, err)
		}
	}
	if n, err := b.LedgerSize(t.Context()); n != total || err != nil {
		t.Errorf("the ledger has %d entries, %v; want %d", n, err, total)
	}
	if b.Shared() != (b.Chain() == 0) || !b.Shared() && len(chains) != 1 {
		t.Errorf("%d chains, and the only one is %d", len(chains), b.Chain())
	}
	if n := b.Entered(); n != total {
		t.Errorf("%d entries are of this process; want %d", n, total)
	}
}
