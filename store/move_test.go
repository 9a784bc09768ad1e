package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"saaf"
	"saaf/internal/pgtest"
)

// house is an embedded store with something of everything in it.
func house(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	snap := b.activate(20_000)
	stranger := b.newTenant("Stranger")
	b.suppress(saaf.TenantScope, 0, phone(1), phone(2), phone(3))
	b.suppress(saaf.DeploymentScope, 0, phone(4))
	b.suppress(saaf.CampaignScope, b.campaign, phone(5))
	_, err := b.Suppress(b.ctx, stranger, saaf.Test, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(6), Reason: "asked", Expires: b.now().Add(time.Hour)}}, asha)
	b.must(err)

	revoked, err := b.CreateKey(b.ctx, newKey(b.tenant, 1))
	b.must(err)
	_, _, err = b.RevokeKey(b.ctx, revoked.ID, asha)
	b.must(err)
	_, err = b.CreateKey(b.ctx, newKey(stranger, 2))
	b.must(err)

	states := []saaf.CampaignStatus{saaf.CampaignDraft, saaf.CampaignRunning, saaf.CampaignPaused, saaf.CampaignCompleted}
	for _, status := range states {
		id := b.newCampaign(b.tenant, saaf.Live)
		b.addTo(b.tenant, saaf.Live, id, phone(10), snap)
		b.move(id, status)
	}
	with := settings("All settings")
	with.VoiceAgentID, with.CallerID, with.MaxConcurrent = new("agent"), new("1400000001"), new(7)
	with.PredictiveTargetAbandon, with.PredictiveMaxWait, with.PredictiveMaxRatio = new(0.03), new(2.5), new(1.1)
	_, err = b.CreateCampaign(b.ctx, b.tenant, saaf.Live, with)
	b.must(err)
	test := b.newCampaign(stranger, saaf.Test)
	for n := range 50 {
		b.addTo(stranger, saaf.Test, test, phone(n), snap)
	}
	full := saaf.LeadInput{Name: new("Āsha 😀"), Email: new(""), ExternalID: new("x"), Metadata: []byte(`{"a": 1.50, "b": "\u0000"}`)}
	b.add(b.campaign, NewLead{Input: full, Phone: phone(100), Verdict: verdict(saaf.FullBlock, snap)}, NewLead{Phone: phone(101)})
	b.add(b.campaign, leads(200, 400)...)
	for i, status := range []saaf.LeadStatus{saaf.LeadPending, saaf.LeadDialing, saaf.LeadDND, saaf.LeadHeld, saaf.LeadCompleted, saaf.LeadFailed, saaf.LeadNoAnswer} {
		lead := b.add(b.campaign, NewLead{Phone: phone(110 + i), Verdict: verdict(saaf.NotRegistered, snap)}).Leads[0]
		v := verdict(saaf.NotRegistered, snap)
		if status == saaf.LeadHeld {
			v.Reason = saaf.HeldAfterBlock
		}
		b.force(b.campaign, lead.ID, status, v)
	}
	b.must(b.write(b.ctx, everything, 0, func(x *tx) error {
		for n := range 3000 { // an entry each
			err := x.addLeads(b.tenant, saaf.Live, &LeadBatch{Campaign: b.campaign, Source: fmt.Sprint("source ", n), By: asha,
				Leads: []NewLead{{Phone: phone(1000 + n), Verdict: verdict(saaf.NotRegistered, snap)}}})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	_, err = b.Checkpoint(b.ctx)
	b.must(err)

	lifted := b.suppress(saaf.TenantScope, 0, phone(7))[0]
	_, err = b.Lift(b.ctx, b.tenant, lifted.ID, saaf.SourceFile, asha, "a mistake", finding(verdict(saaf.NotRegistered, snap)))
	b.must(err)
	_, err = b.ExpireSuppressions(b.ctx, Lease{}, b.now().Add(2*time.Hour), 10, saaf.SourceFile, finding(verdict(saaf.NotRegistered, snap)))
	b.must(err)
	for _, p := range []saaf.Phone{phone(1), phone(300)} {
		_, err = b.Erase(b.ctx, b.tenant, saaf.Live, p, asha, "asked by letter")
		b.must(err)
	}
	b.scrub()

	queued, err := b.QueueImport(b.ctx, RegistryImport{Mode: saaf.FullSet, EffectiveDate: 20_001, File: "full.csv", By: asha})
	b.must(err)
	next := everyField(2)
	_, _, err = b.ActivateSnapshot(b.ctx, next, snap.ID, Cause{By: asha, Import: queued.ID})
	b.must(err)
	refused, err := b.QueueImport(b.ctx, RegistryImport{Mode: saaf.Delta, EffectiveDate: 20_002, File: "delta.csv", By: asha})
	b.must(err)
	refused.State, refused.Problem = ImportRefused, "empty"
	b.must(b.ImportEnded(b.ctx, Lease{}, refused))
	reg, err := b.Registry(b.ctx)
	b.must(err)
	_, _, err = b.RollBack(b.ctx, reg.Active.ID, snap.ID, asha, "wrong")
	b.must(err)
	b.must(b.ConfirmSnapshot(b.ctx, Lease{}, 1))
	_, _, err = b.ApplyRechecks(b.ctx, Lease{}, b.campaign, saaf.SourceFile, []Recheck{{Lead: b.unfinished(b.campaign)[20], Verdict: verdict(saaf.PartialBlock, snap)}})
	b.must(err)
	b.must(b.RecordChecks(b.ctx, b.tenant, saaf.Live, saaf.SourceFile, asha, []Checked{{Phone: phone(9), Verdict: verdict(saaf.FullBlock, snap)}}))
	_, err = b.Checkpoint(b.ctx)
	b.must(err)

	deleted := b.newCampaign(b.tenant, saaf.Live) // whose leads are not removed yet
	b.add(deleted, leads(0, 30)...)
	b.must(b.DeleteCampaign(b.ctx, b.tenant, saaf.Live, deleted, asha))
	b.addTo(b.tenant, saaf.Live, b.campaign, phone(5000), snap) // behind the last checkpoint
	future := b.now().Add(time.Hour).UnixMilli() << idTimeBits  // as of rows that are gone, of a clock that went back
	_, err = b.connect().exec(`UPDATE deployment SET id_floor = $1`, future)
	b.must(err)
	return b
}

// moveTo is the way of a house into a database.
func (b *bundle) moveTo(url string, partitions int) MoveConfig {
	return MoveConfig{From: Config{Dir: b.dir}, To: Config{URL: url, Dir: b.t.(testing.TB).TempDir(), partitions: partitions}, rows: 150, bytes: 60_000}
}

// contents are all rows of all tables that are moved, and the one of deployment.
func contents(t *testing.T, conn session, columns map[string][]string) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, table := range append(slices.Clone(movedTables), movedTable{"deployment", []string{"one"}}) {
		list := columns[table.name]
		err := conn.query(reading(list, table.name, "ORDER BY "+strings.Join(table.key, ", ")), func(r row) error {
			var text strings.Builder
			for range list {
				c := r.column()
				switch {
				case r.cells.isNull(c):
					fmt.Fprint(&text, "null|")
				case r.cells.isInteger(c):
					fmt.Fprintf(&text, "%d|", r.cells.int64(c))
				default:
					fmt.Fprintf(&text, "%q|", r.cells.bytes(c))
				}
			}
			all[table.name] = append(all[table.name], text.String())
			return nil
		})
		if err != nil {
			t.Fatal(table.name, err)
		}
	}
	return all
}

// columnsOf are the columns of the tables of an embedded store.
func (b *bundle) columnsOf() map[string][]string {
	b.t.Helper()
	all := make(map[string][]string)
	b.must(b.read(b.ctx, func(conn session) error {
		return conn.query(`SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`, func(r row) error {
			table := r.text()
			all[table] = append(all[table], r.text())
			return nil
		})
	}))
	all["deployment"] = slices.DeleteFunc(all["deployment"], func(name string) bool { return name != "one" && slices.Contains(notCopied, name) })
	return all
}

// contentsOf reads them through a store.
func contentsOf(t *testing.T, s *Store, columns map[string][]string) (all map[string][]string) {
	t.Helper()
	if err := s.read(t.Context(), func(conn session) error { all = contents(t, asBytes(conn), columns); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// asBytes lets everything in PostgreSQL be read as bytes, as in SQLite.
func asBytes(conn session) session {
	if pg, ok := conn.(pgSession); ok {
		return bytesSession{pg}
	}
	return conn
}

type bytesSession struct{ pgSession }

func (s bytesSession) query(sql string, scan func(row) error, args ...any) error {
	return s.pgSession.query(sql, func(r row) error { r.cells = bytesRow{r.cells.(pgRow)}; return scan(r) }, args...)
}

type bytesRow struct{ pgRow }

func (r bytesRow) bytes(i int) []byte {
	if b, ok := r.pgRow[i].([]byte); ok {
		return b
	}
	return fmt.Append(nil, r.pgRow[i])
}

// Every row of a store with something of everything goes into a database as it is, and
// the database goes on where the store stood.
func TestMove(t *testing.T) {
	t.Parallel()
	for name, partitions := range map[string]int{"plain": 0, "partitioned": 16, "behind a pooler": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := house(t)
			columns := b.columnsOf()
			want := contentsOf(t, b.Store, columns)
			b.stop()
			cfg := b.moveTo(pgtest.Empty(t), partitions)
			if name == "behind a pooler" {
				cfg.To.URL = pgtest.Bouncer(t, cfg.To.URL) + "?default_query_exec_mode=exec"
			}
			var told []MoveProgress
			cfg.Progress = func(p MoveProgress) { told = append(told, p) }
			verified := 0
			cfg.Verify = func(ctx context.Context, st *Store) error {
				verified++
				if _, err := Open(ctx, cfg.To); !errors.Is(err, errHalfMoved) {
					t.Errorf("another process opens it: %v", err)
				}
				return nil
			}
			report, err := Move(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			rows := int64(0)
			for _, table := range report.Tables {
				if table.Rows == 0 || table.Rows != int64(len(want[table.Name])) {
					t.Errorf("%d rows of %s, want %d, and some", table.Rows, table.Name, len(want[table.Name]))
				}
				rows += table.Rows
			}
			if report.Deployment != b.Deployment() || report.Resumed || report.Rows != rows || verified != 1 || report.Campaigns != int64(len(want["campaigns"])) {
				t.Errorf("%+v of %d rows, verified %d times", report, rows, verified)
			}
			if last := told[len(told)-1]; last != (MoveProgress{Done: rows, Total: rows}) || len(told) < 30 {
				t.Errorf("%d times told, at the end %+v", len(told), last)
			}

			cfg.To.Secrets = b.dir
			st, err := Open(t.Context(), cfg.To)
			if err != nil {
				t.Fatal(err)
			}
			moved := &bundle{Store: st, t: t, ctx: t.Context(), tenant: b.tenant, campaign: b.campaign, stop: func() {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			}}
			t.Cleanup(func() { moved.stop() })
			got := contentsOf(t, st, columns)
			for table := range want {
				moved.equal(table, want[table], got[table])
			}
			if n := moved.number(`SELECT suppression_seq - spread_seq FROM deployment`); n != 0 {
				t.Errorf("%d changes of the lists wait to be spread", n)
			}
			moved.run()
			moved.goesOn()
			if _, err := Move(t.Context(), cfg); !errors.Is(err, ErrMoved) {
				t.Errorf("once more: %v", err)
			}
			again := open(t, Config{Dir: b.dir, Moved: true})
			b.equal("the source", want, contentsOf(t, again.Store, columns))
		})
	}
}

// goesOn does with a store that was moved what is done with one.
func (b *bundle) goesOn() {
	b.t.Helper()
	before := b.chain()
	highest := max(int64(before[len(before)-1].ID), b.number(`SELECT id_floor FROM deployment`))
	reg := b.state()
	snap := saaf.SnapshotRef{ID: reg.Active.ID, EffectiveDate: reg.Active.EffectiveDate}
	batch := b.add(b.campaign, NewLead{Phone: phone(9000), Verdict: verdict(saaf.NotRegistered, snap)},
		NewLead{Phone: phone(200)}, NewLead{Phone: phone(1), Verdict: verdict(saaf.NotRegistered, snap)}, NewLead{Phone: phone(3)})
	if l := batch.Leads; l[0].Duplicate || !l[1].Duplicate || l[1].ID == 0 || int64(l[0].ID) <= highest {
		b.t.Errorf("leads behind the move: %+v", l)
	}
	for i, want := range map[int]saaf.VerdictReason{0: saaf.NotRegistered, 2: saaf.Suppressed, 3: saaf.Suppressed} {
		if got := b.lead(b.campaign, batch.Leads[i].ID).Verdict.Reason; got != want {
			b.t.Errorf("lead %d is %v, want %v", i, got, want)
		}
	}
	b.checkCounts(b.campaign)
	after := b.chain()
	if len(after) <= len(before) || after[len(after)-1].Writer == embeddedWriter {
		b.t.Errorf("the ledger has %d entries, before %d", len(after), len(before))
	}
	made, err := b.Checkpoint(b.ctx)
	b.must(err)
	if last, _, err := b.LastCheckpoint(b.ctx); err != nil || !made {
		b.t.Error(made, err)
	} else if opened, err := last.Open(b.PublicKey()); err != nil || len(opened.Heads) != 2 || opened.Heads[0].Writer != embeddedWriter {
		b.t.Errorf("the checkpoint names %+v, %v", opened.Heads, err)
	}
	b.must(b.purgeDeleted(b.ctx))
}

// A move that is cut short anywhere goes on, and nobody can open what is not whole.
func TestMoveGoesOn(t *testing.T) {
	t.Parallel()
	b := house(t)
	columns := b.columnsOf()
	want := contentsOf(t, b.Store, columns)
	b.stop()
	cfg := b.moveTo(pgtest.Empty(t), 0)
	var cut int
	for left := true; left; cut++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 1 + rand.IntN(10)
		cfg.Progress = func(MoveProgress) {
			if steps--; steps == 0 {
				cancel()
			}
		}
		if cut == 12 {
			cfg.Progress = nil
		}
		report, err := Move(ctx, cfg)
		cancel()
		switch {
		case err == nil:
			left = false
			if !report.Resumed || report.Rows == 0 {
				t.Errorf("%+v", report)
			}
		case !errors.Is(err, context.Canceled):
			t.Fatal(err)
		default:
			if _, err := Open(t.Context(), cfg.To); !errors.Is(err, errHalfMoved) {
				t.Fatalf("it can be opened: %v", err)
			}
		}
	}
	if cut < 5 {
		t.Errorf("it was cut short only %d times", cut-1)
	}
	cfg.To.Secrets = b.dir
	st, err := Open(t.Context(), cfg.To)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	b.equal("what was moved", want, contentsOf(t, st, columns))
}

// What is found at the end to differ, or not to verify, is not released.
func TestMoveComparesBothSides(t *testing.T) {
	t.Parallel()
	b := house(t)
	b.stop()
	copied := func(t *testing.T) string { // a directory is moved once
		dir := t.TempDir()
		b.must(os.CopyFS(dir, os.DirFS(b.dir)))
		for _, name := range []string{pepperName, signingKeyName} {
			b.must(os.Chmod(filepath.Join(dir, name), 0o600))
		}
		return dir
	}
	for name, c := range map[string]struct{ change, want string }{
		"a lead is missing":     {`DELETE FROM leads WHERE id = (SELECT min(id) FROM leads)`, "the table leads of camp_"},
		"a status is another":   {`UPDATE leads SET status = status + 1 WHERE id = (SELECT min(id) FROM leads)`, "in status"},
		"a name is another":     {`UPDATE campaigns SET name = 'x' WHERE id = (SELECT min(id) FROM campaigns)`, "in name"},
		"a phone is not erased": {`UPDATE suppressions SET phone = 1 WHERE id = (SELECT min(id) FROM suppressions WHERE phone IS NULL)`, "the table suppressions has other values in the database than in the store, in phone"},
		"a setting is another":  {`UPDATE campaigns SET predictive_max_wait_s = 2.6 WHERE predictive_max_wait_s = 2.5`, "in predictive_max_wait_s"},
		"a row more":            {`INSERT INTO tenants (id, name, created_at) VALUES (1, 'x', 1)`, "the table tenants has 3 rows in the database and 2 in the store"},
		"an entry is changed":   {`UPDATE ledger SET hash = head WHERE id = (SELECT max(id) FROM ledger)`, "the table ledger of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Empty(t)
			dir := copied(t)
			cfg := MoveConfig{From: Config{Dir: dir}, To: Config{URL: url, Dir: dir}}
			cfg.Progress = func(p MoveProgress) {
				if p.Table != "" {
					return
				}
				if n, err := pgtest.Exec(t.Context(), url, c.change); err != nil || n != 1 {
					t.Error(n, err)
				}
			}
			if _, err := Move(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it ended with %v, want %s", err, c.want)
			}
			if _, err := Open(t.Context(), cfg.To); !errors.Is(err, errHalfMoved) {
				t.Errorf("it can be opened: %v", err)
			}
		})
	}
	t.Run("it does not verify", func(t *testing.T) {
		t.Parallel()
		dir := copied(t)
		cfg := MoveConfig{From: Config{Dir: dir}, To: Config{URL: pgtest.Empty(t), Dir: dir}}
		broken := errors.New("broken")
		cfg.Verify = func(context.Context, *Store) error { return broken }
		if _, err := Move(t.Context(), cfg); !errors.Is(err, broken) {
			t.Error(err)
		}
		cfg.Verify = nil
		if report, err := Move(t.Context(), cfg); err != nil || !report.Resumed {
			t.Error(report, err)
		}
	})
}

// A store in which something is under way, and a database that holds something, are
// refused with a sentence that says what.
func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	refuses := func(t *testing.T, cfg MoveConfig, want string) {
		t.Helper()
		if _, err := Move(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it ended with %v, want %s", err, want)
		}
	}
	t.Run("no store", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "none")
		if _, err := Move(t.Context(), MoveConfig{From: Config{Dir: dir}, To: Config{URL: pgtest.Empty(t)}}); !errors.Is(err, ErrNoStore) {
			t.Error(err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the directory was made")
		}
	})
	t.Run("a server runs", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		lock, err := LockServe(b.dir)
		b.must(err)
		refuses(t, b.moveTo(pgtest.Empty(t), 0), "another saaf serve")
		b.must(lock.Release())
	})
	t.Run("under way", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		l, ok, err := b.Claim(b.ctx, "recheck", time.Hour)
		b.must(err)
		im, err := b.QueueImport(b.ctx, RegistryImport{Mode: saaf.FullSet, File: "full.csv"})
		b.must(err)
		e, err := b.Erase(b.ctx, b.tenant, saaf.Live, phone(1), asha, "asked")
		b.must(err)
		cfg := b.moveTo(pgtest.Empty(t), 0)
		refuses(t, cfg, `the work "recheck" is a process's until 20`)
		refuses(t, cfg, "the registry import "+im.ID.String()+" is queued")
		refuses(t, cfg, "the erasure "+e.ID.String()+" is running")
		if !ok {
			t.Error("nothing was claimed")
		}
		b.must(b.Release(b.ctx, l))
		im.State = ImportFailed
		b.must(b.ImportEnded(b.ctx, Lease{}, im))
		b.scrub()
		b.stop()
		_, err = Move(t.Context(), cfg)
		b.must(err)
	})
	t.Run("other secrets", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.stop()
		cfg := b.moveTo(pgtest.Empty(t), 0)
		cfg.To.Secrets = t.TempDir()
		refuses(t, cfg, "The store keeps its secrets where it goes: copy pepper and signing.pem from "+b.dir+" into "+cfg.To.Secrets)
		other := setup(t)
		cfg.To.Secrets = other.dir
		refuses(t, cfg, "the file pepper is not the one of this store")
		for _, name := range []string{pepperName, signingKeyName} {
			text, err := os.ReadFile(filepath.Join(b.dir, name))
			b.must(err)
			cfg.To.Secrets = filepath.Join(b.dir, "secrets")
			b.must(os.MkdirAll(cfg.To.Secrets, 0o700))
			b.must(os.WriteFile(filepath.Join(cfg.To.Secrets, name), text, 0o600))
		}
		_, err := Move(t.Context(), cfg)
		b.must(err)
	})
	t.Run("another store is there", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.stop()
		there := Config{URL: pgtest.Empty(t), Dir: t.TempDir()}
		s, err := Open(t.Context(), there)
		b.must(err)
		b.must(s.Close())
		refuses(t, b.moveTo(there.URL, 0), "the database holds another store, "+s.Deployment().String())

		other := setup(t)
		other.stop()
		half := other.moveTo(pgtest.Empty(t), 0)
		half.Verify = func(context.Context, *Store) error { return errors.New("cut short") }
		refuses(t, half, "cut short")
		refuses(t, b.moveTo(half.To.URL, 0), "another store, "+other.Deployment().String()+", is on its way")
	})
	t.Run("the store has changed since", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.stop()
		cfg := b.moveTo(pgtest.Empty(t), 0)
		cfg.Verify = func(context.Context, *Store) error { return errors.New("cut short") }
		refuses(t, cfg, "cut short")
		again := b.reopen()
		again.add(again.campaign, leads(0, 1)...)
		again.stop()
		refuses(t, cfg, "the store has changed since it was begun to be moved into this database")
	})
	t.Run("what PostgreSQL cannot store", func(t *testing.T) {
		t.Parallel()
		for change, want := range map[string]string{
			`UPDATE leads SET name = CAST(x'ff41' AS TEXT)`:  "its name holds a character that PostgreSQL cannot store",
			`UPDATE leads SET email = CAST(x'4100' AS TEXT)`: "its email holds a character",
			`UPDATE leads SET attempts = 'x'`:                "its attempts is no number",
		} {
			b := setup(t)
			b.add(b.campaign, leads(0, 1)...)
			_, err := b.connect().exec(change)
			b.must(err)
			refuses(t, b.moveTo(pgtest.Empty(t), 0), want)
		}
	})
}

