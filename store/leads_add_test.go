package store

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"zombiezen.com/go/sqlite"

	"saaf"
)

func TestLeadsComeBackAsTheyWereStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	inputs := []saaf.LeadInput{
		{}, // NULL stays apart from empty
		{Name: new(""), Email: new(""), ExternalID: new(""), Metadata: []byte{}},
		{Name: new("आशा राव"), Email: new("Asha <a@b.in>"), ExternalID: new("'; DROP TABLE leads; --"), Metadata: []byte(`{}`)},
		{Metadata: []byte("{ \"b\" : 12345678901234567890.000, \"a\":\"\\u0000<&>\",\n\t\"b\":[1e400,-0] }")},
		{Metadata: slices.Concat([]byte(`{"k":"`), make([]byte, saaf.MaxMetadataBytes-8), []byte(`"}`))},
		{Name: new("'); SELECT 1; --"), Metadata: []byte("\x00\xff")},
	}
	reasons := []saaf.VerdictReason{saaf.RegistryUnavailable, saaf.RegistryStale, saaf.NotRegistered, saaf.FullBlock, saaf.PartialBlock, saaf.Suppressed}
	var batch []NewLead
	for n, in := range inputs {
		batch = append(batch, NewLead{Phone: phone(n), Input: in, Verdict: verdict(reasons[n], snap)})
	}
	// A suppression is a finding without a snapshot: no registry had to answer.
	batch = append(batch, NewLead{Phone: 9_999_999_999, Verdict: saaf.Verdict{Reason: saaf.Suppressed, CheckedAt: checkedAt}})
	stored := b.add(b.campaign, batch...)
	if stored.At.IsZero() {
		t.Error("the batch does not say when")
	}
	var want []saaf.Lead
	for i := range stored.Leads {
		l := &stored.Leads[i]
		status := saaf.LeadPending
		if l.Verdict.Reason.Blocked() {
			status = saaf.LeadDND
		}
		want = append(want, saaf.Lead{
			ID: l.ID, CampaignID: b.campaign, Phone: l.Phone,
			Name: l.Input.Name, Email: l.Input.Email, ExternalID: l.Input.ExternalID, Metadata: l.Input.Metadata,
			Status: status, Verdict: l.Verdict, CreatedAt: stored.At, UpdatedAt: stored.At,
		})
		if l.ID == 0 || l.Duplicate {
			t.Errorf("lead %d: id %v, duplicate %v", i, l.ID, l.Duplicate)
		}
		one, err := b.Lead(t.Context(), b.tenant, b.campaign, l.ID)
		b.must(err)
		b.equal("one lead", want[i], one)
	}
	b.equal("the list", want, b.all(b.campaign))
	again := b.reopen()
	b.equal("after opening again", want, again.all(b.campaign))
	again.checkCounts(b.campaign)
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.newCampaign(b.tenant, saaf.Live)
	first := b.add(b.campaign, NewLead{Phone: phone(1), Input: saaf.LeadInput{Name: new("first"), Metadata: []byte(`{"n":1}`)}})
	before := b.all(b.campaign)

	again := NewLead{Phone: phone(1), Input: saaf.LeadInput{Name: new("second"), Email: new("x@y.in")}}
	single := b.add(b.campaign, again)
	if l := single.Leads[0]; !l.Duplicate || l.ID != first.Leads[0].ID {
		t.Errorf("duplicate %v with id %v; want the id %v of the lead that is there", l.Duplicate, l.ID, first.Leads[0].ID)
	}
	b.equal("the stored lead", before, b.all(b.campaign))

	// 2 is new and repeated, 1 is there already, 3 is new.
	bulk := b.add(b.campaign,
		NewLead{Phone: phone(2), Input: saaf.LeadInput{Name: new("two")}}, again,
		NewLead{Phone: phone(2), Input: saaf.LeadInput{Name: new("never")}}, NewLead{Phone: phone(3)}, NewLead{Phone: phone(2)})
	var duplicates []bool
	var ids []saaf.LeadID
	for _, l := range bulk.Leads {
		duplicates, ids = append(duplicates, l.Duplicate), append(ids, l.ID)
	}
	b.equal("duplicates", []bool{false, true, true, false, true}, duplicates)
	b.equal("ids", []saaf.LeadID{ids[0], first.Leads[0].ID, ids[0], ids[3], ids[0]}, ids)
	stored := b.all(b.campaign)
	if len(stored) != 3 || stored[1].ID != ids[0] || *stored[1].Name != "two" || stored[2].ID != ids[3] {
		t.Errorf("stored: %+v", stored)
	}

	// Another campaign knows nothing of that.
	if l := b.add(other, NewLead{Phone: phone(1)}).Leads[0]; l.Duplicate || l.ID == first.Leads[0].ID {
		t.Errorf("in another campaign: %+v", l)
	}
	b.checkCounts(b.campaign)
	b.checkCounts(other)
}

