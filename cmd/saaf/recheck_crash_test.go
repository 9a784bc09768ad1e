package main

import (
	"bytes"
	"context"
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

// sweptLeads is how many leads the test of re-checks under kill -9 stores; a
// hundredth of them turns with each delta.
func sweptLeads() int64 {
	if os.Getenv("SAAF_LONG") != "" {
		return 1_000_000
	}
	return 20_000
}

const sweptFrom = 8_000_000_000

// TestKillDuringRecheck turns a hundredth of the leads by a delta, again and again,
// and kills the server while it re-checks. After a restart all that turned are
// blocked and no other lead is, and the evidence has each of them once.
func TestKillDuringRecheck(t *testing.T) {
	t.Parallel()
	total := sweptLeads()
	dataDir := filepath.Join(t.TempDir(), "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { srv.Kill() }()
	key := fastKey(t, dataDir, srv.TenantID)
	today := saaf.DateOf(time.Now()).String()
	// The first registry lists numbers beside the leads.
	command(t, dataDir, "registry", "import", registryFile(t, sweptFrom-1_000_000, 100_000, func(int64) bool { return true }),
		"--full", "--effective-date", today)
	api := client.New(srv.URL, key)
	camp, err := api.CreateCampaign(t.Context(), client.NewCampaign{Name: "swept", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, api, camp.ID, total)
	turned := int64(0)
	for round := range 4 {
		turned += total / 100
		delta := registryFile(t, sweptFrom, total, func(n int64) bool {
			return turns(n) && (n-sweptFrom)/25 < turned && (n-sweptFrom)/25 >= turned-total/100
		})
		imported := make(chan error, 1)
		start := time.Now()
		go func() { imported <- importDelta(dataDir, delta, today) }()
		if round < 3 { // the last is left in peace, and timed
			<-time.After(time.Duration(rand.IntN(600)) * time.Millisecond)
			if err := srv.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-imported; err != nil {
			t.Fatal(err)
		}
		if round < 3 {
			if srv, err = apptest.Start(binary, dataDir); err != nil {
				t.Fatal(err)
			}
		}
		awaitChecked(t, dataDir)
		t.Logf("%d of %d leads turned, %v after the import began", turned, total, time.Since(start).Round(time.Millisecond))
		checkTurned(t, dataDir, turned)
	}
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
}

// turns reports whether a number is one that a delta may list: the first of each
// twenty-five.
func turns(n int64) bool { return n%25 == 0 }

// fill pushes the leads of the test.
func fill(t *testing.T, api *client.Client, campaign string, total int64) {
	t.Helper()
	for n := int64(0); n < total; n += saaf.MaxBulk {
		leads := make([]client.NewLead, min(saaf.MaxBulk, total-n))
		for i := range leads {
			leads[i].Phone = fmt.Sprint(sweptFrom + n + int64(i))
		}
		if res, err := api.PushLeads(t.Context(), campaign, leads); err != nil || res.Valid != len(leads) {
			t.Fatal(res.Valid, err)
		}
	}
}

// importDelta imports a delta as a command. That the server it waits for is killed
// is no failure of it.
func importDelta(dataDir, file, date string) error {
	cmd := exec.Command(binary, "registry", "import", file, "--delta", "--effective-date", date)
	cmd.Env = append(apptest.Environ(), "SAAF_DATA_DIR="+dataDir)
	if out, err := cmd.CombinedOutput(); err != nil && !bytes.Contains(out, []byte("the change is stored")) {
		return fmt.Errorf("import: %w\n%s", err, out)
	}
	return nil
}

// looks opens the store beside the server.
func looks(t *testing.T, dataDir string, look func(ctx context.Context, st *store.Store)) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: dataDir, MustExist: true, Node: 1, Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	look(t.Context(), st)
}

// awaitChecked returns when all leads are re-checked.
func awaitChecked(t *testing.T, dataDir string) {
	t.Helper()
	looks(t, dataDir, func(ctx context.Context, st *store.Store) {
		deadline := time.After(2 * time.Minute)
		for {
			reg, err := st.Registry(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if reg.AllChecked() {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-deadline:
				t.Fatalf("the leads are not re-checked: %+v", reg.Sweep)
			}
		}
	})
}

// checkTurned reads every lead and the whole ledger.
func checkTurned(t *testing.T, dataDir string, turned int64) {
	t.Helper()
	looks(t, dataDir, func(ctx context.Context, st *store.Store) {
		campaigns, err := st.CampaignsToRecheck(ctx, 0, false)
		if err != nil || len(campaigns) != 1 {
			t.Fatal(campaigns, err)
		}
		blocked := map[saaf.LeadID]bool{}
		for above := saaf.LeadID(0); ; {
			leads, err := st.UnfinishedLeads(ctx, campaigns[0].ID, above, 5000)
			if err != nil {
				t.Fatal(err)
			}
			if len(leads) == 0 {
				break
			}
			for _, l := range leads {
				above = l.ID
				n := int64(l.Phone)
				want := turns(n) && (n-sweptFrom)/25 < turned
				if got := l.Status == saaf.LeadDND && l.Reason == saaf.FullBlock; got != want || !want && !l.Reason.Clean() {
					t.Fatalf("%v is %v, %v; turned: %v", l.Phone, l.Status, l.Reason, want)
				}
				if want {
					blocked[l.ID] = true
				}
			}
		}
		if len(blocked) != int(turned) {
			t.Fatalf("%d leads are blocked, want %d", len(blocked), turned)
		}
		flips := evidenceOfFlips(t, ctx, st)
		for id := range blocked {
			if flips[id] != 1 {
				t.Fatalf("%v turned %d times by the evidence", id, flips[id])
			}
		}
		if len(flips) != len(blocked) {
			t.Fatalf("by the evidence %d leads turned, want %d", len(flips), len(blocked))
		}
	})
}

// evidenceOfFlips follows the chains and counts for each lead how often it turned.
func evidenceOfFlips(t *testing.T, ctx context.Context, st *store.Store) map[saaf.LeadID]int {
	t.Helper()
	flips := map[saaf.LeadID]int{}
	last := map[int64]saaf.EntryRow{} // of each chain
	for after := saaf.EntryID(0); ; {
		list, err := st.LedgerAfter(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return flips
		}
		for _, e := range list {
			before := last[e.Writer]
			if err := e.Check(st.Deployment(), before.Hash); err != nil || e.Seq != before.Seq+1 {
				t.Fatalf("entry %d of chain %d: %v", e.Seq, e.Writer, err)
			}
			last[e.Writer], after = e, e.ID
			head, err := e.ParseHead()
			if err != nil {
				t.Fatal(err)
			}
			if head.Stage != saaf.StageRescrub {
				continue
			}
			for d, err := range e.Decisions() {
				if err != nil || !d.Had.Clean() || d.Reason != saaf.FullBlock || d.Status != saaf.LeadDND || d.Preferences != "0" || head.Snapshot == nil {
					t.Fatalf("%+v, %v", d, err)
				}
				flips[d.Lead]++
			}
		}
	}
}
