package dnd

import (
	"fmt"
	"slices"
	"strings"

	"saaf"
)

// Rule names why an import is refused. The words are stored and stay.
type Rule string

// The rules that no override lifts.
const (
	RuleFutureDate   Rule = "future_date"            // the effective date is after today in India
	RuleNoBase       Rule = "no_base"                // a delta, and no snapshot to apply it to
	RuleCategorySets Rule = "too_many_category_sets" // more lists of categories than a file can hold
)

// The rules that an override lifts.
const (
	RuleUnreadable Rule = "unreadable"    // a file or a member cannot be read to its end, or is no registry file
	RuleNoRows     Rule = "no_valid_rows" // a file has not one row that can be read
	RuleRepeated   Rule = "repeated"      // a delta that was applied before the last one
	RuleEmpty      Rule = "empty"         // a full set without one active number
	RuleMalformed  Rule = "malformed"     // over 0.1 % of the rows cannot be read
	RuleShrunk     Rule = "shrunk"        // a full set with over 5 % fewer numbers than the last
	RuleRemoves    Rule = "removes"       // a delta that removes over 1 % of the active numbers
	RuleOlder      Rule = "older"         // a delta that is older than the snapshot
)

// Final reports whether no override lifts the rule.
func (r Rule) Final() bool {
	return r == RuleFutureDate || r == RuleNoBase || r == RuleCategorySets
}

// Refusal is one reason not to activate what was imported.
type Refusal struct {
	Rule     Rule   `json:"rule"`
	Sentence string `json:"sentence"` // with figures, without the full stop
}

func (r *Report) refuse(rule Rule, format string, args ...any) {
	r.Refusals = append(r.Refusals, Refusal{rule, fmt.Sprintf(format, args...)})
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// judge is nil when nothing speaks against the import or override, the reason
// somebody gave, lifts it all; white space is not a reason.
func (r *Report) judge(override string) error {
	if len(r.Refusals) == 0 {
		return nil
	}
	final := slices.ContainsFunc(r.Refusals, func(f Refusal) bool { return f.Rule.Final() })
	if override = strings.TrimSpace(override); override != "" && !final {
		r.Overridden, r.OverrideReason = true, override
		return nil
	}
	var text strings.Builder
	text.WriteString("The import is refused and the registry stays as it was: ")
	for i, f := range r.Refusals {
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(f.Sentence)
	}
	err := &saaf.Error{Code: saaf.Conflict, Word: "registry_refused"}
	if final {
		err.Code = saaf.Invalid
		text.WriteString(". This cannot be overridden: correct it and import again.")
	} else {
		text.WriteString(". Correct the files and import again, or, if they are right, repeat the import with an override that says why.")
	}
	err.Message = text.String()
	return err
}

// over reports whether part is more than permille thousandths of whole.
func over(part, whole, permille int64) bool { return part*1000 > whole*permille }

// percent is part of whole for a sentence: 50.0 %, 6.00 %, 0.134 %.
func percent(part, whole int64) string {
	p := 100 * float64(part) / float64(whole)
	digits := 3
	switch {
	case p >= 10:
		digits = 1
	case p >= 1:
		digits = 2
	}
	return fmt.Sprintf("%.*f %%", digits, p)
}

// grouped is n with commas: 5,000.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
