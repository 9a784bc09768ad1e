package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
)

// cluster is servers over one database, each with a data directory of its own.
type cluster struct {
	t       *testing.T
	url     string
	secrets string // of the first, which all share
	servers []*apptest.Server
	dirs    []string
}

// startCluster starts so many servers, one after the other.
func startCluster(t *testing.T, url string, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, url: url, secrets: t.TempDir()}
	for i := range n {
		c.dirs = append(c.dirs, filepath.Join(t.TempDir(), fmt.Sprintf("node-%d", i)))
		c.servers = append(c.servers, nil)
		c.start(i)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			_ = s.Kill()
			if t.Failed() {
				t.Logf("server log:\n%s", s.Log())
			}
		}
	})
	return c
}

// start starts a server that is not there yet, or was killed.
func (c *cluster) start(i int) {
	c.t.Helper()
	s, err := apptest.Start(binary, c.dirs[i], "--database-url", c.url, "--secrets-dir", c.secrets)
	if err != nil {
		c.t.Fatal(err)
	}
	c.servers[i] = s
}

// command runs the program on the database, with a data directory of its own.
func (c *cluster) command(args ...string) []byte {
	c.t.Helper()
	return command(c.t, filepath.Join(c.t.TempDir(), "commands"), append(args, "--database-url", c.url, "--secrets-dir", c.secrets)...)
}

// api is a client of one server.
func (c *cluster) api(i int, key string) *client.Client { return client.New(c.servers[i].URL, key) }

// Every batch is sent twice at once, to both servers. Each phone is stored once, and
// reported once as added.
func TestTwoServersTakeEachLeadOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	camp, err := c.api(0, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "twice", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	const clients, batches, size = 8, 10, 100
	var mu sync.Mutex
	added := make(map[string]string) // phone to the id that was reported
	var group sync.WaitGroup
	for n := range clients {
		for server := range c.servers {
			api := c.api(server, key)
			group.Go(func() {
				for b := range batches {
					leads := make([]client.NewLead, size)
					for i := range leads {
						// Neighbours overlap by half.
						leads[i].Phone = fmt.Sprint(9_000_000_000 + (n*batches+b)*size/2 + i)
					}
					res, err := api.PushLeads(t.Context(), camp.ID, leads)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, row := range res.Results {
						if row.Status == "duplicate" || row.ID == nil {
							continue
						}
						if was, twice := added[row.Phone]; twice {
							t.Errorf("%s was reported twice as added, as %s and %s", row.Phone, was, *row.ID)
						}
						added[row.Phone] = *row.ID
					}
					mu.Unlock()
				}
			})
		}
	}
	group.Wait()
	want := clients*batches*size/2 + size/2
	if len(added) != want {
		t.Errorf("%d leads were reported as added, want %d", len(added), want)
	}
	stored := storedLeads(t, c.api(0, key), camp.ID)
	if len(stored) != want {
		t.Errorf("%d leads are stored, want %d", len(stored), want)
	}
	for phone, id := range added {
		if stored[phone].ID != id {
			t.Errorf("%s was reported as %s and is stored as %q", phone, id, stored[phone].ID)
		}
	}
}

// What one server is told, the other knows within a second: a key that was revoked,
// a campaign that was completed, a registry that was imported, a number that opted out.
func TestServersKnowOfEachOther(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	first, second := c.api(0, key), c.api(1, key)
	camp, err := first.CreateCampaign(t.Context(), client.NewCampaign{Name: "known", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	listed := registryFile(t, 9_100_000_000, 100, func(n int64) bool { return n%2 == 0 })
	c.command("registry", "import", listed, "--full", "--effective-date", saaf.DateOf(time.Now()).String())
	for i := range c.servers {
		for n, clean := range map[int64]bool{9_100_000_000: false, 9_100_000_001: true} {
			lead, err := c.api(i, key).PushLead(t.Context(), camp.ID, client.NewLead{Phone: fmt.Sprint(n + int64(10*i))})
			if err != nil {
				t.Fatal(err)
			}
			if !lead.DNDChecked || lead.DNDClean != clean {
				t.Errorf("server %d says of %s: checked %v, clean %v", i, lead.Phone, lead.DNDChecked, lead.DNDClean)
			}
		}
	}

	doomed := c.fastKey()
	if _, err := c.api(1, doomed).Campaigns(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	c.command("key", "revoke", keyID(t, c.command("--json", "key", "list"), doomed))
	soon(t, time.Second, "the revoked key is refused", func() bool {
		_, err := c.api(1, doomed).Campaigns(t.Context(), "")
		return statusOf(err) == http.StatusUnauthorized
	})
	if _, err := second.Campaigns(t.Context(), ""); err != nil {
		t.Errorf("the other key: %v", err)
	}
}

// fastKey makes a key that a load test does not exhaust.
func (c *cluster) fastKey() string {
	c.t.Helper()
	return c.key("--rate-limit", "100000")
}

// key makes a key.
func (c *cluster) key(flags ...string) string {
	c.t.Helper()
	var key struct{ Key string }
	out := c.command(append([]string{"--json", "key", "create", "--tenant", c.servers[0].TenantID}, flags...)...)
	if err := json.Unmarshal(out, &key); err != nil {
		c.t.Fatal(err)
	}
	return key.Key
}

// keyID finds the id of a key in the list of keys.
func keyID(t *testing.T, list []byte, key string) string {
	t.Helper()
	var keys []struct {
		ID       string
		LastFour string `json:"last_four"`
	}
	if err := json.Unmarshal(list, &keys); err != nil {
		t.Fatalf("%v in %s", err, list)
	}
	for _, k := range keys {
		if strings.HasSuffix(key, k.LastFour) {
			return k.ID
		}
	}
	t.Fatalf("the key is not among %s", list)
	return ""
}

// soon waits until something is so, and fails when it takes longer.
func soon(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			t.Errorf("after %v it is not so: %s", limit, what)
			return
		}
		<-tick.C
	}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

// A server is killed under load, again and again, while another one goes on over the
// same database. What was answered is there, once; what got no answer is stored whole
// or not at all.
func TestKillOneOfTwoServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Empty(t), 2)
	key := c.fastKey()
	c.command("registry", "import", registryFile(t, crashFrom, crashers*crashRange, crashListed),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String())
	camp, err := c.api(0, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "crash", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	workers := pushers(crashers, crashRange)
	dying, living := workers[:crashers/2], workers[crashers/2:]
	rounds := 4
	if os.Getenv("SAAF_LONG") != "" {
		rounds = 40
	}
	for range rounds {
		stop := make(chan struct{})
		var group sync.WaitGroup
		for i := range living {
			w, api := &living[i], c.api(1, key)
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if !w.push(t.Context(), api, camp.ID, []int{1, 20, 500}[i%3]) {
						t.Error("a push to the server that lives on was not answered")
						return
					}
				}
			})
		}
		killUnderLoad(t, c.servers[0], key, camp.ID, dying)
		close(stop)
		group.Wait()
		c.start(0)
	}
	checkStored(t, c.api(1, key), camp.ID, workers)
}

