package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// oldStore makes a store as the first version of the schema had it, and returns it
// open, without the settings of today.
func oldStore(t *testing.T) (dir string, conn sqliteConn) {
	t.Helper()
	dir = t.TempDir()
	raw, err := sqlite.OpenConn(filepath.Join(dir, fileName), sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL)
	if err != nil {
		t.Fatal(err)
	}
	conn = sqliteConn{Conn: raw}
	list, err := loadMigrations()
	if err == nil {
		err = migrateTo(conn, list[:1])
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, conn
}

// A store of the first version with everything in it comes out as a new one would
// hold it.
func TestMigrateOldStore(t *testing.T) {
	t.Parallel()
	for name, confirmed := range map[string]saaf.SnapshotID{"all checked": 12, "an older one is confirmed": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, conn := oldStore(t)
			do := func(sql string, args ...any) {
				t.Helper()
				if _, err := conn.exec(sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			const tenant, campaign, empty, other = 1, 2, 3, 4
			do(`INSERT INTO tenants (id, name, created_at) VALUES (1, 'Asha', 5)`)
			for _, id := range []int{campaign, empty, other} {
				do(`INSERT INTO campaigns (id, tenant_id, environment, name, dial_mode, post_answer_action, max_attempts, retry_delay_s, status, created_at, updated_at)
					VALUES ($1, 1, 'live', 'x', 'preview', 'connect_agent', 3, 60, 'running', 5, 5)`, id)
				do(`INSERT INTO campaign_counts (campaign_id, slot, pending) VALUES ($1, 0, 0)`, id)
			}
			for _, id := range []int{11, 12} {
				do(`INSERT INTO snapshots (id, mode, effective_date, sha256, file_bytes, numbers, partial_numbers, full_numbers, rows_read, rows_active,
					rows_deleted, malformed, conflicts, overridden, override_reason, actor, created_at)
					VALUES ($1, 'full', 20000, $2, 1, 2, 3, 4, 5, 6, 7, 8, 9, '', 'because', 'cli:asha', 77)`, id, bytes.Repeat([]byte{9}, 32))
			}
			do(`UPDATE deployment SET version = 8, active_snapshot_id = 12, activated_at = 99, confirmed_snapshot_id = $1, id_floor = 50`, confirmed)
			id := 100
			var want saaf.FindingCounts
			for status := range saaf.LeadStatus(saaf.NumLeadStatuses) {
				for reason := range saaf.HeldAfterBlock + 1 {
					for range int(status) + 2*int(reason) + 1 {
						do(`INSERT INTO leads (campaign_id, id, phone, status, attempts, reason, snapshot_id, created_at, updated_at)
							VALUES ($1, $2, $3, $4, 0, $5, 12, 1, 1)`, campaign, id, phone(id), status, reason)
						do(`UPDATE campaign_counts SET `+leadStatusColumn[status]+` = 1 + `+leadStatusColumn[status]+` WHERE campaign_id = $1`, campaign)
						if !status.Finished() && !reason.Checked() {
							do(`UPDATE campaign_counts SET unchecked = unchecked + 1 WHERE campaign_id = $1`, campaign)
						}
						want[reason]++
						id++
					}
				}
			}
			do(`INSERT INTO leads (campaign_id, id, phone, status, attempts, reason, created_at, updated_at) VALUES ($1, 99, 7, 0, 0, 0, 1, 1)`, other)
			do(`UPDATE campaign_counts SET pending = 1, unchecked = 1 WHERE campaign_id = $1`, other)
			// Of a person who was deleted then.
			do(`INSERT INTO leads (campaign_id, id, phone, name, status, attempts, reason, created_at, updated_at) VALUES (2, 98, 8, 'SOMEBODY', 0, 0, 0, 1, 1)`)
			do(`DELETE FROM leads WHERE id = 98`)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if file, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil || !bytes.Contains(file, []byte("SOMEBODY")) {
				t.Fatalf("the old store has nothing left of a row that was deleted: this test would see nothing, %v", err)
			}

			b := open(t, Config{Dir: dir, Uniqueness: ByBlocks})
			b.tenant = tenant
			for _, c := range []saaf.CampaignID{campaign, empty, other} {
				b.checkCounts(c)
			}
			rep, err := b.DNDReport(t.Context(), tenant, saaf.Live, campaign)
			b.must(err)
			b.equal("found", want, rep.Found)
			state := b.state()
			if state.Activation != 1 || state.Version != 8 || state.Active.ID != 12 || state.Confirmed != confirmed || state.Sweep != (saaf.Sweep{}) ||
				state.AllChecked() != (confirmed == 12) {
				t.Errorf("register: %+v", state)
			}
			list, err := b.Activations(t.Context(), 0)
			b.must(err)
			b.equal("activations", []saaf.Activation{{Seq: 1, Snapshot: 12, Reason: "because", By: saaf.By{Actor: "cli:asha"}, At: state.ActivatedAt}}, list)
			if n := b.number(`SELECT count(*) FROM leads WHERE first_entry IS NOT NULL OR last_entry IS NOT NULL`); n != 0 {
				t.Errorf("%d leads name entries that there are not", n)
			}
			b.equal("the schema", tablesOf(open(t, Config{Dir: t.TempDir()})), tablesOf(b))
			if b.Deployment() == 0 || b.NewID() <= 50 {
				t.Errorf("deployment %v", b.Deployment())
			}
			b.scrub()
			b.stop()
			if file, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil || bytes.Contains(file, []byte("SOMEBODY")) {
				t.Errorf("something is left of a row that was deleted before, %v", err)
			}
		})
	}
}

var leadStatusColumn = [saaf.NumLeadStatuses]string{"pending", "dialing", "dnd", "held", "completed", "failed", "no_answer"}

// tablesOf is the schema without the first row of deployment.
func tablesOf(b *bundle) string {
	tables, _, _ := strings.Cut(b.schema(), "-- deployment")
	return tables
}

// A store without a registry has no activation.
func TestMigrateOldStoreWithoutRegistry(t *testing.T) {
	t.Parallel()
	dir, conn := oldStore(t)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Dir: dir})
	b.equal("register", saaf.RegistryState{Version: 1}, b.state())
	if n := b.number(`SELECT count(*) FROM activations`); n != 0 {
		t.Errorf("%d activations", n)
	}
}

// The leads are counted in one pass, however many campaigns there are.
func TestBackfillIsOnePass(t *testing.T) {
	t.Parallel()
	list, err := loadMigrations()
	if err != nil {
		t.Fatal(err)
	}
	_, sql, found := strings.Cut(list[1].sql, "UPDATE campaign_counts")
	sql, _, _ = strings.Cut("UPDATE campaign_counts"+sql, ";")
	if !found || !strings.Contains(sql, "FILTER") {
		t.Fatal("the statement is not there")
	}
	b := setup(t)
	walks := 0
	for _, step := range b.plan(sql) {
		if strings.Contains(step, "leads") {
			walks++
		}
		if strings.Contains(step, "CORRELATED") {
			t.Errorf("plan: %s", step)
		}
	}
	if walks != 1 {
		t.Errorf("%d walks over the leads: %q", walks, b.plan(sql))
	}
}
