package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"saaf"
)

// evidence is everything that a verification reads, as it stands in the tables.
type evidence struct {
	entries     []saaf.EntryRow
	checkpoints []StoredCheckpoint
}

func readEvidence(b *bundle) (ev evidence) {
	b.t.Helper()
	var after saaf.EntryID
	for {
		page, err := b.LedgerAfter(b.ctx, after)
		b.must(err)
		if len(page) == 0 {
			break
		}
		ev.entries, after = append(ev.entries, page...), page[len(page)-1].ID
	}
	var err error
	ev.checkpoints, err = b.CheckpointsAfter(b.ctx, 0)
	b.must(err)
	return ev
}

// verify walks it with the pieces there are, and says what is wrong.
func (ev *evidence) verify(b *bundle) error { return ev.verifyFrom(b, 0) }

// verifyFrom is verify for evidence that is known to be whole before the given
// entry.
func (ev *evidence) verifyFrom(b *bundle, first int) error {
	last := map[int64]saaf.CheckpointHead{} // of each chain
	heads := map[saaf.EntryID]saaf.CheckpointHead{}
	for i, e := range ev.entries {
		if i >= first {
			if err := e.Check(b.Deployment(), last[e.Writer].Hash); err != nil {
				return fmt.Errorf("entry %s: %w", e.ID, err)
			}
			if e.Seq != last[e.Writer].Seq+1 {
				return fmt.Errorf("entry %s: the number %d behind %d", e.ID, e.Seq, last[e.Writer].Seq)
			}
		}
		heads[e.ID] = saaf.CheckpointHead{Writer: e.Writer, Seq: e.Seq, Entry: e.ID, Hash: e.Hash}
		last[e.Writer] = heads[e.ID]
	}
	var before saaf.SHA256
	named := map[int64]bool{}
	for i, c := range ev.checkpoints {
		open, err := c.Open(b.PublicKey())
		switch {
		case err != nil:
			return fmt.Errorf("checkpoint %d: %w", c.Seq, err)
		case open.Seq != c.Seq, c.Seq != int64(i)+1, open.Before != before, open.Deployment != b.Deployment():
			return fmt.Errorf("checkpoint %d is not behind the one before", c.Seq)
		}
		for _, head := range open.Heads {
			if heads[head.Entry] != head {
				return fmt.Errorf("checkpoint %d: entry %s is not there", c.Seq, head.Entry)
			}
			named[head.Writer] = true
		}
		before = c.Hash()
	}
	for writer := range last {
		if !named[writer] && len(ev.checkpoints) > 0 {
			return fmt.Errorf("no checkpoint names the chain %d", writer)
		}
	}
	return nil
}

// proven is a store with an entry of every kind, a checkpoint in the middle and
// one at the end.
func proven(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	checkpoint := func() {
		if made, err := b.Checkpoint(t.Context()); err != nil || !made {
			t.Fatal(made, err)
		}
	}
	for _, w := range everyWrite(b) {
		b.must(w.do(b))
	}
	checkpoint()
	other := b.newCampaign(b.tenant, saaf.Live)
	b.add(other, leads(0, 1)...)
	checkpoint()
	return b
}

// row is one row of a table, column by column.
type tableRow struct {
	names  []string
	values []any // int64 or []byte
}

func readRows(b *bundle, conn sqliteConn, table, columns string) (rows []tableRow) {
	b.t.Helper()
	names := strings.Split(columns, ", ")
	b.must(conn.query(`SELECT rowid, `+columns+` FROM `+table+` ORDER BY rowid`, func(r row) error {
		got := tableRow{names: append([]string{"rowid"}, names...), values: []any{r.int64()}}
		for i := range names {
			if r.cells.(sqliteRow).ColumnType(i+1) == sqlite.TypeInteger {
				got.values = append(got.values, r.int64())
			} else {
				got.values = append(got.values, r.bytes())
			}
		}
		rows = append(rows, got)
		return nil
	}))
	return rows
}

// flips yields the value with each of its bytes changed in turn.
func flips(value any, try func(any)) {
	switch v := value.(type) {
	case int64:
		for i := range 8 {
			try(v ^ 1<<(8*i))
		}
	case []byte:
		for i := range v {
			changed := bytes.Clone(v)
			changed[i] ^= 0x20
			try(changed)
		}
		try(append(bytes.Clone(v), 0))
		if len(v) > 0 {
			try(v[:len(v)-1])
		}
	}
}

