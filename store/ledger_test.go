package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
)

// anyOrder compares copies of the lists, whose entries for one number stand in no
// order.
var anyOrder = []cmp.Option{
	cmp.AllowUnexported(suppressionIndex{}, listedPhone{}, listing{}), cmpopts.EquateEmpty(),
	cmpopts.SortSlices(func(a, b listing) bool { return a.id < b.id }),
}

// chain reads the whole ledger and checks that it is one chain for each writer. The
// embedded store has one writer.
func (b *bundle) chain() (list []saaf.EntryRow) {
	b.t.Helper()
	heads := map[int64]saaf.EntryRow{}
	for {
		after := saaf.EntryID(0)
		if n := len(list); n > 0 {
			after = list[n-1].ID
		}
		page, err := b.LedgerAfter(b.ctx, after)
		b.must(err)
		if len(page) == 0 {
			return list
		}
		for _, e := range page {
			if !b.engine.shared() && e.Writer != embeddedWriter {
				b.t.Errorf("entry %s is of the chain %d", e.ID, e.Writer)
			}
			before := heads[e.Writer]
			if err := e.Check(b.Deployment(), before.Hash); err != nil {
				b.t.Errorf("entry %s: %v", e.ID, err)
			}
			if e.Seq != before.Seq+1 || e.ID <= before.ID || e.ID <= after {
				b.t.Errorf("entry %s is the %d. of its chain and says %d", e.ID, before.Seq+1, e.Seq)
			}
			list = append(list, e)
			heads[e.Writer], after = e, e.ID
		}
	}
}

// checkIndex compares the writer's copy of the opt-out lists with the lists, once
// it was asked for.
func (b *bundle) checkIndex() {
	b.t.Helper()
	var want suppressionIndex
	var got suppressionIndex
	b.must(b.write(b.ctx, everything, 0, func(x *tx) error {
		index, err := x.suppressed()
		if err != nil {
			return err
		}
		got.seq, got.global, got.lists = index.seq, index.global, maps.Clone(index.lists)
		err = x.conn.query(`SELECT suppression_seq FROM deployment`, func(r row) error { want.seq = r.int64(); return nil })
		if err != nil {
			return err
		}
		return x.conn.query(`SELECT `+suppressionColumns+` WHERE ended_at IS NULL ORDER BY id`, func(r row) error {
			want.apply(new(scanSuppression(r)))
			return nil
		})
	}))
	b.equal("the writer's copy of the lists", want, got, anyOrder...)
}

// headOf reads the head of an entry.
func (b *bundle) headOf(e *saaf.EntryRow) saaf.EntryHead {
	b.t.Helper()
	head, err := e.ParseHead()
	b.must(err)
	return head
}

// newEntries are those behind the first n of the chain.
func (b *bundle) newEntries(n int) []saaf.EntryRow {
	b.t.Helper()
	return b.chain()[n:]
}

var asha = saaf.By{Request: "req_1", Actor: "key_asha"}

// write is one call of the store and what it must leave in the ledger.
type ledgerWrite struct {
	name string
	do   func(b *bundle) error
	want []saaf.EntryHead
}

