package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"zombiezen.com/go/sqlite"

	"saaf"
	"saaf/internal/pgtest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(what, os.Getenv(childDirEnv)))
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		checks := "10"
		if os.Getenv("SAAF_LONG") != "" {
			checks = "200"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	if parallel := flag.Lookup("test.parallel"); pgtest.Served() && parallel.Value.String() == parallel.DefValue {
		_ = flag.Set("test.parallel", "4") // they wait for a server most of the time
	}
	pgtest.Only(pgtest.Postgres, onPostgres)
	pgtest.Only(pgtest.Partitioned, onPartitions)
	os.Exit(pgtest.RunOn(m, embeddedOnly, pgtest.Indexed, pgtest.Postgres, pgtest.Partitioned))
}

// tester is what tests, benchmarks and checks of rapid have in common.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Log(args ...any)
	Fatal(args ...any)
	Cleanup(func())
	Context() context.Context
}

// bundle is an open store whose writer runs, with a tenant and a live campaign.
type bundle struct {
	*Store
	t        tester
	tampered bool // leads were changed behind the back of the store
	dir      string
	ctx      context.Context
	tenant   saaf.TenantID
	campaign saaf.CampaignID
	clock    *clock // see timeless; nil: that of the process
	stop     func() // ends the writer and closes the store; runs by itself at the end
}

// setup makes a store and runs its writer until the test ends.
func setup(t testing.TB) *bundle {
	t.Helper()
	return setupWith(t, Config{})
}

// setupWith is setup with a configuration.
func setupWith(t testing.TB, cfg Config) *bundle {
	t.Helper()
	cfg.Dir = t.TempDir()
	b := open(t, cfg)
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, saaf.Live)
	return b
}

// open opens a store and runs its writer until the test ends.
func open(t tester, cfg Config) *bundle {
	t.Helper()
	b := openIdle(t, cfg)
	b.run()
	return b
}

// openIdle opens a store whose writer does not run yet.
func openIdle(t tester, cfg Config) *bundle {
	t.Helper()
	if cfg.Readers == 0 {
		cfg.Readers = 2 // opening is what most of these tests take their time for
	}
	onEngine(t, &cfg)
	return openIdleAt(t, cfg)
}

// openIdleAt opens the store that cfg names, whatever engine the tests run on.
func openIdleAt(t tester, cfg Config) *bundle {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Store: s, t: t, dir: cfg.Dir, ctx: t.Context(), clock: clockOf(t)}
	b.stop = func() {
		b.stop = func() {}
		b.checkBlocks()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(func() { b.stop() })
	return b
}

// run starts the writer.
func (b *bundle) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.ctx))
	writer := make(chan error, 1)
	go func() { writer <- b.Run(ctx) }()
	closeStore := b.stop
	b.stop = func() {
		cancel()
		if err := <-writer; err != nil {
			b.t.Errorf("writer: %v", err)
		}
		closeStore()
	}
}

// reopen closes the store and opens it again.
func (b *bundle) reopen() *bundle {
	b.t.Helper()
	b.stop()
	again := open(b.t, b.cfg)
	again.tenant, again.campaign = b.tenant, b.campaign
	return again
}

func (b *bundle) newTenant(name string) saaf.TenantID {
	b.t.Helper()
	made, err := b.CreateTenant(b.ctx, name)
	b.must(err)
	return made.ID
}

func (b *bundle) newCampaign(tenant saaf.TenantID, env saaf.Environment) saaf.CampaignID {
	b.t.Helper()
	made, err := b.CreateCampaign(b.ctx, tenant, env, settings("Diwali"))
	b.must(err)
	return made.ID
}

func settings(name string) saaf.CampaignSettings {
	s := saaf.DefaultCampaignSettings()
	s.Name, s.DialMode = name, "preview"
	return s
}

// move brings a live campaign of the tenant into the given state.
func (b *bundle) move(id saaf.CampaignID, status saaf.CampaignStatus) {
	b.t.Helper()
	_, err := b.UpdateCampaign(b.ctx, b.tenant, saaf.Live, id, func(c *saaf.Campaign) error {
		c.Status = status
		return nil
	})
	b.must(err)
}

// add adds leads to a live campaign of the tenant.
func (b *bundle) add(campaign saaf.CampaignID, leads ...NewLead) *LeadBatch {
	b.t.Helper()
	batch := &LeadBatch{Campaign: campaign, Leads: leads}
	b.must(b.AddLeads(b.ctx, b.tenant, saaf.Live, batch))
	return batch
}

// phone is the n-th of made-up numbers.
func phone(n int) saaf.Phone { return saaf.Phone(6_000_000_000 + n) }

// leads are unchecked leads with the numbers [from, to).
func leads(from, to int) []NewLead {
	list := make([]NewLead, 0, to-from)
	for n := from; n < to; n++ {
		list = append(list, NewLead{Phone: phone(n)})
	}
	return list
}

// verdict is a finding of the snapshot; unknown ones rest on none.
func verdict(reason saaf.VerdictReason, by saaf.SnapshotRef) saaf.Verdict {
	if !reason.Checked() {
		return saaf.Verdict{Reason: reason}
	}
	return saaf.Verdict{Reason: reason, Snapshot: by, CheckedAt: checkedAt}
}

