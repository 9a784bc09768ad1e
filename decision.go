package saaf

import (
	"encoding/binary"
	"errors"
	"iter"
)

// Decision is what was decided about one number, in one line of the evidence. The
// rest stands in the head of its entry.
type Decision struct {
	Lead        LeadID // 0 for a check of a number that is no lead
	Phone       PhoneHash
	New         bool          // the lead came in with it: Had means nothing
	Had         VerdictReason // what stood before
	Found       VerdictReason // what this check found
	Reason      VerdictReason // what stands since
	Status      LeadStatus    // of the lead since
	Preferences string        // of the active registry row that was matched, "0" for a full block; "" for no row
	Suppression SuppressionID // the opt-out that was matched
}

// A packed decision: the difference to the lead before as a zigzag varint, the
// hash of the phone, what stood before (0xff for a lead that came in), what was
// found, what stands, the status, and as a varint what was matched: 0 for nothing,
// 1 for the eight bytes of a suppression, n + 1 for n bytes of preferences. That is
// about 23 bytes.
const (
	packedNew         = 0xff
	packedSuppression = 1
)

// AppendDecision packs d behind dst. last is the lead of the decision before, 0
// for the first.
func AppendDecision(dst []byte, last LeadID, d *Decision) []byte {
	dst = binary.AppendVarint(dst, int64(d.Lead-last))
	dst = append(dst, d.Phone[:]...)
	had := byte(d.Had)
	if d.New {
		had = packedNew
	}
	dst = append(dst, had, byte(d.Found), byte(d.Reason), byte(d.Status))
	if d.Suppression != 0 {
		return binary.BigEndian.AppendUint64(append(dst, packedSuppression), uint64(d.Suppression))
	}
	if d.Preferences == "" {
		return append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(d.Preferences))+packedSuppression), d.Preferences...)
}

var errDecision = errors.New("the packed decisions cannot be read")

// Decisions unpacks the decisions of the entry, in their order. It ends with the
// first that cannot be read.
func (e *Entry) Decisions() iter.Seq2[Decision, error] {
	return func(yield func(Decision, error) bool) {
		var last LeadID
		for rest := e.Body; len(rest) > 0; {
			var d Decision
			var ok bool
			if d, rest, ok = cutDecision(rest, last); !ok {
				yield(Decision{}, errDecision)
				return
			}
			last = d.Lead
			if !yield(d, nil) {
				return
			}
		}
	}
}

func cutDecision(b []byte, last LeadID) (d Decision, rest []byte, ok bool) {
	delta, n := binary.Varint(b)
	if n <= 0 || len(b)-n < len(d.Phone)+5 {
		return d, nil, false
	}
	d.Lead = last + LeadID(delta)
	b = b[n+copy(d.Phone[:], b[n:]):]
	if d.New = b[0] == packedNew; !d.New {
		d.Had = VerdictReason(b[0])
	}
	d.Found, d.Reason, d.Status = VerdictReason(b[1]), VerdictReason(b[2]), LeadStatus(b[3])
	matched, n := binary.Uvarint(b[4:])
	if n <= 0 {
		return d, nil, false
	}
	b = b[4+n:]
	switch {
	case matched == 0:
		return d, b, true
	case matched == packedSuppression:
		if len(b) < 8 {
			return d, nil, false
		}
		d.Suppression = SuppressionID(binary.BigEndian.Uint64(b))
		return d, b[8:], true
	}
	length := matched - packedSuppression
	if length > uint64(len(b)) {
		return d, nil, false
	}
	d.Preferences = string(b[:length])
	return d, b[length:], true
}