// everyWrite is every kind of write, in an order in which all succeed.
func everyWrite(b *bundle) []ledgerWrite {
	snap := b.activate(20_000)
	key := newKey(b.tenant, 1)
	key.By = asha
	var made saaf.Key
	var listed, expiring saaf.SuppressionID
	entry := func(stage saaf.Stage, change func(*saaf.EntryHead)) saaf.EntryHead {
		h := saaf.EntryHead{Tenant: b.tenant, Environment: saaf.Live, Stage: stage, Requests: []saaf.EntryRequest{{Request: asha.Request, Actor: asha.Actor}}}
		change(&h)
		return h
	}
	// decisions is an entry about leads of the campaign.
	decisions := func(stage saaf.Stage, n int, source string, by saaf.By, reason string) saaf.EntryHead {
		return entry(stage, func(h *saaf.EntryHead) {
			h.Campaign, h.Source, h.Decisions = b.campaign, source, n
			h.Requests = []saaf.EntryRequest{{Request: by.Request, Actor: by.Actor, Decisions: n, Reason: reason}}
		})
	}
	resting := func(h saaf.EntryHead) saaf.EntryHead {
		h.Snapshot = &saaf.EntrySnapshot{ID: snap.ID, EffectiveDate: snap.EffectiveDate, SHA256: saaf.SHA256{}}
		return h
	}
	fact := func(stage saaf.Stage, by saaf.By, reason string, fact map[string]any) saaf.EntryHead {
		return entry(stage, func(h *saaf.EntryHead) {
			h.Requests, h.Fact = []saaf.EntryRequest{{Request: by.Request, Actor: by.Actor, Reason: reason}}, fact
		})
	}
	deployment := func(h saaf.EntryHead) saaf.EntryHead { h.Tenant = 0; return h }
	ofBoth := func(h saaf.EntryHead) saaf.EntryHead { h.Environment = ""; return deployment(h) }
	find := func(reason saaf.VerdictReason) Finder {
		return func(phones []saaf.Phone) []saaf.Verdict {
			return slices.Repeat([]saaf.Verdict{verdict(reason, snap)}, len(phones))
		}
	}
	suppressed := func(b *bundle, n NewSuppression, id *saaf.SuppressionID) error {
		list, err := b.Suppress(b.ctx, b.tenant, saaf.Live, []NewSuppression{n}, asha)
		if err == nil {
			*id = list[0].ID
		}
		return err
	}
	return []ledgerWrite{
		{"tenant", func(b *bundle) error { _, err := b.CreateTenant(b.ctx, "Another"); return err }, nil},
		{"campaign", func(b *bundle) error { b.newCampaign(b.tenant, saaf.Test); return nil }, nil},
		{"key", func(b *bundle) (err error) { made, err = b.CreateKey(b.ctx, key); return err },
			[]saaf.EntryHead{fact(saaf.StageKey, asha, "", map[string]any{"what": "made"})}},
		{"revoked", func(b *bundle) error { _, _, err := b.RevokeKey(b.ctx, made.ID, asha); return err },
			[]saaf.EntryHead{fact(saaf.StageKey, asha, "", map[string]any{"what": "revoked"})}},
		{"revoked again", func(b *bundle) error { _, _, err := b.RevokeKey(b.ctx, made.ID, asha); return err }, nil},
		{"leads", func(b *bundle) error {
			batch := &LeadBatch{Campaign: b.campaign, Leads: leads(0, 4), By: asha, Source: saaf.SourceFile}
			batch.Leads[1].Verdict, batch.Leads[3].Verdict = verdict(saaf.NotRegistered, snap), verdict(saaf.FullBlock, snap)
			return b.AddLeads(b.ctx, b.tenant, saaf.Live, batch)
		}, []saaf.EntryHead{
			decisions(saaf.StageIngest, 2, saaf.SourceFile, asha, ""), resting(decisions(saaf.StageIngest, 2, saaf.SourceFile, asha, "")),
		}},
		{"duplicates", func(b *bundle) error {
			return b.AddLeads(b.ctx, b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(0, 4), By: asha})
		}, nil},
		{"re-check that finds nothing new", func(b *bundle) error {
			l := b.unfinished(b.campaign)[1]
			_, _, err := b.ApplyRechecks(b.ctx, Lease{}, b.campaign, "outside", []Recheck{{l, verdict(saaf.NotRegistered, snap)}})
			return err
		}, nil},
		{"re-check", func(b *bundle) error {
			l := b.unfinished(b.campaign)[0]
			_, _, err := b.ApplyRechecks(b.ctx, Lease{}, b.campaign, "outside", []Recheck{{l, verdict(saaf.PartialBlock, snap)}})
			return err
		}, []saaf.EntryHead{resting(decisions(saaf.StageRescrub, 1, "outside", saaf.System, ""))}},
		{"suppression", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.TenantScope, Phone: phone(1), Reason: "asked, from 98765 43210", Source: "a call"}, &listed)
		}, []saaf.EntryHead{
			fact(saaf.StageSuppression, asha, "asked, from xxxxx x3210", map[string]any{"what": "made", "scope": "tenant", "source": "a call"}),
			decisions(saaf.StageRescrub, 1, "", asha, "asked, from xxxxx x3210"),
		}},
		{"suppression again", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.TenantScope, Phone: phone(1)}, &listed)
		}, nil},
		{"suppression for a time", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.CampaignScope, Campaign: b.campaign, Phone: phone(99), Expires: checkedAt}, &expiring)
		}, []saaf.EntryHead{fact(saaf.StageSuppression, asha, "", map[string]any{"what": "made", "scope": "campaign"})}},
		{"suppression for longer", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.CampaignScope, Campaign: b.campaign, Phone: phone(99), Expires: checkedAt.Add(1), Reason: "again"}, &expiring)
		}, nil},
		{"suppression for much longer", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.CampaignScope, Campaign: b.campaign, Phone: phone(99), Expires: checkedAt.Add(time.Hour), Reason: "again"}, &expiring)
		}, []saaf.EntryHead{fact(saaf.StageSuppression, asha, "again", map[string]any{"what": "prolonged"})}},
		{"suppression of the deployment", func(b *bundle) error {
			return suppressed(b, NewSuppression{Scope: saaf.DeploymentScope, Phone: phone(50)}, new(saaf.SuppressionID))
		}, []saaf.EntryHead{deployment(fact(saaf.StageSuppression, asha, "", map[string]any{"what": "made", "scope": "all"}))}},
		{"lift", func(b *bundle) error {
			_, err := b.Lift(b.ctx, b.tenant, listed, saaf.SourceFile, asha, "a mistake of 9876543210", find(saaf.NotRegistered))
			return err
		}, []saaf.EntryHead{
			fact(saaf.StageSuppression, asha, "a mistake of xxxxxx3210", map[string]any{"what": "lifted"}),
			resting(decisions(saaf.StageRescrub, 1, saaf.SourceFile, asha, "a mistake of xxxxxx3210")),
		}},
		{"expiry", func(b *bundle) error {
			_, err := b.ExpireSuppressions(b.ctx, Lease{}, checkedAt.Add(time.Hour), 10, saaf.SourceFile, find(saaf.NotRegistered))
			return err
		}, []saaf.EntryHead{fact(saaf.StageSuppression, saaf.System, "expired", map[string]any{"what": "expired"})}},
		{"release", func(b *bundle) error {
			held, err := b.HeldLeads(b.ctx, b.tenant, b.campaign, 0, 9)
			b.must(err)
			_, err = b.ReleaseLeads(b.ctx, b.tenant, saaf.Live, b.campaign, []saaf.LeadID{held[0].ID}, saaf.SourceFile, asha, "consent", find(saaf.NotRegistered))
			return err
		}, []saaf.EntryHead{resting(decisions(saaf.StageManual, 1, saaf.SourceFile, asha, "consent"))}},
		{"checks", func(b *bundle) error {
			return b.RecordChecks(b.ctx, b.tenant, saaf.Live, "outside", asha, []Checked{{phone(7), verdict(saaf.NotRegistered, snap)}, {phone(8), verdict(saaf.FullBlock, snap)}})
		}, []saaf.EntryHead{resting(entry(saaf.StageManual, func(h *saaf.EntryHead) {
			h.Source, h.Decisions, h.Requests[0].Decisions = "outside", 2, 2
		}))}},
		{"no checks", func(b *bundle) error { return b.RecordChecks(b.ctx, b.tenant, saaf.Live, "outside", asha, nil) }, nil},
		{"refusal", func(b *bundle) error { return b.RecordRefusal(b.ctx, Lease{}, asha, map[string]any{"rule": "too_few"}) },
			[]saaf.EntryHead{ofBoth(fact(saaf.StageRefusal, asha, "", map[string]any{"rule": "too_few"}))}},
		{"import", func(b *bundle) error {
			given := everyField(3)
			_, _, err := b.ActivateSnapshot(b.ctx, given, snap.ID, Cause{By: asha})
			return err
		}, []saaf.EntryHead{ofBoth(fact(saaf.StageRegistry, asha, "the operator's\nreason, told by xx xxxx3210", map[string]any{"activation": 2.0, "mode": "delta"}))}},
		{"roll-back", func(b *bundle) error {
			reg, err := b.Registry(b.ctx)
			b.must(err)
			_, _, err = b.RollBack(b.ctx, reg.Active.ID, snap.ID, asha, "it was the wrong file, says 9876543210")
			return err
		}, []saaf.EntryHead{ofBoth(fact(saaf.StageRegistry, asha, "it was the wrong file, says xxxxxx3210", map[string]any{"activation": 3.0, "rolled_back": true}))}},
		{"erasure", func(b *bundle) error {
			_, err := b.Erase(b.ctx, b.tenant, saaf.Live, phone(2), asha, "asked")
			return err
		},
			append(apart(b, entry(saaf.StageErasure, func(h *saaf.EntryHead) {
				h.Campaign, h.Requests[0].Reason, h.Fact = b.campaign, "asked", map[string]any{"leads": 1.0}
			})), fact(saaf.StageErasure, asha, "asked", map[string]any{"leads": 1.0, "suppressions": 0.0}))},
		{"checkpoint", func(b *bundle) error { _, err := b.Checkpoint(b.ctx); return err }, nil},
		{"sweep", func(b *bundle) error { return b.SweepProgress(b.ctx, Lease{}, saaf.Sweep{Activation: 3, Done: 1}) }, nil},
		{"confirm", func(b *bundle) error { return b.ConfirmSnapshot(b.ctx, Lease{}, 3) }, nil},
		{"deletion", func(b *bundle) error { return b.DeleteCampaign(b.ctx, b.tenant, saaf.Live, b.campaign, asha) },
			[]saaf.EntryHead{entry(saaf.StageDeletion, func(h *saaf.EntryHead) { h.Campaign, h.Fact = b.campaign, map[string]any{"leads": 3.0} })}},
	}
}

