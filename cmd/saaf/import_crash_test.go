package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
)

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