var checkedAt = time.Date(2026, 11, 20, 4, 30, 0, 123e6, time.UTC)

// activate registers a snapshot, so that verdicts can rest on it.
func (b *bundle) activate(date saaf.Date) saaf.SnapshotRef {
	b.t.Helper()
	var against saaf.SnapshotID
	reg, err := b.Registry(b.ctx)
	b.must(err)
	if reg.Active != nil {
		against = reg.Active.ID
	}
	made, _, err := b.ActivateSnapshot(b.ctx, saaf.Snapshot{Mode: saaf.FullSet, EffectiveDate: date}, against, Cause{})
	b.must(err)
	return saaf.SnapshotRef{ID: made.ID, EffectiveDate: date}
}

// force gives a lead a status and a finding that it could not get otherwise.
func (b *bundle) force(campaign saaf.CampaignID, id saaf.LeadID, status saaf.LeadStatus, v saaf.Verdict) {
	b.t.Helper()
	b.must(b.write(b.ctx, everything, 0, func(x *tx) error {
		m := &move{status: status, reason: v.Reason, verdict: v}
		err := x.conn.query(`SELECT id, phone, status, reason FROM leads WHERE campaign_id = $1 AND id = $2`, func(r row) error {
			m.was = scanUnfinished(r)
			return nil
		}, campaign, id)
		if err != nil {
			return err
		}
		x.count(campaign, m.was.Status, m.was.Reason, -1)
		x.count(campaign, status, v.Reason, 1)
		return x.overwrite(campaign, m)
	}))
}

// overwrite gives a lead a status and a finding, and nothing else.
func (t *tx) overwrite(campaign saaf.CampaignID, m *move) error {
	n, err := t.exec(`UPDATE leads SET status = $1, reason = $2, snapshot_id = $3, checked_at = $4 WHERE campaign_id = $5 AND id = $6`,
		m.status, m.reason, m.verdict.Snapshot.ID, m.verdict.CheckedAt, campaign, m.was.ID)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d leads have the id %s", n, m.was.ID)
	}
	if link, ok := t.conn.(*sqliteLink); ok && err == nil {
		err = link.restate(campaign, m)
	}
	return err
}

// all reads the leads of a campaign of the tenant, oldest first.
func (b *bundle) all(campaign saaf.CampaignID) (list []saaf.Lead) {
	b.t.Helper()
	below := saaf.Cursor(0)
	for {
		page, err := b.Leads(b.ctx, b.tenant, campaign, LeadFilter{}, below, 100)
		b.must(err)
		for _, l := range page {
			list = append([]saaf.Lead{l}, list...)
		}
		if len(page) < 100 {
			return list
		}
		below = saaf.Cursor(page[len(page)-1].ID)
	}
}

// number reads one integer with a statement of the test's own.
func (b *bundle) number(sql string, args ...any) (n int64) {
	b.t.Helper()
	b.must(b.read(b.ctx, func(conn session) error {
		return conn.query(sql, func(r row) error { n = r.int64(); return nil }, args...)
	}))
	return n
}

// checkCounts compares the kept counts of a campaign with its leads, counted.
func (b *bundle) checkCounts(campaign saaf.CampaignID) {
	b.t.Helper()
	type counts struct {
		Leads     saaf.LeadCounts
		Found     saaf.FindingCounts
		Unchecked int64
	}
	var kept, counted counts
	b.must(b.read(b.ctx, func(conn session) error {
		err := conn.query(`SELECT pending, dialing, dnd, held, completed, failed, no_answer, unchecked,
			found_unavailable, found_stale, found_clean, found_full, found_partial, found_suppressed, found_held
			FROM campaign_counts WHERE campaign_id = $1`, func(r row) error {
			for i := range kept.Leads {
				kept.Leads[i] += r.int64()
			}
			kept.Unchecked += r.int64()
			for i := range kept.Found {
				kept.Found[i] += r.int64()
			}
			return nil
		}, campaign)
		if err != nil {
			return err
		}
		return conn.query(`SELECT status, reason, count(*) FROM leads WHERE campaign_id = $1 GROUP BY status, reason`, func(r row) error {
			status, reason, n := saaf.LeadStatus(r.int64()), saaf.VerdictReason(r.int64()), r.int64()
			counted.Leads[status] += n
			counted.Found[reason] += n
			if !status.Finished() && !reason.Checked() {
				counted.Unchecked += n
			}
			return nil
		}, campaign)
	}))
	b.equal(fmt.Sprintf("counts of %s (counted, kept)", campaign), counted, kept)
}