// apart is an entry of a campaign that only stores write whose transactions are of one
// campaign each.
func apart(b *bundle, h saaf.EntryHead) []saaf.EntryHead {
	if b.engine.shared() {
		return []saaf.EntryHead{h}
	}
	return nil
}

// Every kind of write leaves what it must in the ledger and nothing else, and no
// entry holds a phone.
// The ledger has the decisions about a lead in the order in which they were made, also
// those of one transaction, whatever they rest on.
func TestDecisionsOfOneTransactionAreInOrder(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		one, two := b.activate(20_000), b.activate(20_001)
		l := b.add(b.campaign, leads(0, 1)...).Leads[0]
		steps := []struct {
			by     saaf.SnapshotRef
			status saaf.LeadStatus
			reason saaf.VerdictReason
		}{{one, saaf.LeadDND, saaf.FullBlock}, {two, saaf.LeadPending, saaf.NotRegistered}, {one, saaf.LeadDND, saaf.PartialBlock}, {two, saaf.LeadDND, saaf.FullBlock}}
		release := b.block()
		commits := b.commits()
		was := UnfinishedLead{ID: l.ID, Phone: l.Phone}
		var answers []<-chan error
		for n, s := range steps {
			from := was
			answers = append(answers, b.later(1, func(x *tx) error {
				c := campaignRef{b.campaign, b.tenant, saaf.Live}
				m := &move{was: from, phone: x.judged(b.tenant, l.Phone), status: s.status, reason: s.reason, verdict: verdict(s.reason, s.by)}
				moved, err := x.move(c, []*move{m}, judging{stage: saaf.StageRescrub, source: saaf.SourceFile, by: saaf.System})
				if err == nil && moved != 1 {
					err = fmt.Errorf("step %d moved %d leads", n, moved)
				}
				return err
			}))
			was.Status, was.Reason = s.status, s.reason
			b.waiting(n + 1)
		}
		release()
		for _, answer := range answers {
			b.must(<-answer)
		}
		if !b.engine.shared() && b.commits()-commits > 2 {
			t.Fatalf("%d commits: the steps did not share one", b.commits()-commits)
		}
		stands, seen := saaf.RegistryUnavailable, 0
		list, err := b.LedgerAfter(b.ctx, 0)
		b.must(err)
		for _, e := range list {
			for d, err := range e.Decisions() {
				b.must(err)
				if d.Lead != l.ID || d.New {
					continue
				}
				if seen++; d.Had != stands {
					t.Errorf("decision %d goes on from %v, and the lead stood at %v", seen, d.Had, stands)
				}
				stands = d.Reason
			}
		}
		if seen != len(steps) {
			t.Errorf("%d decisions", seen)
		}
	})
}

func TestEveryWriteLeavesItsEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, w := range everyWrite(b) {
		n := len(b.chain())
		b.must(w.do(b))
		var got []saaf.EntryHead
		for _, e := range b.newEntries(n) {
			h := b.headOf(&e)
			if h.Writer != e.Writer || h.RuleVersion != saaf.RuleVersion || h.Deployment != b.Deployment() || time.Since(h.At) > time.Minute {
				t.Errorf("%s: %+v", w.name, h)
			}
			h.Version, h.Deployment, h.Entry, h.Writer, h.Seq, h.At, h.RuleVersion = 0, 0, 0, 0, 0, time.Time{}, 0
			if fact, ok := h.Fact.(map[string]any); ok && len(got) < len(w.want) {
				want, _ := w.want[len(got)].Fact.(map[string]any)
				maps.DeleteFunc(fact, func(member string, _ any) bool { return want[member] == nil })
			}
			got = append(got, h)
			if number.Match(e.Head) {
				t.Errorf("%s: a number in %s", w.name, e.Head)
			}
		}
		b.equal(w.name, w.want, got)
	}
}

// number is what could be a phone.
var number = regexp.MustCompile(`(^|[^0-9a-z])[6-9][0-9]{9}([^0-9a-z]|$)`)

// A job that is undone leaves nothing in the ledger; those of its group do.
func TestUndoneJobsLeaveNoEntries(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		boom := errors.New("boom")
		for name, job := range map[string]func(*tx) error{
			"leads": func(x *tx) error {
				return x.addLeads(b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(100, 120)})
			},
			"key": func(x *tx) error { _, err := x.createKey(newKey(b.tenant, 1)); return err },
			"suppression": func(x *tx) error {
				_, err := x.suppress(b.tenant, saaf.Live, &NewSuppression{Scope: saaf.TenantScope, Phone: phone(1)}, asha)
				return err
			},
			"fact": func(x *tx) error { return x.record(b.tenant, 0, saaf.Live, saaf.StageRefusal, asha, "", "fact") },
		} {
			n := len(b.chain())
			release := b.block()
			undone := b.later(1, func(x *tx) error { return errors.Join(job(x), boom) })
			b.waiting(1)
			_, kept := b.push(t.Context(), leads(n, n+1)...)
			b.waiting(2)
			release()
			if err := <-undone; !errors.Is(err, boom) {
				t.Errorf("%s: %v", name, err)
			}
			b.must(<-kept)
			if list := b.newEntries(n); len(list) != 1 || b.headOf(&list[0]).Stage != saaf.StageIngest || b.headOf(&list[0]).Decisions != 1 {
				t.Errorf("%s was undone: %d entries; want that of the lead beside it", name, len(list))
			}
		}
		if n := b.number(`SELECT count(*) FROM suppressions`); n != 0 {
			t.Errorf("%d suppressions", n)
		}
		b.checkIndex()
	})
}

