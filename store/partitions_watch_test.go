package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"saaf"
)

// On tables that are spread, every transaction of every test is watched: it touches one
// campaign, and what belongs to none.

// watcher follows what the connections of a store are asked.
type watcher struct {
	known *campaignsKnown

	mu    sync.Mutex
	open  map[*pgx.Conn]*touched // transactions, guarded by mu
	wrong []string               // guarded by mu
	saw   int                    // transactions that touched a campaign, guarded by mu
}

// touched is what a transaction has touched.
type touched struct {
	campaigns map[saaf.CampaignID]string // with the statement that did first
	fannedOut string                     // a statement that asked every partition
}

// campaignsKnown are the campaigns that were made in a database.
type campaignsKnown struct{ ids sync.Map }

var knownCampaigns sync.Map // URL to *campaignsKnown

// fanOutText are the statements that ask every partition, by their text.
var fanOutText = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	for _, s := range statements(panics{}) {
		if fanOuts[s.name] != "" {
			names[s.sql] = s.name
		}
	}
	return names
})

// panics is a test that nobody has to be told about.
type panics struct{ tester }

func (panics) Helper()           {}
func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// watch makes a tracer, and fails the test for what it has seen.
func watch(t tester, url string) *watcher {
	if c, is := t.(check); is {
		t = c.TB // a check of rapid does not fail any more when it is cleaned up
	}
	known, _ := knownCampaigns.LoadOrStore(url, new(campaignsKnown))
	w := &watcher{known: known.(*campaignsKnown), open: map[*pgx.Conn]*touched{}}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, what := range w.wrong {
			t.Error(what)
		}
	})
	return w
}

func (w *watcher) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	w.see(conn, q.SQL, q.Args)
	return ctx
}

func (w *watcher) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (w *watcher) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (w *watcher) TraceBatchQuery(_ context.Context, conn *pgx.Conn, q pgx.TraceBatchQueryData) {
	w.see(conn, q.SQL, q.Args)
}

func (w *watcher) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (w *watcher) see(conn *pgx.Conn, sql string, args []any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch word, _, _ := strings.Cut(strings.ToUpper(sql), " "); word {
	case "BEGIN":
		w.open[conn] = &touched{campaigns: map[saaf.CampaignID]string{}}
	case "COMMIT", "ROLLBACK":
		w.judge(w.open[conn])
		delete(w.open, conn)
	}
	if strings.HasPrefix(strings.TrimSpace(sql), "INSERT INTO campaigns ") {
		w.known.ids.Store(args[0], true)
	}
	x := w.open[conn]
	if x == nil || !spreadTable.MatchString(sql) {
		return
	}
	if name := fanOutText()[sql]; name != "" {
		x.fannedOut = name
	}
	for _, arg := range args {
		id, is := arg.(int64)
		if is {
			_, is = w.known.ids.Load(id)
		}
		if c := saaf.CampaignID(id); is && x.campaigns[c] == "" {
			x.campaigns[c] = sql
		}
	}
}

func (w *watcher) judge(x *touched) {
	switch {
	case x == nil || len(x.campaigns) == 0:
		return
	case len(x.campaigns) > 1:
		w.wrong = append(w.wrong, fmt.Sprintf("a transaction touches %d campaigns:\n%s", len(x.campaigns), strings.Join(slices.Sorted(maps.Values(x.campaigns)), "\n")))
	case x.fannedOut != "":
		w.wrong = append(w.wrong, fmt.Sprintf("a transaction touches a campaign and asks every partition: %s", x.fannedOut))
	}
	w.saw++
}

// What the watcher should see it sees, and it says what is wrong.
func TestWatcher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.cfg.tracer.(*watcher)
	seen := func() (saw int, wrong []string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		saw, wrong, w.saw, w.wrong = w.saw, w.wrong, 0, nil
		return saw, wrong
	}
	seen()
	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(b.campaign, leads(0, 5)...)
	b.add(other, leads(0, 5)...)
	if saw, wrong := seen(); saw != 3 || len(wrong) != 0 {
		t.Errorf("%d transactions touched a campaign, %q; want 3", saw, wrong)
	}
	b.must(b.write(t.Context(), alone(other), 1, func(x *tx) error {
		_, err := x.campaignRef(b.campaign)
		x.count(other, saaf.LeadPending, saaf.RegistryUnavailable, 0)
		x.count(other, saaf.LeadHeld, saaf.RegistryUnavailable, 1) // written together with the commit
		return err
	}))
	if saw, wrong := seen(); saw != 1 || len(wrong) != 1 {
		t.Errorf("%d transactions, %q; want one that touches two", saw, wrong)
	}
	b.must(b.write(t.Context(), alone(other), 1, func(x *tx) error {
		_, err := campaignsOf(x.conn, b.tenant, saaf.Live)
		return err
	}))
	if saw, wrong := seen(); saw != 1 || len(wrong) != 1 {
		t.Errorf("%d transactions, %q; want one that asks everybody", saw, wrong)
	}
}

// Every kind of write touches one campaign, whoever is beside it.
func TestTransactionsTouchOneCampaign(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.cfg.tracer.(*watcher)
	others := []saaf.CampaignID{b.newCampaign(b.tenant, saaf.Live), b.newCampaign(b.tenant, saaf.Live)}
	for _, c := range others {
		b.add(c, leads(0, 9)...)
	}
	release := b.block() // pushes to several campaigns wait together
	var answers []<-chan error
	for n := range 30 {
		batch := &LeadBatch{Campaign: append(others, b.campaign)[n%3], Leads: leads(100+n, 101+n+n%12)}
		answers = append(answers, b.pushBatch(t.Context(), batch))
	}
	b.waiting(len(answers))
	release()
	for _, answer := range answers {
		b.must(<-answer)
	}
	var list []NewSuppression
	for i, c := range append(others, b.campaign) {
		list = append(list, NewSuppression{Scope: saaf.CampaignScope, Campaign: c, Phone: phone(i)})
	}
	_, err := b.Suppress(t.Context(), b.tenant, saaf.Live, list, asha)
	b.must(err)
	for _, write := range everyWrite(b) {
		b.must(write.do(b))
	}
	b.must(b.DeleteCampaign(t.Context(), b.tenant, saaf.Live, others[0], asha))
	stop := b.purging()
	eventually(t, "the campaigns are gone", func() bool { return b.leftovers(b.campaign)+b.leftovers(others[0]) == 0 })
	stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saw < 20 {
		t.Errorf("only %d transactions with a campaign were seen", w.saw)
	}
}