// The flags of an earlier use of a batch do not survive into the next.
func TestBatchCanBeSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.add(b.campaign, leads(0, 3)...)
	old := slices.Clone(batch.Leads)
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Live, batch))
	for i, l := range batch.Leads {
		if !l.Duplicate || l.ID != old[i].ID {
			t.Errorf("sent again: %+v, was %+v", l, old[i])
		}
	}
	batch.Campaign = b.newCampaign(b.tenant, saaf.Live)
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Live, batch))
	for i, l := range batch.Leads {
		if l.Duplicate || l.ID <= old[2].ID {
			t.Errorf("in another campaign: %+v, was %+v", l, old[i])
		}
	}
}

// Many callers push the same numbers: every number is stored once, one caller is
// told so, and all others get the id of that lead.
func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const callers, numbers = 16, 60
	results := make([]*LeadBatch, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			size := []int{1, 5, 20, numbers}[c%4]
			r := rand.New(rand.NewPCG(1, uint64(c)))
			batch := &LeadBatch{Campaign: b.campaign}
			for _, n := range r.Perm(numbers)[:size] {
				batch.Leads = append(batch.Leads, NewLead{Phone: phone(n)})
			}
			if err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch); err != nil {
				t.Error(err)
			}
			results[c] = batch
		})
	}
	wg.Wait()
	stored := map[saaf.Phone]saaf.LeadID{}
	for _, l := range b.all(b.campaign) {
		if stored[l.Phone] != 0 {
			t.Errorf("%s is stored twice", l.Phone.National())
		}
		stored[l.Phone] = l.ID
	}
	added := 0
	for _, batch := range results {
		for _, l := range batch.Leads {
			if l.ID != stored[l.Phone] {
				t.Errorf("%s: told id %v, stored is %v", l.Phone.National(), l.ID, stored[l.Phone])
			}
			if !l.Duplicate {
				added++
			}
		}
	}
	if len(stored) != numbers || added != numbers {
		t.Errorf("%d stored, %d acknowledged as new; want %d", len(stored), added, numbers)
	}
	b.checkCounts(b.campaign)
}

// Whoever has read the newest lead has missed none: what is committed later has
// a larger id. Cursors and exports rest on it.
func TestIDsGrowInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const callers, batches, size = 6, 12, 15
	type seen struct{ leads, newest int64 }
	var looks []seen
	look := func() {
		var s seen
		b.must(b.read(t.Context(), func(conn session) error {
			return conn.query(`SELECT count(*), coalesce(max(id), 0) FROM leads`, func(r row) error {
				s.leads, s.newest = r.int64(), r.int64()
				return nil
			})
		}))
		looks = append(looks, s)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			last := saaf.LeadID(0)
			for i := range batches {
				n := (c*batches + i) * size
				batch := &LeadBatch{Campaign: b.campaign, Leads: leads(n, n+1+i%size)}
				if err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch); err != nil {
					t.Error(err)
				}
				for _, l := range batch.Leads {
					if l.ID <= last {
						t.Errorf("id %d after %d", l.ID, last)
					}
					last = l.ID
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		look()
	}
	for _, s := range looks {
		if n := b.number(`SELECT count(*) FROM leads WHERE id <= $1`, s.newest); n != s.leads {
			t.Errorf("at one moment there were %d leads up to id %d, in the end %d", s.leads, s.newest, n)
		}
	}
	if looks[0].leads == looks[len(looks)-1].leads {
		t.Error("looked only when all was over")
	}
}