// Every single byte of the ledger and of the checkpoints is guarded: whichever is
// changed in the tables, the walk finds it.
func TestEveryByteIsGuarded(t *testing.T) {
	t.Parallel()
	b := proven(t)
	whole := readEvidence(b)
	if err := whole.verify(b); err != nil {
		t.Fatal(err)
	}
	stages := map[saaf.Stage]bool{}
	for i := range whole.entries {
		stages[b.headOf(&whole.entries[i]).Stage] = true
	}
	if len(stages) != 9 { // all but dial, which nothing writes yet
		t.Fatalf("entries of the stages %v", stages)
	}
	conn := b.connect()
	changed := 0
	for table, columns := range map[string]string{
		"ledger":      "campaign_id, tenant_id, writer_id, seq, head, body, hash",
		"checkpoints": "text, signature",
	} {
		all := b.number(`SELECT count(*) FROM pragma_table_info($1)`, table)
		if n := len(strings.Split(columns, ", ")) + 1; int64(n) != all {
			t.Fatalf("%s has %d columns, this test knows %d", table, all, n)
		}
		for place, r := range readRows(b, conn, table, columns) {
			for i, name := range r.names {
				flips(r.values[i], func(value any) {
					_, err := conn.exec("BEGIN")
					b.must(err)
					_, err = conn.exec(`UPDATE `+table+` SET `+name+` = $1 WHERE rowid = $2`, value, r.values[0])
					if sqlite.ErrCode(err) != sqlite.ResultConstraintPrimaryKey && sqlite.ErrCode(err) != sqlite.ResultConstraintRowID {
						b.must(err) // else there is a row with that id: it cannot be done
						id := r.values[0]
						if name == "rowid" {
							id = value
						}
						if ev, first := whole.with(b, conn, table, place, id); ev.verifyFrom(b, first) == nil {
							t.Errorf("%s %d: %s was changed and nothing is found", table, r.values[0], name)
						}
						changed++
					}
					_, err = conn.exec("ROLLBACK")
					b.must(err)
				})
			}
		}
	}
	if changed < 5000 {
		t.Errorf("only %d changes were tried", changed)
	}
}

// with is the evidence with one row read again, and the first entry that differs.
func (ev evidence) with(b *bundle, conn sqliteConn, table string, place int, id any) (evidence, int) {
	b.t.Helper()
	if table == "ledger" {
		ev.entries = slices.Clone(ev.entries)
		b.must(conn.query(`SELECT `+ledgerColumns+` WHERE id = $1`, func(r row) error { ev.entries[place] = scanEntry(r); return nil }, id))
		return ev, place
	}
	ev.checkpoints = slices.Clone(ev.checkpoints)
	b.must(conn.query(`SELECT `+checkpointColumns+` WHERE seq = $1`, func(r row) error { ev.checkpoints[place] = scanCheckpoint(r); return nil }, id))
	return ev, len(ev.entries)
}

// tampered reads the evidence through the connection that has changed it.
func tampered(b *bundle, conn sqliteConn) (ev evidence) {
	b.t.Helper()
	b.must(conn.query(`SELECT `+ledgerColumns+` ORDER BY id`, func(r row) error {
		ev.entries = append(ev.entries, scanEntry(r))
		return nil
	}))
	b.must(conn.query(`SELECT `+checkpointColumns+` ORDER BY seq`, func(r row) error {
		ev.checkpoints = append(ev.checkpoints, scanCheckpoint(r))
		return nil
	}))
	return ev
}

