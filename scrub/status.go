package scrub

import (
	"context"
	"fmt"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/scrubber"
)

// Status says in plain words what this process answers from.
type Status struct {
	State         string // of the registry: fresh, warn, stale or none
	ID            saaf.SnapshotID
	EffectiveDate saaf.Date
	Age           time.Duration
	Problem       string        // why the active snapshot is not served; empty when it is
	Source        *SourceStatus // nil without an outside checker
	Warnings      []string
}

// SourceStatus is what part an outside checker has in the answers, and how it is.
type SourceStatus struct {
	Name  string
	Mode  saaf.SourceMode
	Role  string // a sentence
	State scrubber.State
}

// Status is the present status.
func (s *Service) Status(now time.Time) Status {
	s.mu.Lock()
	f, problem, fetching := s.registry.View().Freshness(now), s.problem, s.fetching
	s.mu.Unlock()
	st := Status{State: f.State.String(), ID: f.ID, EffectiveDate: f.EffectiveDate, Age: f.Age, Problem: problem}
	warn := func(w string) {
		if w != "" {
			st.Warnings = append(st.Warnings, w)
		}
	}
	if !s.source.Instead() {
		warn(problem)
		warn(advice(f, problem, fetching))
	}
	if s.source != nil {
		st.Source = &SourceStatus{Name: s.source.Name(), Mode: s.source.Mode(), State: s.source.State()}
		st.Source.Role = role(st.Source)
		warn(sourceAdvice(st.Source))
	}
	return st
}

// role is the sentence about what an outside checker is asked for.
func role(s *SourceStatus) string {
	if s.Mode == saaf.Instead {
		return fmt.Sprintf("The outside checker %s answers instead of the registry file.", s.Name)
	}
	return fmt.Sprintf("The outside checker %s answers beside the registry file: a number is clean only when both say so.", s.Name)
}

// sourceAdvice is the sentence for an operator whose outside checker does not
// answer, "" when it does.
func sourceAdvice(s *SourceStatus) string {
	const meanwhile = "numbers that it must answer for are stored unchecked and never dialled."
	switch st := s.State; {
	case st.Circuit == scrubber.Open:
		return fmt.Sprintf("The outside checker %s failed too often and is left alone until %s UTC: %s The last failure: %s.",
			s.Name, st.OpenUntil.UTC().Format(time.TimeOnly), meanwhile, st.LastError)
	case st.Circuit == scrubber.HalfOpen:
		return fmt.Sprintf("The outside checker %s failed too often and is about to be asked again: until it answers, %s The last failure: %s.",
			s.Name, meanwhile, st.LastError)
	case st.LastErrorAt.After(st.LastAnswerAt):
		return fmt.Sprintf("The outside checker %s did not answer when it was asked last: %s The failure: %s.", s.Name, meanwhile, st.LastError)
	}
	return ""
}

// Advice is the sentence for an operator whose registry is not fresh, "" when it
// is.
func Advice(f dnd.Freshness) string {
	switch {
	case f.State == dnd.None && f.ID != 0:
		return "The active snapshot holds not one number and does not answer: leads are stored unchecked and never dialled. Load a registry with saaf registry import."
	case f.State == dnd.None:
		return "No registry snapshot answers: leads are stored unchecked and never dialled. Load one with saaf registry import."
	case f.State == dnd.Warn:
		return fmt.Sprintf("The registry is %s old (dated %s): an update is overdue; past its age limit it answers unknown.", days(f.Age), f.EffectiveDate)
	case f.State == dnd.Stale && f.Age < 0:
		return fmt.Sprintf("The registry is dated %s, which is after today, and does not answer: leads are stored unchecked and never dialled. Correct the clock of this machine.", f.EffectiveDate)
	case f.State == dnd.Stale:
		return fmt.Sprintf("The registry is %s old (dated %s) and no longer answers: leads are stored unchecked and never dialled. Load a newer one with saaf registry import.", days(f.Age), f.EffectiveDate)
	}
	return ""
}

// advice is [Advice] of a process that may have a reason of its own for not answering.
func advice(f dnd.Freshness, problem string, fetching bool) string {
	switch {
	case fetching:
		return whileFetched
	case problem != "" && f.State == dnd.None:
		return whileBroken
	}
	return Advice(f)
}

// whileBroken is the sentence for an operator whose active snapshot cannot be used, behind
// the reason.
const whileBroken = "Until that is mended, or a registry is loaded with saaf registry import, leads are stored unchecked and never dialled."

// whileFetched is the sentence for an operator whose registry is on its way.
const whileFetched = "Until the registry snapshot is here leads are stored unchecked; then they are checked. There is nothing to do."

// days is an age for a sentence.
func days(age time.Duration) string {
	switch n := age / (24 * time.Hour); n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// Answers reports whether what has to answer does now, so that verdicts can be
// clean: a fresh registry, or the outside checker instead of it. Beside the registry
// that checker counts only through the age of its findings, see [Service.Backing].
func (s *Service) Answers(now time.Time) bool {
	return s.source.Instead() || s.registry.View().Freshness(now).Answers()
}

// Backing is what stands behind clean verdicts now. While there is an outside
// checker every one of them is taken to rest on it, and to age with its findings.
func (s *Service) Backing(now time.Time) saaf.Backing {
	b := saaf.Backing{Answers: s.Answers(now), Snapshot: !s.source.Instead()}
	if s.source != nil {
		b.Since = now.Add(-s.source.MaxAge()).Truncate(time.Millisecond)
	}
	return b
}

// logFreshness says so in the log when the registry has become fresh, old or silent.
func (s *Service) logFreshness(ctx context.Context, now time.Time) {
	if s.source.Instead() {
		return
	}
	f := s.registry.View().Freshness(now)
	state := f.State.String()
	s.mu.Lock()
	problem, fetching := s.problem, s.fetching
	if fetching {
		state = "fetching"
	}
	news := s.said != state
	s.said = state
	s.mu.Unlock()
	switch {
	case !news:
	case fetching:
		s.log.InfoContext(ctx, whileFetched, "state", state)
	case f.Answers() && f.State == dnd.Fresh:
		s.log.InfoContext(ctx, "the registry is fresh", "effective_date", f.EffectiveDate.String(), "age", days(f.Age))
	default:
		s.log.WarnContext(ctx, advice(f, problem, fetching), "state", state)
	}
}

// logSource says so in the log when the outside checker has begun to fail, and when
// it is back.
func (s *Service) logSource(ctx context.Context) {
	if s.source == nil {
		return
	}
	st := s.source.State()
	failing := st.Circuit != scrubber.Closed
	switch {
	case failing == s.heard:
	case failing:
		s.log.WarnContext(ctx, "the outside checker is left alone for a while, answering unknown", "source", s.source.Name(), "error", st.LastError)
	default:
		s.log.InfoContext(ctx, "the outside checker answers again", "source", s.source.Name())
	}
	s.heard = failing
}
