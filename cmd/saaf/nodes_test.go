package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
	"saaf/scrub"
)

// Full sets, deltas and roll-backs, by commands on a machine that is no server, while
// leads come in on two servers: no answer is unknown, and none that of another snapshot.
func TestSwapOnTwoServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	swapUnderLoad(t, c.command, c.api(0, key), c.api(1, key))
	for i, s := range c.servers {
		if strings.Contains(s.Log(), "answering unknown") {
			t.Errorf("server %d was without the active snapshot:\n%s", i, s.Log())
		}
	}
}

// wideFile is a registry whose snapshot file is large, 125 kB for each of the heads.
func wideFile(t *testing.T, heads int, salt int) string {
	t.Helper()
	var text []byte
	for head := range heads {
		text = fmt.Appendf(text, "10,%d,0,A,2\n", 6_000_000_000+head*1_000_000+salt)
	}
	path := filepath.Join(t.TempDir(), "wide.csv")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// begin starts a command on the database, which the test may kill.
func (c *cluster) begin(args ...string) *exec.Cmd {
	c.t.Helper()
	cmd := exec.Command(binary, append(args, "--database-url", c.url, "--secrets-dir", c.secrets)...)
	cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+filepath.Join(c.t.TempDir(), "command"))
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return cmd
}

// number asks the database.
func (c *cluster) number(query string) (n int64) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(c.t.Context()))
	if err := conn.QueryRow(c.t.Context(), query).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// answersFrom waits until a server answers from a snapshot.
func (c *cluster) answersFrom(i int, key, id string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("server %d answers from %s", i, id), func() bool {
		st, err := c.api(i, key).RegistryStatus(c.t.Context())
		return err == nil && st.ID == id
	})
}

func (c *cluster) imports(file string) string {
	c.t.Helper()
	var made struct {
		ID       string
		Warnings []string
	}
	out := c.command("--json", "registry", "import", file, "--full", "--effective-date", saaf.DateOf(time.Now()).String(), "--override", "a trial")
	if err := json.Unmarshal(out, &made); err != nil {
		c.t.Fatal(err)
	}
	for _, w := range made.Warnings {
		if strings.Contains(w, "server") {
			c.t.Errorf("a server was left behind: %s", w)
		}
	}
	return made.ID
}

// An importer that is killed while it publishes has changed nothing; the next one goes
// on with what is there.
func TestImporterKilledWhileItPublishes(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	before := c.imports(wideFile(t, 2, 0))
	file := wideFile(t, 600, 1)
	cmd := c.begin("registry", "import", file, "--full", "--effective-date", saaf.DateOf(time.Now()).String(), "--override", "a trial")
	const there = `SELECT count(*) FROM snapshot_blocks b JOIN snapshot_uploads u ON u.sha256 = b.sha256 WHERE u.ready = 0`
	eventually(t, "it publishes", func() bool { return c.number(there) >= 3 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("it has ended well: the test has tested nothing")
	}
	left := c.number(there)
	if left < 3 {
		t.Fatalf("%d blocks are left: the test has tested nothing", left)
	}
	for i := range c.servers {
		c.answersFrom(i, key, before)
	}
	all, last := c.number(`SELECT count(*) FROM snapshot_blocks`), c.number(`SELECT max(CAST(CAST(xmin AS TEXT) AS BIGINT)) FROM snapshot_blocks`)
	after := c.imports(file)
	for i := range c.servers {
		c.answersFrom(i, key, after)
	}
	if c.number(there) != 0 {
		t.Error("a file is unfinished")
	}
	if kept := c.number(fmt.Sprintf(`SELECT count(*) FROM snapshot_blocks WHERE CAST(CAST(xmin AS TEXT) AS BIGINT) <= %d`, last)); kept != all {
		t.Errorf("%d of %d blocks were written again", all-kept, all)
	}
}

// A server that is killed while it fetches is not waited for longer than it seems to
// live; the next one on its directory removes what is left, answers unknown, fetches
// and answers.
func TestServerKilledWhileItFetches(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	first := c.imports(wideFile(t, 2, 0))
	for i := range c.servers {
		c.answersFrom(i, key, first)
	}
	registry := scrub.RegistryDir(c.dirs[0])
	killed := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if parts, _ := filepath.Glob(filepath.Join(registry, "import-*.tmp")); len(parts) > 0 {
				killed <- c.servers[0].Kill()
				return
			}
		}
	}()
	second := c.imports(wideFile(t, 600, 1))
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	c.answersFrom(1, key, second)
	if parts, _ := filepath.Glob(filepath.Join(registry, "import-*.tmp")); len(parts) != 1 {
		t.Fatalf("it left %v: the test has tested nothing", parts)
	}
	c.start(0)
	c.neverOlder(0, key, second)
	if parts, _ := filepath.Glob(filepath.Join(registry, "*")); len(parts) != 2 {
		t.Errorf("in its directory are %v", parts)
	}
}

