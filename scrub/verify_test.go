package scrub

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/store"
)

// asha is who tests ask evidence about, ravi somebody else beside her.
const (
	asha saaf.Phone = 9_876_543_210
	ravi saaf.Phone = 9_876_500_001
)

// history makes a ledger that has something of every stage, signed three times, and
// returns what the first and the last checkpoint were.
func (b *bundle) history() (lodged []saaf.SignedCheckpoint) {
	b.t.Helper()
	ctx := b.t.Context()
	by := saaf.By{Request: "req_1", Actor: "key_0000000000001"}
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	sign := func() {
		made, err := b.store.Checkpoint(ctx)
		must(err)
		if !made {
			b.t.Fatal("no checkpoint was made")
		}
		last, _, err := b.store.LastCheckpoint(ctx)
		must(err)
		lodged = append(lodged, last)
	}
	b.lists(ravi)
	b.push(asha)
	b.push(ravi)
	sign()
	made, err := b.store.Suppress(ctx, b.tenant, saaf.Live, []store.NewSuppression{{Scope: saaf.TenantScope, Phone: asha, Reason: "said no"}}, by)
	must(err)
	_, err = b.Lift(ctx, b.tenant, made[0].ID, by, "said yes after all")
	must(err)
	_, err = b.Release(ctx, b.tenant, saaf.Live, b.campaign, nil, by, "asked again")
	must(err)
	_, err = b.Check(ctx, b.tenant, saaf.Live, []saaf.Phone{asha, ravi}, by)
	must(err)
	sign()
	b.lists(ravi, asha)
	b.rechecks()
	if _, err := b.importInto(b.full("")); err == nil {
		b.t.Fatal("an empty registry was taken")
	}
	_, err = b.store.CreateKey(ctx, store.NewKey{Key: saaf.Key{TenantID: b.tenant, Environment: saaf.Test, Prefix: "yt_test_", LastFour: "aaaa"}})
	must(err)
	must(b.store.DeleteCampaign(ctx, b.tenant, saaf.Live, b.newCampaign(), by))
	_, err = b.store.Erase(ctx, b.tenant, saaf.Live, ravi, by, "asked by letter")
	must(err)
	sign()
	return []saaf.SignedCheckpoint{lodged[0], lodged[2]}
}

func (b *bundle) verify(o VerifyOptions) (VerifyReport, error) {
	return Verify(b.t.Context(), b.store, o)
}

func TestVerifyGoodLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if rep, err := b.verify(VerifyOptions{}); err != nil || rep.Entries != 0 || rep.Checkpoints != 0 {
		t.Errorf("an empty ledger: %+v, %v", rep, err)
	}
	lodged := b.history()
	entries := b.entries()
	head, size := headOf(&entries[len(entries)-1]), int64(len(entries))
	var chains []VerifiedChain // one, or one of each writer that has written
	for i := range entries {
		last := VerifiedChain{ChainHead(headOf(&entries[i])), entries[i].Seq}
		if at := slices.IndexFunc(chains, func(c VerifiedChain) bool { return c.Writer == last.Writer }); at >= 0 {
			chains[at] = last
		} else {
			chains = append(chains, last)
		}
	}
	slices.SortFunc(chains, func(a, b VerifiedChain) int { return int(a.Writer - b.Writer) })
	var told []VerifyProgress
	rep, err := b.verify(VerifyOptions{Lodged: lodged, PublicKey: b.store.PublicKey(), Progress: func(p VerifyProgress) { told = append(told, p) }})
	if err != nil {
		t.Fatal(err)
	}
	want := VerifyReport{
		Deployment: b.store.Deployment(), PublicKey: saaf.EncodeKey(b.store.PublicKey()), Entries: size, Head: ChainHead(head), Chains: chains,
		Decisions:   8, // two pushes, blocked, held, released, two checks, blocked again
		Checkpoints: 3, Signed: size, Lodged: 2, Leads: 1, Problems: []Problem{},
	}
	if diff := cmp.Diff(want, rep); diff != "" {
		t.Error(diff)
	}
	if want := (VerifyProgress{size, size, 1}); told[len(told)-1] != want {
		t.Errorf("told %v at the end, want %v", told[len(told)-1], want)
	}
	stages := map[saaf.Stage]bool{}
	for _, e := range b.entries() {
		h, err := e.ParseHead()
		if err != nil {
			t.Fatal(err)
		}
		stages[h.Stage] = true
	}
	for _, s := range []saaf.Stage{saaf.StageIngest, saaf.StageRescrub, saaf.StageManual, saaf.StageSuppression, saaf.StageDeletion,
		saaf.StageErasure, saaf.StageRegistry, saaf.StageRefusal, saaf.StageKey} {
		if !stages[s] {
			t.Errorf("the ledger of these tests has nothing of the stage %s", s)
		}
	}
}

