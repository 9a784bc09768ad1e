package saaf

import "unicode/utf8"

// Parse normalises one number as somebody wrote it. It is the only reading of a
// phone in the product (a push, a bulk row, an import, a registry file, a filter),
// so that two spellings of a number never pass for two people. A number that is
// not accepted is zero, with the reason; an accepted one has [ReasonNone].
//
// It implements section 1 of the registry rules; the steps below carry their
// numbers there. There is no "looks fake" guess: 9999999999 can be somebody.
func (pp PhonePolicy) Parse(s string) (Phone, Reason) {
	d, plus, reason := scanPhone(s) // steps 1 and 2
	if reason != ReasonNone {
		return 0, reason
	}
	d, reason = d.national(plus) // step 3
	switch {
	case reason != ReasonNone:
		return 0, reason
	case d.service(): // step 4
		return 0, ReasonServiceNumber
	case d.count != nationalDigits: // step 5
		return 0, ReasonDigitCount
	}
	return pp.accept(d.value) // step 6
}

// Limits of the text, in characters as received, and of the number in it.
const (
	minPhoneLength = 5
	maxPhoneLength = 20
	nationalDigits = 10
)

// scanPhone is steps 1 and 2: the digits of s, and whether a plus stands before
// them. It refuses a character outside the lists, a second or late plus, digits of
// two scripts, and text without any digit.
func scanPhone(s string) (d digits, plus bool, reason Reason) {
	if d, plus, ok := scanASCII(s); ok {
		return d, plus, ReasonNone
	}
	if !phoneLength(s) {
		return d, plus, ReasonLength
	}
	var script rune
	for _, r := range s { // a broken byte arrives as U+FFFD, which is in no list
		switch c := classify(r); {
		case c <= 9:
			zero := r - rune(c) // stands for the script
			if d.count > 0 && zero != script {
				return d, plus, ReasonInvalidCharacter
			}
			script = zero
			d = d.with(c)
		case c == charIgnored:
		case c == charPlus && !plus && d.count == 0:
			plus = true
		default:
			return d, plus, ReasonInvalidCharacter
		}
	}
	if d.count == 0 {
		return d, plus, ReasonInvalidCharacter
	}
	return d, plus, ReasonNone
}

// scanASCII is scanPhone for nearly all numbers there are, at a third of its time.
// Text that it does not like may still be a number, or have another reason.
func scanASCII(s string) (d digits, plus, ok bool) {
	if len(s) < minPhoneLength || len(s) > maxPhoneLength {
		return d, plus, false
	}
	for i := range len(s) {
		switch c := byteChars[s[i]]; {
		case c <= 9:
			d = d.with(c)
		case c == charIgnored:
		case c == charPlus && !plus && d.count == 0:
			plus = true
		default:
			return d, plus, false
		}
	}
	return d, plus, d.count > 0
}

// phoneLength is step 1. It counts code points, since a digit of Devanagari has
// three bytes; a byte that is no UTF-8 counts as one.
func phoneLength(s string) bool {
	if len(s) > maxPhoneLength*utf8.UTFMax {
		return false
	}
	n := utf8.RuneCountInString(s)
	return minPhoneLength <= n && n <= maxPhoneLength
}

// national is step 3: the digits without at most one country code and one trunk
// zero. What to take away follows from the count of all digits, because 9198765432
// is a number that begins with 91 and not a country code with eight digits.
func (d digits) national(plus bool) (digits, Reason) {
	if plus || d.begins(0, 2) {
		return d.international()
	}
	switch {
	case d.count == 11 && d.begins(0, 1):
		return d.without(0, 1), ReasonNone
	case d.count == 12 && d.begins(91, 2):
		return d.without(91, 2), ReasonNone
	case d.count == 13 && d.begins(910, 3):
		return d.without(910, 3), ReasonNone
	case d.count == 13 && d.begins(91, 3):
		return d.without(91, 3), ReasonNone
	}
	return d, ReasonNone
}

// international is step 3 for digits after a plus or with 00 before them; +0091
// has both, which say the same.
func (d digits) international() (digits, Reason) {
	if d.begins(0, 2) {
		d = d.without(0, 2)
	}
	switch {
	case d.count == 0 || d.begins(0, 1):
		return d, ReasonDigitCount
	case !d.begins(91, 2):
		return d, ReasonInternational
	}
	d = d.without(91, 2)
	if d.count == 11 && d.begins(0, 1) {
		d = d.without(0, 1)
	}
	return d, ReasonNone
}

// serviceShapes are the numbers of step 4: a prefix and how many digits follow.
// The whole shape counts: 141, 160 and 161 are the codes of real towns.
var serviceShapes = [...]struct {
	prefix         uint64
	width          int // digits of prefix
	fewest, utmost int // digits after it
}{
	{1800, 4, 4, 9}, // toll-free
	{1803, 4, 9, 9},
	{1860, 4, 6, 9}, // shared cost
	{1861, 4, 6, 9},
	{1862, 4, 6, 9},
	{140, 3, 7, 7},  // promotional calls
	{1600, 4, 6, 6}, // service and transactional calls
	{1601, 4, 6, 6},
}

