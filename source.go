package saaf

import (
	"fmt"
	"time"
)

// SourceMode says how an outside checker stands to the registry file. Anything
// but [Instead], the zero value too, is read as [Beside], which asks for more.
type SourceMode string

// The modes of an outside checker.
const (
	Beside  SourceMode = "beside"  // both must answer, and a block of either one holds
	Instead SourceMode = "instead" // the checker alone answers
)

// ParseSourceMode accepts "beside" and "instead".
func ParseSourceMode(s string) (SourceMode, error) {
	switch m := SourceMode(s); m {
	case Beside, Instead:
		return m, nil
	}
	return "", fmt.Errorf("mode %q does not exist: use beside or instead", s)
}

// Combine is the finding about a number for which the registry file said file and
// the outside checker said outside. It is clean only when every part that must
// answer said clean. Opt-out lists are no part of it: they are asked on their own
// and win over what it returns.
func (m SourceMode) Combine(file, outside VerdictReason) VerdictReason {
	switch {
	case m == Instead:
		return outside
	case file.Blocked():
		return file
	case outside.Blocked():
		return outside
	case file.Clean() && outside.Clean():
		return NotRegistered
	case file == RegistryStale:
		return RegistryStale
	}
	return RegistryUnavailable
}

// Join is [SourceMode.Combine] for whole verdicts: file is that of the registry
// file, and outside what the checker said about the same number when it was asked
// at the given time. A block by the file stays as it is. What the checker has
// decided names the snapshot that was asked beside it, if any, and no preferences.
func (m SourceMode) Join(file Verdict, outside VerdictReason, asked time.Time) Verdict {
	if m == Instead {
		file = Verdict{}
	}
	reason := m.Combine(file.Reason, outside)
	switch {
	case file.Reason.Blocked():
		return file
	case !reason.Checked():
		return Verdict{Reason: reason}
	}
	return Verdict{Reason: reason, Snapshot: file.Snapshot, CheckedAt: asked}
}

// Evidence is what evidence names as the source of decisions that a checker with
// the given name has a part in: its name, or "file+" and its name.
func (m SourceMode) Evidence(name string) string {
	if m == Instead {
		return name
	}
	return SourceFile + "+" + name
}
