package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"saaf"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
	"saaf/scrub"
	"saaf/store"
)

// A move that is killed with SIGKILL goes on, and loses and doubles nothing.
func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	campaigns, each := 6, 4000
	if os.Getenv("SAAF_LONG") != "" {
		campaigns, each = 100, 10_000
	}
	data := dataFlags{DataDir: filepath.Join(t.TempDir(), "data")}
	err := data.withStore(t.Context(), quiet, false, func(ctx context.Context, st *store.Store) error {
		return fillStore(ctx, st, campaigns, each)
	})
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.Empty(t)
	moving := func() (*exec.Cmd, *strings.Builder) {
		cmd := exec.Command(binary, "--json", "migrate", "--from", data.DataDir)
		cmd.Env = append(apptest.Environ(), "SAAF_DATABASE_URL="+url)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		return cmd, &out
	}
	some := func(table string, rows int) func() bool {
		statement := fmt.Sprintf("SELECT 1 FROM %s LIMIT %d", table, rows)
		return func() bool {
			n, err := pgtest.Exec(t.Context(), url, statement)
			return err == nil && n == int64(rows) // there is no such table at first
		}
	}
	killed := 0
	for _, when := range []func() bool{some("deployment", 1), some("leads", each), some("leads", campaigns*each/2), some("ledger", 10)} {
		cmd, out := moving()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the move has come so far", when)
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Log("it was done before it could be killed")
			continue
		} else if cmd.ProcessState.Exited() {
			t.Fatalf("it ended by itself: %v\n%s", err, out)
		}
		killed++
		err := dataFlags{DataDir: data.DataDir, databaseFlags: databaseFlags{DatabaseURL: url}}.withStore(t.Context(), quiet, true, nil)
		if err == nil || !strings.Contains(err.Error(), "run saaf migrate again") && !strings.Contains(err.Error(), "there is no saaf store in the database") {
			t.Fatalf("what is half moved can be used: %v", err)
		}
	}
	if killed < 2 {
		t.Errorf("it was killed only %d times", killed)
	}
	cmd, out := moving()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said migration
	if err := json.Unmarshal([]byte(out.String()), &said); err != nil {
		t.Fatal(err)
	}
	if !said.Resumed || said.Tables["leads"] != int64(campaigns*each) || said.Ledger.Leads != int64(campaigns*each) || len(said.Ledger.Problems) > 0 {
		t.Errorf("it says %s", out)
	}

	// A server goes on in the database: a lead that was moved is there once.
	moved := dataFlags{DataDir: data.DataDir, databaseFlags: databaseFlags{DatabaseURL: url}}
	err = moved.withStore(t.Context(), quiet, true, func(ctx context.Context, st *store.Store) error {
		list, err := st.Tenants(ctx)
		if err != nil {
			return err
		}
		for i := range campaigns {
			page, err := st.Campaigns(ctx, list[0].ID, saaf.Live, 0, 1000)
			if err != nil {
				return err
			}
			if got := page[i].Leads[saaf.LeadPending]; got != int64(each) {
				t.Errorf("campaign %d counts %d leads", i, got)
			}
			batch := store.LeadBatch{Campaign: page[i].ID, Leads: newLeads(each-1, each+1)}
			if err := st.AddLeads(ctx, list[0].ID, saaf.Live, &batch); err != nil {
				return err
			}
			if l := batch.Leads; !l[0].Duplicate || l[1].Duplicate || l[1].ID <= l[0].ID {
				t.Errorf("leads behind the move: %+v", l)
			}
		}
		_, err = scrub.Verify(ctx, st, scrub.VerifyOptions{})
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// newLeads are unchecked leads with made-up numbers [from, to).
func newLeads(from, to int) []store.NewLead {
	list := make([]store.NewLead, 0, to-from)
	for n := from; n < to; n++ {
		list = append(list, store.NewLead{Phone: saaf.Phone(6_000_000_000 + n)})
	}
	return list
}

// fillStore makes campaigns with as many leads each.
func fillStore(ctx context.Context, st *store.Store, campaigns, each int) error {
	tenant, err := st.CreateTenant(ctx, "Asha")
	if err != nil {
		return err
	}
	for i := range campaigns {
		settings := saaf.DefaultCampaignSettings()
		settings.Name, settings.DialMode = fmt.Sprintf("Campaign %d", i), "preview"
		c, err := st.CreateCampaign(ctx, tenant.ID, saaf.Live, settings)
		if err != nil {
			return err
		}
		for from := 0; from < each; from += 500 {
			batch := store.LeadBatch{Campaign: c.ID, Leads: newLeads(from, from+500)}
			if err := st.AddLeads(ctx, tenant.ID, saaf.Live, &batch); err != nil {
				return err
			}
		}
	}
	return nil
}
