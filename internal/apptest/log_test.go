package apptest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"saaf/store"
)

// The log that a store has left is read up to its last commit, junk behind that is not,
// and what is cut out of the last commit takes that one alone with it.
func TestLogEndsAtItsLastCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "saaf.db")
	copied := filepath.Join(t.TempDir(), "saaf.db")
	// While the store is open its log is there, as a killed process leaves it.
	tenants(t, dir, func() { mustCopy(t, db, copied) })

	l, err := ReadLog(copied)
	if err != nil || len(l.commits) < 2 || l.End() > l.Size {
		t.Fatalf("%d commits, the last ends at %d of %d: %v", len(l.commits), l.End(), l.Size, err)
	}
	for range 20 {
		if err := l.CutTail(copied); err != nil {
			t.Fatal(err)
		}
		again, err := ReadLog(copied)
		if err != nil || again.End() != l.End() || len(again.commits) != len(l.commits) {
			t.Fatalf("with junk behind it: %d commits to %d, want %d to %d: %v", len(again.commits), again.End(), len(l.commits), l.End(), err)
		}
	}
	if ok, err := l.CutCommit(copied); !ok || err != nil {
		t.Fatalf("the last commit cannot be cut: %v, %v", ok, err)
	}
	again, err := ReadLog(copied)
	if err != nil || len(again.commits) != len(l.commits)-1 || again.End() != l.endOf(len(l.commits)-2) {
		t.Errorf("with the last one cut: %d commits to %d, want %d: %v", len(again.commits), again.End(), len(l.commits)-1, err)
	}
}

// Pages that the log covers can be torn: the store is what it was.
func TestTornPagesAreInTheLog(t *testing.T) {
	t.Parallel()
	dir, there := t.TempDir(), t.TempDir()
	copied := filepath.Join(there, "saaf.db")
	tenants(t, dir, func() {
		for _, name := range []string{"pepper", "signing.pem"} {
			mustCopyFile(t, filepath.Join(dir, name), filepath.Join(there, name))
		}
		mustCopy(t, filepath.Join(dir, "saaf.db"), copied)
	})
	l, err := ReadLog(copied)
	if err != nil {
		t.Fatal(err)
	}
	// As if all of it had been written back before: pages of nothing, until they are torn.
	if err := os.Truncate(copied, 1<<20); err != nil {
		t.Fatal(err)
	}
	if torn, err := l.TearPages(copied); torn < 2 || err != nil {
		t.Fatalf("%d pages were torn: %v", torn, err)
	}
	st, err := store.Open(t.Context(), store.Config{Dir: there})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if list, err := st.Tenants(t.Context()); err != nil || len(list) != 3 {
		t.Errorf("%d tenants, %v; want 3", len(list), err)
	}
}

// tenants makes a store with three tenants and calls fn while it is open.
func tenants(t *testing.T, dir string, fn func()) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- st.Run(ctx) }()
	for _, name := range []string{"Asha Finance", "Zenith Bank", "Kaveri Homes"} {
		if _, err := st.CreateTenant(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	fn()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// mustCopy copies a database with its log.
func mustCopy(t *testing.T, from, to string) {
	t.Helper()
	mustCopyFile(t, from, to)
	mustCopyFile(t, from+"-wal", to+"-wal")
}

func mustCopyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
