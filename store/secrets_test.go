package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"saaf"
)

// A store is not opened without the secrets that belong to it: with others no
// number would match its evidence or its lists.
func TestSecretsBelongToTheStore(t *testing.T) {
	t.Parallel()
	other := setup(t)
	for _, name := range []string{pepperName, signingKeyName} {
		foreign, err := os.ReadFile(filepath.Join(other.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b := setup(t)
		hash := b.Hasher(b.tenant).Hash(phone(1))
		b.stop()
		path := filepath.Join(b.dir, name)
		kept, err := os.ReadFile(path)
		b.must(err)
		for what, c := range map[string]struct {
			damage func(path string) error
			says   string
		}{
			"missing":      {os.Remove, "is missing: restore it"},
			"of another":   {func(path string) error { return os.WriteFile(path, foreign, 0o600) }, "is not the one of this store: restore"},
			"empty":        {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "must hold"},
			"cut off":      {func(path string) error { return os.Truncate(path, 40) }, "must hold"},
			"something":    {func(path string) error { return os.WriteFile(path, []byte("diary\n"), 0o600) }, "must hold"},
			"another kind": {func(path string) error { return os.WriteFile(path, []byte(rsaPEM), 0o600) }, "must hold"},
			"a directory":  {func(path string) error { os.Remove(path); return os.Mkdir(path, 0o700) }, "is a directory"},
			"too long":     {func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("0", 66)), 0o600) }, "must hold"},
		} {
			b.must(c.damage(path))
			s, err := Open(t.Context(), configured(t, Config{Dir: b.dir}))
			if err == nil {
				t.Errorf("%s, %s: it opens", name, what)
				b.must(s.Close())
			} else if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: %v; want one line with %q", name, what, err, c.says)
			}
			b.must(os.RemoveAll(path))
			b.must(os.WriteFile(path, kept, 0o600))
		}
		if again := open(t, Config{Dir: b.dir}); again.Hasher(b.tenant).Hash(phone(1)) != hash {
			t.Errorf("%s: restored, it hashes otherwise", name)
		}
	}
}

const rsaPEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n" // X25519

// Of several processes that make a store at once each finds the same secrets.
func TestProcessesAgreeOnSecrets(t *testing.T) {
	t.Parallel()
	for range 3 {
		dir := filepath.Join(t.TempDir(), "data")
		empty(t, dir)
		bundles := make([]*Store, 6)
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range bundles {
			wg.Go(func() {
				<-begin
				var err error
				if bundles[i], err = Open(t.Context(), configured(t, Config{Dir: dir, Readers: 1, Node: i})); err != nil {
					t.Error(err)
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				<-begin
				if p := start(t, "open", dir); p.said != "ok" {
					t.Error(p.said)
				}
			})
		}
		close(begin)
		wg.Wait()
		for _, s := range bundles {
			if s == nil {
				t.FailNow()
			}
			if s.Deployment() != bundles[0].Deployment() || s.Deployment() == 0 || !s.PublicKey().Equal(bundles[0].PublicKey()) ||
				s.Hasher(3).Hash(phone(1)) != bundles[0].Hasher(3).Hash(phone(1)) {
				t.Error("two of them do not agree")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
		if err != nil || len(names) > 0 {
			t.Errorf("left behind: %v, %v", names, err)
		}
	}
}

// The deployment and the tenants do not share hashes.
func TestHashersAreOfTheirTenants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seen := map[saaf.PhoneHash]bool{}
	for _, tenant := range []saaf.TenantID{0, b.tenant, b.tenant + 1} {
		hasher := b.Hasher(tenant)
		hash := hasher.Hash(phone(1))
		if seen[hash] || b.Hasher(tenant) != hasher {
			t.Errorf("tenant %v: shared or not kept", tenant)
		}
		seen[hash] = true
	}
}
