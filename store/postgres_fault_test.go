package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/internal/pgtest"
)

// What a server does to a transaction: it loses the connection, ends it, undoes it. No
// lead that was acknowledged is lost, and none is there twice.

// decided counts the decisions in the ledger about leads that came in.
func (b *bundle) decided() (n int) {
	b.t.Helper()
	for _, e := range b.chain() {
		for d, err := range e.Decisions() {
			b.must(err)
			if d.New {
				n++
			}
		}
	}
	return n
}

// agrees compares the answers to pushes with what is stored: each lead that was answered
// as new is there, with the id it was given, and nothing else is.
func (b *bundle) agrees(answered ...*LeadBatch) {
	b.t.Helper()
	stored := map[saaf.LeadID]saaf.Lead{}
	for _, l := range b.all(b.campaign) {
		stored[l.ID] = l
	}
	added := map[saaf.LeadID]bool{}
	for _, batch := range answered {
		for i := range batch.Leads {
			l := &batch.Leads[i]
			switch there := stored[l.ID]; {
			case there.Phone != l.Phone:
				b.t.Errorf("%s is answered with the id %d (duplicate %v), and there is %+v", l.Phone.National(), l.ID, l.Duplicate, there)
			case !l.Duplicate && added[l.ID]:
				b.t.Errorf("%s is answered as new twice", l.Phone.National())
			case !l.Duplicate && (there.Status != l.Status() || there.Verdict != l.Verdict.Stored() || !there.CreatedAt.Equal(batch.At)):
				b.t.Errorf("answered %+v at %v; stored is %+v", l, batch.At, there)
			}
			if !l.Duplicate {
				added[l.ID] = true
			}
		}
	}
	if len(added) != len(stored) {
		b.t.Errorf("%d leads are answered as new, %d are stored", len(added), len(stored))
	}
	if n := b.decided(); n != len(stored) {
		b.t.Errorf("%d decisions about new leads; want %d", n, len(stored))
	}
	b.checkCounts(b.campaign)
}

// When it is not known whether leads were committed they are sent again, and those that
// are there are found to be the own ones.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]fate{"never arrives": neverArrives, "answer is lost": answerIsLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := setupBehind(t, Config{Writers: 1})
			snap := b.activate(20_000)
			b.suppress(saaf.TenantScope, 0, phone(5))
			first := b.add(b.campaign, leads(0, 3)...)
			before := b.chain()

			release := b.block()
			p.cutCommit("INSERT INTO leads", how, nil)
			one := &LeadBatch{Campaign: b.campaign, Leads: append(leads(1, 8), leads(6, 7)...), By: asha}
			for i := range one.Leads {
				one.Leads[i].Verdict = verdict(saaf.NotRegistered, snap)
			}
			two := &LeadBatch{Campaign: b.campaign, Leads: leads(7, 30)}
			answers := []<-chan error{b.pushBatch(t.Context(), one), b.pushBatch(t.Context(), two)}
			job := b.later(1, func(x *tx) error { _, err := x.createTenant("beside"); return err })
			b.waiting(3)
			release()
			for _, answer := range answers {
				b.must(<-answer)
			}
			if err := <-job; err != errUnknown {
				t.Errorf("a job that cannot find out is told %v", err)
			}
			if p.cutsMade() != 1 {
				t.Fatalf("%d connections were cut", p.cutsMade())
			}
			if n := b.number(`SELECT count(*) FROM tenants`); n == 2 != (how == answerIsLost) {
				t.Errorf("%d tenants", n)
			}
			b.agrees(first, one, two)

			// A writer that does not know the end of its chain begins another.
			last := b.add(b.campaign, leads(50, 51)...)
			chain := b.chain()
			if end := chain[len(chain)-1]; end.Writer == before[len(before)-1].Writer || (end.Seq == 1) != (how == answerIsLost) {
				t.Errorf("entry %d of the chain %d, behind %+v", end.Seq, end.Writer, before[len(before)-1])
			}
			b.agrees(first, one, two, last)
		})
	}
}

