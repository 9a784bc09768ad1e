package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/dnd"
	"saaf/intake"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
	"saaf/store"
)

// bundle is a scrub service over a store whose writer runs, and what pushes leads
// into it. Nothing is loaded and Run does not run.
type bundle struct {
	*Service
	t        testing.TB
	data     string // the data directory
	url      string // the database, "" for the one in data
	intake   *intake.Service
	tenant   saaf.TenantID
	campaign saaf.CampaignID
	events   *events
	stop     func() // ends the writer and closes the store; runs by itself at the end
	files    int    // registry files made so far
}

// setup opens a data directory with one tenant and one campaign.
func setup(t testing.TB) *bundle {
	t.Helper()
	return setupWith(t, store.Config{})
}

// setupWith is setup with a configuration of the store.
func setupWith(t testing.TB, cfg store.Config) *bundle {
	t.Helper()
	first, err := start{}, error(nil)
	if pgtest.Current() == pgtest.Embedded {
		first, err = template()
	} else {
		cfg.URL = pgtest.Database(t, "start", func(url string) (err error) {
			if first, err = makeStart(url); err == nil {
				err = apptest.Spread(url)
			}
			prepared = &first
			return err
		})
		if first.files == nil { // by the test that made the template
			first = *prepared
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return first.open(t, cfg)
}

const databaseName = "saaf.db"

// start is a store with one tenant and one campaign.
type start struct {
	files    map[string][]byte // of the data directory
	tenant   saaf.TenantID
	campaign saaf.CampaignID
}

// open opens a copy of the store in a directory of its own.
func (s *start) open(t testing.TB, cfg store.Config) *bundle {
	t.Helper()
	data := t.TempDir()
	for name, content := range s.files {
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, data, cfg)
	b.tenant, b.campaign = s.tenant, s.campaign
	return b
}

// share is setup on PostgreSQL with two writers, each of which has a chain of its own.
func share(t testing.TB) *bundle {
	t.Helper()
	url := pgtest.Database(t, "chains", func(url string) (err error) {
		sharedStart, err = makeStart(url)
		return err
	})
	return sharedStart.open(t, store.Config{URL: url, Writers: 2})
}

// sharedStart is what the template of the databases of share belongs to.
var sharedStart start

// template is made once: to make a store takes longer than most tests of it.
var template = sync.OnceValues(func() (start, error) { return makeStart("") })

// prepared is the store of the database that those of the tests are copies of. On a
// cluster each test makes its own.
var prepared *start

// makeStart makes a store in the database, "" for one in its directory.
func makeStart(url string) (s start, err error) {
	dir, err := os.MkdirTemp("", "scrub")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st, err := store.Open(ctx, store.Config{Dir: dir, URL: url})
	if err != nil {
		return s, err
	}
	writer := make(chan error, 1)
	go func() { writer <- st.Run(ctx) }()
	tenant, err := st.CreateTenant(ctx, "Asha")
	if err != nil {
		return s, err
	}
	settings := saaf.DefaultCampaignSettings()
	settings.Name, settings.DialMode = "Diwali", "preview"
	campaign, err := st.CreateCampaign(ctx, tenant.ID, saaf.Live, settings)
	if err != nil {
		return s, err
	}
	cancel()
	if err := errors.Join(<-writer, st.Close()); err != nil {
		return s, err
	}
	s.tenant, s.campaign = tenant.ID, campaign.ID
	s.files = map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		if s.files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return s, err
		}
	}
	return s, nil
}

