package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/phoneblock"
)

// twins are two stores that are told the same: one keeps phones by blocks, the other by
// an index.
type twins struct {
	t      *testing.T
	r      *rand.Rand
	stores [2]*bundle
	order  [2][]saaf.LeadID // of all leads, as they came
	names  [2]map[saaf.LeadID]int
}

// TestBlocksAgainstIndex does random things to both stores. Every answer, every list and
// every filter must be the same, whatever fails in between.
func TestBlocksAgainstIndex(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("SAAF_LONG") != "" {
		rounds = 40
	}
	for seed := range uint64(rounds) {
		w := &twins{t: t, r: rand.New(rand.NewPCG(seed, 7))}
		at := checkedAt
		now := func() time.Time { return at }
		for i, how := range []Uniqueness{ByBlocks, ByIndex} {
			w.names[i] = map[saaf.LeadID]int{}
			memory := int64(1) // every roster is dropped when nobody needs it
			if seed%3 == 2 {
				memory = 1 << 40
			}
			b := setupWith(t, Config{Uniqueness: how, PhoneMemory: memory, now: now})
			b.newCampaign(b.tenant, saaf.Live)
			w.stores[i] = b
		}
		snap := [2]saaf.SnapshotRef{w.stores[0].activate(20_000), w.stores[1].activate(20_000)}
		for step := range 40 {
			at = at.Add(time.Duration(w.r.IntN(5000)) * time.Millisecond)
			switch w.r.IntN(10) {
			case 0:
				w.fail()
			case 1:
				w.erase()
			case 2, 3:
				w.judge(snap, at)
			case 4:
				w.fill()
			default:
				w.push(snap, at, 1+w.r.IntN(500))
			}
			if step == 20 && rounds > 1 {
				w.compare(at)
			}
		}
		for i, b := range w.stores {
			w.stores[i] = b.reopen()
		}
		w.compare(at)
		var faults []BlockFault
		faults, ok, err := w.stores[0].VerifyBlocks(t.Context(), w.stores[0].campaign)
		if err != nil || !ok || len(faults) > 0 || len(w.order[0]) < 2000 {
			t.Errorf("%d leads: %+v, %v, %v", len(w.order[0]), faults, ok, err)
		}
	}
}

func (w *twins) somePhone() saaf.Phone { return phone(w.r.IntN(12_000)) }

// batch is the same leads for both.
func (w *twins) batch(snap [2]saaf.SnapshotRef, at time.Time, n int) (lists [2][]NewLead) {
	for range n {
		l := NewLead{Phone: w.somePhone(), Verdict: saaf.Verdict{Reason: saaf.VerdictReason(w.r.IntN(6))}}
		if w.r.IntN(10) > 0 { // rare ones are what filters look for
			l.Verdict.Reason = saaf.NotRegistered
		}
		if w.r.IntN(50) == 0 {
			l.Input.ExternalID = new(fmt.Sprintf("crm-%d", w.r.IntN(40)))
		}
		founded := w.r.IntN(30) > 0
		for i := range lists {
			l.Verdict.Snapshot = saaf.SnapshotRef{}
			if l.Verdict.Reason.Checked() {
				l.Verdict.CheckedAt = at.Add(-time.Hour)
				if founded {
					l.Verdict.Snapshot = snap[i]
				}
			}
			lists[i] = append(lists[i], l)
		}
	}
	return lists
}

func (w *twins) push(snap [2]saaf.SnapshotRef, at time.Time, n int) {
	w.t.Helper()
	var said [2][]string
	for i, list := range w.batch(snap, at, n) {
		b := w.stores[i]
		for _, l := range b.add(b.campaign, list...).Leads {
			if !l.Duplicate {
				w.names[i][l.ID] = len(w.order[i])
				w.order[i] = append(w.order[i], l.ID)
			}
			said[i] = append(said[i], fmt.Sprintf("%v %v %d", l.Phone, l.Duplicate, w.names[i][l.ID]))
		}
	}
	w.same("answers", said)
}

// fail pushes leads in a transaction that is undone.
func (w *twins) fail() {
	w.t.Helper()
	broken := errors.New("planted")
	for i, list := range w.batch([2]saaf.SnapshotRef{}, time.Time{}, 300) {
		b := w.stores[i]
		for k := range list {
			list[k].Verdict = saaf.Verdict{}
		}
		err := b.write(b.ctx, everything, 0, func(x *tx) error {
			if err := x.addLeads(b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: list}); err != nil && !errors.Is(err, errCold) {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			w.t.Fatal(err)
		}
	}
}

// fill lets the disk be full for a push.
func (w *twins) fill() {
	w.t.Helper()
	for i, list := range w.batch([2]saaf.SnapshotRef{}, time.Time{}, 500) {
		b := w.stores[i]
		for k := range list {
			list[k].Phone = phone(50_000 + w.r.IntN(40_000))
			list[k].Verdict = saaf.Verdict{}
			list[k].Input.Metadata = []byte(`{"note":"` + strings.Repeat("x", 300) + `"}`)
		}
		b.fill(3)
		err := b.AddLeads(b.ctx, b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: list})
		if !isUnavailable(err, "storage_unavailable") {
			w.t.Fatalf("a full disk: %v", err)
		}
		b.fill(0)
	}
}