// entries is the whole ledger.
func (b *bundle) entries() (list []saaf.EntryRow) {
	b.t.Helper()
	for after := saaf.EntryID(0); ; {
		page, err := b.store.LedgerAfter(b.t.Context(), after)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(page) == 0 {
			return list
		}
		list = append(list, page...)
		after = page[len(page)-1].ID
	}
}

// intruder changes the file of a store behind its back, and puts it right again.
type intruder struct {
	*bundle
	conn *sqlite.Conn
}

func (b *bundle) intrude() *intruder {
	b.t.Helper()
	conn, err := sqlite.OpenConn(filepath.Join(b.data, databaseName), sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	i := &intruder{b, conn}
	i.run("PRAGMA synchronous = OFF")
	return i
}

func (i *intruder) try(sql string, args ...any) error {
	return sqlitex.ExecuteTransient(i.conn, sql, &sqlitex.ExecOptions{Args: args})
}

func (i *intruder) run(sql string, args ...any) {
	i.t.Helper()
	if err := i.try(sql, args...); err != nil {
		i.t.Fatal(sql, err)
	}
}

// row reads columns of one row, numbers as int64 and all else as bytes.
func (i *intruder) row(table, columns, key string, id int64) (row []any) {
	i.t.Helper()
	err := sqlitex.ExecuteTransient(i.conn, fmt.Sprintf("SELECT %s FROM %s WHERE %s = ?", columns, table, key), &sqlitex.ExecOptions{
		Args: []any{id},
		ResultFunc: func(stmt *sqlite.Stmt) error {
			for c := range stmt.ColumnCount() {
				if stmt.ColumnType(c) == sqlite.TypeInteger {
					row = append(row, stmt.ColumnInt64(c))
					continue
				}
				text := make([]byte, stmt.ColumnLen(c))
				stmt.ColumnBytes(c, text)
				row = append(row, text)
			}
			return nil
		},
	})
	if err != nil || row == nil {
		i.t.Fatal("there is no such row", err)
	}
	return row
}

// broken verifies and returns what is found first.
func (i *intruder) broken(o VerifyOptions) (VerifyReport, *Problem) {
	i.t.Helper()
	rep, err := i.verify(o)
	p, ok := errors.AsType[*Problem](err)
	if err != nil && !ok {
		i.t.Fatal(err)
	}
	return rep, p
}

// stride is how many bytes are passed over between two that are flipped: under make
// long none, and else most, from another first one each time.
func stride() int {
	if os.Getenv("SAAF_LONG") != "" {
		return 1
	}
	return 7
}

// variants are a value with one byte flipped, for every byte, or for some of a long
// one, beginning with the given one.
func variants(value any, first int) (list []any) {
	switch v := value.(type) {
	case int64:
		for k := range 8 {
			list = append(list, v^1<<(8*k))
		}
	case []byte:
		for k := first % stride(); k < len(v); k += stride() {
			flipped := slices.Clone(v)
			flipped[k] ^= 1
			list = append(list, flipped)
		}
	}
	return list
}

const ledgerRow = "campaign_id, id, tenant_id, writer_id, seq, head, body, hash"

// Every byte of every entry: the first entry that is not what was written is named,
// by the place in the chain where the walk leaves what was written.
func TestVerifyFindsEveryByteOfEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	i := b.intrude()
	entries := b.entries()
	columns := strings.Split(ledgerRow, ", ")
	flips, impossible := 0, 0
	for n, e := range entries {
		row := i.row("ledger", ledgerRow, "id", int64(e.ID))
		for c, value := range row {
			for _, flipped := range variants(value, n) {
				want, id := int64(n+1), int64(e.ID)
				if columns[c] == "id" {
					id = flipped.(int64)
					want = firstMoved(entries, n, saaf.EntryID(id))
				}
				if err := i.try(fmt.Sprintf("UPDATE ledger SET %s = ? WHERE id = ?", columns[c]), flipped, int64(e.ID)); err != nil {
					impossible++ // the next of its transaction has that id
					continue
				}
				rep, p := i.broken(VerifyOptions{SkipLeads: true})
				if p == nil || p.Seq != want || p.Entry == 0 || p.What == "" || rep.Entries != want-1 {
					t.Fatalf("entry %d, %s flipped: found %+v behind %d good entries, want seq %d", n+1, columns[c], p, rep.Entries, want)
				}
				if columns[c] != "id" && (p.Entry != e.ID || p.At.IsZero()) {
					t.Fatalf("entry %d, %s flipped: named is %s at %v, want %s", n+1, columns[c], p.Entry, p.At, e.ID)
				}
				i.run(fmt.Sprintf("UPDATE ledger SET %s = ? WHERE id = ?", columns[c]), value, id)
				flips++
			}
		}
	}
	if _, p := i.broken(VerifyOptions{}); p != nil {
		t.Fatalf("it is not as it was: %v", p)
	}
	if impossible > len(entries) || flips*stride() < 500*len(entries) {
		t.Errorf("%d flips in %d entries, %d could not be stored", flips, len(entries), impossible)
	}
}

