package scrubber

import (
	"context"
	"time"

	"saaf"
)

// Answers is what a source said about some numbers, until it is joined with what
// the registry file says. Numbers that it says nothing about are unknown. The zero
// Answers are those of no source: there the file decides alone.
type Answers struct {
	source *Source
	found  map[saaf.Phone]saaf.VerdictReason
	asked  time.Time
}

// Ask asks about those of phones for which the answer can matter, given what is
// known about each: beside the registry file those it does not block, instead of
// the file all, and never a number that is suppressed. It takes at most the timeout
// of the source, and less when ctx ends before. Why numbers stayed unknown is told
// by [Source.State].
//
// A nil Source is none: it asks nobody.
func (s *Source) Ask(ctx context.Context, phones []saaf.Phone, known []saaf.Verdict) Answers {
	a := s.Silence()
	if s == nil {
		return a
	}
	var open []saaf.Phone
	for i, p := range phones {
		if r := known[i].Reason; r != saaf.Suppressed && (s.mode == saaf.Instead || !r.Blocked()) {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	a.asked = time.Now().UTC().Truncate(time.Millisecond)
	// Where many ask at the same time, whoever gets a turn late has the least time
	// left. Those must not ask, or a checker that hangs would be given up on early by
	// one after the other, and never be seen to fail.
	found, _ := s.check(ctx, open, s.timeout/2) // the error stands in the state
	a.found = make(map[saaf.Phone]saaf.VerdictReason, len(open))
	for i, p := range open {
		a.found[p] = found[i]
	}
	return a
}

// Silence is what a source has said that was not asked: nothing. A nil Source is
// none.
func (s *Source) Silence() Answers { return Answers{source: s} }

// Join turns verdicts about phones, as the registry file gives them, into those of
// file and source together.
func (a *Answers) Join(phones []saaf.Phone, verdicts []saaf.Verdict) {
	if a.source == nil {
		return
	}
	for i, p := range phones {
		verdicts[i] = a.source.mode.Join(verdicts[i], a.found[p], a.asked)
	}
}

// Evidence is what evidence names as the source of decisions, see
// [saaf.SourceMode.Evidence]. A nil Source is none, and leaves the file.
func (s *Source) Evidence() string {
	if s == nil {
		return saaf.SourceFile
	}
	return s.mode.Evidence(s.name)
}

// Instead reports whether the source answers in place of the registry file. A nil
// Source does not.
func (s *Source) Instead() bool { return s != nil && s.mode == saaf.Instead }

// CoolDown is how long the source is left alone after it failed.
func (s *Source) CoolDown() time.Duration { return s.breaker.CoolDown }

// Capacity is how many numbers are asked about at the same time: more of them in
// one Ask may run out of time. Until a source that failed is back it is one batch.
func (s *Source) Capacity() int {
	if circuit, _ := s.breaker.state(); circuit != Closed {
		return s.batch
	}
	return s.batch * cap(s.slots)
}
