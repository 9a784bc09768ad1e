package intake

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"saaf"
	"saaf/dnd"
	"saaf/internal/apptest"
	"saaf/scrub"
	"saaf/store"
)

// bundle is an intake over a store whose writer runs, and the registry it asks.
type bundle struct {
	*Service
	t        testing.TB
	data     string // the data directory
	scrub    *scrub.Service
	tenant   saaf.TenantID
	campaign saaf.CampaignID
	files    int // registry files made so far
}

// setup opens an empty data directory with one campaign and no registry.
func setup(t testing.TB) *bundle {
	t.Helper()
	cfg := apptest.Store(t)
	b := &bundle{t: t, data: cfg.Dir}
	st, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.Service = NewService(st, registry, nil, saaf.PhonePolicy{})
	b.scrub = scrub.NewService(scrub.Config{Store: st, Registry: registry, Dir: scrub.RegistryDir(b.data), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	writer := make(chan error, 1)
	go func() { writer <- st.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-writer; err != nil {
			t.Errorf("writer: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	tenant, err := st.CreateTenant(t.Context(), "Asha")
	if err != nil {
		t.Fatal(err)
	}
	b.tenant, b.campaign = tenant.ID, 0
	b.campaign = b.newCampaign()
	return b
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

// What the registries of the tests say.
const (
	full    saaf.Phone = 9_000_000_001 // listed without categories
	partial saaf.Phone = 9_000_000_002 // listed with some
	free    saaf.Phone = 9_000_000_003 // not listed
)

// ordinary is the registry of most tests.
const ordinary = "13,9000000001,0,A,2\n13,9000000002,2#5,A,2\n"

// lists makes a registry with these rows, so many days old, the active one and
// answers from it.
func (b *bundle) lists(age saaf.Date, rows string) saaf.Snapshot {
	b.t.Helper()
	snap := b.imports(age, rows)
	b.loads()
	return snap
}

// imports makes a registry the active one and does not answer from it.
func (b *bundle) imports(age saaf.Date, rows string) saaf.Snapshot {
	b.t.Helper()
	b.files++
	path := filepath.Join(b.t.TempDir(), fmt.Sprintf("registry%d.csv", b.files))
	if err := os.WriteFile(path, []byte(rows), 0o600); err != nil {
		b.t.Fatal(err)
	}
	res, err := scrub.Import(b.t.Context(), b.store, scrub.RegistryDir(b.data), scrub.ImportRequest{
		Files: []string{path}, Mode: saaf.FullSet, EffectiveDate: today() - age, By: saaf.By{Actor: "test"}, Override: "numbers of a test",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return res.Snapshot
}

func (b *bundle) loads() {
	b.t.Helper()
	if _, err := b.scrub.Load(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// pushes pushes one lead.
func (b *bundle) pushes(ctx context.Context, p saaf.Phone) (saaf.Lead, error) {
	return b.Push(ctx, b.tenant, saaf.Live, b.campaign, input(p), p, saaf.By{Actor: "test"})
}

// input is a lead with something in every member.
func input(p saaf.Phone) saaf.LeadInput {
	return saaf.LeadInput{
		Phone: p.E164(), Name: new("Asha " + p.National()), Email: new("asha@example.in"), ExternalID: new("crm-1"),
		Metadata: []byte(`{"n": 12345678901234567890}`),
	}
}

// stored is every lead of the campaign by its phone.
func (b *bundle) stored() map[saaf.Phone]saaf.Lead {
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

// holds keeps the writer busy inside a transaction until release is called. What
// is pushed meanwhile has been checked and waits.
func (b *bundle) holds() (release func()) {
	b.t.Helper()
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

// rows is bulk rows for the phones.
func rows(phones ...saaf.Phone) (list []Row) {
	for _, p := range phones {
		list = append(list, Row{Input: input(p)})
	}
	return list
}

// listOf is a registry with these phones.
func listOf(phones ...saaf.Phone) string {
	var text strings.Builder
	for _, p := range append(phones, 6_666_666_666) { // an empty one is refused
		fmt.Fprintf(&text, "13,%d,0,A,2\n", p)
	}
	return text.String()
}
