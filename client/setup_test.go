package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf"
	"saaf/api"
	"saaf/auth"
	"saaf/client"
	"saaf/dnd"
	"saaf/intake"
	"saaf/scrub"
	"saaf/store"
)

// blocked is on the registry of every server here.
const blocked = "6000000001"

// bundle is a client of a server that is made of the real parts.
type bundle struct {
	*client.Client
	t      *testing.T
	url    string
	key    string
	store  *store.Store
	tenant saaf.TenantID

	operator *client.Client // with a key that may touch the deployment
}

func setup(t *testing.T) *bundle {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- st.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-stopped, st.Close()); err != nil {
			t.Error(err)
		}
	})
	registry, err := dnd.NewRegistry(dnd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "full.csv")
	if err := os.WriteFile(file, []byte("13,"+blocked+",0,A,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scrub.Import(t.Context(), st, dir, scrub.ImportRequest{Files: []string{file}, Mode: saaf.FullSet, EffectiveDate: saaf.DateOf(time.Now())}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	service := scrub.NewService(scrub.Config{Store: st, Registry: registry, Dir: dir, Uploads: filepath.Join(dir, "uploads"), Log: log})
	if serving, err := service.Load(t.Context()); err != nil || serving.Problem != "" {
		t.Fatalf("%+v, %v", serving, err)
	}
	imported := make(chan error, 1)
	working, rest := context.WithCancel(ctx)
	go func() { imported <- service.RunImports(working) }()
	t.Cleanup(func() {
		rest()
		if err := <-imported; err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(api.New(api.Config{
		Store: st, Auth: auth.NewService(st), Scrub: service, Log: log, MaxBody: 1 << 20,
		Intake: intake.NewService(st, registry, nil, saaf.PhonePolicy{}),
		Ready:  func() error { return nil },
	}).Handler())
	t.Cleanup(server.Close)

	tenant, err := st.CreateTenant(t.Context(), "Asha Motors")
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, url: server.URL, store: st, tenant: tenant.ID}
	b.key = b.newKey(auth.KeySpec{})
	b.Client = client.New(b.url, b.key)
	b.operator = client.New(b.url, b.newKey(auth.KeySpec{Operator: true, RateLimit: saaf.MaxRateLimit}))
	return b
}

func (b *bundle) newKey(spec auth.KeySpec) string {
	b.t.Helper()
	spec.TenantID, spec.Environment = b.tenant, saaf.Live
	key, secret, err := auth.NewKey(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.store.CreateKey(b.t.Context(), key); err != nil {
		b.t.Fatal(err)
	}
	return string(secret)
}

func (b *bundle) campaign() client.Campaign {
	b.t.Helper()
	made, err := b.CreateCampaign(b.t.Context(), client.NewCampaign{Name: "Diwali", DialMode: "preview"})
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// answering is a client of a server that is not ours and says this.
func answering(t *testing.T, status int, header http.Header, body string) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return client.New(server.URL, key)
}

// key is one that no server knows.
const key = "yt_live_AAAAAAAAAAAAAAAAAAAAAAAAAA"

// silent fails when an error holds a key.
func silent(t *testing.T, err error, keys ...string) {
	t.Helper()
	for _, key := range append(keys, key) {
		if secret := strings.TrimPrefix(key, "yt_live_"); strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("the key is in %v", err)
		}
	}
}
