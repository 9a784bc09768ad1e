package scrub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"saaf"
	"saaf/store"
)

// Limits of the paths of an export, in hashes: 64 bytes of JSON for each. Signed
// every minute, a chain reaches the first at 1,600 transactions a second.
const (
	maxPath  = 100_000
	maxPaths = 500_000
)

// pathLimits say how many hashes paths may have.
type pathLimits struct {
	one int64 // of all entries up to one checkpoint
	all int64 // in one export
}

// EvidenceProof is what an export can be verified with, by nothing but hashes and
// one public key.
//
// The content hash of an entry is SHA-256 of "saaf ledger entry 1", a zero byte, the
// length of the head as 8 bytes, big end first, the head and the body. The hash of
// an entry is SHA-256 of the hash before it in its chain and its content hash. The head
// says which chain that is: its writer. Entries of one chain that one checkpoint covers
// stand behind each other: the path of each leads to the next of them, and that of the
// last to the hash that the checkpoint signed for the chain.
type EvidenceProof struct {
	PublicKey   string               `json:"public_key"` // Ed25519, in base64
	Entries     []EvidenceEntry      `json:"entries"`    // whole, in the order of their ids, which is that of each chain
	Checkpoints []EvidenceCheckpoint `json:"checkpoints"`
}

// EvidenceEntry is a whole entry of the ledger. The other people in it are keyed
// hashes.
type EvidenceEntry struct {
	ID         saaf.EntryID  `json:"id"`
	Seq        int64         `json:"seq"`    // in its chain
	Before     saaf.SHA256   `json:"before"` // hash of the entry before, zero for the first of a chain
	Hash       saaf.SHA256   `json:"hash"`
	Head       string        `json:"head"`       // JSON, exactly as it was hashed
	Body       []byte        `json:"body"`       // packed decisions, in base64
	Path       []saaf.SHA256 `json:"path"`       // content hashes of the entries of the chain between this and the next, or what the checkpoint names
	Checkpoint int64         `json:"checkpoint"` // that covers it; 0: none, or the path would be longer than this form allows (100,000 to a checkpoint, 500,000 in all), and saaf audit verify on the whole ledger must prove it
}

// EvidenceCheckpoint is a signed checkpoint.
type EvidenceCheckpoint struct {
	Seq       int64  `json:"seq"`
	Text      string `json:"text"`      // JSON, exactly as it was signed
	Signature []byte `json:"signature"` // Ed25519 over the text, in base64
}

