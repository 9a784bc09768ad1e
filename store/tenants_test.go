package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

func TestTenants(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir()})
	list, err := b.Tenants(t.Context())
	b.must(err)
	b.equal("tenants of a new store", []saaf.Tenant(nil), list)

	first, err := b.CreateTenant(t.Context(), "  Zed & Söhne ")
	b.must(err)
	second, err := b.CreateTenant(t.Context(), "Asha Finance")
	b.must(err)
	if first.Name != "Zed & Söhne" || first.ID == 0 || first.CreatedAt.IsZero() {
		t.Errorf("made %+v", first)
	}
	list, err = b.Tenants(t.Context())
	b.must(err)
	b.equal("tenants", []saaf.Tenant{first, second}, list)
}

func TestTenantNames(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir()})
	for _, name := range []string{"", " \t", strings.Repeat("a", 201), strings.Repeat("अ", 201)} {
		if made, err := b.CreateTenant(t.Context(), name); saaf.ErrorCode(err) != saaf.Invalid || made != (saaf.Tenant{}) {
			t.Errorf("CreateTenant(%.10q) = %v, %v; want Invalid", name, made, err)
		}
	}
	_, err := b.CreateTenant(t.Context(), strings.Repeat("अ", 200))
	b.must(err)
	_, err = b.CreateTenant(t.Context(), "Asha")
	b.must(err)
	if made, err := b.CreateTenant(t.Context(), " Asha"); saaf.ErrorCode(err) != saaf.Conflict || made != (saaf.Tenant{}) {
		t.Errorf("a name that is taken: %v, %v; want Conflict", made, err)
	}
	list, err := b.Tenants(t.Context())
	b.must(err)
	if len(list) != 2 {
		t.Errorf("refused tenants are stored: %v", list)
	}
}

// newKey is a key of one tenant with a hash made from n.
func newKey(tenant saaf.TenantID, n byte) NewKey {
	return NewKey{
		Key: saaf.Key{
			TenantID: tenant, Environment: saaf.Live, Label: fmt.Sprintf("key %d", n),
			Scopes: []saaf.Scope{saaf.LeadsWrite, saaf.APIKeysManage}, RateLimit: 700 + int(n), Operator: n%2 == 1,
			Prefix: "yt_live_", LastFour: fmt.Sprintf("%04d", n),
		},
		Hash: KeyHash{n},
	}
}

// Two programs start on the same empty directory, each several times at once:
// one of all these makes the tenant and its keys.
func TestFirstStartHappensOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := []*bundle{open(t, Config{Dir: dir}), open(t, Config{Dir: dir, Node: 5})}
	var mu sync.Mutex
	var winners []saaf.Tenant
	var keys []saaf.Key
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			made, tenant, stored, err := stores[i%2].FirstStart(t.Context(), []NewKey{newKey(0, byte(2*i)), newKey(0, byte(2*i+1))})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case made:
				winners, keys = append(winners, tenant), append(keys, stored...)
			case tenant != saaf.Tenant{} || stored != nil:
				t.Errorf("made nothing, but returned %v, %v", tenant, stored)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 || winners[0].Name != "default" || len(keys) != 2 {
		t.Fatalf("first starts made %v with keys %v; want one tenant with two keys", winners, keys)
	}
	list, err := stores[1].Tenants(t.Context())
	stores[1].must(err)
	stored, err := stores[1].Keys(t.Context())
	stores[1].must(err)
	if diff := cmp.Diff(winners, list) + cmp.Diff(keys, stored); diff != "" {
		t.Errorf("what is stored is not what the winner was told:\n%s", diff)
	}
	for _, k := range stored {
		if k.TenantID != winners[0].ID {
			t.Errorf("key %v belongs to %v", k.ID, k.TenantID)
		}
	}
}

func TestFirstStartLeavesAStoreWithTenantsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, _, _, err := b.FirstStart(t.Context(), []NewKey{newKey(0, 1)})
	b.must(err)
	keys, err := b.Keys(t.Context())
	b.must(err)
	if made || len(keys) != 0 {
		t.Errorf("made %v, keys %v", made, keys)
	}
}

// A first start that cannot store its second key stores nothing of it.
func TestFirstStartIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := open(t, Config{Dir: t.TempDir()})
	made, tenant, stored, err := b.FirstStart(t.Context(), []NewKey{newKey(0, 1), newKey(0, 1)})
	if err == nil || saaf.ErrorCode(err) != saaf.Internal {
		t.Errorf("two keys with one hash: %v", err)
	}
	if made || stored != nil || tenant != (saaf.Tenant{}) {
		t.Errorf("failed, but returned %v, %v, %v", made, tenant, stored)
	}
	list, err := b.Tenants(t.Context())
	b.must(err)
	keys, err := b.Keys(t.Context())
	b.must(err)
	if len(list) != 0 || len(keys) != 0 {
		t.Errorf("left behind: %v, %v", list, keys)
	}
}
