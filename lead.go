package saaf

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of one lead. Lengths are in characters (Unicode code points).
const (
	MaxName          = 200
	MaxEmail         = 320
	MaxExternalID    = 200
	MaxMetadataBytes = 16 << 10 // as received, braces and inner white space included
	MaxMetadataDepth = 32       // levels of objects and arrays, the outer one included
	MaxBulk          = 500      // leads in one request
)

// LeadStatus is where a lead stands. The numbers are stored: never reorder them.
type LeadStatus uint8

// The states of a lead. The last three are finished.
const (
	LeadPending   LeadStatus = iota // waiting, also while unchecked
	LeadDialing                     // leased or on a call
	LeadDND                         // blocked
	LeadHeld                        // was blocked, is no longer, waits for a release
	LeadCompleted                   // answered
	LeadFailed                      // given up
	LeadNoAnswer                    // given up, never answered

	NumLeadStatuses = iota // how many there are
)

var leadStatuses = [NumLeadStatuses]string{"pending", "dialing", "dnd", "held", "completed", "failed", "no_answer"}

// String is the word of the API.
func (s LeadStatus) String() string {
	if int(s) < len(leadStatuses) {
		return leadStatuses[s]
	}
	return fmt.Sprintf("LeadStatus(%d)", uint8(s))
}

// Finished reports whether nothing more will happen to the lead.
func (s LeadStatus) Finished() bool { return s >= LeadCompleted }

// ParseLeadStatus reads the word of the API.
func ParseLeadStatus(s string) (LeadStatus, error) {
	for i, w := range leadStatuses {
		if w == s {
			return LeadStatus(i), nil
		}
	}
	return 0, fmt.Errorf("status %q does not exist: use one of %s", s, strings.Join(leadStatuses[:], ", "))
}

// LeadInput is a lead as somebody hands it in, before the phone is normalised.
// A nil pointer and a nil Metadata mean that the member was null or missing.
type LeadInput struct {
	Phone      string
	Name       *string
	Email      *string
	ExternalID *string
	Metadata   []byte // one JSON object, exactly as received
}

// Check finds the first limit that the input breaks, ReasonNone if it keeps all.
// It does not look at the phone.
func (in *LeadInput) Check() Reason {
	switch {
	case tooLong(in.Name, MaxName):
		return ReasonNameLength
	case tooLong(in.Email, MaxEmail):
		return ReasonEmailLength
	case tooLong(in.ExternalID, MaxExternalID):
		return ReasonExternalIDLength
	case hasNUL(in.Name), hasNUL(in.Email), hasNUL(in.ExternalID):
		return ReasonNUL
	case len(in.Metadata) > MaxMetadataBytes:
		return ReasonMetadataSize
	case jsonDepth(in.Metadata) > MaxMetadataDepth:
		return ReasonMetadataDepth
	}
	return ReasonNone
}

func tooLong(s *string, limit int) bool {
	return s != nil && len(*s) > limit && utf8.RuneCountInString(*s) > limit
}

func hasNUL(s *string) bool { return s != nil && strings.IndexByte(*s, 0) >= 0 }

// jsonDepth is the deepest nesting of b, which is valid JSON.
func jsonDepth(b []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return deepest
}

// Lead is one person in one campaign.
type Lead struct {
	ID         LeadID
	CampaignID CampaignID
	Phone      Phone
	Name       *string
	Email      *string
	ExternalID *string
	Metadata   []byte // exactly as received; nil when there is none
	Status     LeadStatus
	Attempts   int
	Verdict    Verdict
	CreatedAt  time.Time
	UpdatedAt  time.Time
}
