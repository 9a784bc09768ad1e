package saaf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func FuzzPhoneParse(f *testing.F) {
	for _, row := range phoneRows(f) {
		f.Add(row.Input)
	}
	for _, s := range []string{"", "     ", "+++++", "00000000000000000000", "18646744073709551616", "+0091 9876543210",
		"00 91 0 98765 43210", "+91 01800 123456", "+910123456789", "1803123456789", "018621234567890", "1862412345", "9876543210\xff",
		"\xe0\xa5\xa6\xe0\xa5", "𝟿𝟾𝟽𝟼𝟻𝟺𝟹𝟸𝟷𝟶", "٩٨٧٦٥٤٣٢١٠", "۹۸۷۶۵۴۳۲۱۰", "(０９１)－９８７６５－４３２１０", "\u2066+91\u2069 98765 43210"} {
		f.Add(s)
	}
	fixedLines := fixedLineNumbers(f)
	f.Fuzz(func(t *testing.T, s string) {
		accepted := map[string]Phone{}
		for name, pp := range policies {
			p, reason := pp.Parse(s)
			number, want := referenceParse(s, pp, fixedLines)
			if reason != want || want == ReasonNone && p.National() != number {
				t.Fatalf("%s: %q is %d, %q; by the rules %s, %q", name, s, int64(p), reason, number, want)
			}
			if reason != ReasonNone {
				checkRefused(t, p, reason)
				continue
			}
			accepted[name] = p
			checkAccepted(t, pp, p)
		}
		if p, ok := accepted["default"]; ok && accepted["fixed lines"] != p {
			t.Fatalf("%q is %d by default and %d with fixed lines", s, int64(p), int64(accepted["fixed lines"]))
		}
	})
}

// TestPhoneReference compares with the rules where the fuzzer seldom gets by
// itself: text that is nearly a number.
func TestPhoneReference(t *testing.T) {
	t.Parallel()
	fixedLines := fixedLineNumbers(t)
	alphabet := append([]rune("00112233445566778899+x\ufffd٠९９＋"), ignored...)
	rapid.Check(t, func(t *rapid.T) {
		runes := []rune(writtenPhone(t))
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(runes)-1).Draw(t, "at")
			r := rapid.SampledFrom(alphabet).Draw(t, "character")
			if rapid.Bool().Draw(t, "insert") {
				runes = slices.Insert(runes, at, r)
			} else {
				runes[at] = r
			}
		}
		for name, pp := range policies {
			p, reason := pp.Parse(string(runes))
			number, want := referenceParse(string(runes), pp, fixedLines)
			if reason != want || want == ReasonNone && p.National() != number {
				t.Fatalf("%s: %q is %d, %q; by the rules %s, %q", name, string(runes), int64(p), reason, number, want)
			}
		}
	})
}

// TestPhoneEveryCharacter puts each character of the first two planes, which hold
// all digits and signs there are, inside a number.
func TestPhoneEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := range rune(0x20000) {
		want := ReasonInvalidCharacter
		switch {
		case '0' <= r && r <= '9':
			want = ReasonDigitCount
		case slices.Contains(ruleSkipped, r):
			want = ReasonNone
		}
		if _, reason := (PhonePolicy{}).Parse("98765" + string(r) + "43210"); reason != want {
			t.Errorf("U+%04X: %q, want %q", r, reason, want)
		}
	}
}

func checkRefused(t *testing.T, p Phone, reason Reason) {
	t.Helper()
	if p != 0 {
		t.Fatalf("refused with %q and still %d", reason, int64(p))
	}
	if reason.Message() == "" {
		t.Fatalf("reason %q has no message", reason)
	}
}

func checkAccepted(t *testing.T, pp PhonePolicy, p Phone) {
	t.Helper()
	lowest := Phone(6e9)
	if pp.FixedLines {
		lowest = 1e9
	}
	if p < lowest || p > 9_999_999_999 {
		t.Fatalf("accepted %d", int64(p))
	}
	for _, form := range []string{p.National(), p.E164()} {
		if again, reason := pp.Parse(form); again != p || reason != ReasonNone {
			t.Fatalf("%q is %d, %q", form, int64(again), reason)
		}
	}
}

