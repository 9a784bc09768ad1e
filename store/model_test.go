package store

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"saaf"
)

// model is what the store should hold, the slow and obvious way.
type model struct {
	*bundle
	tenants   []saaf.TenantID
	snapshot  saaf.SnapshotRef
	campaigns []*modelCampaign // also deleted ones
	newest    saaf.LeadID      // the highest id there was
	lists     []*modelSuppression
	called    map[saaf.LeadID]bool // their status is not that of a decision
	other     *bundle              // another process on the same store
}

type modelCampaign struct {
	id      saaf.CampaignID
	tenant  saaf.TenantID
	env     saaf.Environment
	status  saaf.CampaignStatus
	deleted bool
	leads   []saaf.Lead // oldest first; UpdatedAt is zero when it is not known
}

func (c *modelCampaign) lead(p saaf.Phone) *saaf.Lead {
	i := slices.IndexFunc(c.leads, func(l saaf.Lead) bool { return l.Phone == p })
	if i < 0 {
		return nil
	}
	return &c.leads[i]
}

// refusal is why leads for the campaign are not taken, nil when they are.
func (c *modelCampaign) refusal(tenant saaf.TenantID, env saaf.Environment) error {
	switch {
	case c.deleted || tenant != c.tenant || env != c.env:
		return saaf.ErrCampaignNotFound
	case c.status == saaf.CampaignCompleted:
		return saaf.ErrCampaignCompleted
	}
	return nil
}

// TestModel drives a store through random histories. Every answer must be that
// of the model, and in the end all that is stored, before and after the store is
// opened again.
func TestModel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(root, "store")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{called: map[saaf.LeadID]bool{}}
		m.start(t, rt, dir)
		m.tenants = []saaf.TenantID{m.newTenant("one"), m.newTenant("two")}
		m.snapshot = m.activate(20_000)
		rt.Repeat(map[string]func(*rapid.T){
			"create":   m.create,
			"push":     m.push,
			"bulk":     m.bulk,
			"together": m.together,
			"recheck":  m.recheck,
			"call":     m.call,
			"suppress": m.suppress,
			"lift":     m.lift,
			"expire":   m.expire,
			"release":  m.release,
			"erase":    m.erase,
			"move":     m.move,
			"delete":   m.delete,
			"purge":    m.purge,
			"reopen":   func(rt *rapid.T) { m.end(); m.start(t, rt, dir) },
			"": func(*rapid.T) {
				if m.engine.shared() { // ids of two processes sort as what they did
					nextMillisecond()
				}
			},
		})
		m.check(rt)
		m.end()
		m.start(t, rt, dir)
		m.check(rt)
	})
}

// start opens the store, twice: what one process writes, the other must know. A
// commit need not reach the disk here: nobody pulls the plug.
func (m *model) start(t *testing.T, rt *rapid.T, dir string) {
	for i, b := range []**bundle{&m.bundle, &m.other} {
		*b = openIdle(check{t, rt}, Config{Dir: dir, Readers: 1, Node: i})
		if !(*b).engine.shared() {
			_, err := (*b).embedded().conn.exec("PRAGMA synchronous = OFF")
			(*b).must(err)
		}
		(*b).run()
	}
}

func (m *model) end() {
	m.other.stop()
	m.stop()
}

// pick chooses one of all campaigns.
func (m *model) pick(rt *rapid.T) *modelCampaign {
	if len(m.campaigns) == 0 {
		m.create(rt)
	}
	return rapid.SampledFrom(m.campaigns).Draw(rt, "campaign")
}

func (m *model) create(rt *rapid.T) {
	c := &modelCampaign{
		tenant: rapid.SampledFrom(m.tenants).Draw(rt, "tenant"),
		env:    rapid.SampledFrom([]saaf.Environment{saaf.Live, saaf.Test}).Draw(rt, "environment"),
		status: saaf.CampaignDraft,
	}
	c.id = m.newCampaign(c.tenant, c.env)
	m.campaigns = append(m.campaigns, c)
}

// modelPush is one push, sent by the owner of the campaign or by somebody else.
type modelPush struct {
	campaign *modelCampaign
	tenant   saaf.TenantID
	env      saaf.Environment
	batch    *LeadBatch
	found    []saaf.Verdict // before the opt-out lists
}

