package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf"
)

// hold has somebody outside hold a lock until the test, or release, ends it.
func (b *bundle) hold(sql string, args ...any) (release func()) {
	b.t.Helper()
	outside := b.outside()
	_, err := outside.exec("BEGIN")
	b.must(err)
	b.must(outside.query(sql, nil, args...))
	return func() {
		b.t.Helper()
		_, err := outside.exec("ROLLBACK")
		b.must(err)
	}
}

// Whoever holds the lock of a campaign, or of the deployment, holds the jobs of it and
// no others: this process beats, keeps its leases and records facts.
func TestLocksHoldNobodyElse(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{Writers: 2})
	sv, err := b.RegisterServer(t.Context(), Server{PID: 1})
	b.must(err)
	lease, ok, err := b.Claim(t.Context(), "work", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	works := func(t *testing.T, what map[string]func(context.Context) error) {
		t.Helper()
		for name, do := range what {
			done := make(chan error, 1)
			go func() { done <- do(t.Context()) }()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s waits for a lock that is not its own", name)
			}
		}
	}
	beside := map[string]func(context.Context) error{
		"a heartbeat": func(ctx context.Context) error { return b.Beat(ctx, sv) },
		"a lease":     func(ctx context.Context) error { return b.Renew(ctx, lease, time.Hour) },
		"requests of keys": func(ctx context.Context) error {
			_, err := b.UseKeys(ctx, 29_000_000, []KeyUse{{Key: 1, Requests: 1}})
			return err
		},
		"a check": func(ctx context.Context) error {
			return b.RecordChecks(ctx, b.tenant, saaf.Live, saaf.SourceFile, asha, []Checked{{Phone: phone(1)}})
		},
	}

	release := b.hold(`SELECT id FROM campaigns WHERE id = $1 FOR UPDATE`, b.campaign)
	var pushed []<-chan error
	for n := range 2 * b.cfg.Writers {
		_, one := b.push(t.Context(), leads(n, n+1)...)
		pushed = append(pushed, one)
		b.until("writers wait for the campaign", func() bool { return b.locksWaiting() == int64(min(n+1, b.cfg.Writers)) })
	}
	works(t, beside)
	works(t, map[string]func(context.Context) error{"a change of the deployment": func(ctx context.Context) error {
		_, err := b.CreateTenant(ctx, "Zenith Bank")
		return err
	}})
	release()
	for _, one := range pushed {
		b.must(<-one)
	}

	release = b.hold(`SELECT version FROM deployment FOR UPDATE`)
	var made []<-chan error
	for n := range 2 * b.cfg.Writers {
		one := make(chan error, 1)
		go func() { _, err := b.CreateTenant(t.Context(), fmt.Sprint("Tenant ", n)); one <- err }()
		made = append(made, one)
	}
	b.until("a writer waits for the deployment", func() bool { return b.locksWaiting() > 0 })
	works(t, beside)
	works(t, map[string]func(context.Context) error{"a push": func(ctx context.Context) error {
		return b.AddLeads(ctx, b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Leads: leads(100, 101)})
	}})
	release()
	for _, one := range made {
		b.must(<-one)
	}
}

// A lease that is being written under is not claimed, nor waited for so long that the
// process seems dead.
func TestLeasesHoldNoHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sv, err := b.RegisterServer(t.Context(), Server{PID: 1})
	b.must(err)
	lease, ok, err := b.Claim(t.Context(), "work", time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	release := b.hold(`SELECT fence FROM leases WHERE name = 'work' FOR SHARE`)
	if err := b.Renew(t.Context(), lease, time.Hour); saaf.ErrorCode(err) != saaf.Unavailable {
		t.Errorf("the lease is renewed: %v", err)
	}
	renewed := make(chan error, 1)
	go func() { renewed <- b.Renew(t.Context(), lease, time.Hour) }()
	b.until("the lease waits", func() bool { return b.locksWaiting() == 1 })
	b.must(b.Beat(t.Context(), sv))
	if err := <-renewed; saaf.ErrorCode(err) != saaf.Unavailable {
		t.Errorf("the lease is renewed: %v", err)
	}
	release()
	b.must(b.Renew(t.Context(), lease, time.Hour))
}

// Reads that take all the connections there are for reading keep no write waiting, nor
// the node number.
func TestReadsHoldNoWriter(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{Readers: 1})
	reading, leave := make(chan struct{}), make(chan struct{})
	read := make(chan error, 1)
	go func() {
		read <- b.read(t.Context(), func(session) error { close(reading); <-leave; return nil })
	}()
	<-reading
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	waits := make(chan error, 8)
	for range cap(waits) { // for the connection that there is
		go func() { waits <- b.read(ctx, func(session) error { return nil }) }()
	}
	release := b.block() // all writers at once
	if err := b.engine.(*postgres).renew(ctx); err != nil {
		t.Errorf("the node number: %v", err)
	}
	release()
	close(leave)
	b.must(<-read)
	for range cap(waits) {
		b.must(<-waits)
	}
}

// How many connections a process opens is said where somebody looks who runs it.
func TestDocumentedConnections(t *testing.T) {
	t.Parallel()
	cfg := Config{URL: "postgres://saaf@127.0.0.1:1/saaf"}
	cfg.setDefaults()
	e, err := connectPostgres(t.Context(), &Store{cfg: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer e.disconnect()
	most := e.pool.Config().MaxConns + e.reads.Config().MaxConns
	for path, want := range map[string]string{
		filepath.Join("docs", "postgres.md"):        fmt.Sprintf("at most %d connections", most),
		filepath.Join("cmd", "saaf", "database.go"): fmt.Sprintf("up to %d connections", most),
	} {
		text, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
}
