package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
	"saaf/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.RunOn(m, nil, pgtest.Postgres)) }

// bundle is a service over a store of its own with one tenant.
type bundle struct {
	*Service
	t      *testing.T
	st     *store.Store
	tenant saaf.TenantID
}

func setup(t *testing.T) *bundle {
	t.Helper()
	st, err := store.Open(t.Context(), apptest.Store(t))
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
	tenant, err := st.CreateTenant(t.Context(), "Asha Motors")
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{Service: NewService(st), t: t, st: st, tenant: tenant.ID}
}

// key stores a new key.
func (b *bundle) key(spec KeySpec) (saaf.Key, string) {
	b.t.Helper()
	spec.TenantID = b.tenant
	if spec.Environment == "" {
		spec.Environment = saaf.Live
	}
	key, secret, err := NewKey(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	made, err := b.st.CreateKey(b.t.Context(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	return made, string(secret)
}

func (b *bundle) revoke(id saaf.KeyID) {
	b.t.Helper()
	if _, _, err := b.st.RevokeKey(b.t.Context(), id, saaf.System); err != nil {
		b.t.Fatal(err)
	}
}

// accepted authenticates and must succeed.
func (b *bundle) accepted(authorization string) *saaf.Key {
	b.t.Helper()
	key, err := b.Authenticate(b.t.Context(), authorization)
	if err != nil {
		b.t.Fatalf("%q: %v", authorization, err)
	}
	return key
}

// refused authenticates and must fail with the text.
func (b *bundle) refused(authorization, text string) {
	b.t.Helper()
	key, err := b.Authenticate(b.t.Context(), authorization)
	want := &saaf.Error{Code: saaf.Unauthenticated, Word: "unauthenticated", Message: text}
	if diff := cmp.Diff(error(want), err); diff != "" || key != nil {
		b.t.Errorf("%q: %+v, %s", authorization, key, diff)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, spec := range []KeySpec{
		{},
		{Environment: saaf.Test},
		{Scopes: []saaf.Scope{saaf.LeadsWrite, saaf.APIKeysManage}, RateLimit: 7, Label: "CRM आशा", Operator: true},
	} {
		made, secret := b.key(spec)
		for _, authorization := range []string{"Bearer " + secret, "bearer " + secret, "BEARER " + secret, "  Bearer   " + secret + "  "} {
			b.Forget()
			for range 2 { // from the store, from memory
				if diff := cmp.Diff(&made, b.accepted(authorization)); diff != "" {
					t.Errorf("%q: %s", authorization, diff)
				}
			}
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, secret := b.key(KeySpec{})
	revoked, revokedSecret := b.key(KeySpec{})
	b.revoke(revoked.ID)
	const (
		missing = "Missing API key"
		format  = "API key must start with yt_live_ or yt_test_"
		unknown = "Invalid API key"
	)
	for authorization, text := range map[string]string{
		"":                             missing,
		"   ":                          missing,
		"Bearer":                       missing,
		"Bearer ":                      missing,
		"bearer \t ":                   missing,
		"Basic YTpi":                   format,
		"Digest":                       format,
		secret:                         format, // without Bearer it is a scheme
		"Bearer:" + secret:             format,
		"Bearerx " + secret:            format,
		"Bearer\t" + secret:            format,
		"Bearer sk_live_" + secret[8:]: format,
		"Bearer " + secret[1:]:         format,
		"Bearer yt_live":               format,
		"Bearer yt_prod_" + secret[8:]: format,
		"Bearer YT_LIVE_" + secret[8:]: format,
		"Bearer \"" + secret + "\"":    format,
		"Bearer Bearer " + secret:      format,
		"Bearer key_0000000000001":     format,

		"Bearer yt_live_": unknown,
		"Bearer yt_test_": unknown,
		"Bearer yt_live_AAAAAAAAAAAAAAAAAAAAAAAAAA":     unknown,
		"Bearer yt_test_" + secret[8:]:                  unknown, // the other environment
		"Bearer " + strings.ToLower(secret):             unknown,
		"Bearer " + secret[:len(secret)-1]:              unknown,
		"Bearer " + secret + "A":                        unknown,
		"Bearer " + secret + " " + secret:               unknown,
		"Bearer " + secret + "\x00":                     unknown,
		"Bearer yt_live_" + strings.Repeat("A", 60_000): unknown,
		"Bearer yt_live_' OR 1=1 --":                    unknown,
		"Bearer " + revokedSecret:                       unknown,
	} {
		for range 2 {
			b.refused(authorization, text)
		}
	}
	b.accepted("Bearer " + secret)
}

// A revoked key may work until servers are told, and no longer.
func TestRevokedKeyIsRefusedAfterForget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, secret := b.key(KeySpec{})
	_, other := b.key(KeySpec{})
	b.accepted("Bearer " + secret)
	b.accepted("Bearer " + other)
	b.revoke(key.ID)
	b.Forget()
	for range 2 {
		b.refused("Bearer "+secret, "Invalid API key")
		b.accepted("Bearer " + other)
	}
}

// A key that was just refused works the moment it is there.
func TestNewKeyWorksAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, secret, err := NewKey(KeySpec{TenantID: b.tenant, Environment: saaf.Live})
	if err != nil {
		t.Fatal(err)
	}
	b.refused("Bearer "+string(secret), "Invalid API key")
	if _, err := b.st.CreateKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	b.accepted("Bearer " + string(secret))
}

// Keys are kept in memory, and a store that does not answer is not a wrong key.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, known := b.key(KeySpec{})
	_, unseen := b.key(KeySpec{})
	b.accepted("Bearer " + known)
	b.looked = time.Now() // as Run does
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Authenticate(ctx, "Bearer "+known); err != nil {
		t.Errorf("the store was asked again: %v", err)
	}
	if _, err := b.Authenticate(ctx, "Bearer "+unseen); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.accepted("Bearer " + unseen)
}

// callback is a context that runs something when somebody is about to wait on it.
type callback struct {
	context.Context
	once *sync.Once
	run  func()
}

func (c callback) Done() <-chan struct{} {
	c.once.Do(c.run)
	return c.Context.Done()
}

// A key that was read before it was revoked must not be remembered after. Here
// Forget comes while Authenticate is on its way to the store.
func TestKeyReadBeforeForgetIsNotRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, secret := b.key(KeySpec{})
	forgotten := false
	ctx := callback{t.Context(), new(sync.Once), func() { b.Forget(); forgotten = true }}
	if _, err := b.Authenticate(ctx, "Bearer "+secret); err != nil || !forgotten {
		t.Fatalf("%v, forgotten %v", err, forgotten)
	}
	b.revoke(key.ID)
	b.refused("Bearer "+secret, "Invalid API key") // without another Forget
}

// Keys that work are let in while memory is dropped again and again.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var secrets [4]string
	for i := range secrets {
		_, secrets[i] = b.key(KeySpec{})
	}
	var wg sync.WaitGroup
	for _, secret := range secrets {
		for range 2 {
			wg.Go(func() {
				for range 50 {
					if _, err := b.Authenticate(t.Context(), "Bearer "+secret); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	for range 50 {
		b.Forget()
		b.refused("Bearer yt_live_AAAAAAAAAAAAAAAAAAAAAAAAAA", "Invalid API key")
	}
	wg.Wait()
}

func TestMemoryForKeysIsBounded(t *testing.T) {
	t.Parallel()
	s := setup(t).Service
	key := &saaf.Key{}
	var h store.KeyHash
	for i := range maxCached + 10 {
		binary.LittleEndian.PutUint64(h[:], uint64(i))
		s.remember(h, key, 0)
		if len(s.cache) > maxCached {
			t.Fatalf("%d keys in memory", len(s.cache))
		}
	}
	if s.cache[h] != key {
		t.Error("the last one is not in it")
	}
}

// The scopes of the contract: those an empty list stands for, and those that a
// key has only when they are named.
var (
	implied = []saaf.Scope{"leads:write", "leads:read", "campaigns:read", "campaigns:write", "voice_agents:read", "voice_agents:write",
		"webhooks:manage", "dnd:read", "dnd:write", "audit:read", "calls:read"}
	neverImplied = []saaf.Scope{"api_keys:manage", "voice_agents:admin", "ai_sessions:control_admin"}
)

func TestScopes(t *testing.T) {
	t.Parallel()
	all := slices.Concat(implied, neverImplied)
	if diff := cmp.Diff(all, saaf.AllScopes()); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct{ has, may []saaf.Scope }{
		"none named":     {nil, implied},
		"one":            {[]saaf.Scope{"leads:read"}, []saaf.Scope{"leads:read"}},
		"write alone":    {[]saaf.Scope{"leads:write"}, []saaf.Scope{"leads:write"}},
		"explicit alone": {[]saaf.Scope{"api_keys:manage"}, []saaf.Scope{"api_keys:manage"}},
		"all":            {all, all},
		"unknown":        {[]saaf.Scope{"leads"}, nil},
	} {
		for _, operator := range []bool{false, true} { // which is not a scope
			key := &saaf.Key{Scopes: tc.has, Operator: operator}
			for _, scope := range all {
				err := Require(key, scope)
				if slices.Contains(tc.may, scope) {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				want := &saaf.Error{Code: saaf.Forbidden, Word: "scope_required", Message: "Scope '" + string(scope) + "' required"}
				if diff := cmp.Diff(error(want), err); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		}
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	if err := RequireOperator(&saaf.Key{Operator: true, Scopes: []saaf.Scope{saaf.LeadsRead}}); err != nil {
		t.Error(err)
	}
	err := RequireOperator(&saaf.Key{Scopes: saaf.AllScopes()})
	if e, ok := err.(*saaf.Error); !ok || e.Code != saaf.Forbidden || e.Word != "operator_only" || !strings.Contains(e.Message, "--operator") {
		t.Errorf("%+v", err)
	}
}

// A key that waits for the store waits no longer than its caller.
func TestAuthenticateEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, secret := b.key(KeySpec{})
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := b.Authenticate(ctx, "Bearer "+secret); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