// open starts another process, so to speak, on a data directory.
func open(t testing.TB, data string, cfg store.Config) *bundle {
	t.Helper()
	cfg.Dir = data
	// Every connection costs the test time. With one writer its jobs are done in order;
	// others beside it are those of another bundle.
	cfg.Readers = 2
	if cfg.Writers == 0 {
		cfg.Writers = 1
	}
	st, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, data: data, url: cfg.URL, events: new(events)}
	b.Service = NewService(Config{Store: st, Registry: registry, Dir: RegistryDir(data), Uploads: UploadDir(data), Log: slog.New(b.events)})
	b.intake = intake.NewService(st, registry, nil, saaf.PhonePolicy{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	writer := make(chan error, 1)
	go func() { writer <- st.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-writer; err != nil {
			t.Errorf("writer: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

// reopen is the process after a restart.
func (b *bundle) reopen() *bundle {
	b.t.Helper()
	b.stop()
	return b.another(store.Config{})
}

// another is a second process on the same data, with the same tenant and campaign.
func (b *bundle) another(cfg store.Config) *bundle {
	b.t.Helper()
	cfg.URL = b.url
	n := open(b.t, b.data, cfg)
	n.tenant, n.campaign = b.tenant, b.campaign
	return n
}

func (b *bundle) newCampaign() saaf.CampaignID {
	b.t.Helper()
	settings := saaf.DefaultCampaignSettings()
	settings.Name, settings.DialMode = "Diwali", "preview"
	c, err := b.store.CreateCampaign(b.t.Context(), b.tenant, saaf.Live, settings)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.ID
}

// today is the day of the tests, in India.
func today() saaf.Date { return saaf.DateOf(time.Now()) }

// rows is a row with opstype op for each phone.
func rows(op string, phones ...saaf.Phone) string {
	var text strings.Builder
	for _, p := range phones {
		fmt.Fprintf(&text, "13,%d,0,%s,2\n", p, op)
	}
	return text.String()
}

// file writes a registry file.
func (b *bundle) file(content string) string {
	b.t.Helper()
	b.files++
	path := filepath.Join(b.t.TempDir(), fmt.Sprintf("registry%d.csv", b.files))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// full is a request to import what the content lists, as of today.
func (b *bundle) full(content string) ImportRequest {
	b.t.Helper()
	return ImportRequest{Files: []string{b.file(content)}, Mode: saaf.FullSet, EffectiveDate: today(), By: saaf.By{Actor: "test"}}
}

// delta is the same with changes.
func (b *bundle) delta(content string) ImportRequest {
	b.t.Helper()
	req := b.full(content)
	req.Mode = saaf.Delta
	return req
}

func (b *bundle) importInto(req ImportRequest) (ImportResult, error) {
	return Import(b.t.Context(), b.store, b.dir, req)
}

// imports imports and must succeed.
func (b *bundle) imports(req ImportRequest) ImportResult {
	b.t.Helper()
	res, err := b.importInto(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// lists makes a registry of these phones the active one and answers from it.
func (b *bundle) lists(phones ...saaf.Phone) saaf.Snapshot {
	b.t.Helper()
	req := b.full(rows("A", append(phones, filler)...))
	req.Override = "numbers of a test"
	snap := b.imports(req).Snapshot
	b.loads()
	return snap
}

// filler is a number in every registry, because an empty one is refused.
const filler saaf.Phone = 6_666_666_666

// loads answers from the active snapshot.
func (b *bundle) loads() Serving {
	b.t.Helper()
	serving, err := b.Load(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return serving
}

// rechecks does a pass.
func (b *bundle) rechecks() {
	b.t.Helper()
	if err := b.recheck(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// state is the register.
func (b *bundle) state() saaf.RegistryState {
	b.t.Helper()
	st, err := b.store.Registry(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

// push pushes one lead.
func (b *bundle) push(p saaf.Phone) saaf.Lead {
	b.t.Helper()
	l, err := b.intake.Push(b.t.Context(), b.tenant, saaf.Live, b.campaign, saaf.LeadInput{Phone: p.National()}, p, saaf.By{Actor: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// leads is every lead of the campaign by its phone.
func (b *bundle) leads() map[saaf.Phone]saaf.Lead {
	b.t.Helper()
	list, err := b.store.Leads(b.t.Context(), b.tenant, b.campaign, store.LeadFilter{}, 0, 1_000_000)
	if err != nil {
		b.t.Fatal(err)
	}
	byPhone := make(map[saaf.Phone]saaf.Lead, len(list))
	for _, l := range list {
		byPhone[l.Phone] = l
	}
	return byPhone
}

// moves gives a lead another status, as a dialler would: behind the back of the
// store, which has no way to do that yet.
func (b *bundle) moves(l saaf.Lead, status saaf.LeadStatus, reason saaf.VerdictReason) {
	b.t.Helper()
	unchecked := func(s saaf.LeadStatus, r saaf.VerdictReason) (n int) {
		if !s.Finished() && !r.Checked() {
			n = 1
		}
		return n
	}
	found := []string{"unavailable", "stale", "clean", "full", "partial", "suppressed", "held"}
	slot := fmt.Sprintf("campaign_id = %d AND slot = (SELECT min(slot) FROM campaign_counts WHERE campaign_id = %[1]d)", l.CampaignID)
	for _, sql := range []string{
		fmt.Sprintf("UPDATE leads SET status = %d, reason = %d, updated_at = %d WHERE campaign_id = %d AND id = %d AND status = %d AND reason = %d",
			status, reason, time.Now().UnixMilli(), l.CampaignID, l.ID, l.Status, l.Verdict.Reason),
		fmt.Sprintf("UPDATE campaign_counts SET %s = %[1]s - 1 WHERE %s", l.Status, slot),
		fmt.Sprintf("UPDATE campaign_counts SET %s = %[1]s + 1 WHERE %s", status, slot),
		fmt.Sprintf("UPDATE campaign_counts SET found_%s = found_%[1]s - 1 WHERE %s", found[l.Verdict.Reason], slot),
		fmt.Sprintf("UPDATE campaign_counts SET found_%s = found_%[1]s + 1, unchecked = unchecked + %d WHERE %s",
			found[reason], unchecked(status, reason)-unchecked(l.Status, l.Verdict.Reason), slot),
	} {
		if n := b.alters(sql); n != 1 {
			b.t.Fatal(sql, n)
		}
	}
}

// alters changes the database behind the back of the store, and says how many rows.
func (b *bundle) alters(sql string) int {
	b.t.Helper()
	if b.url != "" {
		n, err := pgtest.Exec(b.t.Context(), b.url, sql)
		if err != nil {
			b.t.Fatal(sql, err)
		}
		return int(n)
	}
	conn, err := sqlite.OpenConn(filepath.Join(b.data, databaseName), sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if err := sqlitex.ExecuteTransient(conn, sql, nil); err != nil {
		b.t.Fatal(sql, err)
	}
	return conn.Changes()
}

// holds keeps the writer busy inside a transaction until release is called.
func (b *bundle) holds() (release func()) {
	held, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := b.store.UpdateCampaign(b.t.Context(), b.tenant, saaf.Live, b.campaign, func(*saaf.Campaign) error {
			close(held)
			<-done
			return nil
		})
		ended <- err
	}()
	<-held
	return sync.OnceFunc(func() {
		close(done)
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
}

// events is a log handler that lets a test act when a line is logged: in the
// goroutine that logs, before it goes on.
type events struct {
	mu    sync.Mutex
	lines []string
	on    func(line string)
}

// then has fn called with each line from now on.
func (e *events) then(fn func(line string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = fn
}

// count is how many lines with this message were logged.
func (e *events) count(message string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if strings.HasPrefix(line, message) {
			n++
		}
	}
	return n
}

func (e *events) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	e.mu.Lock()
	e.lines = append(e.lines, line)
	on := e.on
	e.mu.Unlock()
	if on != nil {
		on(line)
	}
	return nil
}

func (e *events) Enabled(context.Context, slog.Level) bool { return true }
func (e *events) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *events) WithGroup(string) slog.Handler            { return e }
