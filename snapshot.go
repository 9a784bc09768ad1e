package saaf

import (
	"encoding/hex"
	"time"
)

// SHA256 is the hash of a file; it is written in hexadecimal.
type SHA256 [32]byte

// String is the 64 hexadecimal digits.
func (h SHA256) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the 64 hexadecimal digits.
func (h SHA256) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *SHA256) UnmarshalText(b []byte) error { return unmarshalHex(h[:], b) }

// Snapshot is the record of one registry snapshot: what it was made from, by
// whom, and what it holds. The numbers themselves are in a file named by SHA256.
type Snapshot struct {
	ID             SnapshotID
	ParentID       SnapshotID // delta: the snapshot it was applied to
	Mode           ImportMode
	EffectiveDate  Date
	SHA256         SHA256     // of its file; that of an overlay fixes its base too
	BaseSHA256     SHA256     // of the base file when its file is an overlay, zero otherwise
	ReplacedID     SnapshotID // what was active before; what a roll-back goes back to
	FileBytes      int64
	Numbers        int64 // active numbers
	PartialNumbers int64 // of these, with a list of categories
	FullNumbers    int64 // active numbers of the last full set it descends from
	Rows           int64
	RowsActive     int64
	RowsDeleted    int64
	Malformed      int64
	Conflicts      int64    // numbers that had both an A and a D row in a full set
	Overridden     []string // the refusal rules that were overridden
	OverrideReason string
	Actor          string // who activated it
	Files          []SnapshotFile
	CreatedAt      time.Time
}

// SnapshotFile is one file a snapshot was made from.
type SnapshotFile struct {
	Name   string // without directories
	SHA256 SHA256
	Bytes  int64
	Rows   int64
}

// ImportMode says how registry files are taken.
type ImportMode string

// The modes of an import.
const (
	FullSet ImportMode = "full"  // the whole registry, replaces what is there
	Delta   ImportMode = "delta" // changes to the active snapshot
)

// RegistryState is the deployment's register of snapshots at one moment.
type RegistryState struct {
	Version     int64 // grows with every change that servers must take
	Active      *Snapshot
	Activation  int64 // counts imports and roll-backs that made a snapshot the active one
	ActivatedAt time.Time
	Confirmed   SnapshotID // the last snapshot by which every unfinished lead was re-checked
	Sweep       Sweep

	ConfirmedActivation int64 // which of its activations that was
}

// AllChecked reports whether every unfinished lead has been re-checked by the
// active snapshot.
func (r RegistryState) AllChecked() bool {
	return r.Active != nil && r.ConfirmedActivation == r.Activation
}

// Sweep is how far the re-check of all leads for one activation is.
type Sweep struct {
	Activation int64
	Above      CampaignID // campaigns up to this one are done
	Done       int64      // campaigns
	Total      int64      // campaigns, as counted when it began
	Changed    int64      // leads whose verdict changed so far
}

// Activation is one time that a snapshot became the active one.
type Activation struct {
	Seq      int64
	Snapshot SnapshotID
	Over     SnapshotID // active before, 0 for none
	Rollback bool
	Reason   string // of a roll-back, or of an override
	By       By
	At       time.Time
}
