package store

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"saaf"
)

// scrub finishes the erasures there are.
func (b *bundle) scrub() {
	b.t.Helper()
	for range 50 {
		left, err := b.ScrubErased(b.ctx)
		b.must(err)
		if !left {
			return
		}
	}
	b.t.Fatal("the erasures do not come to an end")
}

func TestErase(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		stranger := b.newTenant("Stranger")
		live, test, deleted := b.newCampaign(b.tenant, saaf.Live), b.newCampaign(b.tenant, saaf.Test), b.newCampaign(b.tenant, saaf.Live)
		foreign := b.newCampaign(stranger, saaf.Live)
		for _, p := range []saaf.Phone{phone(1), phone(2)} {
			for _, c := range []saaf.CampaignID{b.campaign, live, deleted} {
				b.addTo(b.tenant, saaf.Live, c, p, snap)
			}
			b.addTo(b.tenant, saaf.Test, test, p, snap)
			b.addTo(stranger, saaf.Live, foreign, p, snap)
		}
		b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, deleted, saaf.System))
		entry := b.suppress(saaf.TenantScope, 0, phone(1))[0]
		b.suppress(saaf.CampaignScope, live, phone(1))
		over := b.suppress(saaf.CampaignScope, b.campaign, phone(1))[0]
		_, err := b.Lift(t.Context(), b.tenant, over.ID, saaf.SourceFile, asha, "over", finding(saaf.Verdict{}))
		b.must(err)
		b.suppress(saaf.TenantScope, 0, phone(2))
		before := b.chain()
		evidence, err := b.Evidence(t.Context(), b.tenant, phone(1), time.Time{}, time.Time{})
		b.must(err)
		b.pass(time.Hour)

		e, err := b.Erase(t.Context(), b.tenant, saaf.Live, phone(1), asha, "asked, from 98765 43210")
		b.must(err)
		want := Erasure{ID: e.ID, TenantID: b.tenant, Environment: saaf.Live, Phone: b.Hasher(b.tenant).Hash(phone(1)), Reason: "asked, from xxxxx x3210", Actor: asha.Actor,
			Leads: 4, Suppressions: 2, CreatedAt: b.now()}
		b.equal("erased", want, e)
		read, err := b.Erasure(t.Context(), b.tenant, saaf.Live, e.ID)
		b.must(err)
		b.equal("read", want, read)
		for p, n := range map[saaf.Phone]int64{phone(1): 1, phone(2): 5} {
			if got := b.number(`SELECT count(*) FROM leads WHERE phone = $1`, p); got != n {
				t.Errorf("%d leads with %s; want %d", got, p.National(), n)
			}
		}
		if n := b.number(`SELECT count(*) FROM suppressions WHERE phone = $1`, phone(1)); n != 0 {
			t.Errorf("%d suppressions still have the phone", n)
		}
		for _, c := range []saaf.CampaignID{b.campaign, live, test, foreign} {
			b.checkCounts(c)
		}
		if _, err := b.Erasure(t.Context(), stranger, saaf.Live, e.ID); saaf.ErrorCode(err) != saaf.NotFound {
			t.Errorf("a stranger reads it: %v", err)
		}
		if _, err := b.Erase(t.Context(), b.tenant+1, saaf.Live, phone(1), asha, "x"); saaf.ErrorCode(err) != saaf.NotFound {
			t.Errorf("of an unknown tenant: %v; want NotFound", err)
		}

		// The evidence is there as it was, and one entry more: where a transaction touches
		// one campaign, also one for each that had a lead.
		entries := 1
		if b.engine.shared() {
			entries += e.Leads
		}
		after := b.chain()
		b.equal("the chain", before, after[:len(before)])
		if n := len(after) - len(before); n != entries {
			t.Errorf("%d entries of the erasure; want %d", n, entries)
		}
		found, err := b.Evidence(t.Context(), b.tenant, phone(1), time.Time{}, time.Time{})
		b.must(err)
		b.equal("the evidence", append(evidence, after[len(before):]...), found)

		// It is blocked by the hash, and gets no phone back.
		if id := b.addTo(b.tenant, saaf.Live, live, phone(1), snap); b.lead(live, id).Status != saaf.LeadDND {
			t.Errorf("pushed again it is %s", b.lead(live, id).Status)
		}
		calling := b.addTo(b.tenant, saaf.Test, test, phone(1), snap)
		if again := b.suppress(saaf.TenantScope, 0, phone(1))[0]; again.Made || again.ID != entry.ID || again.Phone != 0 {
			t.Errorf("suppressed again: %+v", again)
		}
		ids, err := b.SuppressedBy(t.Context(), b.tenant, saaf.Live, []saaf.Phone{phone(1)})
		b.must(err)
		b.equal("suppressed by", []saaf.SuppressionID{entry.ID}, ids)

		// Lifted by its id alone, its leads are found by the hash.
		_, err = b.Lift(t.Context(), b.tenant, entry.ID, saaf.SourceFile, asha, "consent", finding(verdict(saaf.NotRegistered, snap)))
		b.must(err)
		if l := b.lead(test, calling); l.Status != saaf.LeadHeld || l.Verdict.Reason != saaf.HeldAfterBlock {
			t.Errorf("lifted: %s, %s", l.Status, l.Verdict.Reason)
		}
		if n := b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1 AND status = $2`, live, saaf.LeadDND); n != 2 {
			t.Errorf("%d leads are blocked where the campaign's own list still blocks the one; want 2", n)
		}
		b.checkIndex()
	})
}

func (b *bundle) lead(campaign saaf.CampaignID, id saaf.LeadID) saaf.Lead {
	b.t.Helper()
	l, err := b.Lead(b.ctx, b.tenant, campaign, id)
	b.must(err)
	return l
}

// An erasure is done when the files were scrubbed, by this process or by the next.
func TestErasuresEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []saaf.ErasureID
	erase := func(n int) {
		e, err := b.Erase(t.Context(), b.tenant, saaf.Live, phone(n), asha, "asked")
		b.must(err)
		ids = append(ids, e.ID)
	}
	b.add(b.campaign, leads(0, 5)...)
	erase(0)
	erase(77) // whom nobody knows
	b = b.reopen()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.RunErasures(ctx, func(err error) { t.Error(err) }) }()
	done := func() (n int) {
		for _, id := range ids {
			e, err := b.Erasure(t.Context(), b.tenant, saaf.Live, id)
			b.must(err)
			if e.Done != !e.FinishedAt.IsZero() {
				t.Errorf("%+v", e)
			}
			if e.Done {
				n++
			}
		}
		return n
	}
	for done() < 2 {
		b.must(b.Barrier(t.Context()))
	}
	erase(1)
	for done() < 3 {
		b.must(b.Barrier(t.Context()))
	}
	cancel()
	b.must(<-ended)
}

// A reader that is under way keeps a copy in the log: the erasure waits for it.
func TestErasureWaitsForReaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(b.campaign, leads(0, 5)...)
	raw, err := b.embedded().readers.Take(t.Context())
	b.must(err)
	conn := sqliteConn{Conn: raw}
	_, err = conn.exec("BEGIN")
	b.must(err)
	b.must(conn.query(`SELECT count(*) FROM leads`, nil))
	e, err := b.Erase(t.Context(), b.tenant, saaf.Live, phone(0), asha, "asked")
	b.must(err)
	left, err := b.ScrubErased(t.Context())
	if got, rerr := b.Erasure(t.Context(), b.tenant, saaf.Live, e.ID); !left || err != nil || got.Done || rerr != nil {
		t.Errorf("with a reader: left %v, %v; %+v, %v", left, err, got, rerr)
	}
	_, err = conn.exec("ROLLBACK")
	b.must(err)
	b.embedded().readers.Put(raw)
	b.scrub()
	if got, err := b.Erasure(t.Context(), b.tenant, saaf.Live, e.ID); !got.Done || err != nil {
		t.Errorf("without: %+v, %v", got, err)
	}
	if left, err := b.ScrubErased(t.Context()); left || err != nil {
		t.Errorf("with nothing to do: %v, %v", left, err)
	}
}

// person is a lead of which every byte can be told from all others.
func person(r *rand.Rand) NewLead {
	p := saaf.Phone(6_000_000_000 + r.Int64N(4_000_000_000))
	return NewLead{Phone: p, Input: saaf.LeadInput{
		Name: new("name of " + tag(p, 0)), Email: new(tag(p, 1) + "@example.in"), ExternalID: new("crm-" + tag(p, 2)),
		Metadata: []byte(`{"phone":"` + p.National() + `","note":"` + string(bytes.Repeat([]byte("x"), r.IntN(120))) + tag(p, 3) + `"}`),
	}}
}

// tag is ten letters that stand for a person and a field.
func tag(p saaf.Phone, field int) string {
	r := rand.New(rand.NewPCG(uint64(p), uint64(field)))
	b := make([]byte, 10)
	for i := range b {
		b[i] = byte('A' + r.IntN(26))
	}
	return string(b)
}

// copies counts what is in the files of the store of the people: the phone as an
// integer and as text, and the beginning of every tag.
func (b *bundle) copies(people []saaf.Phone) (n int) {
	b.t.Helper()
	type six = [6]byte
	patterns := map[six]string{} // the beginning, and all of it
	for _, p := range people {
		var integer six
		for i := range integer {
			integer[i] = byte(p >> (8 * (5 - i)))
		}
		for _, pattern := range []string{string(integer[:]), p.National(), tag(p, 0), tag(p, 1), tag(p, 2), tag(p, 3)} {
			patterns[six([]byte(pattern))] = pattern
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		file, err := os.ReadFile(filepath.Join(b.dir, fileName+suffix))
		b.must(err)
		before := n
		for i := range len(file) - 5 {
			if pattern := patterns[six(file[i:])]; pattern != "" && bytes.HasPrefix(file[i:], []byte(pattern)) {
				n++
			}
		}
		b.t.Log(n-before, "copies in", fileName+suffix)
	}
	return n
}

// Nothing of a person who was erased is left in the files, in a store whose pages
// were split and written again many times.
func TestErasedPeopleLeaveNoCopy(t *testing.T) {
	t.Parallel()
	t.Run("nobody writes", func(t *testing.T) {
		t.Parallel()
		testErasedPeople(t, func(b *bundle) {
			if left, err := b.engine.forgetErased(t.Context()); left || err != nil { // and no commit behind it
				t.Fatal(left, err)
			}
		})
	})
	t.Run("others write", func(t *testing.T) {
		t.Parallel()
		testErasedPeople(t, func(b *bundle) {
			writing, stop := context.WithCancel(t.Context())
			written := make(chan error, 1)
			go func() {
				var err error
				for n := 0; err == nil && writing.Err() == nil; n++ {
					err = b.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(n, n+1)})
				}
				written <- err
			}()
			b.scrub()
			stop()
			b.must(<-written)
		})
	})
}

func testErasedPeople(t *testing.T, scrub func(*bundle)) {
	b := setup(t)
	_, err := b.embedded().conn.exec("PRAGMA synchronous = OFF")
	b.must(err)
	snap := b.activate(20_000)
	r := rand.New(rand.NewPCG(1, 2))
	campaigns := []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live)}
	var people, gone []saaf.Phone
	stay := map[saaf.Phone]bool{}
	for n := range 24 {
		batch := &LeadBatch{Campaign: campaigns[n%2]}
		for range 250 {
			batch.Leads = append(batch.Leads, person(r))
			people = append(people, batch.Leads[len(batch.Leads)-1].Phone)
		}
		b.must(b.AddLeads(t.Context(), b.tenant, saaf.Live, batch))
	}
	for _, reason := range []saaf.VerdictReason{saaf.FullBlock, saaf.NotRegistered} { // rows that grow
		for _, c := range campaigns {
			var changes []Recheck
			list, err := b.UnfinishedLeads(t.Context(), c, 0, 10_000)
			b.must(err)
			for _, l := range list {
				changes = append(changes, Recheck{l, verdict(reason, snap)})
			}
			b.recheck(c, changes...)
		}
	}
	for i, p := range people {
		if i%10 > 0 {
			stay[p] = true
			continue
		}
		gone = append(gone, p)
		if i%30 == 0 {
			b.suppress(saaf.TenantScope, 0, p)
		}
	}
	if n := b.copies(gone); n < 6*len(gone) {
		t.Fatalf("only %d copies of %d people before: this test no longer reads the files", n, len(gone))
	}
	for _, p := range gone {
		e, err := b.Erase(t.Context(), b.tenant, saaf.Live, p, asha, "asked")
		b.must(err)
		if e.Leads != 1 {
			t.Fatalf("%d leads", e.Leads)
		}
	}
	// Another process has all pages in memory, as they are before.
	other := open(t, Config{Dir: b.dir, Node: 1})
	b.must(other.write(t.Context(), everything, 0, func(x *tx) error {
		_, err := x.conn.exec(`SELECT sum(length(l.name)) FROM leads l, leads p WHERE p.id = l.id AND p.phone > 0`)
		return err
	}))
	scrub(b)
	if n := b.copies(gone); n > 0 {
		t.Errorf("%d copies of %d people are left", n, len(gone))
	}
	for _, c := range campaigns { // every page is written again by the other
		list, err := other.UnfinishedLeads(t.Context(), c, 0, 10_000)
		b.must(err)
		var changes []Recheck
		for _, l := range list {
			changes = append(changes, Recheck{l, verdict(saaf.PartialBlock, snap)})
		}
		other.recheck(c, changes...)
	}
	if n := b.copies(gone); n > 0 {
		t.Errorf("%d copies of %d people came back", n, len(gone))
	}
	if n := b.number(`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'`); n != 1 {
		t.Error("the database is damaged")
	}
	for _, c := range campaigns {
		b.checkCounts(c)
	}
	b.must(b.read(t.Context(), func(conn session) error {
		return conn.query(`SELECT phone FROM leads`, func(r row) error { delete(stay, saaf.Phone(r.int64())); return nil })
	}))
	if len(stay) > 0 {
		t.Errorf("%d people went who had not asked for it", len(stay))
	}
	for _, p := range gone[:5] {
		found, err := b.Evidence(t.Context(), b.tenant, p, time.Time{}, time.Time{})
		if err != nil || len(found) < 3 {
			t.Fatalf("%d entries, %v", len(found), err)
		}
	}
	b.chain()
	b = b.reopen()
	b.chain()
}