// The lists of step 2, as the rules write them.
const (
	rulesDropped    = "00AD 200B-200F 202A-202E 2060-2064 2066-2069 FEFF"
	rulesSeparators = "0020 0009 00A0 2000-200A 202F 3000 002D 2010-2015 2212 FF0D 002E 0028 0029"
	rulesZeros      = "0030 FF10 0660 06F0 0966 09E6 0A66 0AE6 0B66 0BE6 0C66 0CE6 0D66"
	rulesPluses     = "002B FF0B"
)

var (
	ruleSkipped = runesOf(rulesDropped + " " + rulesSeparators)
	ruleZeros   = runesOf(rulesZeros)
	rulePluses  = runesOf(rulesPluses)
	ruleService = regexp.MustCompile(`^0?(1800\d{4,9}|1803\d{9}|186[012]\d{6,9}|140\d{7}|160[01]\d{6})$`)
)

// runesOf lists the characters of a list like "00AD 200B-200F".
func runesOf(list string) (all []rune) {
	for item := range strings.FieldsSeq(list) {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		var from, to rune
		if _, err := fmt.Sscanf(first+" "+last, "%x %x", &from, &to); err != nil {
			panic(err)
		}
		for r := from; r <= to; r++ {
			all = append(all, r)
		}
	}
	return all
}

// referenceParse is the rules once more, slow and by the letter, and made of other
// parts than Parse: lists, strings and a regular expression.
func referenceParse(s string, pp PhonePolicy, fixedLines *numberPattern) (string, Reason) {
	if n := len([]rune(s)); n < 5 || n > 20 {
		return "", ReasonLength
	}
	number, plus, ok := referenceScan([]rune(s))
	if !ok {
		return "", ReasonInvalidCharacter
	}
	number, reason := referenceStrip(number, plus)
	if reason != ReasonNone {
		return "", reason
	}
	switch {
	case ruleService.MatchString(number):
		return "", ReasonServiceNumber
	case len(number) != 10:
		return "", ReasonDigitCount
	case strings.ContainsAny(number[:1], "6789"):
		return number, ReasonNone
	case number[0] == '0' || !pp.FixedLines:
		return "", ReasonNotMobileRange
	}
	if _, known := fixedLines.first(number[:5]); !known {
		return "", ReasonNotAssignedRange
	}
	return number, ReasonNone
}

func referenceScan(runes []rune) (number string, plus, ok bool) {
	scripts := map[int]bool{}
	for _, r := range runes {
		script := slices.IndexFunc(ruleZeros, func(zero rune) bool { return zero <= r && r < zero+10 })
		switch {
		case script >= 0:
			scripts[script] = true
			number += string('0' + r - ruleZeros[script])
		case slices.Contains(rulePluses, r):
			if plus || number != "" {
				return "", false, false
			}
			plus = true
		case !slices.Contains(ruleSkipped, r):
			return "", false, false
		}
	}
	return number, plus, len(scripts) == 1
}

func referenceStrip(number string, plus bool) (string, Reason) {
	if plus || strings.HasPrefix(number, "00") {
		number = strings.TrimPrefix(number, "00")
		if number == "" || number[0] == '0' {
			return "", ReasonDigitCount
		}
		number, indian := strings.CutPrefix(number, "91")
		if !indian {
			return "", ReasonInternational
		}
		if len(number) == 11 {
			number = strings.TrimPrefix(number, "0")
		}
		return number, ReasonNone
	}
	switch {
	case len(number) == 11 && number[0] == '0':
		return number[1:], ReasonNone
	case len(number) == 12 && strings.HasPrefix(number, "91"):
		return number[2:], ReasonNone
	case len(number) == 13 && (strings.HasPrefix(number, "091") || strings.HasPrefix(number, "910")):
		return number[3:], ReasonNone
	}
	return number, ReasonNone
}
