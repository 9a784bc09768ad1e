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

// A database that answers and is of no use is not called one that cannot be reached.
func TestUselessDatabaseIsExplained(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, pgtest.Options{})
	empty := server.Empty(t)
	do := func(sql string) {
		t.Helper()
		if _, err := pgtest.Exec(t.Context(), empty, sql); err != nil {
			t.Fatal(err)
		}
	}
	as := func(user string) string { return strings.Replace(empty, "saaf@", user+"@", 1) }
	opens := func(url, say string) {
		t.Helper()
		_, err := Open(t.Context(), Config{Dir: t.TempDir(), URL: url})
		if err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "try again") {
			t.Errorf("%s: %v, want %q", url, err, say)
		}
	}
	opens(as("nobody"), "does not let in the user")
	opens(empty+"_missing", "there is no such database")
	do(`CREATE ROLE guest LOGIN`)
	opens(as("guest"), "too few rights")
	do(`ALTER ROLE guest SET default_transaction_read_only = on`)
	do(`GRANT ALL ON SCHEMA public TO guest`)
	opens(as("guest"), "takes no writes")
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
		e.disconnect()
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