// Rows that are gone, new, exchanged or cut off are found too.
func TestEveryRowIsGuarded(t *testing.T) {
	t.Parallel()
	b := proven(t)
	conn := b.connect()
	last := b.number(`SELECT max(id) FROM ledger`)
	tries := map[string][]string{
		"a new entry at the end": {`INSERT INTO ledger (campaign_id, id, tenant_id, writer_id, seq, head, body, hash)
			SELECT campaign_id, id + 1, tenant_id, writer_id, seq + 1, head, body, hash FROM ledger ORDER BY id DESC LIMIT 1`},
		"the end is cut off":           {`DELETE FROM ledger WHERE id = (SELECT max(id) FROM ledger)`},
		"the end and its checkpoint":   {`DELETE FROM ledger WHERE id > (SELECT id FROM ledger LIMIT 1 OFFSET 3)`, `DELETE FROM checkpoints WHERE seq = 3`},
		"a checkpoint is gone":         {`DELETE FROM checkpoints WHERE seq = 1`},
		"a checkpoint is there twice":  {`INSERT INTO checkpoints (seq, text, signature) SELECT 4, text, signature FROM checkpoints WHERE seq = 3`},
		"checkpoints are exchanged":    {`UPDATE checkpoints SET seq = -seq`, `UPDATE checkpoints SET seq = 4 + seq`},
		"all is gone but a checkpoint": {`DELETE FROM ledger`},
	}
	entries := readEvidence(b).entries
	for _, e := range entries {
		tries[fmt.Sprintf("entry %d is gone", e.Seq)] = []string{fmt.Sprintf(`DELETE FROM ledger WHERE id = %d`, e.ID)}
		if e.Seq > 1 {
			// The contents of two entries change places, each under its own id.
			tries[fmt.Sprintf("entry %d is exchanged with the one before", e.Seq)] = []string{
				fmt.Sprintf(`CREATE TEMP TABLE two AS SELECT campaign_id, tenant_id, seq, head, body, hash FROM ledger WHERE seq IN (%d, %d)`, e.Seq-1, e.Seq),
				fmt.Sprintf(`UPDATE ledger AS l SET (campaign_id, tenant_id, seq, head, body, hash) =
				  (SELECT campaign_id, tenant_id, seq, head, body, hash FROM two WHERE two.seq = %d - l.seq) WHERE l.seq IN (%d, %d)`,
					2*e.Seq-1, e.Seq-1, e.Seq)}
		}
		if n := int(e.Seq) - 2; n >= 0 && entries[n].ID < e.ID-1 { // there is room
			tries[fmt.Sprintf("an entry is put before entry %d", e.Seq)] = []string{fmt.Sprintf(`
				INSERT INTO ledger (campaign_id, id, tenant_id, writer_id, seq, head, body, hash)
				SELECT campaign_id, id - 1, tenant_id, writer_id, seq, head, body, hash FROM ledger WHERE id = %d`, e.ID)}
		}
	}
	for name, statements := range tries {
		_, err := conn.exec("BEGIN")
		b.must(err)
		for _, sql := range statements {
			if n, err := conn.exec(sql); err != nil || n == 0 && !strings.HasPrefix(sql, "CREATE") { // which counts no rows
				t.Fatalf("%s: %d rows, %v", name, n, err)
			}
		}
		ev := tampered(b, conn)
		if err := ev.verify(b); err == nil {
			t.Errorf("%s, and nothing is found", name)
		}
		_, err = conn.exec("ROLLBACK")
		b.must(err)
	}
	ev := readEvidence(b)
	if err := ev.verify(b); err != nil || int64(ev.entries[len(ev.entries)-1].ID) != last {
		t.Errorf("afterwards: %v", err)
	}
}

// A checkpoint is made when something has moved, and not otherwise.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{Writers: 1})
	want := int64(0)
	expect := func(when string, made bool) {
		t.Helper()
		got, err := b.Checkpoint(t.Context())
		b.must(err)
		if made {
			want++
		}
		if n := b.number(`SELECT count(*) FROM checkpoints`); got != made || n != want {
			t.Errorf("%s: made %v, %d in all; want %v, %d", when, got, n, made, want)
		}
	}
	expect("nothing has ever been written", false)
	for n := range 3 {
		b.add(b.campaign, leads(n, n+1)...)
		expect("a lead", true)
		expect("again", false)
	}
	b.newTenant("leaves nothing in the ledger")
	expect("no entry", false)
	b = b.reopen()
	expect("after opening again", false)

	last, seq, err := b.LastCheckpoint(t.Context())
	b.must(err)
	open, err := last.Open(b.PublicKey())
	b.must(err)
	head := b.chain()[2]
	b.equal("the last", saaf.Checkpoint{
		Version: 1, Deployment: b.Deployment(), Seq: 3, At: open.At, Before: open.Before, Key: saaf.EncodeKey(b.PublicKey()),
		Heads: []saaf.CheckpointHead{{Writer: head.Writer, Seq: 3, Entry: head.ID, Hash: head.Hash}},
	}, open)
	all, err := b.CheckpointsAfter(t.Context(), 1)
	b.must(err)
	if len(all) != 2 || all[1].Seq != seq || open.Before != all[0].Hash() {
		t.Errorf("behind the first: %d, the last of which names %s", len(all), open.Before)
	}

	// One that somebody has changed does not keep new ones from being made, and its
	// successor does not hide it.
	_, err = b.outside().exec(`UPDATE checkpoints SET text = $1 WHERE seq = 3`, []byte(`{}`))
	b.must(err)
	expect("the last one is broken", true)
	ev := readEvidence(b)
	if err := ev.verify(b); err == nil {
		t.Error("the broken one is not found")
	}
}
