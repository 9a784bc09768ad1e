package saaf

import (
	"testing"
	"time"
)

// allFindings lists every VerdictReason, then one that does not exist.
var allFindings = []VerdictReason{RegistryUnavailable, RegistryStale, NotRegistered, FullBlock, PartialBlock, Suppressed,
	HeldAfterBlock, VerdictReason(len(verdictReasons))}

// TestVerdictReasons is the table of registry rules section 3. The numbers are in
// databases.
func TestVerdictReasons(t *testing.T) {
	t.Parallel()
	for i, want := range []struct {
		word                    string
		checked, clean, blocked bool
	}{
		{"registry_unavailable", false, false, false},
		{"registry_stale", false, false, false},
		{"not_registered", true, true, false},
		{"ncpr_full_block", true, false, true},
		{"ncpr_partial_block", true, false, true},
		{"suppressed", true, false, true},
		{"held_after_block", true, false, false},
		{"registry_unavailable", false, false, false}, // a number from the future is unknown
	} {
		r := allFindings[i]
		if int(r) != i {
			t.Errorf("%s has the number %d, stored as %d", r, r, i)
		}
		if r.String() != want.word || r.Checked() != want.checked || r.Clean() != want.clean || r.Blocked() != want.blocked {
			t.Errorf("%d: %s, checked %v, clean %v, blocked %v", i, r, r.Checked(), r.Clean(), r.Blocked())
		}
	}
}

func TestVerdictZeroIsUnknown(t *testing.T) {
	t.Parallel()
	if r := (Verdict{}).Reason; r.Checked() || r.Clean() {
		t.Errorf("the zero verdict is %s", r)
	}
}

func TestVerdictAsShown(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		backing Backing
		id      SnapshotID
		holds   bool
	}{
		{Backing{Answers: true}, 1, true},
		{Backing{Answers: true}, 0, true},
		{Backing{Answers: true, Snapshot: true}, 1, true},
		{Backing{Answers: true, Snapshot: true}, 0, false},
		{Backing{Answers: true, Snapshot: true, Since: at}, 1, true},
		{Backing{Answers: true, Since: at}, 0, true},
		{Backing{Answers: true, Since: at.Add(1)}, 1, false},
		{Backing{Snapshot: true, Since: at}, 1, false},
		{Backing{}, 1, false},
	} {
		for _, r := range allFindings {
			v := Verdict{Reason: r, Snapshot: SnapshotRef{ID: c.id, EffectiveDate: 20777}, CheckedAt: at}
			want := v
			if r == NotRegistered && !c.holds {
				want.Reason = RegistryStale
			}
			if got := v.AsShown(c.backing); got != want {
				t.Errorf("%s of %v with %+v is shown as %v, want %v", r, c.id, c.backing, got, want)
			}
		}
	}
}

// recheckTable is what a finding does to a lead that is not finished. The second
// key says whether the lead's own finding remembers a block.
var recheckTable = map[LeadStatus]map[bool]struct {
	clean, blocked LeadStatus
	held           bool // a clean finding is kept as HeldAfterBlock
}{
	LeadPending: {false: {LeadPending, LeadDND, false}, true: {LeadHeld, LeadDND, true}},
	LeadDialing: {false: {LeadDialing, LeadDialing, false}, true: {LeadDialing, LeadDialing, true}},
	LeadDND:     {false: {LeadHeld, LeadDND, true}, true: {LeadHeld, LeadDND, true}},
	LeadHeld:    {false: {LeadHeld, LeadDND, true}, true: {LeadHeld, LeadDND, true}},
}

func TestRecheck(t *testing.T) {
	t.Parallel()
	for status := range LeadStatus(NumLeadStatuses + 1) {
		for _, had := range allFindings {
			for _, found := range allFindings {
				wantStatus, wantFinding := status, had
				switch row := recheckTable[status][had.Blocked() || had == HeldAfterBlock]; {
				case status.Finished():
				case had == Suppressed && !found.Checked() && status == LeadDialing:
					wantFinding = HeldAfterBlock
				case had == Suppressed && !found.Checked(): // its suppression has ended
					wantStatus, wantFinding = LeadDND, found
				case found.Blocked():
					wantStatus, wantFinding = row.blocked, found
				case found == NotRegistered && row.held:
					wantStatus, wantFinding = row.clean, HeldAfterBlock
				case found == NotRegistered:
					wantStatus, wantFinding = row.clean, found
				}
				becomes, keeps := Recheck(status, had, found)
				if becomes != wantStatus || keeps != wantFinding {
					t.Errorf("%s, %s, found %s: %s, %s; want %s, %s", status, had, found, becomes, keeps, wantStatus, wantFinding)
				}
				checkRecheck(t, status, had, found)
			}
		}
	}
}

// checkRecheck holds the table itself to the promises behind it.
func checkRecheck(t *testing.T, status LeadStatus, had, found VerdictReason) {
	t.Helper()
	becomes, keeps := Recheck(status, had, found)
	changed := becomes != status || keeps != had
	wasBlocked := had.Blocked() || had == HeldAfterBlock || status == LeadDND || status == LeadHeld
	for promise, broken := range map[string]bool{
		"only a clean finding makes clean":              keeps.Clean() && !had.Clean() && !found.Clean(),
		"what was blocked does not become pending":      becomes == LeadPending && status != LeadPending,
		"a clean finding frees nobody who was blocked":  wasBlocked && found.Clean() && keeps.Clean() && !status.Finished(),
		"unknown changes nothing but the end of a list": !found.Checked() && changed && (had != Suppressed || becomes != status && becomes != LeadDND),
		"a block is remembered":                         wasBlocked && !status.Finished() && !keeps.Blocked() && keeps != HeldAfterBlock && becomes != LeadDND && becomes != LeadHeld,
		"finished is left alone":                        status.Finished() && changed,
		"a check does not finish or start a call":       becomes != status && (becomes.Finished() || becomes == LeadDialing || status == LeadDialing),
		"blocked is kept at once":                       found.Blocked() && !status.Finished() && keeps != found,
	} {
		if broken {
			t.Errorf("%s, %s, found %s: %s, %s breaks the promise: %s", status, had, found, becomes, keeps, promise)
		}
	}
	if again, finding := Recheck(becomes, keeps, found); again != becomes || finding != keeps {
		t.Errorf("%s, %s, found %s: %s, %s, and with the same finding again %s, %s", status, had, found, becomes, keeps, again, finding)
	}
}