func (w *twins) erase() {
	w.t.Helper()
	p := w.somePhone()
	var said [2][]string
	for i, b := range w.stores {
		e, err := b.Erase(b.ctx, b.tenant, saaf.Live, p, saaf.By{}, "asked for")
		b.must(err)
		said[i] = append(said[i], fmt.Sprint(e.Leads))
	}
	w.same("erasures", said)
}

// judge gives some leads other findings, as a sweep and as a renewal.
func (w *twins) judge(snap [2]saaf.SnapshotRef, at time.Time) {
	w.t.Helper()
	if len(w.order[0]) == 0 {
		return
	}
	from, n := w.r.IntN(len(w.order[0])), 1+w.r.IntN(400)
	reasons := make([]saaf.VerdictReason, n)
	for k := range reasons {
		reasons[k] = []saaf.VerdictReason{saaf.NotRegistered, saaf.FullBlock, saaf.PartialBlock}[w.r.IntN(3)]
	}
	renew := w.r.IntN(2) == 0
	var said [2][]string
	for i, b := range w.stores {
		page, err := b.UnfinishedLeads(b.ctx, b.campaign, w.order[i][from]-1, n)
		b.must(err)
		var list []Recheck
		for k, l := range page {
			v := verdict(reasons[k], snap[i])
			v.CheckedAt = at
			list = append(list, Recheck{Lead: l, Verdict: v})
		}
		var changed int
		if renew {
			for k := range list {
				list[k].Verdict.Reason = list[k].Lead.Reason
			}
			changed, err = b.RenewLeads(b.ctx, Lease{}, b.campaign, "test", list)
		} else {
			changed, _, err = b.ApplyRechecks(b.ctx, Lease{}, b.campaign, "test", list)
		}
		b.must(err)
		said[i] = append(said[i], fmt.Sprint(len(page), changed))
	}
	w.same("re-checks", said)
}

func (w *twins) same(what string, said [2][]string) {
	w.t.Helper()
	w.stores[0].equal(what, said[1], said[0])
}

// compare reads both in every way there is.
func (w *twins) compare(at time.Time) {
	w.t.Helper()
	options := append(filterOptions(at.Add(-time.Minute)), filterOption{set: func(*LeadFilter) {}})
	for n := range 8 {
		id := fmt.Sprintf("crm-%d", n)
		options = append(options, filterOption{set: func(f *LeadFilter) { f.ExternalID = &id }})
	}
	for k, one := range options {
		for _, two := range options[k:min(k+2, len(options))] {
			for _, since := range []time.Time{{}, at.Add(-time.Hour - 30*time.Second)} {
				var f LeadFilter
				one.set(&f)
				two.set(&f)
				f.Backing = saaf.Backing{Answers: true, Snapshot: k%2 == 0, Since: since}
				w.list(f)
			}
		}
	}
	for _, since := range []time.Time{at.Add(-2 * time.Hour), at.Add(-time.Hour - 30*time.Second), at, at.Add(time.Hour)} {
		var said [2][]string
		for i, b := range w.stores {
			for _, unfounded := range []bool{true, false} {
				aged := Aged{Clean: since, Blocked: since.Add(-time.Minute), Unfounded: unfounded}
				said[i] = append(said[i], w.walk(i, func(above saaf.LeadID) ([]UnfinishedLead, error) {
					return b.AgedLeads(b.ctx, b.campaign, aged, above, 37)
				})...)
				n, err := b.CountAged(b.ctx, b.tenant, b.campaign, saaf.Backing{Snapshot: unfounded, Since: since})
				b.must(err)
				said[i] = append(said[i], fmt.Sprint(n))
			}
		}
		w.same("aged leads", said)
	}
	var said [2][]string
	for i, b := range w.stores {
		for name, read := range map[string]func(above saaf.LeadID) ([]UnfinishedLead, error){
			"unfinished": func(above saaf.LeadID) ([]UnfinishedLead, error) {
				return b.UnfinishedLeads(b.ctx, b.campaign, above, 37)
			},
			"unchecked": func(above saaf.LeadID) ([]UnfinishedLead, error) {
				return b.UncheckedLeads(b.ctx, b.campaign, above, 37)
			},
			"held": func(above saaf.LeadID) ([]UnfinishedLead, error) {
				return b.HeldLeads(b.ctx, b.tenant, b.campaign, above, 37)
			},
		} {
			said[i] = append(said[i], name+strings.Join(w.walk(i, read), "; "))
		}
		slices.Sort(said[i])
		var phones []saaf.Phone
		for n := range 300 {
			phones = append(phones, phone(n*41))
		}
		found, err := b.UnfinishedByPhone(b.ctx, b.campaign, phones)
		b.must(err)
		said[i] = append(said[i], w.named(i, found)...)
		b.checkCounts(b.campaign)
	}
	w.same("walks", said)
}

