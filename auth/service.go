package auth

import (
	"context"
	"strings"
	"sync"
	"time"

	"saaf"
	"saaf/store"
)

// maxCached is how many keys are kept in memory; the cache starts anew when it
// is full.
const maxCached = 100_000

// Service checks keys and counts their requests. It is safe for concurrent use.
type Service struct {
	store   *store.Store
	limiter *Limiter

	mu         sync.RWMutex
	cache      map[store.KeyHash]*saaf.Key // guarded by mu; keys that work
	generation uint64                      // guarded by mu; grows with Forget
	looked     time.Time                   // guarded by mu; when it was last seen that no key had changed
}

// NewService returns a Service over the keys of st.
func NewService(st *store.Store) *Service {
	s := &Service{store: st, limiter: new(Limiter), cache: make(map[store.KeyHash]*saaf.Key)}
	if st.Shared() {
		s.limiter = sharedLimiter(st.UseKeys)
	}
	return s
}

const (
	// watchEvery is how often other processes are seen to have changed keys.
	watchEvery = 250 * time.Millisecond
	// believed is for how long after such a look keys in memory are believed, where
	// several processes serve: one that was paused must not let in a key that was
	// revoked meanwhile.
	believed = time.Second
)

// Run forgets keys that other processes have changed, and shares with them what keys
// have used, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var sharing sync.WaitGroup
	sharing.Go(func() { s.limiter.run(ctx) })
	defer sharing.Wait()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var taken int64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		// The version is read before anything is forgotten, so that a change in between
		// is seen next time. While it cannot be read, keys cannot be looked up either.
		began := time.Now()
		version, err := s.store.Version(ctx)
		if err != nil {
			continue
		}
		if version != taken {
			s.Forget()
			taken = version
		}
		s.mu.Lock()
		s.looked = began
		s.mu.Unlock()
	}
}

// stale reports whether the last look is too long ago, by either clock: one stands
// still while a machine sleeps, and the other may be set.
func stale(looked, now time.Time) bool {
	return now.Sub(looked) > believed || now.Round(0).Sub(looked.Round(0)) > believed
}

// Take counts one request of a key, see [Limiter.Take].
func (s *Service) Take(ctx context.Context, key *saaf.Key, now time.Time) (remaining int, err error) {
	return s.limiter.Take(ctx, key, now)
}

// The texts of the contract for callers that are not let in.
var (
	errNoKey      = &saaf.Error{Code: saaf.Unauthenticated, Word: "unauthenticated", Message: "Missing API key"}
	errKeyFormat  = &saaf.Error{Code: saaf.Unauthenticated, Word: "unauthenticated", Message: "API key must start with yt_live_ or yt_test_"}
	errUnknownKey = &saaf.Error{Code: saaf.Unauthenticated, Word: "unauthenticated", Message: "Invalid API key"}
)

// Authenticate finds the key of an Authorization header. A key that is not in
// memory is looked up in the store before it is refused, so that a new key works
// the moment it is printed. The key is shared: do not change it.
func (s *Service) Authenticate(ctx context.Context, authorization string) (*saaf.Key, error) {
	if strings.TrimSpace(authorization) == "" {
		return nil, errNoKey
	}
	scheme, secret, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	secret = strings.TrimSpace(secret)
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return nil, errKeyFormat
	case secret == "":
		return nil, errNoKey
	case !hasKeyPrefix(secret):
		return nil, errKeyFormat
	}
	h := hash(secret)
	s.mu.RLock()
	key, generation, looked := s.cache[h], s.generation, s.looked
	s.mu.RUnlock()
	if key != nil && !(s.store.Shared() && stale(looked, time.Now())) {
		return key, nil
	}
	found, ok, err := s.store.KeyByHash(ctx, h)
	if err != nil {
		return nil, err
	}
	if !ok || !found.RevokedAt.IsZero() {
		return nil, errUnknownKey
	}
	s.remember(h, &found, generation)
	return &found, nil
}

// remember keeps a key, unless Forget was called since it was read: it may have
// been revoked in between.
func (s *Service) remember(h store.KeyHash, key *saaf.Key, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation != s.generation {
		return
	}
	if len(s.cache) >= maxCached {
		clear(s.cache)
	}
	s.cache[h] = key
}

// Forget drops what is in memory, because keys have changed in the store.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	clear(s.cache)
}

// Require is Forbidden when the key lacks the scope.
func Require(key *saaf.Key, scope saaf.Scope) error {
	if key.Allows(scope) {
		return nil
	}
	return &saaf.Error{Code: saaf.Forbidden, Word: "scope_required", Message: "Scope '" + string(scope) + "' required"}
}

// RequireOperator is Forbidden for a key that may not touch the deployment.
func RequireOperator(key *saaf.Key) error {
	if key.Operator {
		return nil
	}
	return &saaf.Error{Code: saaf.Forbidden, Word: "operator_only",
		Message: "This route is for operator keys; make one with saaf key create --operator"}
}
