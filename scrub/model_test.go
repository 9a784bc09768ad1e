package scrub

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
	"saaf/intake"
	"saaf/store"
)

// A run of the model writes files and waits for the disk, so that fewer of them
// are made than usual; -rapid.checks asks for more.
func init() {
	checks := "15"
	if os.Getenv("SAAF_LONG") != "" {
		checks = "500"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
}

// pool is the phones of the model.
var pool = numbers(9_000_000_001, 6)

// listing is what a registry says about the phones that it lists.
type listing map[saaf.Phone]saaf.VerdictReason

// edition is a snapshot in the model.
type edition struct {
	id     saaf.SnapshotID
	date   saaf.Date
	listed listing
	over   *edition // what it replaced
	files  []saaf.SHA256
}

// answers reports whether the edition is young enough; none has the date 0.
func (e *edition) answers() bool { return e.date > today()-7 }

// modelLead is a lead in the model.
type modelLead struct {
	Found found
	By    saaf.SnapshotID // whose finding it is
}

// model is what a few maps make of the same steps: a registry that is active, one
// that is answered from, and leads.
type model struct {
	*rapid.T
	b         *bundle
	active    edition
	loaded    edition
	confirmed saaf.SnapshotID
	whole     bool // every lead was re-checked since the last activation
	leads     map[saaf.Phone]modelLead
	optOuts   map[saaf.Phone]*optOut
	kept      map[saaf.SHA256]bool // files
	files     int
}

// optOut is a suppression in the model.
type optOut struct {
	id      saaf.SuppressionID
	expires time.Time // zero: never
}

// steps is what may happen, each as often as it is in the list.
var steps = []func(*model){
	(*model).push, (*model).push, (*model).pushBulk, (*model).full, (*model).delta, (*model).delta,
	(*model).load, (*model).recheck, (*model).recheck, (*model).again, (*model).lead,
	(*model).rollBack, (*model).suppress, (*model).suppress, (*model).lift, (*model).expire, (*model).release,
}

func TestModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{T: rt, b: b, leads: map[saaf.Phone]modelLead{}, optOuts: map[saaf.Phone]*optOut{}, files: b.files}
		b.campaign = b.newCampaign()
		b.registry.Use(nil, saaf.SnapshotRef{}) // as after a restart
		m.confirmed = b.state().Confirmed
		before := b.head()
		m.full()
		m.crowd()
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")](m)
			m.check()
		}
		m.history(before)
		m.liftAll()
		if err := b.store.DeleteCampaign(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.System); err != nil {
			t.Fatal(err)
		}
	})
}

func (m *model) phone() saaf.Phone { return rapid.SampledFrom(pool).Draw(m.T, "phone") }

// finds is what a push or a check finds.
func (m *model) finds(p saaf.Phone) (saaf.VerdictReason, saaf.SnapshotID) {
	if m.optOuts[p] != nil {
		if !m.loaded.answers() || m.outrun() {
			return saaf.Suppressed, 0
		}
		return saaf.Suppressed, m.loaded.id
	}
	switch reason, listed := m.loaded.listed[p]; {
	case m.loaded.id == 0:
		return saaf.RegistryUnavailable, 0
	case !m.loaded.answers():
		return saaf.RegistryStale, 0
	case m.outrun():
		return saaf.RegistryUnavailable, 0
	case listed:
		return reason, m.loaded.id
	}
	return saaf.NotRegistered, m.loaded.id
}

// arrives adds a lead, unless it is there.
func (m *model) arrives(p saaf.Phone) (added bool) {
	if _, there := m.leads[p]; there {
		return false
	}
	reason, by := m.finds(p)
	status := saaf.LeadPending
	if reason.Blocked() {
		status = saaf.LeadDND
	}
	m.leads[p] = modelLead{found{status, reason}, by}
	return true
}