// A group makes one entry for each campaign, stage and snapshot of it, with each
// request that had a part in it.
func TestGroupSharesEntries(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		snap := b.activate(20_000)
		other := b.newTenant("Other")
		campaigns := []saaf.CampaignID{b.campaign, b.newCampaign(b.tenant, saaf.Live), b.newCampaign(other, saaf.Live)}
		tenants := []saaf.TenantID{b.tenant, b.tenant, other}
		n := len(b.chain())
		release := b.block()
		var answers []<-chan error
		for i := range 30 {
			c := i % 3
			batch := &LeadBatch{Campaign: campaigns[c], Leads: leads(i, i+1), Source: saaf.SourceFile, By: saaf.By{Actor: fmt.Sprint("key_", i/15)}}
			if i%2 == 0 {
				batch.Leads[0].Verdict = verdict(saaf.NotRegistered, snap)
			}
			answer := make(chan error, 1)
			go func() { answer <- b.AddLeads(t.Context(), tenants[c], saaf.Live, batch) }()
			answers = append(answers, answer)
			b.waiting(len(answers))
		}
		release()
		for _, answer := range answers {
			b.must(<-answer)
		}
		list := b.newEntries(n)
		if len(list) != 6 {
			t.Fatalf("%d entries; want one for each of 3 campaigns and 2 snapshots", len(list))
		}
		for _, e := range list {
			h := b.headOf(&e)
			if h.Decisions != 5 || len(h.Requests) != 2 || h.Requests[0].Decisions+h.Requests[1].Decisions != 5 || h.Requests[0].Actor != "key_0" ||
				!h.At.Equal(b.headOf(&list[0]).At) {
				t.Errorf("entry %+v", h)
			}
			hasher := b.Hasher(h.Tenant)
			for d, err := range e.Decisions() {
				b.must(err)
				if p := saaf.Phone(b.number(`SELECT phone FROM leads WHERE id = $1 AND campaign_id = $2 AND first_entry = $3`, d.Lead, h.Campaign, e.ID)); hasher.Hash(p) != d.Phone {
					t.Errorf("decision %+v is not about lead %s with the phone %s", d, d.Lead, p.National())
				}
			}
		}
	})
}