// What happens between a commit whose answer is lost and the next try is told as it is:
// the leads may be there, and nobody says that they are not.
func TestCommitOfUnknownOutcomeOvertaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql   string
		known bool // what became of the leads
	}{
		"the campaign is completed": {`UPDATE campaigns SET status = 'completed'`, false},
		"the registry has moved":    {`UPDATE deployment SET active_snapshot_id = 7`, false},
		"somebody reads":            {`SELECT 1`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := setupBehind(t, Config{Writers: 1})
			snap := b.activate(20_000)
			outside := b.outside()
			p.cutCommit("INSERT INTO leads", answerIsLost, func() {
				if _, err := outside.exec(c.sql); err != nil {
					t.Error(err)
				}
			})
			batch := &LeadBatch{Campaign: b.campaign, Leads: leads(0, 3)}
			for i := range batch.Leads {
				batch.Leads[i].Verdict = verdict(saaf.NotRegistered, snap)
			}
			if err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch); c.known != (err == nil) || !c.known && err != error(errUnknown) {
				t.Errorf("AddLeads = %v", err)
			}
			if n := b.number(`SELECT count(*) FROM leads`); n != 3 || p.cutsMade() != 1 {
				t.Errorf("%d leads, %d cuts", n, p.cutsMade())
			}
		})
	}
}

// What changes how leads are judged waits for the pushes of a campaign that are under
// way, and so finds their leads: they were judged before.
func TestChangesWaitForPushes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bundle) error
		want   []saaf.LeadStatus // of the leads, afterwards
	}{
		"suppression": {func(b *bundle) error {
			_, err := b.Suppress(b.ctx, b.tenant, saaf.Live, []NewSuppression{{Scope: saaf.TenantScope, Phone: phone(1)}}, asha)
			return err
		}, []saaf.LeadStatus{saaf.LeadPending, saaf.LeadDND}},
		"erasure": {func(b *bundle) error {
			_, err := b.Erase(b.ctx, b.tenant, saaf.Live, phone(0), asha, "asked")
			return err
		}, []saaf.LeadStatus{saaf.LeadPending}},
		"completion": {func(b *bundle) error {
			n := int64(-1)
			_, err := b.UpdateCampaign(b.ctx, b.tenant, saaf.Live, b.campaign, func(c *saaf.Campaign) error {
				n, c.Status = c.Leads.Total(), saaf.CampaignCompleted
				return nil
			})
			if n != 2 {
				err = fmt.Errorf("it is completed with %d leads, and a push is on its way: %w", n, err)
			}
			return err
		}, []saaf.LeadStatus{saaf.LeadPending, saaf.LeadPending}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := setupBehind(t, Config{Writers: 2})
			judged, insert := make(chan struct{}), make(chan struct{})
			p.cut(func(transaction []string) fate {
				if strings.Contains(transaction[len(transaction)-1], "INSERT INTO leads") {
					close(judged)
					<-insert
				}
				return passes
			}, nil)
			_, pushed := b.push(t.Context(), leads(0, 2)...)
			<-judged
			changed := make(chan error, 1)
			go func() { changed <- c.change(b) }()
			eventually(t, "the change waits, or is done", func() bool {
				return len(changed) > 0 || b.locksWaiting() > 0
			})
			close(insert)
			b.must(<-pushed)
			b.must(<-changed)
			var statuses []saaf.LeadStatus
			for _, l := range b.all(b.campaign) {
				statuses = append(statuses, l.Status)
			}
			b.equal("leads", c.want, statuses)
			b.checkCounts(b.campaign)
		})
	}
}

// A connection that is lost while the ids of duplicates are read does not make an error
// of leads that are stored, nor duplicates of the own ones.
func TestAnswersOutliveReads(t *testing.T) {
	t.Parallel()
	b, p := setupBehind(t, Config{Writers: 1})
	first := b.add(b.campaign, leads(0, 1)...)
	var mu sync.Mutex
	commits, reads := 1, 2
	p.cut(func(transaction []string) fate {
		mu.Lock()
		defer mu.Unlock()
		switch last := transaction[len(transaction)-1]; {
		case last == "COMMIT" && commits > 0:
			commits--
			return answerIsLost
		case strings.Contains(last, "phone = ANY") && reads > 0:
			reads--
			return neverArrives
		}
		return passes
	}, nil)
	batch := b.add(b.campaign, leads(0, 9)...)
	if p.cutsMade() != 3 {
		t.Fatalf("%d connections were cut", p.cutsMade())
	}
	b.agrees(first, batch)
}

