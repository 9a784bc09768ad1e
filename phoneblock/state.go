package phoneblock

import "saaf"

// State is where a lead stands and what was found about its number, in six bits:
// they are free in the five bytes of a phone, and let leads be listed by status or
// finding without a look at their rows. The numbers are stored.
type State uint8

// statusStep leaves room for one more finding than there are.
const statusStep = 8

// maxState is the highest that fits: there are at most eight statuses, and of eight
// findings at most.
const maxState = 1<<stateBits - 1

// Of is the state of a lead with a status and a finding.
func Of(status saaf.LeadStatus, reason saaf.VerdictReason) State {
	return State(uint8(status)*statusStep + uint8(reason))
}

// Status is where the lead stands.
func (s State) Status() saaf.LeadStatus { return saaf.LeadStatus(s / statusStep) }

// Reason is what was found about its number.
func (s State) Reason() saaf.VerdictReason { return saaf.VerdictReason(s % statusStep) }

// Dated reports whether the age of the finding matters: it is what a registry said.
func (s State) Dated() bool {
	switch s.Reason() {
	case saaf.NotRegistered, saaf.FullBlock, saaf.PartialBlock:
		return true
	}
	return false
}

// States is a set of states, the bit 1<<s for each.
type States uint64

// Every is the set of all states.
const Every States = 1<<64 - 1

// Where is the set of the states that a rule holds for.
func Where(rule func(saaf.LeadStatus, saaf.VerdictReason) bool) (set States) {
	for s := range State(maxState + 1) {
		if rule(s.Status(), s.Reason()) {
			set |= 1 << s
		}
	}
	return set
}

// Has reports whether the state is in the set.
func (set States) Has(s State) bool { return set>>s&1 == 1 }