// SQLite keeps 7x in a column of numbers and reads it as 7, and finds it by nothing:
// the entry would be in the chain, and missing from the evidence of its tenant.
func TestVerifyFindsNumbersThatAreText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	i := b.intrude()
	for n, e := range b.entries() {
		for _, column := range []string{"campaign_id", "tenant_id", "writer_id", "seq"} {
			i.run(fmt.Sprintf("UPDATE ledger SET %[1]s = %[1]s || 'x' WHERE id = ?", column), int64(e.ID))
			if _, p := i.broken(VerifyOptions{SkipLeads: true}); p == nil || p.Seq != int64(n+1) || p.Entry != e.ID {
				t.Errorf("entry %d, %s is text: found %+v", n+1, column, p)
			}
			i.run(fmt.Sprintf("UPDATE ledger SET %[1]s = CAST(%[1]s AS INTEGER) WHERE id = ?", column), int64(e.ID))
		}
	}
	if _, p := i.broken(VerifyOptions{}); p != nil {
		t.Error("what was put right is broken:", p)
	}
}

// firstMoved is the place at which the order of the chain changes when an entry gets
// another id.
func firstMoved(entries []saaf.EntryRow, n int, id saaf.EntryID) int64 {
	ids := make([]saaf.EntryID, len(entries))
	for k := range entries {
		ids[k] = entries[k].ID
	}
	ids[n] = id
	slices.Sort(ids)
	for k := range ids {
		if ids[k] != entries[k].ID {
			return int64(k + 1)
		}
	}
	return 0
}

func TestVerifyFindsEveryByteOfCheckpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	i := b.intrude()
	const columns = "seq, text, signature"
	impossible := 0
	for seq := int64(1); seq <= 3; seq++ {
		row := i.row("checkpoints", columns, "seq", seq)
		for c, column := range strings.Split(columns, ", ") {
			for _, flipped := range variants(row[c], int(seq)) {
				id := seq
				if column == "seq" {
					id = flipped.(int64)
				}
				if err := i.try(fmt.Sprintf("UPDATE checkpoints SET %s = ? WHERE seq = ?", column), flipped, seq); err != nil {
					impossible++ // there is one with that number
					continue
				}
				rep, p := i.broken(VerifyOptions{SkipLeads: true})
				if p == nil || p.Checkpoint != seq && column != "seq" || p.Checkpoint == 0 || rep.Checkpoints >= seq {
					t.Fatalf("checkpoint %d, %s flipped: found %+v, with %d good", seq, column, p, rep.Checkpoints)
				}
				i.run(fmt.Sprintf("UPDATE checkpoints SET %s = ? WHERE seq = ?", column), row[c], id)
			}
		}
	}
	if impossible > 2 {
		t.Errorf("%d flips could not be stored", impossible)
	}
}

