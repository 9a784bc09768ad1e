package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"saaf"
	"saaf/store"
)

// prefixes are what the keys of each environment start with.
var prefixes = map[saaf.Environment]string{saaf.Live: "yt_live_", saaf.Test: "yt_test_"}

// KeySpec is what a new key shall be.
type KeySpec struct {
	TenantID    saaf.TenantID
	Environment saaf.Environment
	Scopes      []saaf.Scope // empty means all ordinary ones
	RateLimit   int          // requests per minute, 0 for the default of 600
	Label       string
	Operator    bool
}

// NewKey makes a key that is to be stored, and its secret, which is to be shown
// once and then forgotten.
func NewKey(spec KeySpec) (store.NewKey, saaf.Secret, error) {
	if spec.RateLimit == 0 {
		spec.RateLimit = saaf.DefaultRateLimit
	}
	prefix, ok := prefixes[spec.Environment]
	switch {
	case !ok:
		return store.NewKey{}, "", invalid(fmt.Sprintf("environment %q does not exist: use live or test", spec.Environment))
	case spec.RateLimit < 1 || spec.RateLimit > saaf.MaxRateLimit:
		return store.NewKey{}, "", invalid(fmt.Sprintf("a rate limit must be 1 to %d requests per minute", saaf.MaxRateLimit))
	case utf8.RuneCountInString(spec.Label) > 200:
		return store.NewKey{}, "", invalid("a label must have at most 200 characters")
	}
	secret := prefix + rand.Text()
	return store.NewKey{
		Key: saaf.Key{
			TenantID: spec.TenantID, Environment: spec.Environment, Label: spec.Label, Scopes: spec.Scopes,
			RateLimit: spec.RateLimit, Operator: spec.Operator, Prefix: prefix, LastFour: secret[len(secret)-4:],
		},
		Hash: hash(secret),
	}, saaf.Secret(secret), nil
}

func invalid(msg string) error {
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Message: msg}
}

// hash is what is stored of a key. A key has 130 random bits, so that a plain
// hash cannot be searched and no slow one is needed.
func hash(key string) store.KeyHash { return sha256.Sum256([]byte(key)) }

func hasKeyPrefix(key string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}
