package store

import (
	"context"
	"testing"

	"saaf"
)

// bundle is an open store whose writer runs.
type bundle struct {
	*Store
	dir  string
	stop func() // ends the writer and closes the store; runs by itself at the end
}

// setup opens a new store and runs its writer until the test ends.
func setup(t testing.TB) *bundle {
	t.Helper()
	return open(t, Config{Dir: t.TempDir()})
}

func open(t testing.TB, cfg Config) *bundle {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{Store: s, dir: cfg.Dir}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	writer := make(chan error, 1)
	go func() { writer <- s.Run(ctx) }()
	b.stop = func() {
		b.stop = func() {}
		cancel()
		if err := <-writer; err != nil {
			t.Errorf("writer: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(func() { b.stop() })
	return b
}

func newTenant(t testing.TB, s *Store, name string) saaf.TenantID {
	t.Helper()
	made, err := s.CreateTenant(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func newCampaign(t testing.TB, s *Store, tenant saaf.TenantID, env saaf.Environment) saaf.Campaign {
	t.Helper()
	settings := saaf.DefaultCampaignSettings()
	settings.Name, settings.DialMode = "Diwali", "preview"
	made, err := s.CreateCampaign(t.Context(), tenant, env, settings)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