// insertEntry stores an entry as the table takes it.
func (i *intruder) insertEntry(e *saaf.EntryRow) {
	i.t.Helper()
	i.run("INSERT INTO ledger ("+ledgerRow+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		int64(e.Campaign), int64(e.ID), int64(e.Tenant), e.Writer, e.Seq, e.Head, append([]byte{}, e.Body...), e.Hash[:])
}

// replace makes the ledger hold these entries and no others.
func (i *intruder) replace(entries []saaf.EntryRow) {
	i.t.Helper()
	i.run("BEGIN")
	i.run("DELETE FROM ledger")
	for k := range entries {
		i.insertEntry(&entries[k])
	}
	i.run("COMMIT")
}

// relink makes entries follow from each other from the nth on, as whoever rewrites
// a ledger would.
func relink(entries []saaf.EntryRow, n int) []saaf.EntryRow {
	for k := n; k < len(entries); k++ {
		var before saaf.SHA256
		if k > 0 {
			before = entries[k-1].Hash
		}
		e := &entries[k]
		var head map[string]any
		if err := json.Unmarshal(e.Head, &head); err != nil {
			panic(err)
		}
		e.Seq = int64(k + 1)
		head["seq"], head["entry"] = e.Seq, e.ID.String()
		e.Head, _ = json.Marshal(head)
		e.Hash = saaf.Link(before, e.Content())
	}
	return entries
}

func TestVerifyFindsWhatWasMoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lodged := b.history()
	i := b.intrude()
	whole := b.entries()
	last := len(whole)
	checkpoints, err := b.store.CheckpointsAfter(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(n int) int { // the place up to which a checkpoint signed
		c, err := checkpoints[n-1].Open(b.store.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		return int(c.Heads[0].Seq)
	}
	copies := func() []saaf.EntryRow { return slices.Clone(whole) }
	found := func(what string, o VerifyOptions, seq int, checkpoint int64) {
		t.Helper()
		rep, p := i.broken(o)
		if p == nil || p.Seq != int64(seq) || p.Checkpoint != checkpoint {
			t.Errorf("%s: found %+v, want seq %d, checkpoint %d", what, p, seq, checkpoint)
		} else if seq > 0 && rep.Entries > int64(seq) {
			t.Errorf("%s: %d entries are called good", what, rep.Entries)
		}
	}
	inserted := 0
	for n := 1; n < last; n++ {
		i.replace(slices.Delete(copies(), n-1, n))
		found(fmt.Sprint("removed ", n), VerifyOptions{}, n, 0)

		i.replace(relink(slices.Delete(copies(), n-1, n), n-1))
		at := signed(1)
		for c := 2; at < n; c++ {
			at = signed(c)
		}
		if at == last {
			found(fmt.Sprint("removed and linked anew ", n), VerifyOptions{}, last, 3) // one too short
		} else {
			_, p := i.broken(VerifyOptions{})
			if p == nil || p.Seq != int64(at) || p.Checkpoint == 0 || p.Entry == 0 {
				t.Errorf("removed %d and linked anew: found %+v, want seq %d by its checkpoint", n, p, at)
			}
		}

		swapped := copies()
		swapped[n-1], swapped[n] = swapped[n], swapped[n-1]
		swapped[n-1].ID, swapped[n].ID = swapped[n].ID, swapped[n-1].ID
		i.replace(swapped)
		found(fmt.Sprint("swapped ", n), VerifyOptions{}, n, 0)

		if more := whole[n-1]; more.ID+1 < whole[n].ID {
			inserted++
			more.ID++
			i.replace(slices.Insert(copies(), n, more))
			found(fmt.Sprint("inserted behind ", n), VerifyOptions{}, n+1, 0)

			// Linked to the one before it is as good as that; the one behind is not.
			longer := relink(slices.Insert(copies(), n, more)[:n+1], n)
			i.replace(append(longer, whole[n:]...))
			seq, checkpoint := n+2, int64(0)
			for c := 1; c <= 3; c++ {
				if signed(c) == n+1 {
					seq, checkpoint = n+1, int64(c)
				}
			}
			found(fmt.Sprint("inserted and linked behind ", n), VerifyOptions{}, seq, checkpoint)
		}

		i.replace(copies()[:n])
		cut := int64(1)
		for signed(int(cut)) <= n {
			cut++
		}
		found(fmt.Sprint("cut behind ", n), VerifyOptions{SkipLeads: true}, n+1, cut)
	}
	if inserted < 5 {
		t.Errorf("an entry was inserted in %d places only", inserted)
	}
	i.replace(nil)
	found("emptied", VerifyOptions{}, 1, 1)

	i.replace(copies())
	for seq := int64(1); seq <= 2; seq++ {
		row := i.row("checkpoints", "text, signature", "seq", seq)
		i.run("DELETE FROM checkpoints WHERE seq = ?", seq)
		found("a checkpoint is missing", VerifyOptions{}, 0, seq)
		if _, p := i.broken(VerifyOptions{}); p == nil || !strings.Contains(p.What, "one is missing") {
			t.Errorf("checkpoint %d is missing: %v", seq, p)
		}
		i.run("INSERT INTO checkpoints (seq, text, signature) VALUES (?, ?, ?)", append([]any{seq}, row...)...)
	}

	// Somebody who takes the newest checkpoint with the entries leaves no trace in
	// the store.
	i.replace(copies()[:signed(2)])
	i.run("DELETE FROM checkpoints WHERE seq = 3")
	if _, p := i.broken(VerifyOptions{SkipLeads: true}); p != nil {
		t.Errorf("cut with its checkpoint: %v; this test is out of date", p)
	}
	found("cut with its checkpoint", VerifyOptions{SkipLeads: true, Lodged: lodged}, last, 3)
}

// resign puts checkpoints into the store that sign these entries with a key.
func (i *intruder) resign(entries []saaf.EntryRow, key ed25519.PrivateKey, seqs ...int64) {
	i.t.Helper()
	i.run("DELETE FROM checkpoints")
	var before saaf.SHA256
	for n, seq := range seqs {
		e := entries[seq-1]
		at := time.Now().UTC().Truncate(time.Millisecond)
		c := saaf.Checkpoint{Version: 1, Deployment: i.store.Deployment(), Seq: int64(n + 1), At: at, Before: before,
			Heads: []saaf.CheckpointHead{{Writer: 1, Seq: e.Seq, Entry: e.ID, Hash: e.Hash}}}
		signed, err := c.Sign(key)
		if err != nil {
			i.t.Fatal(err)
		}
		before = signed.Hash()
		i.run("INSERT INTO checkpoints (seq, text, signature) VALUES (?, ?, ?)", c.Seq, signed.Text, signed.Signature)
	}
}

// Checkpoints that are signed by the right key and still are not right.
func TestVerifyFindsWrongCheckpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(asha)
	b.push(ravi)
	i := b.intrude()
	entries := b.entries()
	_, own, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := VerifyOptions{PublicKey: own.Public().(ed25519.PublicKey)}
	head := func(n int) saaf.CheckpointHead {
		return saaf.CheckpointHead{Writer: 1, Seq: int64(n), Entry: entries[n-1].ID, Hash: entries[n-1].Hash}
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	for what, change := range map[string]func(*saaf.Checkpoint){
		"":                      func(*saaf.Checkpoint) {},
		"of another deployment": func(c *saaf.Checkpoint) { c.Deployment++ },
		"of another number":     func(c *saaf.Checkpoint) { c.Seq = 3 },
		"behind another":        func(c *saaf.Checkpoint) { c.Before[0]++ },
		"of no chain":           func(c *saaf.Checkpoint) { c.Heads = nil },
		"of two chains":         func(c *saaf.Checkpoint) { c.Heads = append(c.Heads, c.Heads[0]) },
		"of an earlier entry":   func(c *saaf.Checkpoint) { c.Heads[0] = head(1) },
		"of another entry":      func(c *saaf.Checkpoint) { c.Heads[0].Entry++ },
		"of another writer":     func(c *saaf.Checkpoint) { c.Heads[0].Writer++ },
		"of another version":    func(c *saaf.Checkpoint) { c.Version = 2 },
		"of what is not there":  func(c *saaf.Checkpoint) { c.Heads[0].Seq = 9 },
	} {
		i.resign(entries, own, 2)
		first := i.row("checkpoints", "text, signature", "seq", 1)
		before := saaf.SignedCheckpoint{Text: first[0].([]byte), Signature: first[1].([]byte)}
		c := saaf.Checkpoint{Version: 1, Deployment: b.store.Deployment(), Seq: 2, At: at, Before: before.Hash(), Heads: []saaf.CheckpointHead{head(2)}}
		change(&c)
		signed, err := c.Sign(own)
		if err != nil {
			t.Fatal(err)
		}
		i.run("INSERT INTO checkpoints (seq, text, signature) VALUES (2, ?, ?)", signed.Text, signed.Signature)
		rep, p := i.broken(o)
		if what == "" {
			if p != nil || rep.Checkpoints != 2 {
				t.Fatalf("a good one: %v", p)
			}
			continue
		}
		if p == nil || p.Checkpoint != 2 || rep.Checkpoints != 1 {
			t.Errorf("%s: %+v, %d good", what, p, rep.Checkpoints)
		}
		if what == "of an earlier entry" && !strings.Contains(p.What, "less than the checkpoint before") {
			t.Errorf("%s: %v", what, p)
		}
	}
}

// A ledger that was written anew as a whole, by somebody who can also sign.
func TestVerifyAgainstLodgedCheckpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lodged := b.history()
	i := b.intrude()
	original := b.entries()
	anew := relink(slices.Clone(original), 0)
	if anew[0].Hash == original[0].Hash {
		t.Fatal("nothing was written anew")
	}
	i.replace(anew)
	_, own, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	i.resign(anew, own, 3, int64(len(anew)))

	if _, p := i.broken(VerifyOptions{}); p == nil || p.Checkpoint != 1 {
		t.Errorf("signed by another key: %+v", p)
	}
	// The key of the store changed too: what the operator has kept tells.
	public := own.Public().(ed25519.PublicKey)
	if rep, p := i.broken(VerifyOptions{PublicKey: public}); p != nil || rep.Checkpoints != 2 {
		t.Errorf("it is not well made: %v", p)
	}
	for _, c := range lodged {
		rep, p := i.broken(VerifyOptions{PublicKey: public, Lodged: []saaf.SignedCheckpoint{c}})
		if p == nil || p.Checkpoint == 0 || rep.Lodged != 0 || !strings.Contains(p.What, "another key") {
			t.Errorf("lodged, but of the real key: %+v", p)
		}
	}
	// With the key of the store itself.
	was, err := lodged[0].Open(b.store.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	lies := was
	lies.At = was.At.Add(time.Second)
	other, err := lies.Sign(own)
	if err != nil {
		t.Fatal(err)
	}
	i.resign(anew, own, was.Heads[0].Seq, int64(len(anew)))
	rep, p := i.broken(VerifyOptions{PublicKey: public, Lodged: []saaf.SignedCheckpoint{other}})
	if p == nil || p.Checkpoint != 1 || !strings.Contains(p.What, "not the one that was lodged") || rep.Lodged != 0 {
		t.Errorf("lodged and written anew with the same key: %+v", p)
	}
}

func TestVerifyLooksAtTheBlocks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	lead := b.leads()[asha]
	i := b.intrude()
	for change, back := range map[string]string{
		"UPDATE leads SET created_at = created_at + 86400000": "UPDATE leads SET created_at = created_at - 86400000",
		"UPDATE leads SET external_id = 'crm-1'":              "UPDATE leads SET external_id = NULL",
		"UPDATE campaign_counts SET held = held + 1":          "UPDATE campaign_counts SET held = held - 1",
	} {
		i.run(change)
		if _, p := i.broken(VerifyOptions{}); p == nil || p.Campaign != b.campaign || p.Lead != 0 && p.Lead != lead.ID {
			t.Errorf("%s: found %+v", change, p)
		}
		i.run(back)
		if _, p := i.broken(VerifyOptions{}); p != nil {
			t.Errorf("%s and back: found %+v", change, p)
		}
	}
}

