package saaf

import (
	"testing"
	"time"
)

func TestParseSourceMode(t *testing.T) {
	t.Parallel()
	for _, m := range []SourceMode{Beside, Instead} {
		if got, err := ParseSourceMode(string(m)); got != m || err != nil {
			t.Errorf("%s: %q, %v", m, got, err)
		}
	}
	for _, s := range []string{"", "Beside", "off", "none", "beside "} {
		if got, err := ParseSourceMode(s); got != "" || err == nil {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

// combineTable is what a file finding (the row) and an outside finding (the
// column) make together when the checker stands beside the file. The findings are
// those of allFindings, in its order.
var combineTable = [...][8]VerdictReason{
	//                   unavailable          stale                clean                full       partial       suppressed  held                 from the future
	RegistryUnavailable: {RegistryUnavailable, RegistryUnavailable, RegistryUnavailable, FullBlock, PartialBlock, Suppressed, RegistryUnavailable, RegistryUnavailable},
	RegistryStale:       {RegistryStale, RegistryStale, RegistryStale, FullBlock, PartialBlock, Suppressed, RegistryStale, RegistryStale},
	NotRegistered:       {RegistryUnavailable, RegistryUnavailable, NotRegistered, FullBlock, PartialBlock, Suppressed, RegistryUnavailable, RegistryUnavailable},
	FullBlock:           {FullBlock, FullBlock, FullBlock, FullBlock, FullBlock, FullBlock, FullBlock, FullBlock},
	PartialBlock:        {PartialBlock, PartialBlock, PartialBlock, PartialBlock, PartialBlock, PartialBlock, PartialBlock, PartialBlock},
	Suppressed:          {Suppressed, Suppressed, Suppressed, Suppressed, Suppressed, Suppressed, Suppressed, Suppressed},
	HeldAfterBlock:      {RegistryUnavailable, RegistryUnavailable, RegistryUnavailable, FullBlock, PartialBlock, Suppressed, RegistryUnavailable, RegistryUnavailable},
	HeldAfterBlock + 1:  {RegistryUnavailable, RegistryUnavailable, RegistryUnavailable, FullBlock, PartialBlock, Suppressed, RegistryUnavailable, RegistryUnavailable},
}

func TestCombine(t *testing.T) {
	t.Parallel()
	for i, file := range allFindings {
		for j, outside := range allFindings {
			for _, m := range []SourceMode{Beside, "", "nonsense"} {
				got := m.Combine(file, outside)
				if want := combineTable[i][j]; got != want {
					t.Errorf("%q: file %s, outside %s: %s, want %s", m, file, outside, got, want)
				}
				if got.Clean() && !(file.Clean() && outside.Clean()) {
					t.Errorf("%q: file %s, outside %s is clean", m, file, outside)
				}
			}
			if got := Instead.Combine(file, outside); got != outside {
				t.Errorf("instead: file %s, outside %s: %s", file, outside, got)
			}
		}
	}
}

// Whatever Join returns has the finding of Combine, and what goes with it.
func TestJoin(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)
	asked := at.Add(time.Second)
	for _, reason := range allFindings {
		file := Verdict{Reason: reason, Snapshot: SnapshotRef{ID: 1, EffectiveDate: 20777}, CheckedAt: at, Preferences: "2"}
		for _, outside := range allFindings {
			for _, m := range []SourceMode{Beside, Instead} {
				got := m.Join(file, outside, asked)
				want := Verdict{Reason: m.Combine(reason, outside)}
				switch {
				case m == Beside && reason.Blocked():
					want = file
				case want.Reason.Checked() && m == Beside:
					want.Snapshot, want.CheckedAt = file.Snapshot, asked
				case want.Reason.Checked():
					want.CheckedAt = asked
				}
				if got != want {
					t.Errorf("%s: file %s, outside %s: %+v, want %+v", m, reason, outside, got, want)
				}
			}
		}
	}
}

func TestEvidenceNamesTheSource(t *testing.T) {
	t.Parallel()
	if b, i := Beside.Evidence("dlt"), Instead.Evidence("dlt"); b != "file+dlt" || i != "dlt" {
		t.Errorf("beside %q, instead %q", b, i)
	}
}
