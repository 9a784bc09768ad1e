package dnd

import "saaf"

// Counts is what was found in the rows of a file or of a whole import.
type Counts struct {
	Rows      int64 `json:"rows"`      // Active, Deleted and Malformed together
	Active    int64 `json:"active"`    // A rows, and what counts as such
	Deleted   int64 `json:"deleted"`   // D rows
	Malformed int64 `json:"malformed"` // rows without a number that can be read

	Partial               int64 `json:"partial"`                // A rows with a list of categories
	UnknownOpstype        int64 `json:"unknown_opstype"`        // A rows whose opstype is neither A nor D
	UnreadablePreferences int64 `json:"unreadable_preferences"` // A rows that block fully for that

	Blank   int64 `json:"blank"`   // lines with nothing on them
	Headers int64 `json:"headers"` // lines that name columns
}

func (c *Counts) add(d Counts) {
	c.Rows += d.Rows
	c.Active += d.Active
	c.Deleted += d.Deleted
	c.Malformed += d.Malformed
	c.Partial += d.Partial
	c.UnknownOpstype += d.UnknownOpstype
	c.UnreadablePreferences += d.UnreadablePreferences
	c.Blank += d.Blank
	c.Headers += d.Headers
}

// FileReport is what an import found in one file.
type FileReport struct {
	Name    string          `json:"name"` // without directories
	SHA256  saaf.SHA256     `json:"sha256"`
	Bytes   int64           `json:"bytes"`             // as it is on the disk
	Members int             `json:"members"`           // streams of rows that were read to their end
	Skipped bool            `json:"skipped,omitempty"` // it was applied before, or is there twice
	Applied saaf.SnapshotID `json:"applied,omitzero"`  // the snapshot it was applied to before
	Counts
}

// MalformedRow says where a row could not be read, and never what was in it.
type MalformedRow struct {
	File   string      `json:"file"`
	Member string      `json:"member,omitempty"` // of an archive
	Line   int64       `json:"line"`             // from 1, in the file or the member
	Reason saaf.Reason `json:"reason"`
}

// maxMalformedRows is how many malformed rows a report lists.
const maxMalformedRows = 100

// Changes is what a delta does to the numbers of the snapshot it is applied to.
// Each number counts once, by its last row.
type Changes struct {
	Added     int64 `json:"added"`      // numbers that were not active
	Removed   int64 `json:"removed"`    // numbers that were active
	Changed   int64 `json:"changed"`    // active numbers with other preferences
	NotListed int64 `json:"not_listed"` // deleted numbers that were not active anyway
}

// Result is the file that an import made: a snapshot file, or an overlay file,
// which is opened together with its base.
type Result struct {
	Path       string      `json:"path"`
	SHA256     saaf.SHA256 `json:"sha256"`
	BaseSHA256 saaf.SHA256 `json:"base_sha256,omitzero"` // of the base file; zero for a file that stands alone
	Info
}

// Report is what an import found and did, also when it was refused.
type Report struct {
	Mode          saaf.ImportMode `json:"mode"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	Files         []FileReport    `json:"files"`
	Total         Counts          `json:"total"`
	MalformedRows []MalformedRow  `json:"malformed_rows,omitempty"` // the first 100

	Numbers   int64   `json:"numbers"`   // active numbers after the import
	Conflicts int64   `json:"conflicts"` // full set: numbers with an A and a D row, which block
	Changes   Changes `json:"changes"`   // delta only

	Warnings       []string        `json:"warnings,omitempty"`
	Refusals       []Refusal       `json:"refusals,omitempty"`
	Overridden     bool            `json:"overridden"`                // there were refusals, and the override lifted them
	OverrideReason string          `json:"override_reason,omitempty"` // set with Overridden
	NoOp           saaf.SnapshotID `json:"no_op,omitzero"`            // the newest snapshot that already holds every file; nothing was done
	Result         *Result         `json:"result,omitempty"`          // nil when no file was made
}