func TestVerifyLooksForTheEntriesOfLeads(t *testing.T) {
	t.Parallel()
	b := setupWith(t, store.Config{Uniqueness: store.ByIndex}) // without blocks, which would find much of it first
	b.history()
	lead := b.leads()[asha]
	i := b.intrude()
	elsewhere := b.entries()[0].ID // of no campaign
	for _, column := range []string{"first_entry", "last_entry"} {
		was := i.row("leads", column, "id", int64(lead.ID))[0].(int64)
		for _, wrong := range []int64{was + 1, int64(elsewhere)} {
			i.run(fmt.Sprintf("UPDATE leads SET %s = ? WHERE id = ?", column), wrong, int64(lead.ID))
			if _, p := i.broken(VerifyOptions{}); p == nil || p.Lead != lead.ID || int64(p.Entry) != wrong {
				t.Errorf("%s is %d: found %+v", column, wrong, p)
			}
			if _, p := i.broken(VerifyOptions{SkipLeads: true}); p != nil {
				t.Errorf("looked for, though not asked: %v", p)
			}
		}
		i.run(fmt.Sprintf("UPDATE leads SET %s = ? WHERE id = ?", column), was, int64(lead.ID))
	}
	const unnamed = "the lead came in after the ledger was begun, and names no entry of how"
	i.run("CREATE TEMP TABLE was AS SELECT * FROM leads")
	for change, what := range map[string]string{
		"reason = 2, status = 0":                "the lead stands at not_registered, and the entry it names says ncpr_full_block",
		"last_entry = NULL":                     "the lead stands at ncpr_full_block, and the entry it names says not_registered",
		"phone = phone + 1":                     "the lead has another number than the entry it names",
		"first_entry = NULL, last_entry = NULL": unnamed,
		"first_entry = NULL":                    unnamed,
		"id = id + 1":                           "the lead names an entry that says nothing about it",
	} {
		i.run("UPDATE leads SET " + change)
		if _, p := i.broken(VerifyOptions{}); p == nil || p.Lead == 0 || p.What != what {
			t.Errorf("%s: found %+v", change, p)
		}
		i.run("DELETE FROM leads")
		i.run("INSERT INTO leads SELECT * FROM was")
	}
	if _, p := i.broken(VerifyOptions{}); p != nil {
		t.Error("what was put right is broken:", p)
	}
	i.run("UPDATE leads SET id = 1, first_entry = NULL, last_entry = NULL")
	if rep, p := i.broken(VerifyOptions{}); p != nil || rep.Unnamed != 1 || rep.Leads != 1 {
		t.Errorf("a lead from before there was a ledger: %+v, %v", rep, p)
	}
}

// A store grows while it is verified.
func TestVerifyWhileTheLedgerGrows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(ravi)
	ctx, cancel := context.WithCancel(t.Context())
	writer := make(chan error, 1)
	go func() {
		var err error
		for n := saaf.Phone(9_000_000_000); ctx.Err() == nil && err == nil; n++ {
			_, err = b.intake.Push(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.LeadInput{Phone: n.National()}, n, saaf.System)
			if err == nil {
				_, err = b.store.Checkpoint(t.Context())
			}
		}
		writer <- err
	}()
	for range 20 {
		if _, err := b.verify(VerifyOptions{}); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-writer; err != nil {
		t.Error(err)
	}
}
