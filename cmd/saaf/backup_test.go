package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
	"saaf/scrub"
	"saaf/store"
)

// TestRestoreOfABackupUnderLoad makes a backup while leads are pushed, kills the server and
// goes on with the backup elsewhere: everything that was answered before it began is there,
// once, a request is there whole or not at all, and the ledger verifies.
func TestRestoreOfABackupUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dataDir, restored, copied := filepath.Join(dir, "data"), filepath.Join(dir, "restored"), filepath.Join(dir, "backup")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	key := fastKey(t, dataDir, srv.TenantID)
	command(t, dataDir, "registry", "import", registryFile(t, crashFrom, crashers*crashRange, crashListed),
		"--full", "--effective-date", saaf.DateOf(time.Now()).String())
	camp, err := client.New(srv.URL, key).CreateCampaign(t.Context(), client.NewCampaign{Name: "backup", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}

	var began, ended atomic.Bool
	var answered, meanwhile atomic.Int64
	ready := make(chan struct{})
	workers := pushers(4, crashRange)
	before := make([]map[string]string, len(workers)) // answered before the backup began
	sizes := []int{1, 20, 500, 500}
	var group sync.WaitGroup
	for i := range workers {
		w, api := &workers[i], client.New(srv.URL, key)
		before[i] = make(map[string]string)
		group.Go(func() {
			known := 0
			for w.push(t.Context(), api, camp.ID, sizes[i]) {
				if n := answered.Add(int64(sizes[i])); n >= 30_000 && n-int64(sizes[i]) < 30_000 {
					close(ready)
				}
				switch {
				case !began.Load(): // so the answer came before it was set
					if len(w.acked) > known {
						known = len(w.acked)
						maps.Copy(before[i], w.acked)
					}
				case !ended.Load():
					meanwhile.Add(1)
				}
			}
		})
	}
	<-ready // several steps of a copy
	began.Store(true)
	out := command(t, dataDir, "--json", "backup", copied, "--with-keys")
	ended.Store(true)
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if meanwhile.Load() < 3 {
		t.Fatalf("%d requests were answered beside the backup: the test has tested nothing", meanwhile.Load())
	}
	var made struct{ Ledger struct{ Seq int64 } }
	if err := json.Unmarshal(out, &made); err != nil || made.Ledger.Seq == 0 {
		t.Fatalf("%s (%v)", out, err)
	}

	if err := os.RemoveAll(dataDir); err != nil { // nothing is taken from there
		t.Fatal(err)
	}
	command(t, restored, "restore", copied)
	var verified struct{ Entries int64 }
	if out = command(t, restored, "--json", "audit", "verify"); json.Unmarshal(out, &verified) != nil || verified.Entries != made.Ledger.Seq {
		t.Errorf("the ledger of the restored store has %d entries, the backup says %d", verified.Entries, made.Ledger.Seq)
	}
	again, err := apptest.Start(binary, restored)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { again.Kill() }()
	api := client.New(again.URL, key)
	stored := storedLeads(t, api, camp.ID)
	known := 0
	for i, w := range workers {
		known += len(before[i])
		for phone, id := range before[i] {
			if stored[phone].ID != id {
				t.Fatalf("%s was answered with %s before the backup began, and is restored as %q", phone, id, stored[phone].ID)
			}
		}
		for phone, id := range w.acked {
			if l, there := stored[phone]; there && l.ID != id {
				t.Errorf("%s was answered with %s and is restored as %s", phone, id, l.ID)
			}
		}
		// Requests are of so many numbers that follow each other.
		for n := crashFrom + int64(i)*crashRange; n < w.next; n += int64(sizes[i]) {
			there := 0
			for k := range int64(sizes[i]) {
				if stored[fmt.Sprint(n+k)].ID != "" {
					there++
				}
			}
			if there != 0 && there != sizes[i] {
				t.Errorf("%d of %d leads of a request are restored", there, sizes[i])
			}
		}
	}
	t.Logf("%d leads were answered before the backup began, %d are restored, %d requests were answered meanwhile", known, len(stored), meanwhile.Load())
	for _, l := range stored {
		if want := map[bool]string{true: "dnd", false: "pending"}[crashListed(phoneNumber(t, l.Phone))]; l.Status != want || !l.DNDChecked {
			t.Fatalf("lead %s is %s (%s), want %s", l.Phone, l.Status, l.DNDReason, want)
		}
	}

	pushAgain(t, api, camp.ID, before)
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	command(t, restored, "audit", "verify")
}

// pushAgain pushes leads to a store that has them, and one that it has not.
func pushAgain(t *testing.T, api *client.Client, campaign string, there []map[string]string) {
	t.Helper()
	phones := slices.Collect(maps.Keys(there[2]))[:400]
	leads := make([]client.NewLead, len(phones))
	for i, phone := range phones {
		leads[i].Phone = phone
	}
	leads = append(leads, client.NewLead{Phone: "9999999999"})
	res, err := api.PushLeads(t.Context(), campaign, leads)
	if err != nil {
		t.Fatal(err)
	}
	for i, phone := range phones {
		if row := res.Results[i]; row.Status != "duplicate" || row.LeadID != there[2][phone] {
			t.Fatalf("%s was pushed again: %+v, want a duplicate of %s", phone, row, there[2][phone])
		}
	}
	if last := res.Results[len(phones)]; last.Status != "added" {
		t.Errorf("a new lead is %+v", last)
	}
	for phone, id := range there[0] {
		_, err := api.PushLead(t.Context(), campaign, client.NewLead{Phone: phone})
		if dup, ok := errors.AsType[*client.Error](err); !ok || dup.Code != "duplicate" || dup.LeadID != id {
			t.Errorf("%s was pushed again: %v, want a duplicate of %s", phone, err, id)
		}
		return
	}
	t.Error("no single lead was answered before the backup began")
}