func (w *twins) list(f LeadFilter) {
	w.t.Helper()
	var said [2][]string
	for i, b := range w.stores {
		below := saaf.Cursor(0)
		for range 2 {
			page, err := b.Leads(b.ctx, b.tenant, b.campaign, f, below, 60)
			b.must(err)
			for _, l := range page {
				said[i] = append(said[i], fmt.Sprintf("%d %v %v %v %v", w.names[i][l.ID], l.Phone, l.Status, l.Verdict.Reason, l.Verdict.CheckedAt))
			}
			if len(page) < 60 {
				break
			}
			below = saaf.Cursor(page[59].ID)
		}
	}
	w.same(fmt.Sprintf("list %+v", f), said)
}

func (w *twins) walk(i int, read func(above saaf.LeadID) ([]UnfinishedLead, error)) (list []string) {
	w.t.Helper()
	above := saaf.LeadID(0)
	for {
		page, err := read(above)
		w.stores[i].must(err)
		list = append(list, w.named(i, page)...)
		if len(page) < 37 {
			return list
		}
		above = page[36].ID
	}
}

func (w *twins) named(i int, page []UnfinishedLead) (list []string) {
	for _, l := range page {
		list = append(list, fmt.Sprintf("%d %v %v %v", w.names[i][l.ID], l.Phone, l.Status, l.Reason))
	}
	return list
}

// A store goes from one way to the other and back, and is the same.
func TestUniquenessIsSwitched(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{Uniqueness: ByIndex})
	snap := b.activate(20_000)
	for _, c := range []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live)} {
		for n := range 3 {
			list := leads(n*300, n*300+400)
			for i := range list {
				list[i].Verdict = verdict(saaf.VerdictReason(i%6), snap)
				if i%3 == 0 {
					list[i].Input.ExternalID = new(fmt.Sprintf("crm-%d", i))
				}
			}
			b.add(c, list...)
		}
	}
	want := b.all(b.campaign)
	for _, how := range []Uniqueness{ByBlocks, AsItIs, ByIndex, AsItIs, ByBlocks} {
		b.cfg.Uniqueness = how
		b = b.reopen()
		b.equal(string(how), want, b.all(b.campaign))
		if how == AsItIs {
			continue
		}
		if packed := b.number(`SELECT packed FROM deployment`) == 1; packed != (how == ByBlocks) {
			t.Fatalf("%s: packed is %v", how, packed)
		}
		if n := b.number(`SELECT count(*) FROM sqlite_schema WHERE name LIKE 'leads_%'`); (n == 3) != (how == ByIndex) || n != 0 && n != 3 {
			t.Errorf("%s: %d indexes", how, n)
		}
		if n := b.number(`SELECT count(*) FROM lead_blocks`); (n > 0) != (how == ByBlocks) {
			t.Errorf("%s: %d blocks", how, n)
		}
		if l := b.add(b.campaign, leads(17, 18)...).Leads[0]; !l.Duplicate || l.ID != want[17].ID {
			t.Errorf("%s: %+v", how, l)
		}
	}
}