func (m *model) drawPush(rt *rapid.T, leads *rapid.Generator[int]) modelPush {
	c := m.pick(rt)
	p := modelPush{campaign: c, tenant: c.tenant, env: c.env, batch: &LeadBatch{Campaign: c.id}}
	if rapid.IntRange(0, 9).Draw(rt, "stranger") == 0 {
		p.tenant = rapid.SampledFrom(m.tenants).Draw(rt, "tenant")
		p.env = rapid.SampledFrom([]saaf.Environment{saaf.Live, saaf.Test}).Draw(rt, "environment")
	}
	for range leads.Draw(rt, "leads") {
		reason := rapid.SampledFrom([]saaf.VerdictReason{saaf.RegistryUnavailable, saaf.NotRegistered, saaf.FullBlock}).Draw(rt, "reason")
		l := NewLead{Phone: phone(rapid.IntRange(0, 30).Draw(rt, "phone")), Verdict: verdict(reason, m.snapshot)}
		if rapid.Bool().Draw(rt, "named") {
			l.Input = saaf.LeadInput{Name: new(fmt.Sprint(l.Phone)), Metadata: []byte(`{}`)}
		}
		p.batch.Leads = append(p.batch.Leads, l)
		p.found = append(p.found, l.Verdict)
	}
	return p
}

func (m *model) send(p modelPush) error { return m.AddLeads(m.ctx, p.tenant, p.env, p.batch) }

// added takes over the leads that were answered as new.
func (m *model) added(rt *rapid.T, p modelPush, err error) {
	if want := p.campaign.refusal(p.tenant, p.env); err != want {
		rt.Fatalf("AddLeads = %v, want %v", err, want)
	}
	if err != nil {
		return
	}
	last := m.newest
	for i := range p.batch.Leads {
		l := &p.batch.Leads[i]
		if l.Duplicate {
			continue
		}
		if l.ID <= last {
			rt.Fatalf("id %d of a new lead is not above %d", l.ID, last)
		}
		if p.campaign.lead(l.Phone) != nil {
			rt.Fatalf("%s was added a second time", l.Phone.National())
		}
		want := m.hold(p.campaign, l.Phone, p.found[i])
		if want.CheckedAt.Equal(someTime) {
			want.CheckedAt = p.batch.At
		}
		if l.Verdict.Stored() != want {
			rt.Fatalf("%s came in with the verdict %+v; want %+v", l.Phone.National(), l.Verdict, want)
		}
		last = l.ID
		p.campaign.leads = append(p.campaign.leads, saaf.Lead{
			ID: l.ID, CampaignID: p.campaign.id, Phone: l.Phone, Name: l.Input.Name, Metadata: l.Input.Metadata,
			Status: l.Status(), Verdict: want, CreatedAt: p.batch.At, UpdatedAt: p.batch.At,
		})
	}
}

// repeated looks at the leads that were answered as duplicates, once the model
// knows all new ones.
func (m *model) repeated(rt *rapid.T, p modelPush, err error) {
	for _, l := range p.batch.Leads {
		if err != nil {
			break
		}
		if there := p.campaign.lead(l.Phone); there == nil || there.ID != l.ID {
			rt.Fatalf("%s is told to be %v (duplicate %v), the model has %+v", l.Phone.National(), l.ID, l.Duplicate, there)
		}
		m.newest = max(m.newest, l.ID)
	}
}

func (m *model) one(rt *rapid.T, p modelPush) {
	err := m.send(p)
	m.added(rt, p, err)
	m.repeated(rt, p, err)
}

func (m *model) push(rt *rapid.T) { m.one(rt, m.drawPush(rt, rapid.Just(1))) }
func (m *model) bulk(rt *rapid.T) { m.one(rt, m.drawPush(rt, rapid.IntRange(0, 25))) }

var errPoison = errors.New("poison")