// Two processes that write in turns and at once never fork a chain, whether they share
// it or not.
func TestProcessesShareTheChain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := open(t, Config{Dir: b.dir, Node: 5})
	other.tenant, other.campaign = b.tenant, b.campaign
	for n := range 10 {
		[]*bundle{b, other}[n%2].add(b.campaign, leads(n, n+1)...)
	}
	var wg sync.WaitGroup
	for i, p := range []*bundle{b, other} {
		for g := range 4 {
			wg.Go(func() {
				for n := range 15 {
					from := 1000*(4*i+g+1) + 10*n
					if err := p.AddLeads(t.Context(), p.tenant, saaf.Live, &LeadBatch{Campaign: p.campaign, Leads: leads(from, from+3)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	decisions := 0
	for _, e := range b.chain() {
		decisions += b.headOf(&e).Decisions
	}
	if decisions != 10+2*4*15*3 {
		t.Errorf("%d decisions", decisions)
	}
	if b.Deployment() != other.Deployment() || !b.PublicKey().Equal(other.PublicKey()) {
		t.Error("they do not agree who they are")
	}
	missing := b.number(`SELECT count(*) FROM leads l WHERE NOT EXISTS (SELECT 1 FROM ledger e WHERE e.id = l.first_entry AND e.campaign_id = l.campaign_id)`)
	if missing != 0 {
		t.Errorf("%d leads name no entry", missing)
	}
}

// Ids of entries grow along the chain, also for a process whose clock is behind
// and whose node sorts first.
func TestEntryIDsGrowThoughClocksDiffer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ahead := open(t, Config{Dir: dir, Node: saaf.MaxNode})
	ahead.tenant = ahead.newTenant("x")
	ahead.campaign = ahead.newCampaign(ahead.tenant, saaf.Live)
	timeless(t, func(t *testing.T) { // in the year 2000
		behind := open(t, Config{Dir: dir})
		behind.Store.ids, _ = saaf.NewIDSource(0, 0)
		behind.tenant, behind.campaign = ahead.tenant, ahead.campaign
		_, err := behind.CreateKey(t.Context(), newKey(behind.tenant, 1))
		behind.must(err)
		behind.must(behind.RecordChecks(t.Context(), behind.tenant, saaf.Live, "", asha, []Checked{{Phone: phone(1)}}))
	})
	ahead.add(ahead.campaign, leads(0, 1)...)
	timeless(t, func(t *testing.T) {
		behind := open(t, Config{Dir: dir})
		behind.Store.ids, _ = saaf.NewIDSource(0, 0)
		behind.must(behind.RecordChecks(t.Context(), ahead.tenant, saaf.Live, "", asha, []Checked{{Phone: phone(1)}, {Phone: phone(2)}}))
	})
	if n := len(ahead.chain()); n != 4 {
		t.Errorf("%d entries; want 4", n)
	}
}

// A process that is killed leaves a whole chain, and every lead with its entry.
func TestKillLeavesAWholeChain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.must(os.WriteFile(filepath.Join(b.dir, "campaign"), []byte(b.tenant.String()+" "+b.campaign.String()), 0o600))
	b.stop()
	var known int64
	for range 3 {
		p := start(t, "push for ever", b.dir)
		if p.said != "ok" {
			t.Fatal(p.said)
		}
		p.kill(t)
		b.alone()
		b = b.reopen()
		entries := int64(len(b.chain()))
		if entries <= known {
			t.Errorf("%d entries, %d before", entries, known)
		}
		known = entries
		wrong := b.number(`SELECT count(*) FROM leads l LEFT JOIN ledger e ON e.id = l.first_entry WHERE e.campaign_id IS DISTINCT FROM l.campaign_id`)
		decisions := int64(0)
		for _, e := range b.chain() {
			decisions += int64(b.headOf(&e).Decisions)
		}
		if n := b.number(`SELECT count(*) FROM leads`); wrong != 0 || n != decisions {
			t.Errorf("%d leads, %d decisions, %d leads that name no entry", n, decisions, wrong)
		}
		b.checkCounts(b.campaign)
		b.stop()
	}
}

// Callers choose their request ids.
func TestRequestIDsAreMasked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	by := saaf.By{Request: "crm-98765-43210", Actor: "key_asha"}
	b.must(b.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(0, 1), By: by}))
	b.must(b.RecordRefusal(t.Context(), Lease{}, by, "fact"))
	for _, e := range b.chain() {
		if got := b.headOf(&e).Requests[0].Request; got != "crm-xxxxx-x3210" {
			t.Errorf("entry %s names the request %q", e.ID, got)
		}
	}
}

// A deletion says how many leads go, those too that came in the same transaction.
func TestDeletionCountsItsLeads(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		b.add(b.campaign, leads(0, 3)...)
		n := len(b.chain())
		release := b.block()
		_, pushed := b.push(t.Context(), leads(3, 5)...)
		b.waiting(1)
		deleted := make(chan error, 1)
		go func() { deleted <- b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, asha) }()
		b.waiting(2)
		release()
		b.must(<-pushed)
		b.must(<-deleted)
		list := b.newEntries(n)
		if got := b.headOf(&list[len(list)-1]); got.Stage != saaf.StageDeletion || got.Fact.(map[string]any)["leads"] != 5.0 {
			t.Errorf("%+v; want 5 leads", got)
		}
	})
}
