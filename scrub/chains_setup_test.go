package scrub

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"saaf"
	"saaf/store"
)

// fatal is what histories need of a test or of one try of a property.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// history is what the tables of a store with several chains hold, written by processes
// that nobody watches but the test: it knows what was signed.
type history struct {
	fatal
	deployment  saaf.DeploymentID
	key         ed25519.PrivateKey
	now         time.Time
	made        int64 // ids, for new ones
	chains      []*grownChain
	entries     []saaf.EntryRow // of all chains
	checkpoints []saaf.Checkpoint
	signed      []store.StoredCheckpoint // the same
}

// grownChain is one chain of a history.
type grownChain struct {
	head saaf.CheckpointHead
	gone bool // its process is: the next checkpoint names it for the last time
	over bool // it was named for the last time
}

// newHistory is one that the key of the store signs.
func (b *bundle) newHistory(f fatal) *history {
	f.Helper()
	text, err := os.ReadFile(filepath.Join(b.data, "signing.pem"))
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		f.Fatal(err)
	}
	return &history{fatal: f, deployment: b.store.Deployment(), key: key.(ed25519.PrivateKey), now: time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)}
}

func (h *history) public() ed25519.PublicKey { return h.key.Public().(ed25519.PublicKey) }

// id makes an id of a time.
func (h *history) id(at time.Time) int64 {
	h.made++
	return at.UnixMilli()<<21 | h.made%(1<<21)
}

// begin opens a chain, which is there when something is entered.
func (h *history) begin() *grownChain {
	c := &grownChain{head: saaf.CheckpointHead{Writer: h.id(h.now)}}
	h.chains = append(h.chains, c)
	return c
}

// enter adds an entry, whose transaction took so long, to a chain.
func (h *history) enter(c *grownChain, took time.Duration) {
	h.Helper()
	id := max(c.head.Entry+1, saaf.EntryID(h.id(h.now.Add(-took))))
	e := saaf.EntryRow{ID: id, Campaign: saaf.CampaignID(h.made % 3), Writer: c.head.Writer, Seq: c.head.Seq + 1}
	h.write(&e, c.head.Hash)
	h.entries = append(h.entries, e)
	c.head = headOf(&e)
}

// write makes the head and the hash of an entry from its columns.
func (h *history) write(e *saaf.EntryRow, before saaf.SHA256) {
	h.Helper()
	head, err := json.Marshal(saaf.EntryHead{
		Version: 1, Deployment: h.deployment, Campaign: e.Campaign, Tenant: e.Tenant, Entry: e.ID, Writer: e.Writer, Seq: e.Seq,
		At: time.UnixMilli(madeAt(e.ID)).UTC(), Stage: saaf.StageRefusal, RuleVersion: saaf.RuleVersion,
		Requests: []saaf.EntryRequest{{Actor: "test"}}, Fact: e.ID, Decisions: 1,
	})
	if err != nil {
		h.Fatal(err)
	}
	e.Head, e.Body = head, saaf.AppendDecision(nil, 0, &saaf.Decision{Lead: saaf.LeadID(e.ID), New: true})
	e.Hash = saaf.Link(before, e.Content())
}

// sign makes a checkpoint, when something was entered.
func (h *history) sign() {
	h.Helper()
	c := saaf.Checkpoint{Version: 1, Deployment: h.deployment, Seq: int64(len(h.checkpoints) + 1), At: h.now}
	for _, g := range h.chains {
		if !g.over && g.head.Seq > 0 {
			c.Heads = append(c.Heads, g.head)
			g.over = g.gone
		}
	}
	slices.SortFunc(c.Heads, func(a, b saaf.CheckpointHead) int { return int(a.Writer - b.Writer) })
	if len(c.Heads) > 0 {
		h.checkpoints = append(h.checkpoints, c)
		h.resign(len(h.checkpoints) - 1)
	}
}

// resign signs the checkpoints from a place on, each behind the one before.
func (h *history) resign(from int) {
	h.Helper()
	h.signed = h.signed[:from]
	for n := from; n < len(h.checkpoints); n++ {
		c := &h.checkpoints[n]
		c.Before = saaf.SHA256{}
		if n > 0 {
			c.Before = h.signed[n-1].Hash()
		}
		signed, err := c.Sign(h.key)
		if err != nil {
			h.Fatal(err)
		}
		h.signed = append(h.signed, store.StoredCheckpoint{Seq: c.Seq, SignedCheckpoint: signed})
	}
}

// named is what the last checkpoint that names a chain names of it, and its number.
func (h *history) named(writer int64) (head saaf.CheckpointHead, checkpoint int64) {
	for i := range h.checkpoints {
		if is := headOfChain(&h.checkpoints[i], writer); is.Seq > 0 {
			head, checkpoint = is, int64(i+1)
		}
	}
	return head, checkpoint
}

