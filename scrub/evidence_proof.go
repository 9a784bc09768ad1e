package scrub

import (
	"context"
	"fmt"
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
// an entry is SHA-256 of the hash before it and its content hash. Entries that one
// checkpoint covers stand behind each other: the path of each leads to the next of
// them, and that of the last to the hash that the checkpoint signed.
type EvidenceProof struct {
	PublicKey   string               `json:"public_key"` // Ed25519, in base64
	Entries     []EvidenceEntry      `json:"entries"`    // whole, in the order of the chain
	Checkpoints []EvidenceCheckpoint `json:"checkpoints"`
}

// EvidenceEntry is a whole entry of the ledger. The other people in it are keyed
// hashes.
type EvidenceEntry struct {
	ID         saaf.EntryID  `json:"id"`
	Seq        int64         `json:"seq"`
	Before     saaf.SHA256   `json:"before"` // hash of the entry before, zero for the first
	Hash       saaf.SHA256   `json:"hash"`
	Head       string        `json:"head"`       // JSON, exactly as it was hashed
	Body       []byte        `json:"body"`       // packed decisions, in base64
	Path       []saaf.SHA256 `json:"path"`       // content hashes of the entries between this and the next, or the checkpoint
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
	ev.Proof = EvidenceProof{PublicKey: saaf.EncodeKey(st.PublicKey()), Entries: []EvidenceEntry{}, Checkpoints: []EvidenceCheckpoint{}}
	for i := range entries {
		e := &entries[i]
		before, err := st.EntryBefore(ctx, e.ID)
		if err != nil {
			return err
		}
		ev.Proof.Entries = append(ev.Proof.Entries, EvidenceEntry{ID: e.ID, Seq: e.Seq, Before: before, Hash: e.Hash,
			Head: string(e.Head), Body: append([]byte{}, e.Body...), Path: []saaf.SHA256{}})
	}
	for rest := ev.Proof.Entries; len(rest) > 0; {
		c, head, err := covering(ctx, st, rest[0].Seq)
		if err != nil {
			return err
		}
		if c.Seq == 0 {
			return nil
		}
		n := slices.IndexFunc(rest, func(e EvidenceEntry) bool { return e.Seq > head.Seq })
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
		if err := fillPaths(ctx, st, covered, c.Seq, head); err != nil {
			return err
		}
		limits.all -= head.Seq - covered[0].Seq
		ev.Proof.Checkpoints = append(ev.Proof.Checkpoints, EvidenceCheckpoint{Seq: c.Seq, Text: string(c.Text), Signature: c.Signature})
	}
	return nil
}

// covering finds the first checkpoint that covers the entry with a seq, and its
// head. Where there is none it has one made.
func covering(ctx context.Context, st *store.Store, seq int64) (c store.StoredCheckpoint, head saaf.CheckpointHead, err error) {
	read := func(n int64) (head saaf.CheckpointHead, err error) {
		if c, err = st.CheckpointFrom(ctx, n); err != nil || c.Seq == 0 {
			return head, err
		}
		signed, err := c.Open(st.PublicKey())
		if err == nil && len(signed.Heads) != 1 {
			err = fmt.Errorf("it names %d chains", len(signed.Heads))
		}
		if err != nil {
			return head, &Problem{Checkpoint: c.Seq, What: err.Error()}
		}
		return signed.Heads[0], nil
	}
	for made := false; ; {
		_, last, err := st.LastCheckpoint(ctx)
		if err != nil {
			return c, head, err
		}
		low, high := int64(1), last+1 // the first that covers it is in [low, high]
		for low < high {
			middle := low + (high-low)/2
			if head, err = read(middle); err != nil {
				return c, head, err
			}
			if head.Seq >= seq {
				high = middle
			} else {
				low = middle + 1
			}
		}
		if low <= last {
			head, err = read(low)
			return c, head, err
		}
		if made {
			return store.StoredCheckpoint{}, head, nil
		}
		if made, err = st.Checkpoint(ctx); err != nil || !made {
			return store.StoredCheckpoint{}, head, err
		}
	}
}

// fillPaths reads the chain from the first of the entries to the head that a
// checkpoint signed.
func fillPaths(ctx context.Context, st *store.Store, covered []EvidenceEntry, checkpoint int64, head saaf.CheckpointHead) error {
	at, seq := 0, covered[0].Seq // the entry whose path is being filled, and how far the chain was read
	covered[0].Checkpoint = checkpoint
	for after := covered[0].ID; seq < head.Seq; {
		page, err := st.LedgerAfter(ctx, after)
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
			return &Problem{Seq: seq + 1, Checkpoint: checkpoint, What: fmt.Sprintf("entries up to seq %d were signed and are not there; saaf audit verify says more", head.Seq)}
		}
		after = page[len(page)-1].ID
	}
	return nil
}