// neverOlder waits until a server answers from a snapshot, and fails when it answers
// from another meanwhile.
func (c *cluster) neverOlder(i int, key, id string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("server %d answers from %s", i, id), func() bool {
		list, err := c.api(i, key).CheckDND(c.t.Context(), []string{"6000000001"})
		if err != nil {
			c.t.Fatal(err)
		}
		if list[0].Registry == nil {
			if list[0].DNDChecked || list[0].DNDClean {
				c.t.Errorf("without a snapshot it says %+v", list[0])
			}
			return false
		}
		if list[0].Registry.ID != id {
			c.t.Errorf("it answers from %s", list[0].Registry.ID)
		}
		return true
	})
}

// A server that starts with an empty directory fetches what is active; the status
// lists all servers with what they answer from.
func TestServerStartsWithNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 1)
	key := c.fastKey()
	c.imports(wideFile(t, 2, 0))
	active := c.imports(wideFile(t, 60, 1))
	c.dirs = append(c.dirs, filepath.Join(t.TempDir(), "late"))
	c.servers = append(c.servers, nil)
	c.start(1)
	c.neverOlder(1, key, active)
	if log := c.servers[1].Log(); !strings.Contains(log, `level=INFO msg="the active snapshot is being fetched`) || strings.Contains(log, "level=ERROR") || strings.Contains(log, "registry import") {
		t.Errorf("that it is on its way is no trouble, and nothing to be done about:\n%s", log)
	}
	lead, err := c.api(1, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "late", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := c.api(1, key).PushLead(t.Context(), lead.ID, client.NewLead{Phone: "6000000001"}); err != nil || l.DNDReason != "ncpr_full_block" {
		t.Errorf("it finds %q, %v", l.DNDReason, err)
	}
	var st struct {
		State   string
		ID      string
		Servers []struct {
			PID      int
			Address  string
			Snapshot string
			Problem  string
			Prepared *bool
		}
	}
	eventually(t, "both servers say what they answer from", func() bool {
		if err := json.Unmarshal(c.command("--json", "registry", "status"), &st); err != nil {
			t.Fatal(err)
		}
		return len(st.Servers) == 2 && st.Servers[0].Snapshot == active && st.Servers[1].Snapshot == active
	})
	if st.State != "fresh" || st.ID != active || st.Servers[0].Prepared != nil {
		t.Errorf("%+v", st)
	}
	text := string(c.command("registry", "status"))
	for _, s := range c.servers {
		if line := fmt.Sprintf("(pid %d on", s.PID()); !strings.Contains(text, line) || strings.Count(text, "answers from "+active) != 2 {
			t.Errorf("%q is not in:\n%s", line, text)
		}
	}
	check := string(c.command("registry", "check", "6000000001"))
	if !strings.Contains(check, "blocked") {
		t.Errorf("checked on a machine that has nothing: %s", check)
	}
}

// A file that is uploaded to one server, and a roll-back that another is asked for,
// reach both.
func TestUploadReachesBothServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	var operator struct{ Key string }
	if err := json.Unmarshal(c.command("--json", "key", "create", "--tenant", c.servers[0].TenantID, "--operator"), &operator); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range 2 {
		file, err := os.Open(wideFile(t, 40, n))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		to := c.api(n, operator.Key)
		im, err := to.ImportRegistry(t.Context(), file, client.RegistryFile{Mode: "full", EffectiveDate: saaf.DateOf(time.Now()).String(), Override: "a trial"})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the import ends", func() bool {
			im, err = to.RegistryImport(t.Context(), im.ID)
			if err != nil || im.State == "failed" || im.State == "refused" {
				t.Fatalf("%+v, %v", im, err)
			}
			return im.State == "completed"
		})
		if w := strings.Join(im.Warnings, " "); strings.Contains(w, "server") {
			t.Errorf("a server was left behind: %s", w)
		}
		for i := range c.servers {
			c.answersFrom(i, operator.Key, im.SnapshotID)
		}
		ids = append(ids, im.SnapshotID)
	}
	if st, err := c.api(0, operator.Key).RollBackRegistry(t.Context(), "a trial"); err != nil || st.ID != ids[0] {
		t.Fatalf("rolled back to %s, %v", st.ID, err)
	}
	for i := range c.servers {
		c.answersFrom(i, operator.Key, ids[0])
		if strings.Contains(c.servers[i].Log(), "answering unknown") {
			t.Errorf("server %d was without the active snapshot:\n%s", i, c.servers[i].Log())
		}
	}
}