// TestBackupKilled kills backups at random moments. A directory with the name of a backup
// is a whole one, what is left of others is not taken for one, and the next backup of
// that name removes it.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dataDir := filepath.Join(dir, "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	today := saaf.DateOf(time.Now()).String()
	command(t, dataDir, "registry", "import", registryFile(t, crashFrom, 100_000, crashListed), "--full", "--effective-date", today)
	api := client.New(srv.URL, fastKey(t, dataDir, srv.TenantID))
	camp, err := api.CreateCampaign(t.Context(), client.NewCampaign{Name: "backup", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	worker := &pushers(1, crashRange)[0]
	for range 60 {
		if !worker.push(t.Context(), api, camp.ID, 500) {
			t.Fatal("a push failed")
		}
	}
	start := time.Now()
	command(t, dataDir, "backup", filepath.Join(dir, "first"), "--with-keys")
	took := time.Since(start)

	name := filepath.Join(dir, "backup")
	partial, whole := 0, 0
	for i := range 3 * kills() {
		cmd := exec.Command(binary, "backup", name, "--with-keys")
		cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+dataDir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(rand.N(took))
		cmd.Process.Kill()
		_ = cmd.Wait()
		to := filepath.Join(dir, fmt.Sprint("restored", i))
		if _, err := os.Stat(name + ".partial"); err == nil {
			partial++
			refused := exec.Command(binary, "restore", name+".partial", "--data-dir", to)
			refused.Env = apptest.Environ()
			if out, err := refused.CombinedOutput(); err == nil && !fileExists(filepath.Join(name+".partial", "SHA256SUMS")) {
				t.Errorf("a backup that was cut short is restored:\n%s", out)
			}
		}
		if fileExists(name) {
			whole++
			command(t, to, "restore", name)
			command(t, to, "audit", "verify")
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
	if partial == 0 {
		t.Error("no backup was killed in time: the test has tested nothing")
	}
	t.Logf("%d were cut short, %d had their name already; a whole one takes %v", partial, whole, took)
	command(t, dataDir, "backup", name, "--with-keys")
	if fileExists(name + ".partial") {
		t.Error("what is left of a killed backup is still there")
	}
	command(t, filepath.Join(dir, "restored"), "restore", name)
	command(t, filepath.Join(dir, "restored"), "audit", "verify")
	if !worker.push(t.Context(), api, camp.ID, 500) {
		t.Error("the server does not take leads any more")
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// TestRestoreStartsCleanly makes a backup of a store whose server was killed while an
// import that came over the API was waiting for its turn, and while work was leased. In
// the restored store the server does its own work at once, and the import, whose file is
// not there, has failed and says what to do.
func TestRestoreStartsCleanly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dataDir, restored, copied := filepath.Join(dir, "data"), filepath.Join(dir, "restored"), filepath.Join(dir, "backup")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Kill(); err != nil { // its row and its leases stay
		t.Fatal(err)
	}
	var queued store.RegistryImport
	st, err := store.Open(t.Context(), store.Config{Dir: dataDir, Node: 7})
	if err != nil {
		t.Fatal(err)
	}
	err = running(t.Context(), st, func(ctx context.Context) (err error) {
		queued, err = st.QueueImport(ctx, store.RegistryImport{Mode: saaf.FullSet, EffectiveDate: saaf.DateOf(time.Now()), File: "gone.upload", By: saaf.By{Actor: "test"}})
		for _, lease := range []string{scrub.ImportsLease, "recheck", "purge", "erasures"} {
			_, _, cerr := st.Claim(ctx, lease, 24*time.Hour)
			err = errors.Join(err, cerr)
		}
		return err
	})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	command(t, dataDir, "backup", copied, "--with-keys")
	command(t, restored, "restore", copied)
	again, err := apptest.Start(binary, restored)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { again.Kill() }()
	var operator struct{ Key string }
	out := command(t, restored, "--json", "key", "create", "--tenant", srv.TenantID, "--operator")
	if err := json.Unmarshal(out, &operator); err != nil {
		t.Fatal(err)
	}
	var problem string
	for tick := time.Tick(20 * time.Millisecond); problem == ""; <-tick {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, again.URL+"/api/v1/dnd/registry/imports/"+queued.ID.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+operator.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var im struct{ State, Error, Problem string }
		err = json.NewDecoder(resp.Body).Decode(&im)
		if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("status %s: %v", resp.Status, err)
		}
		if im.State == "failed" {
			problem = im.Error + im.Problem + "."
		}
	}
	if !strings.Contains(problem, "restored from a backup") || !strings.Contains(problem, "Send the file again") || strings.Contains(problem, dir) {
		t.Errorf("the import that lost its file says %q", problem)
	}
	command(t, restored, "registry", "import", registryFile(t, crashFrom, 1000, crashListed), "--full", "--effective-date", saaf.DateOf(time.Now()).String())
	api := client.New(again.URL, srv.LiveKey)
	camp, err := api.CreateCampaign(t.Context(), client.NewCampaign{Name: "backup", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	if lead, err := api.PushLead(t.Context(), camp.ID, client.NewLead{Phone: fmt.Sprint(crashFrom)}); err != nil || !lead.DNDChecked {
		t.Errorf("a push to the restored store: %+v, %v", lead, err)
	}
	if out := command(t, restored, "--json", "registry", "status"); !strings.Contains(string(out), again.URL[len("http://"):]) || strings.Count(string(out), `"pid"`) > 1 {
		t.Errorf("the servers of the restored store are not its own:\n%s", out)
	}
}