// together sends several pushes that the writer takes in one group, and among
// them jobs that write and then fail.
func (m *model) together(rt *rapid.T) {
	type sent struct {
		modelPush
		poison bool
		answer chan error
	}
	jobs := make([]sent, rapid.IntRange(2, 7).Draw(rt, "jobs"))
	for i := range jobs {
		jobs[i] = sent{m.drawPush(rt, rapid.IntRange(0, 12)), rapid.IntRange(0, 3).Draw(rt, "poison") == 0, make(chan error, 1)}
	}
	release := m.block()
	for i, j := range jobs {
		go func() {
			if !j.poison {
				j.answer <- m.send(j.modelPush)
				return
			}
			j.answer <- m.write(m.ctx, scope{campaign: j.batch.Campaign, shared: true}, len(j.batch.Leads), func(x *tx) error {
				if _, err := x.createTenant("poison"); err != nil {
					return err
				}
				for n := range 8 { // the pushes behind it must not see these
					_, err := x.suppress(j.tenant, saaf.Live, &NewSuppression{Scope: saaf.DeploymentScope, Phone: phone(4 * n)}, saaf.System)
					if err != nil {
						return err
					}
				}
				_ = x.addLeads(j.tenant, j.env, j.batch)
				return errPoison
			})
		}()
		for queued(m.Store) <= int64(i) { // one after another, so that a history can be repeated
			runtime.Gosched()
		}
	}
	release()
	var errs []error
	var pushes []modelPush
	for _, j := range jobs {
		switch err := <-j.answer; {
		case !j.poison:
			pushes, errs = append(pushes, j.modelPush), append(errs, err)
		case !errors.Is(err, errPoison):
			rt.Fatalf("poisoned job: %v", err)
		}
	}
	for i, p := range pushes {
		m.added(rt, p, errs[i])
	}
	for i, p := range pushes {
		m.repeated(rt, p, errs[i])
	}
	for _, c := range m.campaigns {
		slices.SortFunc(c.leads, func(a, b saaf.Lead) int { return int(a.ID - b.ID) })
	}
}

// recheck stores new findings about some leads, for some of them too late.
func (m *model) recheck(rt *rapid.T) {
	c := m.pick(rt)
	if c.deleted || len(c.leads) == 0 {
		return
	}
	var changes []Recheck
	changed, missed := 0, 0
	for i := range c.leads {
		l := &c.leads[i]
		if rapid.IntRange(0, 2).Draw(rt, "choose") > 0 {
			continue
		}
		change := Recheck{
			Lead: UnfinishedLead{ID: l.ID, Phone: l.Phone, Status: l.Status, Reason: l.Verdict.Reason},
			Verdict: verdict(rapid.SampledFrom([]saaf.VerdictReason{saaf.RegistryStale, saaf.NotRegistered, saaf.PartialBlock}).
				Draw(rt, "reason"), m.snapshot),
		}
		v := m.hold(c, l.Phone, change.Verdict)
		switch rapid.IntRange(0, 4).Draw(rt, "stale") {
		case 0:
			change.Lead.Status = (l.Status + 1) % saaf.NumLeadStatuses
			missed += m.moves(change.Lead.Status, l.Verdict.Reason, v.Reason)
		case 1:
			change.Lead.Reason = (l.Verdict.Reason + 1) % saaf.VerdictReason(len(saaf.FindingCounts{}))
			missed += m.moves(l.Status, change.Lead.Reason, v.Reason)
		default:
			changed += m.judge(l, v)
		}
		changes = append(changes, change)
	}
	n, late, err := m.ApplyRechecks(m.ctx, Lease{}, c.id, saaf.SourceFile, changes)
	if err != nil || n != changed || late != missed {
		rt.Fatalf("ApplyRechecks = %d, %d, %v; want %d, %d", n, late, err, changed, missed)
	}
}

// moves is 1 when a finding would change a lead that has the given state.
func (m *model) moves(status saaf.LeadStatus, had, found saaf.VerdictReason) int {
	if becomes, keeps := saaf.Recheck(status, had, found); becomes != status || keeps != had {
		return 1
	}
	return 0
}

// judge does to a lead what a finding does. It returns how many leads changed.
func (m *model) judge(l *saaf.Lead, v saaf.Verdict) int {
	if m.moves(l.Status, l.Verdict.Reason, v.Reason) == 0 {
		return 0
	}
	l.Status, v.Reason = saaf.Recheck(l.Status, l.Verdict.Reason, v.Reason)
	l.Verdict, l.UpdatedAt = v, someTime
	return 1
}

// someTime stands for a time that only the writer knows.
var someTime = time.Time{}.AddDate(-9000, 0, 0)

