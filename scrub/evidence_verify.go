package scrub

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"saaf"
)

// VerifyEvidence checks an export by the public key of the deployment that made it,
// without its store: every entry in it is one that the deployment wrote and signed,
// and what the export says of decisions, opt-outs and erasures stands in them.
func VerifyEvidence(r io.Reader, key ed25519.PublicKey) error {
	_, err := ReadEvidence(r, key)
	return err
}

// ReadEvidence reads an export and checks it as [VerifyEvidence] does.
func ReadEvidence(r io.Reader, key ed25519.PublicKey) (*Evidence, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	ev := new(Evidence)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields() // nothing may stand in it that nobody looks at
	if err := dec.Decode(ev); err != nil {
		return nil, fmt.Errorf("this is not an export of evidence: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the export")
	}
	if err := plainNames(json.NewDecoder(bytes.NewReader(text))); err != nil {
		return nil, err
	}
	if ev.Version != 1 {
		return nil, fmt.Errorf("the export has the version %d, which this program does not know", ev.Version)
	}
	if ev.Proof.PublicKey != saaf.EncodeKey(key) {
		return nil, errors.New("the export was signed by another key than the one that was given: is it of another deployment?")
	}
	signed, err := ev.openCheckpoints(key)
	if err != nil {
		return nil, err
	}
	if err := ev.followChains(signed); err != nil {
		return nil, err
	}
	return ev, ev.compare()
}

// plainNames checks that every member is spelt as this program spells it and stands
// once in its object. encoding/json takes any case and the last of several, and
// other programs do not: they would read of the number what nobody has checked.
func plainNames(dec *json.Decoder) error {
	var open []map[string]bool // the names of each object that is open, nil for a list
	name := false              // the next token is one
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := token.(string); ok && name {
			names := open[len(open)-1]
			if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || names[s] {
				return fmt.Errorf("the member %q of the export is spelt otherwise than here, or stands there twice", s)
			}
			names[s], name = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// openCheckpoints checks the signatures of the checkpoints and returns what they
// signed, by their numbers.
func (ev *Evidence) openCheckpoints(key ed25519.PublicKey) (map[int64]*saaf.Checkpoint, error) {
	signed := make(map[int64]*saaf.Checkpoint, len(ev.Proof.Checkpoints))
	for i := range ev.Proof.Checkpoints {
		c := &ev.Proof.Checkpoints[i]
		text := saaf.SignedCheckpoint{Text: []byte(c.Text), Signature: c.Signature}
		said, err := text.Open(key)
		switch {
		case err != nil:
			return nil, fmt.Errorf("checkpoint %d: %w", c.Seq, err)
		case said.Seq != c.Seq || said.Deployment != ev.Deployment || signed[c.Seq] != nil:
			return nil, fmt.Errorf("checkpoint %d: it does not sign what the export says it does, or stands there twice", c.Seq)
		}
		signed[c.Seq] = &said
	}
	return signed, nil
}

// evidencePath is how far the paths of an export lead in one chain.
type evidencePath struct {
	at    saaf.CheckpointHead
	under int64 // the checkpoint that is on the way; 0: none
}

// followChains checks that every entry hashes to what it says, and that the paths
// lead from one to the next of its chain and to what was signed.
func (ev *Evidence) followChains(signed map[int64]*saaf.Checkpoint) error {
	paths := make(map[int64]*evidencePath)
	for i := range ev.Proof.Entries {
		e := &ev.Proof.Entries[i]
		broken := func(format string, args ...any) error {
			return fmt.Errorf("entry %s (seq %d): %s", e.ID, e.Seq, fmt.Sprintf(format, args...))
		}
		if i > 0 && e.ID <= ev.Proof.Entries[i-1].ID {
			return broken("it stands behind a later one")
		}
		head, err := ev.whole(e)
		if err != nil {
			return broken("%v", err)
		}
		p := paths[head.Writer]
		if p == nil {
			p = new(evidencePath)
			paths[head.Writer] = p
		}
		if p.under != 0 && (e.Checkpoint != p.under || e.Seq != p.at.Seq+1 || e.Before != p.at.Hash) {
			return broken("the path from the entry before does not lead to it")
		}
		if e.Seq <= p.at.Seq {
			return broken("it stands behind a later one of its chain")
		}
		var goal saaf.CheckpointHead
		if c := signed[e.Checkpoint]; c != nil {
			goal = headOfChain(c, head.Writer)
		}
		if goal.Seq == 0 {
			return broken("no checkpoint in this export covers it: export a shorter time, or verify the whole ledger")
		}
		p.at.Seq, p.at.Hash, p.under = e.Seq, e.Hash, e.Checkpoint
		for _, content := range e.Path {
			p.at.Seq, p.at.Hash = p.at.Seq+1, saaf.Link(p.at.Hash, content)
		}
		if p.at.Seq == goal.Seq && p.at.Hash == goal.Hash {
			p.under = 0
		}
	}
	for _, writer := range slices.Sorted(maps.Keys(paths)) {
		if under := paths[writer].under; under != 0 {
			return fmt.Errorf("the path of the last entry in the chain %d does not lead to what checkpoint %d signed", writer, under)
		}
	}
	return nil
}

// whole checks that an entry is what its own hash says.
func (ev *Evidence) whole(e *EvidenceEntry) (head saaf.EntryHead, err error) {
	entry := saaf.Entry{Head: []byte(e.Head), Body: e.Body}
	if saaf.Link(e.Before, entry.Content()) != e.Hash {
		return head, errors.New("it does not match its hash")
	}
	head, err = entry.ParseHead()
	switch {
	case err != nil:
		return head, err
	case head.Entry != e.ID || head.Seq != e.Seq || head.Deployment != ev.Deployment:
		return head, errors.New("it is another entry than the export says")
	}
	return head, nil
}

// compare holds what the export says against the entries.
func (ev *Evidence) compare() error {
	var decisions []EvidenceDecision
	var facts []EvidenceFact
	for i := range ev.Proof.Entries {
		e := &ev.Proof.Entries[i]
		inDecisions, inFacts, err := ev.says(&saaf.Entry{Head: []byte(e.Head), Body: e.Body})
		if err != nil {
			return fmt.Errorf("entry %s (seq %d): %w", e.ID, e.Seq, err)
		}
		if len(inDecisions)+len(inFacts) == 0 {
			return fmt.Errorf("entry %s (seq %d): it says nothing about the number", e.ID, e.Seq)
		}
		decisions, facts = append(decisions, inDecisions...), append(facts, inFacts...)
	}
	same := func(a, b EvidenceDecision) bool { return reflect.DeepEqual(a, b) }
	if !slices.EqualFunc(decisions, ev.Decisions, same) || !slices.Equal(facts, ev.Facts) {
		return errors.New("the export does not say of the number what the entries in it say")
	}
	return nil
}