// covers is the first checkpoint that covers an entry, 0 for none, and the seq that it
// names.
func (h *history) covers(writer, seq int64) (checkpoint, named int64) {
	for i := range h.checkpoints {
		if is := headOfChain(&h.checkpoints[i], writer); is.Seq >= seq {
			return int64(i + 1), is.Seq
		}
	}
	return 0, 0
}

// until is a time before which no chain may have begun that no checkpoint names.
func (h *history) until() time.Time {
	last := h.checkpoints[len(h.checkpoints)-1]
	at := time.Time{}
	for _, head := range last.Heads {
		if t := time.UnixMilli(madeAt(head.Entry)); t.After(at) {
			at = t
		}
	}
	if last.At.Before(at) {
		at = last.At
	}
	return at.Add(-unnamedFor)
}

// of are the places of the entries of a chain, in its order.
func (h *history) of(writer int64) (places []int) {
	for i := range h.entries {
		if h.entries[i].Writer == writer {
			places = append(places, i)
		}
	}
	slices.SortFunc(places, func(a, b int) int { return int(h.entries[a].Seq - h.entries[b].Seq) })
	return places
}

// clone is a history that can be changed while this one stays.
func (h *history) clone() *history {
	c := *h
	c.entries, c.checkpoints, c.signed = slices.Clone(h.entries), slices.Clone(h.checkpoints), slices.Clone(h.signed)
	for i := range c.checkpoints {
		c.checkpoints[i].Heads = slices.Clone(c.checkpoints[i].Heads)
	}
	for i := range c.entries {
		c.entries[i].Head, c.entries[i].Body = slices.Clone(c.entries[i].Head), slices.Clone(c.entries[i].Body)
	}
	return &c
}

// storable reports whether the keys of the tables let the rows stand beside each other.
func (h *history) storable() bool {
	entries, checkpoints := map[[3]int64]bool{}, map[int64]bool{}
	for i := range h.entries {
		entries[[3]int64{int64(h.entries[i].Campaign), h.entries[i].Writer, h.entries[i].Seq}] = true
	}
	for i := range h.signed {
		checkpoints[h.signed[i].Seq] = true
	}
	return len(entries) == len(h.entries) && len(checkpoints) == len(h.signed)
}

// burglar changes the database of a store behind its back.
type burglar struct {
	*bundle
	conn *pgx.Conn
}

func (b *bundle) burgle() *burglar {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	return &burglar{b, conn}
}

// put makes the tables hold a history and nothing else.
func (b *burglar) put(h *history) {
	h.Helper()
	var all pgx.Batch
	all.Queue("BEGIN")
	all.Queue("DELETE FROM ledger")
	all.Queue("DELETE FROM checkpoints")
	all.Queue("DELETE FROM chains")
	for i := range h.entries {
		e := &h.entries[i]
		all.Queue("INSERT INTO ledger ("+ledgerRow+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			int64(e.Campaign), int64(e.ID), int64(e.Tenant), e.Writer, e.Seq, e.Head, append([]byte{}, e.Body...), e.Hash[:])
	}
	for _, c := range h.chains {
		sealed := int64(0)
		if c.over {
			_, sealed = h.named(c.head.Writer)
		}
		all.Queue("INSERT INTO chains (writer_id, server_id, opened_at, sealed) VALUES ($1, 0, 0, $2)", c.head.Writer, sealed)
	}
	for _, c := range h.signed {
		all.Queue("INSERT INTO checkpoints (seq, text, signature) VALUES ($1, $2, $3)", c.Seq, c.Text, c.Signature)
	}
	all.Queue("COMMIT")
	if err := b.conn.SendBatch(b.t.Context(), &all).Close(); err != nil {
		h.Fatal(err)
	}
}

// finds puts a history into the store and verifies it.
func (b *burglar) finds(h *history, lodged ...saaf.SignedCheckpoint) (VerifyReport, *Problem) {
	h.Helper()
	b.put(h)
	rep, err := b.verify(VerifyOptions{PublicKey: h.public(), SkipLeads: true, Lodged: lodged})
	p, ok := errors.AsType[*Problem](err)
	if err != nil && !ok {
		h.Fatal(err)
	}
	return rep, p
}

// threeChains is a short history: chains that overlap, one that has ended, entries that
// are not signed.
func (b *bundle) threeChains(t *testing.T) *history {
	h := b.newHistory(t)
	one, two := h.begin(), h.begin()
	for n := range 3 {
		h.now = h.now.Add(time.Minute)
		h.enter(one, 0)
		h.enter(two, time.Second) // begun before it, and there behind it
		h.sign()
		two.gone = n == 0
		if two.over {
			two = h.begin()
		}
	}
	h.enter(one, 0)
	h.enter(two, 0)
	return h
}
