package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
	"saaf/store"
)

// kills is how often the crash test kills the server.
func kills() int {
	if os.Getenv("SAAF_LONG") != "" {
		return 100
	}
	return 5
}

// command runs the built program on a data directory and returns what it prints.
func command(t testing.TB, dataDir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+dataDir)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("saaf %v: %v\n%s", args, err, errs.String())
	}
	return out
}

// fastKey makes a key that a load test does not exhaust.
func fastKey(t *testing.T, dataDir, tenant string) string {
	t.Helper()
	var key struct{ Key string }
	out := command(t, dataDir, "--json", "key", "create", "--tenant", tenant, "--rate-limit", "100000")
	if err := json.Unmarshal(out, &key); err != nil {
		t.Fatal(err)
	}
	return key.Key
}

// registryFile writes a registry that lists the numbers of [from, from+count)
// for which listed is true.
func registryFile(t *testing.T, from, count int64, listed func(int64) bool) string {
	t.Helper()
	var buf bytes.Buffer
	for n := from; n < from+count; n++ {
		if listed(n) {
			fmt.Fprintf(&buf, "10,%d,0,A,2\n", n)
		}
	}
	path := filepath.Join(t.TempDir(), "registry.csv")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The phones of the crash test. Those of the pool are pushed by everybody into every
// campaign; the others are each used by one client, and are more than a hundred rounds need.
const (
	loadFrom    = 9_000_000_000
	loadPool    = 4_000
	loadNumbers = 1_000_000
)

// crashMemory is how many bytes the phones of campaigns may take in the crash test: those of
// one or two, so that others are dropped and read again all the time.
const crashMemory = 60_000

// crashRun is one data directory under load, whose server is killed again and again.
type crashRun struct {
	binary  string
	scratch string // directory for files
	dir     string
	srv     *apptest.Server
	load    *crashLoad
	deltas  int64          // of the registry, imported one after the other
	damaged map[string]int // copies of the files, by what was done to them
}

// startCrashRun makes a deployment with a registry and campaigns.
func startCrashRun(t *testing.T, binary string) *crashRun {
	t.Helper()
	scratch := t.TempDir()
	c := &crashRun{binary: binary, scratch: scratch, dir: filepath.Join(scratch, "data"), damaged: map[string]int{}}
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.srv.Kill() })
	key := fastKey(t, c.dir, c.srv.TenantID)
	if out, err := c.command(c.dir, "registry", "import", registryFile(t, loadFrom, loadNumbers, func(n int64) bool { return n%3 == 0 }),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var campaigns []string
	for range 6 {
		camp, err := client.New(c.srv.URL, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "lasting", DialMode: "preview"})
		if err != nil {
			t.Fatal(err)
		}
		campaigns = append(campaigns, camp.ID)
	}
	c.load = newCrashLoad(key, campaigns)
	c.load.url = c.srv.URL
	return c
}

func (c *crashRun) start() (err error) {
	c.srv, err = apptest.Start(c.binary, c.dir, "--phone-memory", fmt.Sprint(crashMemory))
	return err
}

// command runs the program of this run on a data directory.
func (c *crashRun) command(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command(c.binary, args...)
	cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+dir)
	return cmd.CombinedOutput()
}

// listed are the phones that the registry lists after so many deltas: each adds a
// two-hundredth of those that were clean.
func (c *crashRun) listed(n int64) bool { return n%3 == 0 || n%200 < c.deltas }

// round kills the server at a random moment, starts it again and checks everything; every
// other time while a delta turns leads, and otherwise with damaged copies of its files.
func (c *crashRun) round(t *testing.T, n int) error {
	t.Helper()
	turns := n%2 == 1
	imported := make(chan error, 1)
	if turns {
		delta := registryFile(t, loadFrom, loadNumbers, func(n int64) bool { return n%3 != 0 && n%200 == c.deltas })
		c.deltas++
		go func() { imported <- importDelta(c.dir, delta, saaf.DateOf(time.Now()).String()) }()
	}
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c.load.run(t.Context(), func() { close(started) })
	}()
	<-started
	within := 300
	if n%4 == 3 {
		within = 40
	}
	<-time.After(time.Duration(rand.IntN(within)) * time.Millisecond)
	if err := c.srv.Kill(); err != nil {
		return err
	}
	<-ended
	if !turns {
		if err := c.checkCopies(t.Context()); err != nil {
			return err
		}
	}
	if err := c.start(); err != nil {
		return err
	}
	c.load.url = c.srv.URL
	if turns {
		if err := <-imported; err != nil {
			return err
		}
	}
	if out, err := c.command(c.dir, "audit", "verify"); err != nil {
		c.load.fault("audit verify: %v\n%s", err, out)
		return nil
	}
	if err := c.checkStored(t); err != nil {
		return err
	}
	return c.load.eraseNewest(t.Context())
}

// checkStored holds what is stored against what is known.
func (c *crashRun) checkStored(t *testing.T) (err error) {
	t.Helper()
	awaitChecked(t, c.dir)
	looks(t, c.dir, func(ctx context.Context, st *store.Store) {
		err = c.load.check(ctx, client.New(c.srv.URL, c.load.key), st, c.listed)
	})
	return err
}

// report fails the test for what was found.
func (c *crashRun) report(t *testing.T) {
	t.Helper()
	const most = 20
	for i, fault := range c.load.faults {
		if i == most {
			t.Errorf("and %d more", len(c.load.faults)-most)
			return
		}
		t.Error(fault)
	}
}

// TestKillLosesNothing kills the server again and again while everything that changes leads
// goes on at once: pushes of shared phones into several campaigns, deletions of campaigns,
// erasures, opt-outs, deltas of the registry, with too little memory for the phones of all
// campaigns. What was answered is there afterwards, once, with its id and its verdict; what
// was removed is gone; a request without an answer was done whole or not at all; the ledger,
// the blocks and the leads agree. The same holds for the files of the killed process when
// what was not synced is cut, torn or scrambled.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	c := startCrashRun(t, binary)
	for n := range kills() {
		if err := c.round(t, n); err != nil {
			t.Fatal(err)
		}
		if len(c.load.faults) > 0 {
			t.Errorf("after kill %d:", n+1)
			break
		}
	}
	c.report(t)
	if err := c.srv.Stop(); err != nil {
		t.Fatal(err)
	}
	if c.load.answers == 0 {
		t.Error("nothing was answered: the test has tested nothing")
	}
	for _, damage := range damages {
		if c.damaged[damage.name] == 0 && (damage.kept || kills() >= 100) {
			t.Errorf("%s: no copy was damaged so: the test has tested nothing", damage.name)
		}
	}
	t.Logf("%d pushes answered, %d without an answer found stored; copies damaged: %v", c.load.answers, c.load.lost, c.damaged)
}