// outrun reports whether this process answers from a snapshot that another has
// replaced, on a store that several share: no verdict of it is stored any more.
func (m *model) outrun() bool {
	return m.b.store.Shared() && m.loaded.answers() && m.loaded.id != m.active.id
}

// pushing is a push. One that is outrun waits until the active snapshot is taken, and is
// stored as unknown where that takes too long.
func (m *model) pushing(push func() error) error {
	if !m.outrun() || rapid.IntRange(0, 9).Draw(m.T, "taken in time") == 0 {
		return push()
	}
	pushed := make(chan error, 1)
	go func() { pushed <- push() }()
	m.load()
	return <-pushed
}

func (m *model) push() {
	p := m.phone()
	err := m.pushing(func() error {
		_, err := m.b.intake.Push(m.b.t.Context(), m.b.tenant, saaf.Live, m.b.campaign, saaf.LeadInput{}, p, saaf.By{Actor: "test"})
		return err
	})
	if added := m.arrives(p); added != (err == nil) || !added && saaf.ErrorCode(err) != saaf.Conflict {
		m.Fatalf("push of %v: %v, added in the model: %v", p, err, added)
	}
}

func (m *model) pushBulk() {
	phones := rapid.SliceOfN(rapid.SampledFrom(pool), 1, 4).Draw(m.T, "phones")
	var res intake.Result
	err := m.pushing(func() (err error) {
		res, err = m.b.intake.PushBulk(m.b.t.Context(), m.b.tenant, saaf.Live, m.b.campaign, bulk(phones...), saaf.By{Actor: "test"})
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
	for i, p := range phones {
		if added := m.arrives(p); added != (res.Rows[i].Reason == saaf.ReasonNone) {
			m.Fatalf("row %d: %q, added in the model: %v", i, res.Rows[i].Reason, added)
		}
	}
}

// crowd pushes so many leads that looking changed numbers up is less work than
// walking all leads.
func (m *model) crowd() {
	phones := numbers(7_000_000_001, 40)
	err := m.pushing(func() error {
		_, err := m.b.intake.PushBulk(m.b.t.Context(), m.b.tenant, saaf.Live, m.b.campaign, bulk(phones...), saaf.By{Actor: "test"})
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
	for _, p := range phones {
		m.arrives(p)
	}
}

// kinds are the rows that are drawn for a phone.
var kinds = []struct {
	row    string // opstype and preferences
	reason saaf.VerdictReason
}{
	{"%d,13,D,0\n", saaf.NotRegistered},
	{"%d,13,A,0\n", saaf.FullBlock},
	{"%d,13,A,2#5\n", saaf.PartialBlock},
}

// draw makes a file with rows for some phones, applied to a listing in order.
func (m *model) draw(to listing) string {
	var text strings.Builder
	text.WriteString("Phone Numbers,Service Area Code,Opstype,Preferences\n")
	m.files++
	fmt.Fprintf(&text, "%d,%d,A,0\n", filler, m.files) // no file is like another
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 0, 4, rapid.ID).Draw(m.T, "rows") {
		kind := rapid.SampledFrom(kinds).Draw(m.T, "kind")
		fmt.Fprintf(&text, kind.row, p)
		delete(to, p)
		if kind.reason != saaf.NotRegistered {
			to[p] = kind.reason
		}
	}
	return text.String()
}

// full imports a whole registry of any age.
func (m *model) full() {
	e := edition{date: today() - saaf.Date(rapid.SampledFrom([]int{0, 0, 5, 8}).Draw(m.T, "age")), listed: listing{}}
	req := m.b.full(m.draw(e.listed))
	m.imports(req, e)
}

// delta imports changes to the active one, older than it or not.
func (m *model) delta() {
	e := edition{date: today() - saaf.Date(rapid.SampledFrom([]int{0, 5}).Draw(m.T, "age")), listed: maps.Clone(m.active.listed)}
	req := m.b.delta(m.draw(e.listed))
	m.imports(req, e)
}

func (m *model) imports(req ImportRequest, e edition) {
	req.EffectiveDate, req.Override = e.date, "numbers of a test"
	res, err := m.b.importInto(req)
	if err != nil {
		m.Fatal(err)
	}
	e.id = res.Snapshot.ID
	if req.Mode == saaf.Delta {
		e.date = max(e.date, m.active.date)
	}
	if m.active.id != 0 {
		e.over = new(m.active)
	}
	e.files = filesOf(&res.Snapshot)
	m.active, m.whole = e, false
	m.kept = map[saaf.SHA256]bool{}
	for kept, n := &m.active, 0; kept != nil && n < KeepSnapshots; kept, n = kept.over, n+1 {
		for _, sha := range kept.files {
			m.kept[sha] = true
		}
	}
	if rapid.Bool().Draw(m.T, "loaded at once") {
		m.load()
	}
}

func (m *model) load() {
	// As a server that has prepared for it: another one says unknown while it reads.
	if st, err := m.b.store.Registry(m.b.t.Context()); err != nil || st.Active == nil {
		m.Fatalf("active is %v, %v", st.Active, err)
	} else if _, err := m.b.shelf.open(m.b.t.Context(), st.Active, nil); err != nil {
		m.Fatal(err)
	}
	got, err := m.b.Load(m.b.t.Context())
	if err != nil || got.Snapshot != m.active.id || got.Problem != "" {
		m.Fatalf("it answers from %+v, %v, and active is %v", got, err, m.active.id)
	}
	m.loaded = m.active
}

// recheck is the rules for leads in a few lines.
func (m *model) recheck() {
	if err := m.b.recheck(m.b.t.Context()); err != nil {
		m.Fatal(err)
	}
	if m.loaded.id != m.active.id || !m.loaded.answers() {
		return
	}
	m.confirmed, m.whole = m.active.id, true
	for p := range m.leads {
		m.judge(p)
	}
}

// ended judges the lead of a phone whose suppression has ended: by the snapshot that
// is answered from, if that is the active one.
func (m *model) ended(p saaf.Phone) {
	reason, by := m.finds(p)
	if by != 0 && by != m.active.id {
		reason, by = saaf.RegistryUnavailable, 0
	}
	m.judgeAs(p, reason, by)
}

func (m *model) judge(p saaf.Phone) {
	reason, by := m.finds(p)
	m.judgeAs(p, reason, by)
}

// judgeAs is the rules for one lead in a few lines.
func (m *model) judgeAs(p saaf.Phone, reason saaf.VerdictReason, by saaf.SnapshotID) {
	l, there := m.leads[p]
	if !there {
		return
	}
	is := l.Found
	wasBlocked := is.reason != saaf.NotRegistered && is.reason.Checked() || is.status == saaf.LeadDND
	switch {
	case is.status.Finished():
	case !reason.Checked() && is.reason == saaf.Suppressed:
		if is.reason = reason; is.status == saaf.LeadDialing { // no longer suppressed, and nobody knows more
			is.reason = saaf.HeldAfterBlock
		}
	case !reason.Checked():
	case reason != saaf.NotRegistered:
		is = found{saaf.LeadDND, reason}
	case wasBlocked:
		is = held
	default:
		is = clean
	}
	if l.Found.status == saaf.LeadDialing {
		is.status = saaf.LeadDialing
	}
	if is != l.Found {
		m.leads[p] = modelLead{is, by}
	}
}

// again does what happens when a new snapshot comes to a running server.
func (m *model) again() {
	m.load()
	m.recheck()
}

// lead does with one lead what a dialler or a release would do.
func (m *model) lead() {
	p := m.phone()
	l, there := m.leads[p]
	if !there {
		return
	}
	is := l.Found
	switch {
	case is == clean:
		is.status = rapid.SampledFrom([]saaf.LeadStatus{saaf.LeadDialing, saaf.LeadCompleted}).Draw(m.T, "status")
	case is == held:
		is = clean
	case is.status == saaf.LeadDialing:
		is.status = saaf.LeadNoAnswer
	default:
		return
	}
	m.b.moves(m.b.leads()[p], is.status, is.reason)
	m.leads[p] = modelLead{is, l.By}
}

// check compares the store with the model.
func (m *model) check() {
	m.Helper()
	stored := m.b.leads()
	got := make(map[saaf.Phone]modelLead, len(stored))
	for p, l := range stored {
		got[p] = modelLead{foundOf(l), l.Verdict.Snapshot.ID}
	}
	if diff := cmp.Diff(m.leads, got, cmp.AllowUnexported(found{})); diff != "" {
		m.Fatalf("leads: %s", diff)
	}
	m.b.checkCounts()
	st := m.b.state()
	if st.Active.ID != m.active.id || st.Confirmed != m.confirmed || st.AllChecked() != m.whole {
		m.Fatalf("active %v, confirmed %v, all checked %v, want %v, %v, %v", st.Active.ID, st.Confirmed, st.AllChecked(), m.active.id, m.confirmed, m.whole)
	}
	for p, l := range stored {
		if m.optOuts[p] != nil && !l.Status.Finished() && l.Status != saaf.LeadDialing && foundOf(l) != (found{saaf.LeadDND, saaf.Suppressed}) {
			m.Fatalf("%v is suppressed and is %v", p, foundOf(l))
		}
	}
	if !m.whole {
		return
	}
	backing := m.b.Backing(time.Now())
	for _, p := range slices.Sorted(maps.Keys(stored)) {
		l := stored[p]
		if _, listed := m.active.listed[p]; listed && !l.Status.Finished() && l.Verdict.AsShown(backing).Reason.Clean() {
			m.Fatalf("%v is shown as clean, is listed, and all leads are confirmed", p)
		}
	}
}

// rollBack goes back to what the active snapshot replaced.
func (m *model) rollBack() {
	to := m.active.over
	if to == nil {
		return // to the history before, of which this one knows nothing
	}
	snap, _, err := RollBack(m.b.t.Context(), m.b.store, m.b.dir, saaf.By{Actor: "test"}, "a wrong file", Spreading{})
	if slices.ContainsFunc(to.files, func(sha saaf.SHA256) bool { return !m.kept[sha] }) {
		if saaf.ErrorCode(err) != saaf.Conflict {
			m.Fatalf("rolled back to %v, %v, where nothing is kept", snap.ID, err)
		}
		return
	}
	if err != nil || snap.ID != to.id {
		m.Fatalf("rolled back to %v, %v, want %v", snap.ID, err, to.id)
	}
	m.active, m.whole = *to, false
	if rapid.Bool().Draw(m.T, "loaded at once") {
		m.load()
	}
}

// suppress puts a phone on the list of the tenant, for ever or for a time.
func (m *model) suppress() {
	p := m.phone()
	var expires time.Time
	if rapid.Bool().Draw(m.T, "for a time") {
		expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
	}
	made, err := m.b.store.Suppress(m.b.t.Context(), m.b.tenant, saaf.Live, []store.NewSuppression{
		{Scope: saaf.TenantScope, Phone: p, Reason: "asked for it", Expires: expires}}, saaf.By{Actor: "test"})
	there := m.optOuts[p]
	if err != nil || made[0].Made != (there == nil) {
		m.Fatalf("suppress: %v, %v", made, err)
	}
	switch {
	case there == nil:
		m.optOuts[p] = &optOut{made[0].ID, expires}
		if l, ok := m.leads[p]; ok && !l.Found.status.Finished() {
			// The list alone says so: no registry was asked.
			is := found{saaf.LeadDND, saaf.Suppressed}
			if l.Found.status == saaf.LeadDialing {
				is.status = saaf.LeadDialing
			}
			m.leads[p] = modelLead{is, 0}
		}
	case !there.expires.IsZero() && (expires.IsZero() || expires.After(there.expires)):
		there.expires = expires
	}
}

// lift takes a phone off the list.
func (m *model) lift() {
	if len(m.optOuts) == 0 {
		return
	}
	p := rapid.SampledFrom(slices.Sorted(maps.Keys(m.optOuts))).Draw(m.T, "phone")
	there := m.optOuts[p]
	if _, err := m.b.Lift(m.b.t.Context(), m.b.tenant, there.id, saaf.By{Actor: "test"}, "a mistake"); err != nil {
		m.Fatal(err)
	}
	delete(m.optOuts, p)
	m.ended(p)
}

// expire ends what is over in half a day.
func (m *model) expire() {
	later := time.Now().Add(12 * time.Hour)
	if _, err := m.b.store.ExpireSuppressions(m.b.t.Context(), store.Lease{}, later, 100, saaf.SourceFile, m.b.find); err != nil {
		m.Fatal(err)
	}
	for p, o := range m.optOuts {
		if !o.expires.IsZero() {
			delete(m.optOuts, p)
			m.ended(p)
		}
	}
}

// release frees what is held and clean.
func (m *model) release() {
	done, err := m.b.Release(m.b.t.Context(), m.b.tenant, saaf.Live, m.b.campaign, nil, saaf.By{Actor: "test"}, "asked again")
	if err != nil {
		m.Fatal(err)
	}
	var want store.Released
	for p, l := range m.leads {
		if l.Found.status != saaf.LeadHeld {
			continue
		}
		reason, by := m.finds(p)
		switch {
		case reason == saaf.NotRegistered:
			m.leads[p] = modelLead{clean, by}
			want.Released++
		case reason.Blocked():
			m.leads[p] = modelLead{found{saaf.LeadDND, reason}, by}
			want.StillBlocked++
		default:
			want.StillBlocked++
		}
	}
	if done != want {
		m.Fatalf("released %+v, want %+v", done, want)
	}
}

// liftAll leaves no list behind for the next history, which has the same phones.
func (m *model) liftAll() {
	for _, o := range m.optOuts {
		if _, err := m.b.Lift(m.b.t.Context(), m.b.tenant, o.id, saaf.By{Actor: "test"}, "the end"); err != nil {
			m.Fatal(err)
		}
	}
}

// head is the last entry of the ledger.
func (b *bundle) head() (last saaf.EntryID) {
	b.t.Helper()
	for {
		list, err := b.store.LedgerAfter(b.t.Context(), last)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 0 {
			return last
		}
		last = list[len(list)-1].ID
	}
}

// history reads the evidence of the campaign: each decision goes on from the one
// before, ends where the lead stands, and none that a rule speaks against was ever
// clean.
func (m *model) history(after saaf.EntryID) {
	stands := map[saaf.LeadID]saaf.VerdictReason{}
	for {
		list, err := m.b.store.LedgerAfter(m.b.t.Context(), after)
		if err != nil {
			m.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			after = e.ID
			if e.Campaign != m.b.campaign {
				continue
			}
			for d, err := range e.Decisions() {
				had, known := stands[d.Lead]
				switch {
				case err != nil:
					m.Fatal(err)
				case d.New == known:
					m.Fatalf("%v came in twice, or was decided before it came", d.Lead)
				case d.Reason.Clean() && !d.Found.Clean():
					m.Fatalf("%v became clean where %v was found", d.Lead, d.Found)
				case !d.New && d.Had != had && !had.Clean() && d.Had.Clean():
					m.Fatalf("%v was clean in between and nothing says since when", d.Lead)
				}
				stands[d.Lead] = d.Reason
			}
		}
	}
	for _, l := range m.b.leads() {
		if _, known := stands[l.ID]; !known {
			m.Fatalf("there is no evidence of %v", l.ID)
		}
	}
}