// loads counts the loads of rosters and lets them wait.
func (b *bundle) loads(wait func(saaf.CampaignID)) (count func() int) {
	var mu sync.Mutex
	n := 0
	rosters := b.embedded().rosters
	load := rosters.load
	rosters.load = func(ctx context.Context, c saaf.CampaignID) (*phoneblock.Table, int64, error) {
		table, seq, err := load(ctx, c)
		mu.Lock()
		n++
		mu.Unlock()
		wait(c)
		return table, seq, err
	}
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// While the phones of a campaign are read, pushes to it wait, only so many, and those
// to other campaigns do not. A lead that is erased meanwhile is new again.
func TestPushesWaitForTheirRoster(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{true, false} {
		t.Run(fmt.Sprintf("server=%v", server), func(t *testing.T) {
			t.Parallel()
			testPushesWaitForTheirRoster(t, server)
		})
	}
}

func testPushesWaitForTheirRoster(t *testing.T, server bool) {
	b := setupWith(t, Config{QueueLeads: 100})
	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(b.campaign, leads(0, 40)...)
	if server { // and no other process adds leads
		lock, err := LockServe(b.dir)
		b.must(err)
		defer func() { b.must(lock.Release()) }()
	}
	b = b.reopen()
	reading, read := make(chan bool), make(chan bool)
	first := true
	count := b.loads(func(c saaf.CampaignID) {
		if c == b.campaign && first {
			first = false
			reading <- true
			<-read
		}
	})
	var answers []<-chan error
	var batches []*LeadBatch
	push := func(list []NewLead) {
		batch, answer := b.push(t.Context(), list...)
		answers, batches = append(answers, answer), append(batches, batch)
	}
	push(leads(0, 8))
	<-reading
	push(leads(0, 90)) // waits, and is all that may
	eventually(t, "the second waits", func() bool { return b.parked(b.campaign) == 90 })
	_, tooMany := b.push(t.Context(), leads(0, 20)...)
	if err := <-tooMany; !isUnavailable(err, "overloaded") {
		t.Errorf("one too many: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	_, left := b.push(gone, leads(0, 10)...)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) && !isUnavailable(err, "overloaded") {
		t.Errorf("a caller that went away: %v", err)
	}
	b.add(other, leads(0, 3)...) // is not kept waiting
	_, err := b.Erase(t.Context(), b.tenant, saaf.Live, phone(7), saaf.By{}, "asked for")
	b.must(err)
	read <- true
	for _, answer := range answers {
		b.must(<-answer)
	}
	added := 0
	for _, batch := range batches {
		for _, l := range batch.Leads {
			if !l.Duplicate {
				added++
			}
		}
	}
	if n := b.number(`SELECT count(*) FROM leads WHERE campaign_id = $1`, b.campaign); added != 51 || n != 90 {
		t.Errorf("%d added, %d there; want 50 new ones and the one that was erased", added, n)
	}
	if count() < 3 {
		t.Errorf("%d loads: the one that was overtaken was not done again", count())
	}
}

// parked is how many leads wait for a roster.
func (b *bundle) parked(c saaf.CampaignID) int {
	rs := b.embedded().rosters
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.of[c]; r != nil {
		return r.waiting
	}
	return 0
}

// The memory of phones is bounded, and what is dropped is read again.
func TestPhoneMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{PhoneMemory: 40_000})
	var campaigns []saaf.CampaignID
	for range 12 {
		c := b.newCampaign(b.tenant, saaf.Live)
		campaigns = append(campaigns, c)
		b.add(c, leads(0, 500)...)
		if n, bytes := b.embedded().rosters.memory(); bytes > 40_000 || n == 0 {
			t.Errorf("%d campaigns take %d bytes", n, bytes)
		}
	}
	for _, c := range campaigns {
		for _, l := range b.add(c, leads(400, 501)...).Leads {
			if l.Duplicate != (l.Phone < phone(500)) || l.ID == 0 {
				t.Fatalf("%+v", l)
			}
		}
	}
}

// A phone that is there twice makes its campaign refuse leads, and no other one.
func TestPhoneThatIsThereTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tampered = true
	other := b.newCampaign(b.tenant, saaf.Live)
	ids := b.add(b.campaign, leads(0, 400)...).Leads
	b.stop()
	conn := b.connect()
	_, blk, err := conn.lastBlock(b.campaign)
	b.must(err)
	blk = blk.Clone()
	e, _ := blk.ByID(ids[399].ID)
	blk.Remove(e)
	b.must(writeBlock(conn, b.campaign, 3, &blk, true))
	one, err := conn.block(b.campaign, 1)
	b.must(err)
	again := phoneblock.Block{}
	for _, e := range one.Entries(nil)[:1] {
		again.Append(phoneblock.Addition{ID: ids[399].ID, Phone: e.Phone})
	}
	b.must(writeBlock(conn, b.campaign, 4, &again, true))
	b = b.reopen()
	b.tampered = true
	for range 2 {
		err = b.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(900, 901)})
		if _, twice := errors.AsType[*phoneblock.TwiceError](err); !twice || saaf.ErrorCode(err) != saaf.Internal || !strings.Contains(err.Error(), "audit verify") {
			t.Errorf("AddLeads = %v", err)
		}
	}
	b.add(other, leads(0, 3)...)
	faults, _, err := b.VerifyBlocks(t.Context(), b.campaign)
	if err != nil || len(faults) < 2 {
		t.Errorf("faults: %+v, %v", faults, err)
	}
}
