package intake

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/internal/apptest"
	"saaf/scrubber"
)

// asks puts an outside checker into the service.
func (b *bundle) asks(mode saaf.SourceMode, change map[string]any) (*apptest.Checker, *scrubber.Source) {
	b.t.Helper()
	c := apptest.NewChecker()
	b.t.Cleanup(c.Close)
	file, err := c.Config(b.t.TempDir(), string(mode), change)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg, err := scrubber.Load(file)
	if err != nil {
		b.t.Fatal(err)
	}
	source, err := scrubber.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Service = NewService(b.store, b.registry, source, saaf.PhonePolicy{})
	return c, source
}

// sources lists the sources that the evidence of leads names.
func (b *bundle) sources() (list []string) {
	b.t.Helper()
	entries, err := b.store.LedgerAfter(b.t.Context(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range entries {
		head, err := entries[i].ParseHead()
		if err != nil {
			b.t.Fatal(err)
		}
		if head.Stage == saaf.StageIngest {
			list = append(list, head.Source)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// What a checker says of the numbers of the tests, each for what the file says.
const (
	fullClean    saaf.Phone = 9_000_000_001 // listed by ordinary
	partialFull  saaf.Phone = 9_000_000_002 // likewise
	cleanClean   saaf.Phone = 9_000_000_003
	cleanFull    saaf.Phone = 9_000_000_004
	cleanPartial saaf.Phone = 9_000_000_005
	cleanUnknown saaf.Phone = 9_000_000_006
)

func tells(c *apptest.Checker) {
	for p, word := range map[saaf.Phone]string{
		fullClean: "clean", partialFull: "full", cleanFull: "full", cleanPartial: "partial", cleanUnknown: "perhaps",
	} {
		c.Say(p.National(), word)
	}
}

// found is what a lead shows of its verdict.
type found struct {
	Status saaf.LeadStatus
	Reason saaf.VerdictReason
	File   bool // a snapshot is named
	Timed  bool
}

var (
	unchecked = found{saaf.LeadPending, saaf.RegistryUnavailable, false, false}
	all       = []saaf.Phone{fullClean, partialFull, cleanClean, cleanFull, cleanPartial, cleanUnknown}
)

func (b *bundle) checkFound(want map[saaf.Phone]found) {
	b.t.Helper()
	got := map[saaf.Phone]found{}
	for p, l := range b.stored() {
		got[p] = found{l.Status, l.Verdict.Reason, l.Verdict.Snapshot.ID != 0, !l.Verdict.CheckedAt.IsZero()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Error(diff)
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(0, ordinary)
	c, _ := b.asks(saaf.Beside, nil)
	tells(c)
	res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(all...), saaf.By{Actor: "test"})
	if err != nil || res.Valid != len(all) {
		t.Fatalf("%+v, %v", res, err)
	}
	b.checkFound(map[saaf.Phone]found{
		fullClean:    {saaf.LeadDND, saaf.FullBlock, true, true},
		partialFull:  {saaf.LeadDND, saaf.PartialBlock, true, true},
		cleanClean:   {saaf.LeadPending, saaf.NotRegistered, true, true},
		cleanFull:    {saaf.LeadDND, saaf.FullBlock, true, true},
		cleanPartial: {saaf.LeadDND, saaf.PartialBlock, true, true},
		cleanUnknown: unchecked,
	})
	if got, want := c.Asked(), []string{"9000000003", "9000000004", "9000000005", "9000000006"}; !slices.Equal(got, want) {
		t.Errorf("asked about %v, want %v", got, want)
	}
	if got := b.sources(); !slices.Equal(got, []string{"file+dlt"}) {
		t.Errorf("evidence names %v", got)
	}
}

// A checker that says clean is not enough beside a file that says nothing.
func TestBesideNoRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.asks(saaf.Beside, nil)
	tells(c)
	for _, p := range []saaf.Phone{cleanClean, cleanFull} {
		if _, err := b.pushes(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	b.checkFound(map[saaf.Phone]found{cleanClean: unchecked, cleanFull: {saaf.LeadDND, saaf.FullBlock, false, true}})
}

func TestInstead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.asks(saaf.Instead, nil)
	tells(c)
	if _, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(all...), saaf.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	b.checkFound(map[saaf.Phone]found{
		fullClean:    {saaf.LeadPending, saaf.NotRegistered, false, true},
		partialFull:  {saaf.LeadDND, saaf.FullBlock, false, true},
		cleanClean:   {saaf.LeadPending, saaf.NotRegistered, false, true},
		cleanFull:    {saaf.LeadDND, saaf.FullBlock, false, true},
		cleanPartial: {saaf.LeadDND, saaf.PartialBlock, false, true},
		cleanUnknown: unchecked,
	})
	if got := b.sources(); !slices.Equal(got, []string{"dlt"}) {
		t.Errorf("evidence names %v", got)
	}
}

// failures are ways in which a checker does not answer.
var failures = map[string]http.HandlerFunc{
	"hangs":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"drips":     drip,
	"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	"hangs up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"all clean": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"clean"`)) },
	"others":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"9111111111": "clean"}`)) },
	"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
}

// drip sends a byte now and then, so that something always comes.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// Pushes under load while the checker fails in every way: each is stored, unchecked,
// within its timeout.
func TestFailingUnderLoad(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	for name, h := range failures {
		for _, mode := range []saaf.SourceMode{saaf.Beside, saaf.Instead} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.lists(0, ordinary)
				c, source := b.asks(mode, map[string]any{"timeout": timeout.String(), "breaker": map[string]any{"failures": 3, "cool_down": "1h"}})
				c.Fail(h)
				want := map[saaf.Phone]found{}
				var wg sync.WaitGroup
				for i := range saaf.Phone(30) {
					p := cleanClean + i
					want[p] = unchecked
					wg.Go(func() {
						start := time.Now()
						l, err := b.pushes(t.Context(), p)
						// The rest is the store's, on a machine that has other work.
						if took := time.Since(start); err != nil || l.Verdict.Reason.Checked() || took > timeout+5*time.Second {
							t.Errorf("%v, %v after %v", l.Verdict, err, took)
						}
					})
				}
				wg.Wait()
				b.checkFound(want)
				for source.State().Circuit == scrubber.Closed {
					want[cleanClean+saaf.Phone(len(want))] = unchecked
					if _, err := b.pushes(t.Context(), cleanClean+saaf.Phone(len(want)-1)); err != nil {
						t.Fatal(err)
					}
				}
				c.Asked()
				if _, err := b.pushes(t.Context(), cleanClean+1000); err != nil || len(c.Asked()) > 0 {
					t.Errorf("with an open circuit: %v", err)
				}
			})
		}
	}
}

