package scrubber

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"saaf"
)

// mapping is a Response made ready for reading.
type mapping struct {
	results, phone, verdict path
	keyed                   bool // entries are the members of an object, named by number
	verdicts                map[Scalar]saaf.VerdictReason
}

func newMapping(r Response) *mapping {
	m := &mapping{
		results: newPath(r.Results), phone: newPath(r.Phone), verdict: newPath(r.Verdict),
		keyed:    r.Phone == "",
		verdicts: map[Scalar]saaf.VerdictReason{},
	}
	// A value that stands in two lists does not get past Validate.
	for reason, list := range map[saaf.VerdictReason][]Scalar{
		saaf.NotRegistered: r.Clean, saaf.FullBlock: r.Blocked, saaf.PartialBlock: r.Partial,
	} {
		for _, v := range list {
			m.verdicts[v] = reason
		}
	}
	return m
}

// finding is what an answer said about one number.
type finding struct {
	reason saaf.VerdictReason // unknown unless why is answered
	why    why
}

// why says whether a number was answered, and if not, what is wrong.
type why uint8

const (
	unmentioned  why = iota // the answer does not name it
	answered                // with a value of the lists
	unlisted                // with something that is in no list
	contradicted            // twice, and differently
)

// The sentences are behind a count of numbers.
var whyNot = [...]string{
	unmentioned:  "missing from the answer",
	unlisted:     "with a verdict that is in none of the lists clean, blocked and partial",
	contradicted: "answered twice and differently",
}

// read says what the answer body found about each of the numbers that were asked.
// An error means that the answer as a whole cannot be relied on, so that nothing
// is known about any of them. One entry that cannot be told to belong to one of
// the numbers is enough for that: it may be the block of a number which another
// entry calls clean.
func (m *mapping) read(body []byte, asked []saaf.Phone) ([]finding, error) {
	root, err := parseJSON(body)
	if err != nil {
		return nil, fmt.Errorf("the answer %w", err)
	}
	results := m.results.find(root)
	if results == nil {
		return nil, errors.New("the answer has nothing, or two things, at the path response.results")
	}
	entries, err := m.entries(results)
	if err != nil {
		return nil, err
	}
	place := make(map[saaf.Phone]int, len(asked))
	for i, p := range asked {
		place[p] = i
	}
	found := make([]finding, len(asked))
	for _, e := range entries {
		i, ok := place[e.phone]
		if !ok {
			return nil, errors.New("the answer has an entry about a number that was not asked")
		}
		found[i] = found[i].and(m.judge(e.value))
	}
	return found, nil
}

type entry struct {
	phone saaf.Phone
	value json.RawMessage
}

var errNoPhone = errors.New("the answer has an entry whose number cannot be read")

// entries lists what the answer says, in either of the two shapes.
func (m *mapping) entries(results json.RawMessage) ([]entry, error) {
	var all []entry
	if m.keyed {
		members, err := entriesOf(results)
		if err != nil {
			return nil, fmt.Errorf("what the answer has at response.results %w named by number", err)
		}
		for _, e := range members {
			p, ok := readPhone(Scalar{'"', e.name})
			if !ok {
				return nil, errNoPhone
			}
			all = append(all, entry{p, e.value})
		}
		return all, nil
	}
	elements, err := elementsOf(results)
	if err != nil {
		return nil, fmt.Errorf("what the answer has at response.results %w", err)
	}
	for _, e := range elements {
		s, _ := scalarOf(m.phone.find(e))
		p, ok := readPhone(s)
		if !ok {
			return nil, errNoPhone
		}
		all = append(all, entry{p, e})
	}
	return all, nil
}

// readPhone reads a number as the rest of saaf does. A JSON number must be written
// with digits alone: 9876543210.0 would have its dot ignored.
func readPhone(s Scalar) (saaf.Phone, bool) {
	if s.kind != '"' && (s.kind != '0' || strings.Trim(s.text, "0123456789") != "") {
		return 0, false
	}
	p, reason := saaf.PhonePolicy{FixedLines: true}.Parse(s.text)
	return p, reason == saaf.ReasonNone
}

// judge reads the verdict of an entry.
func (m *mapping) judge(entry json.RawMessage) finding {
	if v, ok := scalarOf(m.verdict.find(entry)); ok {
		if reason, ok := m.verdicts[v]; ok {
			return finding{reason, answered}
		}
	}
	return finding{why: unlisted}
}

// and is what two entries about the same number say together.
func (f finding) and(g finding) finding {
	switch {
	case f.why == unmentioned || f == g:
		return g
	case f.why == answered && g.why == answered:
		return finding{why: contradicted}
	case f.why == answered:
		return g
	}
	return f
}

// explain says how many numbers are unknown and why, nil when none is.
func explain(found []finding) error {
	var counts [len(whyNot)]int
	for _, f := range found {
		counts[f.why]++
	}
	var parts []string
	for w, n := range counts {
		if n > 0 && why(w) != answered {
			parts = append(parts, fmt.Sprintf("%d %s", n, whyNot[w]))
		}
	}
	if parts == nil {
		return nil
	}
	return fmt.Errorf("of %d numbers %s", len(found), strings.Join(parts, ", "))
}

// answersNone reports whether found names none of the numbers: a service that
// answers, but not this question.
func answersNone(found []finding) bool {
	for _, f := range found {
		if f.why != unmentioned {
			return false
		}
	}
	return true
}