// A test key erases from tests alone; a live one from both.
func TestEraseByEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	test := b.newCampaign(b.tenant, saaf.Test)
	b.addTo(b.tenant, saaf.Live, b.campaign, phone(1), snap)
	b.addTo(b.tenant, saaf.Test, test, phone(1), snap)
	b.suppress(saaf.TenantScope, 0, phone(1))
	_, err := b.Suppress(t.Context(), b.tenant, saaf.Test, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1)}}, asha)
	b.must(err)
	for _, c := range []struct {
		env  saaf.Environment
		want [2]int // leads that go, suppressions that go on blocking
	}{{saaf.Test, [2]int{1, 1}}, {saaf.Test, [2]int{0, 1}}, {saaf.Live, [2]int{1, 2}}} {
		e, err := b.Erase(t.Context(), b.tenant, c.env, phone(1), asha, "asked")
		b.must(err)
		b.equal("erased in "+string(c.env), c.want, [2]int{e.Leads, e.Suppressions})
		for campaign, there := range map[saaf.CampaignID]bool{b.campaign: c.env == saaf.Test, test: false} {
			if n := b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1`, campaign); (n == 1) != there {
				t.Errorf("after %s: %d leads in campaign %s", c.env, n, campaign)
			}
			b.checkCounts(campaign)
		}
		if n := b.number(`SELECT count(*) FROM suppressions WHERE environment = 'live' AND phone IS NOT NULL`); (n == 1) != (c.env == saaf.Test) {
			t.Errorf("after %s: %d suppressions of live campaigns have the phone", c.env, n)
		}
	}
}
