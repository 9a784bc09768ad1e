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

// Snapshot is the record of one registry snapshot: what it was made from, by
// whom, and what it holds. The numbers themselves are in a file named by SHA256.
type Snapshot struct {
	ID             SnapshotID
	ParentID       SnapshotID // delta: the snapshot it was applied to
	Mode           ImportMode
	EffectiveDate  Date
	SHA256         SHA256
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
	ActivatedAt time.Time
	Confirmed   SnapshotID // every unfinished lead has been re-checked by this one
}
