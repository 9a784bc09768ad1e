package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/store"
)

func TestNewKey(t *testing.T) {
	t.Parallel()
	for env, pattern := range map[saaf.Environment]string{saaf.Live: `^yt_live_[A-Z2-7]{26}$`, saaf.Test: `^yt_test_[A-Z2-7]{26}$`} {
		key, secret, err := NewKey(KeySpec{TenantID: 7, Environment: env, Scopes: []saaf.Scope{saaf.LeadsRead}, RateLimit: 5, Label: "CRM", Operator: true})
		if err != nil {
			t.Fatal(err)
		}
		s := string(secret)
		if !regexp.MustCompile(pattern).MatchString(s) {
			t.Errorf("the %s key is %q", env, s)
		}
		want := store.NewKey{
			Key: saaf.Key{TenantID: 7, Environment: env, Label: "CRM", Scopes: []saaf.Scope{saaf.LeadsRead}, RateLimit: 5, Operator: true,
				Prefix: s[:8], LastFour: s[len(s)-4:]},
			Hash: sha256.Sum256([]byte(s)),
		}
		if diff := cmp.Diff(want, key); diff != "" {
			t.Errorf("more or less than the hash is kept: %s", diff)
		}
	}
}

func TestNewKeyDefaults(t *testing.T) {
	t.Parallel()
	key, _, err := NewKey(KeySpec{Environment: saaf.Live})
	if err != nil || key.RateLimit != 600 || len(key.Scopes) != 0 || key.Operator {
		t.Errorf("%+v, %v", key, err)
	}
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	seen := map[saaf.Secret]bool{}
	for range 100 {
		_, secret, err := NewKey(KeySpec{Environment: saaf.Live})
		if err != nil || seen[secret] {
			t.Fatalf("made twice: %v, %v", seen[secret], err)
		}
		seen[secret] = true
	}
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]KeySpec{
		"no environment": {},
		"environment":    {Environment: "prod"},
		"negative rate":  {Environment: saaf.Live, RateLimit: -1},
		"rate":           {Environment: saaf.Live, RateLimit: 100_001},
		"label":          {Environment: saaf.Live, Label: strings.Repeat("क", 201)},
	} {
		key, secret, err := NewKey(spec)
		if saaf.ErrorCode(err) != saaf.Invalid || secret != "" || key.Hash != (store.KeyHash{}) {
			t.Errorf("%s: %+v, %v", name, key, err)
		}
	}
	for name, spec := range map[string]KeySpec{
		"lowest rate":   {Environment: saaf.Live, RateLimit: 1},
		"highest rate":  {Environment: saaf.Live, RateLimit: 100_000},
		"longest label": {Environment: saaf.Test, Label: strings.Repeat("क", 200)},
	} {
		if _, _, err := NewKey(spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However somebody prints a secret or what it is in, it does not come out.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	key, secret, err := NewKey(KeySpec{Environment: saaf.Live})
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ Key saaf.Secret }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", holder{secret})
		fmt.Fprintf(&out, verb+"\n", &holder{secret})
		fmt.Fprintf(&out, verb+"\n", []saaf.Secret{secret})
		fmt.Fprintf(&out, verb+"\n", map[string]any{"key": secret})
		fmt.Fprintf(&out, verb+"\n", key)
	}
	fmt.Fprintln(&out, secret, errors.New(secret.String()), fmt.Errorf("key %v", secret))
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("made", "secret", secret, "any", slog.AnyValue(secret), "key", key)
		log.With("secret", secret).Info("made")
		log.Info(fmt.Sprint(secret))
	}
	if err := json.NewEncoder(&out).Encode(key); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing was printed")
	}
	for line := range strings.Lines(out.String()) {
		// Without its prefix, and in hexadecimal.
		body := string(secret[8:])
		for _, form := range []string{body, fmt.Sprintf("%x", body), fmt.Sprintf("%X", body)} {
			if strings.Contains(line, form) {
				t.Errorf("it is in %s", line)
			}
		}
	}
}
