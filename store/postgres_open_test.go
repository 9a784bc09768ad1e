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