// Nobody writes to the source while it is read.
func TestMoveKeepsWritersOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(b.campaign, leads(0, 300)...)
	b.stop()
	cfg := b.moveTo(pgtest.Empty(t), 0)
	cfg.Verify = func(context.Context, *Store) error {
		conn := b.connect()
		conn.SetBusyTimeout(0)
		if _, err := conn.exec(`UPDATE tenants SET name = name`); err == nil {
			t.Error("somebody wrote to the source")
		}
		return nil
	}
	_, err := Move(t.Context(), cfg)
	b.must(err)
	if n, err := b.connect().exec(`UPDATE tenants SET name = name`); err != nil || n != 1 {
		t.Error(n, err)
	}
}

// Every table is moved, or named with the reason why not.
func TestEveryTableIsMoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := pgtest.Database(t, "store", prepareTemplate)
	pool, err := pgxpool.New(t.Context(), url)
	b.must(err)
	defer pool.Close()
	tables, err := pool.Query(t.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`)
	b.must(err)
	known := map[string]bool{}
	for _, table := range movedTables {
		known[table.name] = true
	}
	for name, why := range notMoved {
		if known[name] || why == "" {
			t.Errorf("%s is moved and is not, because %q", name, why)
		}
		known[name] = true
	}
	n := 0
	for ; tables.Next(); n++ {
		var name string
		b.must(tables.Scan(&name))
		if !known[name] {
			t.Errorf("the table %s is neither moved nor named as one that is not", name)
		}
	}
	n += 3 // blocks are not in PostgreSQL
	if b.must(tables.Err()); n != len(known) {
		t.Errorf("there are %d tables, and %d are known", n, len(known))
	}
}