// checkBlocks checks at the end of every test that blocks, leads and memory agree.
func (b *bundle) checkBlocks() {
	b.t.Helper()
	if _, ok := b.engine.(*embedded); !ok || b.tampered {
		return
	}
	var campaigns []saaf.CampaignID
	ctx := context.WithoutCancel(b.ctx)
	err := b.Store.read(ctx, func(conn session) error {
		return conn.query(`SELECT id FROM campaigns`, func(r row) error {
			campaigns = append(campaigns, saaf.CampaignID(r.int64()))
			return nil
		})
	})
	if err != nil {
		b.t.Errorf("blocks: %v", err)
	}
	for _, c := range campaigns {
		faults, _, err := b.VerifyBlocks(ctx, c)
		if err != nil || len(faults) > 0 {
			b.t.Errorf("blocks of %s: %+v, %v", c, faults, err)
		}
	}
}

// equal compares two values.
func (b *bundle) equal(what string, want, got any, options ...cmp.Option) {
	b.t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// connect opens a second connection to the database, as another process would.
func (b *bundle) connect() sqliteConn {
	b.t.Helper()
	conn, err := openConn(b.ctx, filepath.Join(b.dir, fileName), sqlite.OpenReadWrite|sqlite.OpenWAL)
	b.must(err)
	b.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
	})
	return conn
}

// isUnavailable reports an answer that tells the caller to come back.
func isUnavailable(err error, word string) bool {
	e, ok := err.(*saaf.Error)
	return ok && e.Code == saaf.Unavailable && e.Word == word && e.RetryAfter > 0
}

// block occupies every writer with a job until release is called. Jobs queued in
// between wait.
func (b *bundle) block() (release func()) {
	b.t.Helper()
	scopes := []scope{beside}
	if b.engine.shared() {
		for i := range b.cfg.Writers + 1 { // each of its own campaign
			scopes = append(scopes, scope{campaign: saaf.CampaignID(i + 1), shared: true})
		}
		scopes = append(scopes, signs, everything)
	}
	leave, done := make(chan struct{}), make(chan error, len(scopes))
	for _, of := range scopes { // one after the other: else one writer takes them all
		entered := make(chan struct{})
		go func() {
			done <- b.write(b.ctx, of, 0, func(*tx) error {
				close(entered)
				<-leave
				return nil
			})
		}()
		<-entered
	}
	let := sync.OnceFunc(func() { close(leave) })
	b.t.Cleanup(let) // a test that fails must end too
	return func() {
		b.t.Helper()
		let()
		for range scopes {
			b.must(<-done)
		}
	}
}

// emptyIsNil takes an empty list for none.
var emptyIsNil = cmpopts.EquateEmpty()

// embedded is the engine of a store in one file.
func (b *bundle) embedded() *embedded { return b.engine.(*embedded) }

// queued is how many jobs wait.
func queued(s *Store) int64 {
	small, bulk, _ := s.Queue()
	return small + bulk
}

// addLeads adds a batch inside a transaction of a test.
func (t *tx) addLeads(tenant saaf.TenantID, env saaf.Environment, b *LeadBatch) error {
	hasher := t.hasher(tenant)
	for i := range b.Leads {
		l := &b.Leads[i]
		l.hash, l.found, l.made = hasher.Hash(l.Phone), nil, 0
	}
	errs := make([]error, 1)
	j := &job{ctx: context.Background(), of: scope{campaign: b.Campaign, shared: true}, adds: &addition{campaignRef{b.Campaign, tenant, env}, b}}
	if err := t.addAll([]*job{j}, errs); err != nil {
		t.wrote = true
		return err
	}
	t.wrote = t.wrote || errs[0] == nil
	return errs[0]
}

// databases are those of the directories that tests have opened stores in, so that
// opening one again finds what was there.
var databases struct {
	sync.Mutex
	urls map[string]string
}

// onEngine lets a configuration name a database of the engine that the tests run on.
func onEngine(t tester, cfg *Config) {
	if pgtest.Current() == pgtest.Indexed && cfg.Uniqueness == AsItIs {
		cfg.Uniqueness = ByIndex
	}
	if pgtest.Served() {
		cfg.URL = databaseOf(t, cfg.Dir)
		if cfg.Writers == 0 {
			cfg.Writers = 2
		}
		cfg.partitions = pgtest.Partitions()
		if c := clockOf(t); c != nil {
			cfg.now = c.now
		}
		if cfg.partitions > 0 {
			cfg.tracer = watch(t, cfg.URL)
		}
	}
}

// databaseOf is the URL of the database that belongs to a directory of a test.
func databaseOf(t tester, dir string) (url string) {
	databases.Lock()
	defer databases.Unlock()
	if url = databases.urls[dir]; url == "" {
		if databases.urls == nil {
			databases.urls = make(map[string]string)
		}
		url = pgtest.Database(t.(testing.TB), "store", func(url string) error { return prepareTemplate(url) })
		databases.urls[dir] = url
	}
	return url
}

// prepareTemplate brings a database up to date, and leaves it without secrets: each
// store makes its own.
func prepareTemplate(url string) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	e := &postgres{store: &Store{cfg: Config{partitions: pgtest.Partitions()}}, pool: pool, reads: pool}
	if err := e.migrate(ctx); err != nil || pgtest.Current() != pgtest.Citus {
		return err
	}
	_, err = Distribute(ctx, Config{URL: url})
	return err
}

// small reports whether benchmarks run once, to see that they still do.
func small() bool { return os.Getenv("SAAF_BENCH_SMALL") != "" }
