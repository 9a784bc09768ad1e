package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"saaf"
)

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"files-0", "files-0077"} {
		if p := start(t, what, filepath.Join(t.TempDir(), "data")); p.said != "ok" {
			t.Errorf("%s: %s", what, p.said)
		}
	}
}

func TestMustExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty(t, dir)
	missing := configured(t, Config{Dir: dir, MustExist: true})
	for range 2 { // looking makes nothing
		where := dir
		if missing.URL != "" {
			where, _, _ = strings.Cut(missing.URL[strings.LastIndex(missing.URL, "/")+1:], "?")
		}
		if _, err := Open(t.Context(), missing); !errors.Is(err, ErrNoStore) || !strings.Contains(err.Error(), where) {
			t.Errorf("Open = %v; want ErrNoStore with %s", err, where)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("looking left %v, %v", names, err)
	}
	b := setup(t)
	b.stop()
	again := open(t, Config{Dir: b.dir, MustExist: true})
	if list, err := again.Tenants(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("tenants %v, %v", list, err)
	}
}

func TestMustExistInADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	if _, err := Open(t.Context(), Config{Dir: nowhere, MustExist: true}); !errors.Is(err, ErrNoStore) || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("Open = %v; want ErrNoStore with the directory", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("looking left %v, %v", names, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: file, MustExist: true}); err == nil || errors.Is(err, ErrNoStore) {
		t.Errorf("a file instead of a directory: %v; want its own reason", err)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	text := []byte(strings.Repeat("This is somebody's diary. ", 400))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v, %v; want an error that names the file", s, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}
	if _, err := Open(t.Context(), Config{Dir: t.TempDir(), Node: saaf.MaxNode + 1}); err == nil {
		t.Error("a node that does not exist was taken")
	}
}

// What the promise "on the disk when it is answered" rests on.
func TestConnectionsAreSafe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pragma := func(conn session, name string) (value string) {
		t.Helper()
		b.must(conn.query("PRAGMA "+name, func(r row) error { value = r.text(); return nil }))
		return value
	}
	b.must(b.write(t.Context(), everything, 0, func(x *tx) error {
		if mode, sync := pragma(x.conn, "journal_mode"), pragma(x.conn, "synchronous"); mode != "wal" || sync != "2" {
			t.Errorf("the writer has journal_mode %s and synchronous %s; want wal and 2 (FULL)", mode, sync)
		}
		return nil
	}))
	err := b.read(t.Context(), func(conn session) error {
		_, err := conn.exec(`DELETE FROM tenants`)
		return err
	})
	if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultReadOnly {
		t.Errorf("a reader that writes: %v; want it refused", err)
	}
}

// A reader whose caller went away ends, with the caller's reason.
func TestReadsEndWithTheirCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := b.read(ctx, func(conn session) error {
		return conn.query(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i % 1000 = 0`,
			func(row) error { cancel(); return nil })
	})
	if !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
		t.Errorf("interrupted read: %v; want %v", err, ctx.Err())
	}
	if _, err := b.Tenants(ctx); !errors.Is(err, ctx.Err()) {
		t.Errorf("read of a caller that is gone: %v", err)
	}
	for range 2 * b.cfg.Readers { // the connections are still good
		_, err := b.Tenants(t.Context())
		b.must(err)
	}
}

func (b *bundle) key() int64 {
	b.t.Helper()
	key, err := b.CreateKey(b.ctx, newKey(b.tenant, byte(b.number(`SELECT count(*) FROM api_keys`))))
	b.must(err)
	return int64(key.ID)
}

// ids makes one of each kind of thing that has an id of its own.
func (b *bundle) ids() map[string]int64 {
	b.t.Helper()
	return map[string]int64{
		"tenant":   int64(b.newTenant(time.Now().String())),
		"key":      b.key(),
		"campaign": int64(b.newCampaign(b.tenant, saaf.Live)),
		"snapshot": int64(b.activate(20_000).ID),
		"free":     b.NewID(),
	}
}

// Ids go on above the highest that was ever there, whatever the clock says and
// whatever has been deleted since. Time in a bubble begins in the year 2000.
func TestIDsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]func(*bundle) int64{
		"tenant":   func(b *bundle) int64 { return int64(b.newTenant("newest")) },
		"key":      (*bundle).key,
		"campaign": func(b *bundle) int64 { return int64(b.newCampaign(b.tenant, saaf.Live)) },
		"snapshot": func(b *bundle) int64 { return int64(b.activate(20_000).ID) },
		"lead":     func(b *bundle) int64 { return int64(b.add(b.campaign, leads(0, 9)...).Leads[8].ID) },
		"lead of a campaign that was deleted": func(b *bundle) int64 {
			id := b.add(b.campaign, leads(0, 9)...).Leads[8].ID
			b.must(b.DeleteCampaign(b.ctx, b.tenant, saaf.Live, b.campaign, saaf.System))
			return int64(id)
		},
		"lead of a campaign that was removed": func(b *bundle) int64 {
			newest := b.newCampaign(b.tenant, saaf.Live)
			id := b.add(newest, leads(0, 9)...).Leads[8].ID
			b.must(b.DeleteCampaign(b.ctx, b.tenant, saaf.Live, newest, saaf.System))
			b.must(b.purgeCampaign(b.ctx, Lease{}, newest))
			if n := b.leftovers(newest); n != 0 {
				b.t.Errorf("%d rows left", n)
			}
			return int64(id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			highest := last(b)
			tenant := b.tenant
			b.stop()
			timeless(t, func(t *testing.T) {
				if time.Now().Year() != 2000 {
					t.Fatal("the clock did not go back")
				}
				b := open(t, Config{Dir: b.dir, Node: 3})
				b.tenant = tenant
				for kind, id := range b.ids() {
					if id <= highest {
						t.Errorf("id %d of a new %s is not above %d", id, kind, highest)
					}
				}
				campaign := b.newCampaign(tenant, saaf.Live)
				if id := int64(b.add(campaign, leads(0, 1)...).Leads[0].ID); id <= highest {
					t.Errorf("id %d of a new lead is not above %d", id, highest)
				}
			})
		})
	}
}

// Two processes make ids at the same moment without asking each other.
func TestNodesMakeDifferentIDs(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		dir := t.TempDir()
		one, two := open(t, Config{Dir: dir}), open(t, Config{Dir: dir, Node: saaf.MaxNode})
		for range 3 {
			if a, b := one.NewID(), two.NewID(); a == b {
				t.Errorf("both made %d", a)
			}
		}
	})
}