// A client that waits for less than the timeout does not keep a checker that hangs
// from being found out.
func TestImpatientClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, source := b.asks(saaf.Instead, map[string]any{"timeout": "200ms", "breaker": map[string]any{"failures": 2, "cool_down": "1h"}})
	gone := make(chan context.CancelFunc, 1)
	c.Fail(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case cancel := <-gone:
			cancel()
		default:
		}
		<-r.Context().Done()
	})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		gone <- cancel
		if _, err := b.pushes(ctx, cleanClean); err == nil {
			t.Error("a push whose client has gone before it was queued is stored")
		}
	}
	if got := source.State().Circuit; got != scrubber.Open {
		t.Errorf("the circuit is %v after as many failures as open it", got)
	}
	if l, err := b.pushes(t.Context(), cleanClean); err != nil || l.Verdict.Reason.Checked() {
		t.Errorf("%v, %v", l.Verdict, err)
	}
}

// The registry moves while the checker is asked: the file is looked at again, the
// answers stay, and what was not asked about is unknown.
func TestRegistryMovesMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(0, listOf(fullClean))
	c, _ := b.asks(saaf.Beside, nil)
	b.imports(0, listOf(partialFull))
	asked := make(chan struct{}, 1)
	c.Fail(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		_, _ = w.Write([]byte(`{"9000000002": "clean", "9000000003": "clean", "9000000004": "full"}`))
	})
	release := b.holds()
	done := make(chan error, 1)
	go func() {
		_, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(fullClean, cleanClean, cleanFull, partialFull), saaf.By{Actor: "test"})
		done <- err
	}()
	<-asked
	b.loads()
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.checkFound(map[saaf.Phone]found{
		fullClean:   unchecked, // the first file blocked it, so that nobody was asked
		cleanClean:  {saaf.LeadPending, saaf.NotRegistered, true, true},
		cleanFull:   {saaf.LeadDND, saaf.FullBlock, true, true},
		partialFull: {saaf.LeadDND, saaf.FullBlock, true, true},
	})
}
