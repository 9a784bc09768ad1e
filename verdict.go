package saaf

import "time"

// VerdictReason is what one check of one number found. It alone decides whether
// the number counts as checked and as clean, so that the two can never disagree.
// The zero value is unknown: nothing is clean by default.
type VerdictReason uint8

// The findings, from registry rules section 3. Their numbers are stored: never
// reorder them.
const (
	RegistryUnavailable VerdictReason = iota // no snapshot, or the source did not answer
	RegistryStale                            // the snapshot is older than the limit
	NotRegistered                            // fresh snapshot, no active row, no suppression
	FullBlock                                // active row, preferences 0 or empty
	PartialBlock                             // active row with a list of categories
	Suppressed                               // on an opt-out list
	HeldAfterBlock                           // was blocked, is no longer, waits for a release
)

// FindingCounts is how many leads have each finding.
type FindingCounts [HeldAfterBlock + 1]int64

var verdictReasons = [...]string{
	RegistryUnavailable: "registry_unavailable",
	RegistryStale:       "registry_stale",
	NotRegistered:       "not_registered",
	FullBlock:           "ncpr_full_block",
	PartialBlock:        "ncpr_partial_block",
	Suppressed:          "suppressed",
	HeldAfterBlock:      "held_after_block",
}

// String is the word of the API, for instance "ncpr_full_block".
func (r VerdictReason) String() string {
	if int(r) < len(verdictReasons) {
		return verdictReasons[r]
	}
	return verdictReasons[RegistryUnavailable]
}

// Checked reports whether a registry answered.
func (r VerdictReason) Checked() bool {
	switch r {
	case NotRegistered, FullBlock, PartialBlock, Suppressed, HeldAfterBlock:
		return true
	}
	return false
}

// Clean reports whether the number may be dialled as far as this check knows.
func (r VerdictReason) Clean() bool { return r == NotRegistered }

// Blocked reports whether a rule forbids dialling the number.
func (r VerdictReason) Blocked() bool {
	return r == FullBlock || r == PartialBlock || r == Suppressed
}

// Verdict is the finding about one number, with what it rests on.
type Verdict struct {
	Reason    VerdictReason
	Snapshot  SnapshotRef // which snapshot answered; zero when none did
	CheckedAt time.Time   // when; zero while no registry has answered

	// What was matched. It goes into the evidence and not into the lead: see Stored.
	Preferences string        // of the active registry row, "0" for a full block; "" without a row
	Suppression SuppressionID // the entry of an opt-out list, for Suppressed
}

// Stored is the verdict as a lead keeps it, without what was matched.
func (v Verdict) Stored() Verdict {
	v.Preferences, v.Suppression = "", 0
	return v
}

// Backing is what must stand behind a clean verdict at one instant.
type Backing struct {
	Answers  bool      // what has to answer does: a fresh registry, or the outside checker instead of it
	Snapshot bool      // the verdict must name a registry snapshot
	Since    time.Time // the verdict must not be older; zero: its age does not matter
}

// Holds reports whether a verdict has the backing.
func (b Backing) Holds(v Verdict) bool {
	return b.Answers && (v.Snapshot.ID != 0 || !b.Snapshot) && !v.CheckedAt.Before(b.Since)
}

// AsShown is the verdict as a reader sees it: a clean finding is not shown as
// clean while it lacks the backing of that instant. Findings that block stay.
// Ageing rewrites nothing in the store.
func (v Verdict) AsShown(b Backing) Verdict {
	if v.Reason.Clean() && !b.Holds(v) {
		v.Reason = RegistryStale
	}
	return v
}

// SnapshotRef names a registry snapshot and the date it speaks for.
type SnapshotRef struct {
	ID            SnapshotID
	EffectiveDate Date
}

// Recheck decides what a new finding does to a lead that has the given status
// and finding. It returns what to store; a lead for which both come back
// unchanged is not written.
//
//   - Unknown findings change nothing: a registry that cannot answer neither
//     frees nor blocks anybody. So does HeldAfterBlock, which no check finds.
//     One exception: a lead whose suppression has ended is no longer suppressed.
//     It stays dnd, unchecked, until a registry answers for it; while it is being
//     dialled the finding itself has to remember that it was blocked.
//   - Blocked wins at once; while the lead is being dialled only the finding is
//     kept, and the lead becomes dnd when the attempt ends.
//   - A lead that was blocked is not freed by a clean finding: it is held until
//     somebody releases it, because porting drops people from the registry. Here
//     too a lead that is being dialled keeps its status until the attempt ends.
//   - Finished leads are left alone.
func Recheck(status LeadStatus, had, found VerdictReason) (LeadStatus, VerdictReason) {
	unknown := !found.Blocked() && !found.Clean()
	switch {
	case status.Finished():
		return status, had
	case unknown && had == Suppressed && !found.Checked():
		if status == LeadDialing {
			return status, HeldAfterBlock
		}
		return LeadDND, found
	case unknown:
		return status, had
	}
	wasBlocked := status == LeadDND || status == LeadHeld || had.Blocked() || had == HeldAfterBlock
	becomes := status
	switch {
	case found.Blocked():
		becomes = LeadDND
	case wasBlocked:
		becomes, found = LeadHeld, HeldAfterBlock
	}
	if status == LeadDialing {
		becomes = LeadDialing
	}
	return becomes, found
}

// Release decides what becomes of a held lead that somebody wants to free, by what
// one more check finds: only a clean one is freed, and where nothing answers it
// stays held.
func Release(found VerdictReason) (becomes LeadStatus, freed bool) {
	switch {
	case found.Blocked():
		return LeadDND, false
	case found.Clean():
		return LeadPending, true
	}
	return LeadHeld, false
}