// What each code of an error means for the transaction it happened in: what can go
// through the next time is tried again, with nobody told.
func TestCodesOfFailure(t *testing.T) {
	t.Parallel()
	const end = `PERFORM pg_terminate_backend(pg_backend_pid())`
	raise := func(code string) string {
		return `RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '` + code + `'`
	}
	for name, c := range map[string]struct {
		does  string
		check func(error) bool // nil: nobody is told
	}{
		"serialization failure": {raise("40001"), nil},
		"deadlock":              {raise("40P01"), nil},
		"admin shutdown":        {raise("57P01"), nil},
		"crash shutdown":        {raise("57P02"), nil},
		"connection failure":    {raise("08006"), nil},
		"read only":             {raise("25006"), nil},
		"too many connections":  {raise("53300"), nil},
		"lock not available":    {raise("55P03"), nil},
		"the backend ends":      {end, nil},
		"disk full":             {raise("53100"), func(err error) bool { return err == error(errFull) }},
		"a bug":                 {raise("P0001"), func(err error) bool { return saaf.ErrorCode(err) == saaf.Internal }},
		"a broken constraint":   {raise("23514"), func(err error) bool { return saaf.ErrorCode(err) == saaf.Internal && isConstraint(err) }},
	} {
		for when, timing := range map[string]string{
			"in a statement": `CREATE TRIGGER fails AFTER INSERT ON leads FOR EACH ROW EXECUTE FUNCTION fails()`,
			"in the batch":   `CREATE TRIGGER fails AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION fails()`,
			"in the commit":  `CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON leads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fails()`,
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				outside := b.outside()
				for _, sql := range []string{
					`CREATE SEQUENCE failed`, // which no ROLLBACK takes back
					`CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
						IF nextval('failed') <= 2 THEN ` + c.does + `; END IF; RETURN NULL; END $$`,
					timing,
				} {
					_, err := outside.exec(sql)
					b.must(err)
				}
				var answered []*LeadBatch
				for n := range 4 {
					batch := &LeadBatch{Campaign: b.campaign, Leads: leads(n, n+1)}
					err := b.AddLeads(t.Context(), b.tenant, saaf.Live, batch)
					switch {
					case c.check != nil && n < 2:
						if !c.check(err) {
							t.Errorf("push %d: %v", n, err)
						}
						continue
					case err != nil:
						t.Errorf("push %d: %v", n, err)
						continue
					}
					answered = append(answered, batch)
				}
				b.agrees(answered...)
			})
		}
	}
}