// call gives leads the states of a call, which nothing in the store does yet.
func (m *model) call(rt *rapid.T) {
	c := m.pick(rt)
	if c.deleted || len(c.leads) == 0 {
		return
	}
	l := &c.leads[rapid.IntRange(0, len(c.leads)-1).Draw(rt, "lead")]
	if l.Status.Finished() {
		return // nothing more happens to it
	}
	l.Status = rapid.SampledFrom([]saaf.LeadStatus{saaf.LeadDialing, saaf.LeadCompleted, saaf.LeadFailed, saaf.LeadNoAnswer}).Draw(rt, "status")
	v := l.Verdict
	if v.CheckedAt.Equal(someTime) {
		v.CheckedAt = checkedAt
		l.Verdict = v
	}
	m.called[l.ID] = true
	m.force(c.id, l.ID, l.Status, v)
}

func (m *model) move(rt *rapid.T) {
	c := m.pick(rt)
	status := rapid.SampledFrom([]saaf.CampaignStatus{saaf.CampaignRunning, saaf.CampaignPaused, saaf.CampaignCompleted}).Draw(rt, "status")
	_, err := m.UpdateCampaign(m.ctx, c.tenant, c.env, c.id, func(x *saaf.Campaign) error { x.Status = status; return nil })
	switch {
	case c.deleted && err != error(saaf.ErrCampaignNotFound), !c.deleted && err != nil:
		rt.Fatalf("UpdateCampaign = %v", err)
	case err == nil:
		c.status = status
	}
}

func (m *model) delete(rt *rapid.T) {
	c := m.pick(rt)
	switch err := m.DeleteCampaign(m.ctx, c.tenant, c.env, c.id, saaf.System); {
	case c.deleted:
		if err != error(saaf.ErrCampaignNotFound) {
			rt.Fatalf("deleted again: %v", err)
		}
	case c.status == saaf.CampaignRunning:
		if saaf.ErrorCode(err) != saaf.Conflict {
			rt.Fatalf("deleted while it runs: %v", err)
		}
	case err != nil:
		rt.Fatal(err)
	default:
		c.deleted = true
	}
}

func (m *model) purge(rt *rapid.T) {
	ids, err := m.deletedCampaigns(m.ctx)
	m.must(err)
	for _, id := range ids {
		m.must(m.purgeCampaign(m.ctx, Lease{}, id))
	}
	for _, c := range m.campaigns {
		if n := m.leftovers(c.id); c.deleted && n > 0 {
			rt.Fatalf("%d rows of %s are left", n, c.id)
		}
		if c.deleted {
			c.leads = nil
		}
	}
}

// check compares everything.
func (m *model) check(rt *rapid.T) {
	rows := int64(0)
	for _, c := range m.campaigns {
		got, err := m.Campaign(m.ctx, c.tenant, c.env, c.id)
		if c.deleted {
			if err != error(saaf.ErrCampaignNotFound) {
				rt.Fatalf("deleted campaign: %v", err)
			}
			rows += m.number(`SELECT count(*) FROM leads WHERE campaign_id = $1`, c.id)
			continue
		}
		m.must(err)
		var counts saaf.LeadCounts
		for _, l := range c.leads {
			counts[l.Status]++
		}
		m.equal("counts", counts, got.Leads)
		m.checkCounts(c.id)
		m.tenant = c.tenant
		stored := m.all(c.id)
		for i := range min(len(stored), len(c.leads)) {
			l := &c.leads[i]
			if l.UpdatedAt.Equal(someTime) { // changed since, by the clock of the writer
				l.UpdatedAt = stored[i].UpdatedAt
				if l.UpdatedAt.Before(l.CreatedAt) {
					rt.Errorf("changed at %v, before it was made at %v", l.UpdatedAt, l.CreatedAt)
				}
			}
			if l.Verdict.CheckedAt.Equal(someTime) {
				l.Verdict.CheckedAt = l.UpdatedAt
			}
		}
		m.equal("leads of "+c.id.String(), c.leads, stored, emptyIsNil)
		m.checkReport(rt, c)
		rows += int64(len(c.leads))
	}
	if n := m.number(`SELECT count(*) FROM leads`); n != rows {
		rt.Errorf("%d rows of leads; want %d", n, rows)
	}
	if n := m.number(`SELECT count(*) FROM tenants`); n != 2 {
		rt.Errorf("%d tenants; want 2", n)
	}
	m.checkLists(rt)
	m.checkEvidence(rt)
}