// service is step 4; one leading zero does not hide a service number.
func (d digits) service() bool {
	if d.begins(0, 1) {
		d = d.without(0, 1)
	}
	if !d.begins(1, 1) { // as every shape does, and no mobile number
		return false
	}
	for _, shape := range &serviceShapes {
		rest := d.count - shape.width
		if shape.fewest <= rest && rest <= shape.utmost && d.begins(shape.prefix, shape.width) {
			return true
		}
	}
	return false
}

// accept is step 6 for a number of ten digits. One that starts with 0 is in no
// range of either kind, so that the policy does not change its reason.
func (pp PhonePolicy) accept(n uint64) (Phone, Reason) {
	switch {
	case n >= 6e9:
		return Phone(n), ReasonNone
	case n < 1e9 || !pp.FixedLines:
		return 0, ReasonNotMobileRange
	case !fixedLine(n):
		return 0, ReasonNotAssignedRange
	}
	return Phone(n), ReasonNone
}

// fixedLine reports whether a number from 1000000000 to 5999999999 begins like an
// assigned fixed line.
func fixedLine(n uint64) bool {
	head, fifth := n/1e6, n/1e5%10
	return fifthDigitSets[fixedLineFifthDigits[head-1000]]>>fifth&1 != 0
}

// digits is a run of decimal digits that keeps its leading zeros: 0091 has the
// value 91 and the count 4. What it begins with is one comparison with a power of
// ten, so that nothing is divided and no text is held.
type digits struct {
	value uint64
	count int
}

// maxDigits is what fits into the value.
const maxDigits = 19

var pow10 = func() (p [maxDigits + 1]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// with is d with one digit more. A twentieth, the last that can come, is left
// out: no rule tells 20 digits from the first 19 of them.
func (d digits) with(digit char) digits {
	if d.count == maxDigits {
		return d
	}
	return digits{d.value*10 + uint64(digit), d.count + 1}
}

// begins reports whether the first width digits are prefix; 091 is the prefix 91
// of width 3.
func (d digits) begins(prefix uint64, width int) bool {
	if d.count < width {
		return false
	}
	unit := pow10[d.count-width]
	return d.value-prefix*unit < unit // a value below the prefix wraps round
}

// without is d without a prefix that it begins with.
func (d digits) without(prefix uint64, width int) digits {
	rest := d.count - width
	return digits{d.value - prefix*pow10[rest], rest}
}

// char is what a character is in a phone: 0 to 9 for a digit of any script, or
// one of the kinds below.
type char uint8

const (
	charIgnored char = 10 + iota // a separator, or invisible
	charPlus
	charOther
)

// byteChars classifies the bytes of ASCII text; bytes of longer characters are
// charOther in it.
var byteChars = func() (t [256]char) {
	for i := range t {
		t[i] = charOther
	}
	for i := range char(10) {
		t['0'+i] = i
	}
	for _, c := range " \t-.()" {
		t[c] = charIgnored
	}
	t['+'] = charPlus
	return t
}()

// scriptZeros are the zeros of the digit scripts beyond ASCII; the nine others of
// each follow it.
var scriptZeros = [...]rune{
	0x0660, // Arabic-Indic
	0x06F0, // Arabic-Indic as Persian and Urdu have it
	0x0966, // Devanagari
	0x09E6, // Bengali
	0x0A66, // Gurmukhi
	0x0AE6, // Gujarati
	0x0B66, // Odia
	0x0BE6, // Tamil
	0x0C66, // Telugu
	0x0CE6, // Kannada
	0x0D66, // Malayalam
	0xFF10, // full-width
}

// classify knows, besides ASCII, what contacts apps, spreadsheets and Indian
// keyboards put into numbers.
func classify(r rune) char {
	switch {
	case r < utf8.RuneSelf:
		return byteChars[r]
	case r == 0x00A0, 0x2000 <= r && r <= 0x200A, r == 0x202F, r == 0x3000: // spaces
		return charIgnored
	case 0x2010 <= r && r <= 0x2015, r == 0x2212, r == 0xFF0D: // hyphens, dashes, minus
		return charIgnored
	case r == 0x00AD, r == 0xFEFF, 0x200B <= r && r <= 0x200F, // invisible
		0x202A <= r && r <= 0x202E, 0x2060 <= r && r <= 0x2064, 0x2066 <= r && r <= 0x2069:
		return charIgnored
	case r == 0xFF0B:
		return charPlus
	}
	for _, zero := range scriptZeros {
		if zero <= r && r <= zero+9 {
			return char(r - zero)
		}
	}
	return charOther
}