// Two transactions that wait for each other: one is undone, and tried again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outside := b.outside()
	do := func(sql string, args ...any) {
		t.Helper()
		_, err := outside.exec(sql, args...)
		b.must(err)
	}
	do(`SET deadlock_timeout = '1h'`) // so that the store finds it
	do(`BEGIN`)
	do(`INSERT INTO leads (campaign_id, id, phone, status, attempts, reason, created_at, updated_at) VALUES ($1, 7, $2, 0, 0, 0, 1, 1)`, b.campaign, phone(2))
	batch, answer := b.push(t.Context(), leads(0, 5)...)
	eventually(t, "the push waits for the lead of the other", func() bool {
		return b.locksWaiting() > 0
	})
	b.must(outside.query(`SELECT id FROM campaigns WHERE id = $1 FOR UPDATE`, nil, b.campaign)) // behind the push
	do(`DELETE FROM leads WHERE campaign_id = $1`, b.campaign)
	do(`COMMIT`)
	b.must(<-answer)
	b.agrees(batch)
	if n := b.number(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n == 0 {
		// The statistics come late.
		eventually(t, "there was a deadlock", func() bool {
			return b.number(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`) > 0
		})
	}
}

// The database settings of a deployment do not change what a transaction sees: a push
// that has waited for another transaction sees what that one wrote.
func TestIsolationIsOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.outside().exec(`ALTER DATABASE ` + b.cfg.URL[strings.LastIndex(b.cfg.URL, "/")+1:] + ` SET default_transaction_isolation = 'repeatable read'`)
	b.must(err)
	b = b.reopen()
	b.must(b.write(t.Context(), everything, 0, func(x *tx) error {
		level := ""
		err := x.conn.query(`SHOW transaction_isolation`, func(r row) error { level = r.text(); return nil })
		if level != "read committed" {
			t.Errorf("the isolation of a transaction is %q", level)
		}
		return err
	}))
}

// load pushes leads from many callers until it is told to end.
type load struct {
	b    *bundle
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	answered []*LeadBatch  // guarded by mu
	refused  []*LeadBatch  // told that nothing was stored, guarded by mu
	unknown  int           // guarded by mu
	slowest  time.Duration // answer, guarded by mu
}

func (b *bundle) load() *load {
	ctx, stop := context.WithCancel(context.WithoutCancel(b.ctx))
	l := &load{b: b, stop: stop}
	for c := range 6 {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				from := 1_000_000*(c+1) + 50*n
				batch := &LeadBatch{Campaign: b.campaign, Leads: leads(from, from+[]int{1, 7, 50}[c%3])}
				began := time.Now()
				err := b.AddLeads(context.WithoutCancel(ctx), b.tenant, saaf.Live, batch)
				l.took(batch, time.Since(began), err)
			}
		})
	}
	return l
}

func (l *load) took(batch *LeadBatch, d time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, d)
	switch {
	case err == nil:
		l.answered = append(l.answered, batch)
	case errors.Is(err, errUnknown):
		l.unknown++
	case isUnavailable(err, "storage_unavailable"):
		l.refused = append(l.refused, batch)
	default:
		l.b.t.Errorf("AddLeads: %v", err)
	}
}

// more waits until some more pushes were answered with success.
func (l *load) more() {
	l.b.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.answered)
	}
	begun := count()
	eventually(l.b.t, "more pushes are answered", func() bool { return count() >= begun+40 })
}

// end ends the load and compares the answers with what is stored.
func (l *load) end() {
	l.b.t.Helper()
	l.stop()
	l.wg.Wait()
	b := l.b
	stored := map[saaf.Phone]saaf.LeadID{}
	b.must(b.read(b.ctx, func(conn session) error {
		return conn.query(`SELECT phone, id FROM leads`, func(r row) error {
			p, id := saaf.Phone(r.int64()), saaf.LeadID(r.int64())
			if stored[p] != 0 {
				b.t.Errorf("%s is stored twice", p.National())
			}
			stored[p] = id
			return nil
		})
	}))
	for _, batch := range l.answered {
		for _, one := range batch.Leads {
			if one.Duplicate || stored[one.Phone] != one.ID {
				b.t.Errorf("%s is answered with %d, duplicate %v; stored is %d", one.Phone.National(), one.ID, one.Duplicate, stored[one.Phone])
			}
		}
	}
	for _, batch := range l.refused {
		for _, one := range batch.Leads {
			if stored[one.Phone] != 0 {
				b.t.Errorf("%s is stored, and was answered as not stored", one.Phone.National())
			}
		}
	}
	if n := b.decided(); n != len(stored) {
		b.t.Errorf("%d decisions about %d leads", n, len(stored))
	}
	b.checkCounts(b.campaign)
	b.t.Log(fmt.Sprintf("%d pushes are stored, %d not, of %d it is not known; the slowest took %v", len(l.answered), len(l.refused), l.unknown, l.slowest))
}

// serverOfItsOwn is a store on a server that the test may stop.
func serverOfItsOwn(t *testing.T, cfg Config) (*bundle, *pgtest.Server) {
	t.Helper()
	server := pgtest.New(t, pgtest.Options{})
	cfg.Dir, cfg.Writers, cfg.Readers = t.TempDir(), 2, 2
	cfg.URL = server.Database(t, "store", func(url string) error { return prepareTemplate(url) })
	b := openIdleAt(t, cfg)
	b.run()
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, saaf.Live)
	return b, server
}

// A server that is stopped, and one that is killed, comes back under load.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	b, server := serverOfItsOwn(t, Config{})
	l := b.load()
	l.more()
	for _, end := range []func() error{server.Stop, server.Kill} {
		b.must(end())
		b.must(server.Start())
		l.more()
	}
	l.end()
	if limit := retryFor + 2*time.Second; l.slowest > limit || len(l.refused)+l.unknown > 0 {
		t.Errorf("the slowest answer took %v, %d were refused", l.slowest, len(l.refused)+l.unknown)
	}
}

// One that stays away for longer than is waited for: everybody is told, in time.
func TestServerStaysAway(t *testing.T) {
	t.Parallel()
	const (
		patience = 300 * time.Millisecond
		limit    = patience + 2*time.Second // the machine may be busy
	)
	b, server := serverOfItsOwn(t, Config{retryFor: patience})
	l := b.load()
	l.more()
	var campaigns []saaf.CampaignID
	for range 30 {
		campaigns = append(campaigns, b.newCampaign(b.tenant, saaf.Live))
	}
	b.must(server.Kill())
	eventually(t, "pushes are refused", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.refused) >= 20
	})
	// Each is a transaction of its own, and they do not wait for each other's patience.
	var wg sync.WaitGroup
	began := time.Now()
	for _, c := range campaigns {
		wg.Go(func() {
			err := b.AddLeads(t.Context(), b.tenant, saaf.Live, &LeadBatch{Campaign: c, Leads: leads(0, 1)})
			if took := time.Since(began); !isUnavailable(err, "storage_unavailable") || took > limit {
				t.Errorf("a push to one of many campaigns: %v, after %v", err, took)
			}
		})
	}
	wg.Wait()
	_, err := b.Campaign(t.Context(), b.tenant, saaf.Live, b.campaign)
	if !isUnavailable(err, "storage_unavailable") {
		t.Errorf("a read: %v", err)
	}
	b.must(server.Start())
	l.more()
	l.end()
	if l.slowest > limit {
		t.Errorf("the slowest answer took %v", l.slowest)
	}
}
