package dnd

import (
	"slices"

	"saaf"
)

// Limits of the refusals, in thousandths.
const (
	malformedLimit = 1  // of the rows
	shrinkLimit    = 50 // of the numbers of the last full set
	removeLimit    = 10 // of the active numbers
)

// checkDates checks what needs no file.
func (j *job) checkDates() {
	today := saaf.DateOf(j.now)
	age := j.now.Sub(j.EffectiveDate.Start())
	if j.EffectiveDate > today {
		j.report.refuse(RuleFutureDate, "the effective date %v is after today, %v in India", j.EffectiveDate, today)
	} else if age >= MaxAge {
		j.report.warn("the effective date %v is %d days ago: while this snapshot is active the registry is stale and answers unknown for every number",
			j.EffectiveDate, age/day)
	}
	if j.Mode == saaf.Delta && j.Base == nil {
		j.report.refuse(RuleNoBase, "there is no active snapshot that the delta could be applied to: import a full set first")
	}
}

// checkOrder checks the date against that of the active snapshot.
func (j *job) checkOrder() {
	switch {
	case j.EffectiveDate >= j.BaseDate:
	case j.Mode == saaf.Delta:
		j.report.refuse(RuleOlder, "the delta is dated %v and the active snapshot is newer, %v", j.EffectiveDate, j.BaseDate)
	default:
		j.report.warn("the full set is dated %v and replaces a newer one, dated %v: who has registered in between is forgotten", j.EffectiveDate, j.BaseDate)
	}
}

// check judges what was read.
func (j *job) check(o *outline) {
	r, rows := j.report, j.report.Total
	r.Numbers = o.numbers()
	if o.sets.full {
		r.refuse(RuleCategorySets, "the numbers have more than %s different lists of categories", grouped(maxSets))
	}
	if over(rows.Malformed, rows.Rows, malformedLimit) {
		r.refuse(RuleMalformed, "%s of %s rows have no number that can be read (%s, the limit is 0.1 %%)",
			grouped(rows.Malformed), grouped(rows.Rows), percent(rows.Malformed, rows.Rows))
	}
	if j.Mode == saaf.FullSet {
		if r.Numbers == 0 && rows.Active+rows.Deleted > 0 {
			r.refuse(RuleEmpty, "the full set has not one active number: an empty registry would show every number as clean")
		}
		if lost := j.LastFullActive - r.Numbers; over(lost, j.LastFullActive, shrinkLimit) {
			r.refuse(RuleShrunk, "the full set has %s active numbers where the last one had %s (%s fewer, the limit is 5 %%)",
				grouped(r.Numbers), grouped(j.LastFullActive), percent(lost, j.LastFullActive))
		}
	} else if before := j.Base.info.Numbers; over(r.Changes.Removed, before, removeLimit) {
		r.refuse(RuleRemoves, "the delta would clear %s of %s active numbers (%s, the limit is 1 %%)",
			grouped(r.Changes.Removed), grouped(before), percent(r.Changes.Removed, before))
	}
	j.warnOfRows()
}

// warnOfConsequences tells what holds as soon as the snapshot is active, of one that nothing
// speaks against any more.
func (j *job) warnOfConsequences() {
	r := j.report
	if slices.ContainsFunc(r.Refusals, func(f Refusal) bool { return f.Rule == RuleUnreadable }) {
		r.warn("only %s rows could be read: a number that was not read counts as not registered, also when it is, until a whole set is imported", grouped(r.Total.Rows))
	}
	date := j.EffectiveDate
	if j.Mode == saaf.Delta {
		date = max(date, j.BaseDate)
	}
	silent := r.Numbers == 0 || j.now.Sub(date.Start()) >= MaxAge
	switch {
	case !silent:
	case j.BaseID == 0:
		r.warn("every answer is unknown from now on, until a newer registry with numbers in it is imported")
	default:
		r.warn("every answer is unknown from now on: saaf registry rollback goes back to the snapshot before, dated %v", j.BaseDate)
	}
}

// warnOfRows tells what was read in the sense of blocking.
func (j *job) warnOfRows() {
	rows := j.report.Total
	if n := rows.UnknownOpstype; n > 0 {
		j.report.warn("rows whose opstype is neither A nor D, which count as A: %s", grouped(n))
	}
	if n := rows.UnreadablePreferences; n > 0 {
		j.report.warn("rows whose preferences cannot be read, which block fully: %s", grouped(n))
	}
	if n := j.report.Conflicts; n > 0 {
		j.report.warn("numbers with both A and D rows, which stay active: %s", grouped(n))
	}
}
