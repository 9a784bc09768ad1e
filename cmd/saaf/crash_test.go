package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
)

// kills is how often the crash test kills the server; make long makes it 100.
func kills() int {
	if os.Getenv("SAAF_LONG") != "" {
		return 100
	}
	return 10
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

// The numbers of the crash test: a million for each worker, more than it pushes in
// a hundred rounds. Of the first of them those divisible by three are on the
// registry.
const (
	crashFrom  = 9_000_000_000
	crashRange = 1_000_000
	crashers   = 12
)

func crashListed(n int64) bool { return n%3 == 0 && (n-crashFrom)%crashRange < 60_000 }

// pushed is what one worker knows of its requests. Each worker pushes numbers
// that no other one pushes, so that what is stored can be told apart exactly.
type pushed struct {
	next     int64
	acked    map[string]string // phone to lead id, answered
	inFlight [][]string        // phones of requests without an answer, each all or nothing
}

// pushers are so many workers, each with so many numbers of its own.
func pushers(n int, numbers int64) []pushed {
	workers := make([]pushed, n)
	for i := range workers {
		workers[i] = pushed{next: crashFrom + int64(i)*numbers, acked: make(map[string]string)}
	}
	return workers
}

// TestKillLosesNothing kills the server under load, again and again. What was
// answered is there afterwards, once, with its id and its verdict; a request
// that got no answer is stored whole or not at all.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(t.TempDir(), "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	key := fastKey(t, dataDir, srv.TenantID)
	command(t, dataDir, "registry", "import", registryFile(t, crashFrom, crashers*crashRange, crashListed),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String())
	camp, err := client.New(srv.URL, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "crash", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	workers := pushers(crashers, crashRange)
	for range kills() {
		killUnderLoad(t, srv, key, camp.ID, workers)
		if srv, err = apptest.Start(binary, dataDir); err != nil {
			t.Fatal(err)
		}
	}
	checkStored(t, client.New(srv.URL, key), camp.ID, workers)
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
}

// killUnderLoad lets every worker push until the server, killed at a random
// moment after the first answer, no longer answers.
func killUnderLoad(t *testing.T, srv *apptest.Server, key, campaign string, workers []pushed) {
	t.Helper()
	answered := make(chan struct{}, 1)
	var group sync.WaitGroup
	for i := range workers {
		w, api := &workers[i], client.New(srv.URL, key)
		size := []int{1, 1, 20, 500}[i%4]
		group.Go(func() {
			for w.push(t.Context(), api, campaign, size) {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
	}
	<-answered
	<-time.After(time.Duration(rand.IntN(250)) * time.Millisecond)
	if err := srv.Kill(); err != nil {
		t.Error(err)
	}
	group.Wait()
}

// push sends one request and reports whether it was answered.
func (w *pushed) push(ctx context.Context, api *client.Client, campaign string, size int) bool {
	phones := make([]string, size)
	leads := make([]client.NewLead, size)
	for i := range phones {
		phones[i] = fmt.Sprint(w.next)
		leads[i] = client.NewLead{Phone: phones[i], Name: "Lead " + phones[i]}
		w.next++
	}
	if size == 1 {
		lead, err := api.PushLead(ctx, campaign, leads[0])
		if err != nil {
			w.inFlight = append(w.inFlight, phones)
			return false
		}
		w.acked[phones[0]] = lead.ID
		return true
	}
	res, err := api.PushLeads(ctx, campaign, leads)
	if err != nil {
		w.inFlight = append(w.inFlight, phones)
		return false
	}
	for _, row := range res.Results {
		if row.ID != nil {
			w.acked[row.Phone] = *row.ID
		}
	}
	return res.Valid == size
}

// storedLeads reads all leads of a campaign by their phones.
func storedLeads(t *testing.T, api *client.Client, campaign string) map[string]client.Lead {
	t.Helper()
	stored := make(map[string]client.Lead)
	for cursor := ""; ; {
		page, err := api.Leads(t.Context(), campaign, url.Values{"limit": {"200"}}, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Items {
			if _, twice := stored[l.Phone]; twice {
				t.Errorf("%s is stored twice", l.Phone)
			}
			stored[l.Phone] = l
		}
		if cursor = page.Next; cursor == "" {
			return stored
		}
	}
}

func checkStored(t *testing.T, api *client.Client, campaign string, workers []pushed) {
	t.Helper()
	stored := storedLeads(t, api, campaign)
	acked, whole, expected := 0, 0, 0
	for _, w := range workers {
		acked += len(w.acked)
		for phone, id := range w.acked {
			if stored[phone].ID != id {
				t.Errorf("%s was answered with %s and is stored as %q", phone, id, stored[phone].ID)
			}
		}
		for _, phones := range w.inFlight {
			there := len(phones) - len(slices.DeleteFunc(slices.Clone(phones), func(p string) bool { return stored[p].ID != "" }))
			if there != 0 && there != len(phones) {
				t.Errorf("%d of the %d leads of an unanswered request are stored", there, len(phones))
			}
			if there > 0 {
				whole++
				expected += there
			}
		}
	}
	if expected += acked; len(stored) != expected {
		t.Errorf("%d leads are stored, want %d", len(stored), expected)
	}
	for _, l := range stored {
		if want := map[bool]string{true: "dnd", false: "pending"}[crashListed(phoneNumber(t, l.Phone))]; l.Status != want || !l.DNDChecked {
			t.Errorf("lead %s is %s (%s), want %s", l.Phone, l.Status, l.DNDReason, want)
		}
	}
	counts, err := api.Campaigns(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if c := counts.Items[0].LeadCounts; c["pending"]+c["dnd"] != len(stored) {
		t.Errorf("lead_counts %v do not add up to %d", c, len(stored))
	}
	if acked == 0 {
		t.Error("nothing was answered: the test has tested nothing")
	}
	t.Logf("%d leads answered, %d unanswered requests found stored whole", acked, whole)
}

func phoneNumber(t *testing.T, s string) int64 {
	t.Helper()
	p, reason := saaf.PhonePolicy{}.Parse(s)
	if reason != saaf.ReasonNone {
		t.Fatalf("%q: %s", s, reason)
	}
	return int64(p)
}

// TestImportKilled kills registry imports at random moments. The server and the
// next command answer from the old snapshot or from the new one, and nothing of
// an unfinished import stays once another one has run.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(t.TempDir(), "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	today := saaf.DateOf(time.Now()).String()
	files := []string{
		registryFile(t, 9_300_000_000, 200_000, func(n int64) bool { return n%2 == 0 }),
		registryFile(t, 9_300_000_000, 200_000, func(n int64) bool { return n%2 == 1 }),
	}
	command(t, dataDir, "registry", "import", files[0], "--full", "--effective-date", today)
	killed := 0
	for i := range 10 {
		cmd := exec.Command(binary, "registry", "import", files[(i+1)%2], "--full", "--effective-date", today)
		cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+dataDir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rand.IntN(80)) * time.Millisecond)
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		var rows []struct {
			Clean   bool `json:"dnd_clean"`
			Checked bool `json:"dnd_checked"`
		}
		out := command(t, dataDir, "--json", "registry", "check", "9300000000", "9300000001")
		if err := json.Unmarshal(out, &rows); err != nil {
			t.Fatal(err)
		}
		if !rows[0].Checked || !rows[1].Checked || rows[0].Clean == rows[1].Clean {
			t.Errorf("after a killed import one number must be blocked and one clean: %s", out)
		}
	}
	if killed == 0 {
		t.Error("no import was killed in time: the test has tested nothing")
	}
	command(t, dataDir, "registry", "import", files[0], "--full", "--effective-date", today)
	left, err := filepath.Glob(filepath.Join(dataDir, "registry", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if filepath.Ext(path) != ".dnd" {
			t.Errorf("%s is left of a killed import", filepath.Base(path))
		}
	}
	if len(left) > 3 {
		t.Errorf("%d snapshot files are kept, want at most 3", len(left))
	}
}

// TestImportUnderLoad swaps the registry under load. No request fails, and every
// answer is that of the snapshot it names.
func TestImportUnderLoad(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(t.TempDir(), "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	key := fastKey(t, dataDir, srv.TenantID)
	swapUnderLoad(t, func(args ...string) []byte { return command(t, dataDir, args...) }, client.New(srv.URL, key))
}

// swapUnderLoad imports full sets and deltas and rolls back, by commands, while leads
// are pushed to servers. No request fails, none is answered unknown, and every answer
// is that of the snapshot it names.
func swapUnderLoad(t *testing.T, command func(args ...string) []byte, servers ...*client.Client) {
	t.Helper()
	today := saaf.DateOf(time.Now()).String()
	const from = 9_400_000_000
	even := registryFile(t, from, 100_000, func(n int64) bool { return n%2 == 0 })
	odd := registryFile(t, from, 100_000, func(n int64) bool { return n%2 == 1 })
	other := registryFile(t, 9_300_000_000, 10, func(int64) bool { return true })
	blocksEven := make(map[string]bool) // snapshot id to what it blocks
	becomes := func(isEven bool, args ...string) {
		var made struct{ ID string }
		if err := json.Unmarshal(command(append([]string{"--json", "registry"}, args...)...), &made); err != nil {
			t.Error(err)
		}
		if was, known := blocksEven[made.ID]; known && was != isEven {
			t.Errorf("snapshot %s is another one", made.ID)
		}
		blocksEven[made.ID] = isEven
	}
	becomes(true, "import", even, "--full", "--effective-date", today)
	camp, err := servers[0].CreateCampaign(t.Context(), client.NewCampaign{Name: "swap", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	answers := make([][]client.Lead, 4)
	var group sync.WaitGroup
	for i := range answers {
		api := servers[i%len(servers)]
		group.Go(func() {
			for n := int64(from + i*20_000); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				lead, err := api.PushLead(t.Context(), camp.ID, client.NewLead{Phone: fmt.Sprint(n)})
				if err != nil {
					t.Errorf("a push failed: %v", err)
					return
				}
				answers[i] = append(answers[i], lead)
			}
		})
	}
	for range 2 {
		becomes(false, "import", odd, "--full", "--effective-date", today)
		becomes(false, "import", other, "--delta", "--effective-date", today)
		becomes(false, "rollback", "--reason", "a trial")
		becomes(true, "import", even, "--full", "--effective-date", today)
	}
	close(stop)
	group.Wait()
	for i, list := range answers {
		seen := make(map[string]bool)
		for _, lead := range list {
			if lead.DNDRegistry == nil {
				t.Fatalf("lead %s has no verdict: %s", lead.Phone, lead.DNDReason)
			}
			seen[lead.DNDRegistry.ID] = true
			isEven := phoneNumber(t, lead.Phone)%2 == 0
			if blocked := blocksEven[lead.DNDRegistry.ID] == isEven; blocked == lead.DNDClean {
				t.Errorf("lead %s: clean is %v, against snapshot %s", lead.Phone, lead.DNDClean, lead.DNDRegistry.ID)
			}
		}
		if len(seen) < 2 {
			t.Errorf("%d answers came from %d snapshot(s): the test has tested nothing", i, len(seen))
		}
	}
}