// The leader of three PostgreSQL is killed under load. Servers find the new one by
// themselves, and what was answered is there, once.
func TestLeaderDies(t *testing.T) {
	t.Parallel() // it waits most of the time
	rounds, callers := 1, 4
	if os.Getenv("SAAF_LONG") != "" {
		rounds, callers = 3, crashers
	}
	patroni := pgtest.Patroni(t)
	c := startCluster(t, patroni.URL("postgres"), 2)
	key := c.fastKey()
	c.command("registry", "import", registryFile(t, crashFrom, crashers*crashRange, crashListed),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String())
	camp, err := c.api(0, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "failover", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	workers := pushers(callers, crashRange)
	for round := range rounds {
		stop := make(chan struct{})
		var answered atomic.Int64 // in nanoseconds of this process: the last answer
		var longest atomic.Int64
		begin := time.Now()
		answered.Store(int64(time.Since(begin)))
		var group sync.WaitGroup
		for i := range workers {
			w, api := &workers[i], c.api(i%2, key)
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if w.push(t.Context(), api, camp.ID, []int{1, 1, 20, 500}[i%4]) {
						now := int64(time.Since(begin))
						if gap := now - answered.Swap(now); gap > longest.Load() {
							longest.Store(gap)
						}
					}
				}
			})
		}
		soon(t, 10*time.Second, "pushes are answered", func() bool { return answered.Load() > int64(time.Second) })
		leader, err := patroni.KillLeader()
		if err != nil {
			t.Fatal(err)
		}
		killed := int64(time.Since(begin))
		if _, err := patroni.AwaitLeader(leader); err != nil {
			t.Fatal(err)
		}
		soon(t, time.Minute, "pushes are answered by the new leader", func() bool { return answered.Load() > killed+int64(2*time.Second) })
		close(stop)
		group.Wait()
		t.Logf("without an answer for %v", time.Duration(longest.Load()).Round(100*time.Millisecond))
		if round == rounds-1 {
			break
		}
		if err := errors.Join(patroni.Restart(leader), patroni.AwaitWhole()); err != nil {
			t.Fatal(err)
		}
	}
	checkStored(t, c.api(1, key), camp.ID, workers)
}

// Two servers work through a pooler that gives them another connection for each
// transaction, with the setting that the documents name.
func TestServersBehindAPooler(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgtest.Bouncer(t, pgtest.Empty(t))+"?default_query_exec_mode=exec", 2)
	key := c.fastKey()
	c.command("registry", "import", registryFile(t, crashFrom, 1000, func(n int64) bool { return n%3 == 0 }),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String())
	camp, err := c.api(0, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "pooled", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	workers := pushers(4, 100)
	var group sync.WaitGroup
	for i := range workers {
		w, api := &workers[i], c.api(i%2, key)
		group.Go(func() {
			for n := range 40 {
				if !w.push(t.Context(), api, camp.ID, []int{1, 4}[n%2]) {
					t.Error("a push was not answered")
				}
			}
		})
	}
	group.Wait()
	if _, err := c.api(1, key).Suppress(t.Context(), client.NewSuppression{Phone: fmt.Sprint(crashFrom + 1), Reason: "asked"}); err != nil {
		t.Fatal(err)
	}
	stored := storedLeads(t, c.api(1, key), camp.ID)
	if len(stored) != 400 {
		t.Errorf("%d leads are stored, want 400", len(stored))
	}
	for phone, l := range stored {
		n := phoneNumber(t, phone)
		if blocked := n%3 == 0 || n == crashFrom+1; blocked != (l.Status == "dnd") {
			t.Errorf("%s is %s (%s)", phone, l.Status, l.DNDReason)
		}
	}
	c.command("audit", "verify")
}
