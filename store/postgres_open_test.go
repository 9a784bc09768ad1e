package store

import (
	"strings"
	"testing"

	"saaf/internal/pgtest"
)

// A database that answers commits before they are on its disk is refused, and left
// without a store.
func TestForgetfulDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, pgtest.Options{Settings: map[string]string{"synchronous_commit": "off"}})
	url := server.Empty(t)
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), URL: url})
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit is off") || !strings.Contains(err.Error(), "ALTER DATABASE") {
		t.Errorf("Open = %v, %v", s, err)
	}
}

// What is said about a URL that cannot be read holds no part of its password, wherever
// that ends.
func TestBadURLIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:kuchh/na:hi@n@127.0.0.1:5432/saaf",
		"postgres://u:kuchh nahin@127.0.0.1/saaf",
		"postgres://u:kuchhnahin@127.0.0.1:port/saaf",
		"postgres://127.0.0.1:port/saaf?password=kuchhnahin",
		`host=127.0.0.1 password=kuchh\ nahin port=port`,
		"host=127.0.0.1 password = kuchhnahin port=port",
		"mysql://u:kuchhnahin@127.0.0.1/saaf",
	} {
		_, err := Open(t.Context(), Config{Dir: t.TempDir(), URL: url})
		if err == nil || strings.ContainsAny(err.Error(), "`\n") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", url, err)
			continue
		}
		for _, part := range []string{"kuchh", "na:hi", "nahin", "n@"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s of %s is in: %v", part, url, err)
			}
		}
	}
}