// prove puts the entries into the export with the way from each to a checkpoint.
func (ev *Evidence) prove(ctx context.Context, st *store.Store, entries []saaf.EntryRow, limits pathLimits) error {
	ev.Proof = EvidenceProof{PublicKey: saaf.EncodeKey(st.PublicKey()), Entries: make([]EvidenceEntry, len(entries)), Checkpoints: []EvidenceCheckpoint{}}
	chains := make(map[int64]*provenChain)
	for i := range entries {
		e := &entries[i]
		before, err := st.EntryBefore(ctx, e)
		if err != nil {
			return err
		}
		ev.Proof.Entries[i] = EvidenceEntry{ID: e.ID, Seq: e.Seq, Before: before, Hash: e.Hash,
			Head: string(e.Head), Body: append([]byte{}, e.Body...), Path: []saaf.SHA256{}}
		if chains[e.Writer] == nil {
			chains[e.Writer] = &provenChain{st: st, writer: e.Writer}
		}
		chains[e.Writer].entries = append(chains[e.Writer].entries, &ev.Proof.Entries[i])
	}
	used := make(map[int64]EvidenceCheckpoint)
	for _, writer := range slices.Sorted(maps.Keys(chains)) {
		if err := chains[writer].prove(ctx, &limits, used); err != nil {
			return err
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(used)) {
		ev.Proof.Checkpoints = append(ev.Proof.Checkpoints, used[seq])
	}
	return nil
}

// provenChain are the entries of an export that are in one chain, in its order.
type provenChain struct {
	st      *store.Store
	writer  int64
	entries []*EvidenceEntry
}

// prove fills the paths of the entries, and adds the checkpoints they lead to to those
// that are used.
func (p *provenChain) prove(ctx context.Context, limits *pathLimits, used map[int64]EvidenceCheckpoint) error {
	for rest := p.entries; len(rest) > 0; {
		c, head, err := p.covering(ctx, rest[0].Seq)
		if err != nil || c.Seq == 0 {
			return err
		}
		n := slices.IndexFunc(rest, func(e *EvidenceEntry) bool { return e.Seq > head.Seq })
		if n < 0 {
			n = len(rest)
		}
		covered := rest[:n]
		rest = rest[n:]
		for len(covered) > 0 && head.Seq-covered[0].Seq > min(limits.one, limits.all) {
			covered = covered[1:]
		}
		if len(covered) == 0 {
			continue
		}
		if err := p.fillPaths(ctx, covered, c.Seq, head); err != nil {
			return err
		}
		limits.all -= head.Seq - covered[0].Seq
		used[c.Seq] = EvidenceCheckpoint{Seq: c.Seq, Text: string(c.Text), Signature: c.Signature}
	}
	return nil
}

// covering finds the first checkpoint that covers the entry with a seq, and what that
// names of the chain. Where there is none it has one made.
func (p *provenChain) covering(ctx context.Context, seq int64) (c store.StoredCheckpoint, head saaf.CheckpointHead, err error) {
	for made := false; ; {
		low, last := int64(1), int64(0) // the first that covers it is in [low, last], or there is none
		if last, err = p.lastNaming(ctx); err != nil {
			return c, head, err
		}
		for high := last + 1; low < high; {
			middle := low + (high-low)/2
			if _, head, err = p.named(ctx, middle); err != nil {
				return c, head, err
			}
			if head.Seq >= seq {
				high = middle
			} else {
				low = middle + 1
			}
		}
		if low <= last {
			return p.named(ctx, low)
		}
		if made {
			return store.StoredCheckpoint{}, saaf.CheckpointHead{}, nil
		}
		if made, err = p.st.Checkpoint(ctx); err != nil || !made {
			return store.StoredCheckpoint{}, saaf.CheckpointHead{}, err
		}
	}
}

// lastNaming is the number of the last checkpoint that can name the chain. One that does
// not, before that, was made before the chain began.
func (p *provenChain) lastNaming(ctx context.Context) (seq int64, err error) {
	_, seq, err = p.st.LastCheckpoint(ctx)
	if err != nil {
		return 0, err
	}
	// Read behind it: a chain that goes on until here is named by it, if it was there.
	sealed, err := p.st.ChainSealed(ctx, p.writer)
	if sealed != 0 {
		seq = min(seq, sealed)
	}
	return seq, err
}

// named reads the first checkpoint from a number on, and what it names of the chain,
// zero for nothing.
func (p *provenChain) named(ctx context.Context, from int64) (c store.StoredCheckpoint, head saaf.CheckpointHead, err error) {
	if c, err = p.st.CheckpointFrom(ctx, from); err != nil || c.Seq == 0 {
		return c, head, err
	}
	signed, err := c.Open(p.st.PublicKey())
	if err != nil {
		return c, head, &Problem{Checkpoint: c.Seq, What: err.Error()}
	}
	return c, headOfChain(&signed, p.writer), nil
}

// fillPaths reads the chain from the first of the entries to what a checkpoint names.
func (p *provenChain) fillPaths(ctx context.Context, covered []*EvidenceEntry, checkpoint int64, head saaf.CheckpointHead) error {
	at, seq := 0, covered[0].Seq // the entry whose path is being filled, and how far the chain was read
	covered[0].Checkpoint = checkpoint
	for seq < head.Seq {
		page, err := p.st.ChainAfter(ctx, p.writer, seq)
		if err != nil {
			return err
		}
		for i := range page {
			if seq++; seq > head.Seq {
				return nil
			}
			if at+1 < len(covered) && covered[at+1].ID == page[i].ID {
				at++
				covered[at].Checkpoint = checkpoint
				continue
			}
			covered[at].Path = append(covered[at].Path, page[i].Content())
		}
		if len(page) == 0 {
			problem := &Problem{Seq: seq + 1, Checkpoint: checkpoint, What: fmt.Sprintf("entries up to seq %d were signed and are not there; saaf audit verify says more", head.Seq)}
			if p.st.Chain() == 0 {
				problem.Writer = p.writer
			}
			return problem
		}
	}
	return nil
}
