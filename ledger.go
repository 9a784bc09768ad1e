package saaf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// RuleVersion is the version of the decision table behind every verdict: section 3
// of the registry rules. It is part of the evidence and grows when the table does.
const RuleVersion = 1

// Stage says at which point of a lead's life something was decided.
type Stage string

// The stages. Entries of the first four hold decisions about leads; the others
// hold a fact.
const (
	StageIngest  Stage = "ingest"  // the lead came in
	StageRescrub Stage = "rescrub" // the registry or an opt-out list moved
	StageDial    Stage = "dial"    // an attempt was about to begin
	StageManual  Stage = "manual"  // somebody asked: a release, a check

	StageSuppression Stage = "suppression" // an opt-out was made, lifted or expired
	StageDeletion    Stage = "deletion"    // a campaign went
	StageErasure     Stage = "erasure"     // a person was erased
	StageRegistry    Stage = "registry"    // a snapshot was activated, by an import or a roll-back
	StageRefusal     Stage = "refusal"     // registry files were refused
	StageKey         Stage = "key"         // an API key was made or revoked
)

// EntryHead is what all decisions of an entry have in common. Its JSON is part of
// what is hashed, so that it is written once and kept as text.
type EntryHead struct {
	Version     int            `json:"v"` // of this form: 1
	Deployment  DeploymentID   `json:"deployment"`
	Tenant      TenantID       `json:"tenant,omitzero"`       // absent: the deployment itself
	Campaign    CampaignID     `json:"campaign,omitzero"`     // absent: a fact of the tenant
	Environment Environment    `json:"environment,omitempty"` // absent: of both
	Entry       EntryID        `json:"entry"`
	Writer      int64          `json:"writer"` // whose chain it is in
	Seq         int64          `json:"seq"`    // 1, 2, 3, ... in that chain
	At          time.Time      `json:"at"`     // UTC, milliseconds
	Stage       Stage          `json:"stage"`
	RuleVersion int            `json:"rule_version"`
	Source      string         `json:"source,omitempty"`   // what was asked: file, the name of an outside checker, or file+ and that name
	Snapshot    *EntrySnapshot `json:"snapshot,omitempty"` // which snapshot answered; absent when none did
	Requests    []EntryRequest `json:"requests"`           // who asked, in the order of the decisions
	Decisions   int            `json:"decisions"`
	Fact        any            `json:"fact,omitempty"` // for entries without decisions
}

// SourceFile is the source of decisions that rest on the registry files alone.
const SourceFile = "file"

// EntrySnapshot names the snapshot that decisions rest on.
type EntrySnapshot struct {
	ID            SnapshotID `json:"id"`
	EffectiveDate Date       `json:"effective_date"`
	SHA256        SHA256     `json:"sha256"`
}

// EntryRequest is one request, or one run of background work, that made some of
// the decisions of an entry.
type EntryRequest struct {
	Request   string `json:"request,omitempty"`
	Actor     string `json:"actor"`
	Decisions int    `json:"decisions,omitempty"`
	Reason    string `json:"reason,omitempty"` // said by whoever decided by hand
}

// Entry is one record of the ledger as it is stored. Nothing in it is ever
// changed; the hash covers all of it and the entry before.
type Entry struct {
	Head []byte // JSON of an [EntryHead]
	Body []byte // packed decisions, see [AppendDecision]
	Hash SHA256
}

// Content is the hash of what the entry says. A chain can be followed over entries
// of which only this is known.
func (e *Entry) Content() SHA256 {
	h := sha256.New()
	h.Write([]byte("saaf ledger entry 1\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(e.Head))))
	h.Write(e.Head)
	h.Write(e.Body)
	return SHA256(h.Sum(nil))
}

// Link is the hash of an entry with the given content that follows the one with
// the hash before. The first of a chain follows the zero hash.
func Link(before, content SHA256) SHA256 {
	return sha256.Sum256(append(before[:], content[:]...))
}

// ParseHead reads the head and checks that the body holds as many decisions as it
// says.
func (e *Entry) ParseHead() (head EntryHead, err error) {
	if err := json.Unmarshal(e.Head, &head); err != nil {
		return head, fmt.Errorf("the head cannot be read: %w", err)
	}
	if head.Version != 1 {
		return head, fmt.Errorf("the head has the version %d, which this program does not know", head.Version)
	}
	n := 0
	for _, err := range e.Decisions() {
		if err != nil {
			return head, err
		}
		n++
	}
	if n != head.Decisions {
		return head, fmt.Errorf("the body holds %d decisions where the head says %d", n, head.Decisions)
	}
	return head, nil
}

// EntryRow is an entry with the columns it is found by. They repeat what the head
// says, and are checked against it.
type EntryRow struct {
	ID       EntryID
	Campaign CampaignID // 0: a fact of the tenant
	Tenant   TenantID   // 0: a fact of the deployment
	Writer   int64
	Seq      int64
	Entry
}

// Check reports an error unless the row is what was written behind the entry with
// the hash before: hash, head, columns and body fit each other.
func (r *EntryRow) Check(deployment DeploymentID, before SHA256) error {
	if got := Link(before, r.Content()); got != r.Hash {
		return fmt.Errorf("it does not follow from the entry before: its hash is %s and must be %s", r.Hash, got)
	}
	head, err := r.ParseHead()
	switch {
	case err != nil:
		return err
	case head.Deployment != deployment:
		return fmt.Errorf("it was written for the deployment %s", head.Deployment)
	case head.Entry != r.ID, head.Campaign != r.Campaign, head.Tenant != r.Tenant, head.Writer != r.Writer, head.Seq != r.Seq:
		return fmt.Errorf("its columns and its head do not name the same entry")
	}
	return nil
}

// Names reports whether a decision of the entry is about the phone.
func (e *Entry) Names(phone PhoneHash) bool {
	for d, err := range e.Decisions() {
		if err != nil {
			return true // let whoever reads it see the damage
		}
		if d.Phone == phone {
			return true
		}
	}
	return false
}
