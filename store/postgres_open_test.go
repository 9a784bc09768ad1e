package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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

// The URLs of docs/postgres.md mean what is said of them.
func TestDocumentedURLs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "postgres.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, url := range regexp.MustCompile(`postgres://\S+`).FindAllString(string(doc), -1) {
		e, err := connectPostgres(t.Context(), &Store{cfg: Config{URL: url, Readers: 1, Writers: 1}})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		cfg := e.pool.Config().ConnConfig
		e.pool.Close()
		found["all"]++
		if strings.Contains(url, "pooler") && cfg.DefaultQueryExecMode == pgx.QueryExecModeExec {
			found["pooler"]++
		}
		hosts := map[string]bool{cfg.Host: true}
		for _, f := range cfg.Fallbacks {
			hosts[f.Host] = true
		}
		if strings.Contains(url, "target_session_attrs") && cfg.ValidateConnect != nil && len(hosts) == 3 {
			found["members"]++
		}
	}
	if found["pooler"] != 1 || found["members"] != 1 || found["all"] < 5 {
		t.Errorf("the document has %v", found)
	}
}