// Refresh has the last word about the verdict, and what it says is what is
// stored and counted.
func TestRefreshDecides(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.activate(20_000)
	batch := &LeadBatch{Campaign: b.campaign, Leads: leads(0, 12)}
	for i := range batch.Leads {
		batch.Leads[i].Verdict = verdict(saaf.NotRegistered, snap)
	}
	batch.Refresh = func(leads []NewLead) {
		for i := range leads {
			leads[i].Verdict = verdict([]saaf.VerdictReason{saaf.FullBlock, saaf.RegistryStale, saaf.NotRegistered}[i%3], snap)
		}
	}
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Live, batch))
	for i, l := range b.all(b.campaign) {
		b.equal("verdict", batch.Leads[i].Verdict, l.Verdict)
		if l.Status != batch.Leads[i].Status() {
			t.Errorf("lead %d is %s", i, l.Status)
		}
	}
	c, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
	b.must(err)
	b.equal("counts", saaf.LeadCounts{saaf.LeadPending: 8, saaf.LeadDND: 4}, c.Leads)
	b.checkCounts(b.campaign)
}

// A batch that is stored is never answered with an error because its duplicates
// could not be looked up: whoever got one would think that nothing was stored.
func TestStoredBatchIsNotAnErrorWhenReadsFail(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		b.add(b.campaign, leads(0, 1)...)
		var busy []*sqlite.Conn
		for range b.cfg.Readers {
			raw, err := b.embedded().readers.Take(t.Context())
			b.must(err)
			busy = append(busy, raw)
		}
		batch := b.add(b.campaign, leads(0, 2)...)
		for _, raw := range busy {
			b.embedded().readers.Put(raw)
		}
		if l := batch.Leads[0]; !l.Duplicate || l.ID != 0 {
			t.Errorf("the duplicate: %+v; want no id", l)
		}
		if l := batch.Leads[1]; l.Duplicate || l.ID == 0 {
			t.Errorf("the new lead: %+v", l)
		}
		if n := len(b.all(b.campaign)); n != 2 {
			t.Errorf("%d leads; want 2", n)
		}
	})
}

// A text that the database cannot hold is kept as it is, or its batch is refused with a
// sentence. The others of the transaction are stored.
func TestTextsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		release := b.block()
		texts := []string{"\xff", "good", "a\x00b", "अ", "\xe0\xa4"}
		var answers []<-chan error
		for n, text := range texts {
			_, answer := b.push(t.Context(), NewLead{Phone: phone(n), Input: saaf.LeadInput{Name: &text}}, NewLead{Phone: phone(n + 100)})
			answers = append(answers, answer)
			b.waiting(n + 1)
		}
		release()
		want := map[saaf.Phone]string{}
		for n, text := range texts {
			err := <-answers[n]
			bad := !utf8.ValidString(text) || strings.Contains(text, "\x00")
			if bad && b.engine.shared() {
				if saaf.ErrorCode(err) != saaf.Invalid {
					t.Errorf("%q: %v; want Invalid", text, err)
				}
				continue
			}
			b.must(err)
			want[phone(n)] = text
		}
		got := map[saaf.Phone]string{}
		for _, l := range b.all(b.campaign) {
			if l.Name != nil {
				got[l.Phone] = *l.Name
			}
		}
		b.equal("names", want, got)
		b.checkCounts(b.campaign)

		// So it is wherever somebody chooses a text.
		for what, write := range map[string]func(text string) error{
			"tenant": func(text string) error { _, err := b.CreateTenant(t.Context(), text); return err },
			"campaign": func(text string) error {
				_, err := b.CreateCampaign(t.Context(), b.tenant, saaf.Live, settings(text))
				return err
			},
			"new name": func(text string) error {
				_, err := b.UpdateCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, func(c *saaf.Campaign) error { c.Name = text; return nil })
				return err
			},
			"filter": func(text string) error {
				_, err := b.Leads(t.Context(), b.tenant, b.campaign, LeadFilter{ExternalID: &text}, 0, 9)
				return err
			},
		} {
			if err := write("not \xff UTF-8"); b.engine.shared() && saaf.ErrorCode(err) != saaf.Invalid || !b.engine.shared() && err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		b.must(b.Barrier(t.Context())) // the writers are as they were
	})
}
