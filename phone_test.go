package saaf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

// policies are both ways a deployment can be run.
var policies = map[string]PhonePolicy{"default": {}, "fixed lines": {FixedLines: true}}

type phoneOutcome struct {
	Number string
	Reject Reason
}

type phoneRow struct {
	Input      string
	Default    phoneOutcome
	FixedLines phoneOutcome `json:"fixed_lines"`
	Note       string
}

func phoneRows(t testing.TB) (rows []phoneRow) {
	t.Helper()
	raw, err := os.ReadFile("testdata/phones.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestPhoneTable is the conformance table of the registry rules, section 1.1.
func TestPhoneTable(t *testing.T) {
	t.Parallel()
	rows := phoneRows(t)
	if len(rows) != 90 {
		t.Fatalf("%d rows, want 90", len(rows))
	}
	for i, row := range rows {
		for name, want := range map[string]phoneOutcome{"default": row.Default, "fixed lines": row.FixedLines} {
			var got phoneOutcome
			p, reason := policies[name].Parse(row.Input)
			if got.Reject = reason; p != 0 {
				got.Number = p.National()
			}
			if got != want {
				t.Errorf("row %d, %q (%s), %s: %v, want %v", i+1, row.Input, row.Note, name, got, want)
			}
		}
	}
}

// TestPhoneEdges are shapes that the table leaves out.
func TestPhoneEdges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		input  string
		number Phone
		reason Reason
	}{
		{"", 0, ReasonLength},
		{"६०००", 0, ReasonLength}, // 4 characters in 12 bytes
		{"\u200b\u200b\u200b\u200b\u200b", 0, ReasonInvalidCharacter},
		{strings.Repeat("\u202a", 10) + "9876543210", 9876543210, ReasonNone}, // 20 characters in 40 bytes
		{strings.Repeat("\u202a", 11) + "9876543210", 0, ReasonLength},
		{strings.Repeat("9", 1<<20), 0, ReasonLength},
		{strings.Repeat("𝟿", 20), 0, ReasonInvalidCharacter}, // digits of a script that is not on the list

		{"9876543210\xff", 0, ReasonInvalidCharacter},
		{"9876543210\ufffd", 0, ReasonInvalidCharacter},
		{"98765\x0043210", 0, ReasonInvalidCharacter},
		{"9876543210\n", 0, ReasonInvalidCharacter},
		{"\xe0\xa5\xa6\xe0\xa5", 0, ReasonLength}, // one digit and two broken bytes: 3 characters

		{"+-()-", 0, ReasonInvalidCharacter}, // a plus and no digit
		{"(+)91 98765 43210", 9876543210, ReasonNone},
		{"\u202a＋९१ ९८७६५ ४३२१०", 9876543210, ReasonNone},
		{"+९१ 98765 43210", 0, ReasonInvalidCharacter},

		{"+0091 98765 43210", 9876543210, ReasonNone}, // a plus before the 00 it stands for
		{"+0 98765 43210", 0, ReasonDigitCount},
		{"00 0 98765 43210", 0, ReasonDigitCount},
		{"00---", 0, ReasonDigitCount},
		{"+91--", 0, ReasonDigitCount},
		{"+9---", 0, ReasonInternational},
		{"+91 00 98765 43210", 0, ReasonDigitCount},
		{"+91 91 98765 43210", 0, ReasonDigitCount},
		{"+91 0123456789", 0, ReasonNotMobileRange}, // ten digits remain: the zero is one of them
		{"0091 0 98765 43210", 9876543210, ReasonNone},
		{"00 91 0 9876543210", 9876543210, ReasonNone},
		{"00987654321", 0, ReasonInternational},
		{"0091987654", 0, ReasonDigitCount}, // ten digits, and still 00 comes first
		{"910987654321", 0, ReasonNotMobileRange},

		{"98765432109876543210", 0, ReasonDigitCount}, // 20 digits do not fit into 64 bits
		{"18446744073709551615", 0, ReasonDigitCount},
		{"18646744073709551616", 0, ReasonDigitCount}, // 2^64 + 200000000000000000, which has two zeros before it
		{"99999999999999999999", 0, ReasonDigitCount},
		{"00919876543210987654", 0, ReasonDigitCount},
		{"00449876543210987654", 0, ReasonInternational},
		{"09876543210987654321", 0, ReasonDigitCount},

		{"18001234", 0, ReasonServiceNumber}, // 1800 and 4 digits, the fewest
		{"1800123", 0, ReasonDigitCount},
		{"1800123456789", 0, ReasonServiceNumber},
		{"18001234567890", 0, ReasonDigitCount},
		{"018001234", 0, ReasonServiceNumber},
		{"1803123456789", 0, ReasonServiceNumber},
		{"180312345678", 0, ReasonDigitCount},
		{"1861123456", 0, ReasonServiceNumber},
		{"186112345", 0, ReasonDigitCount},
		{"1862123456789", 0, ReasonServiceNumber},
		{"18621234567890", 0, ReasonDigitCount},
		{"14012345678", 0, ReasonDigitCount},
		{"1601123456", 0, ReasonServiceNumber},
		{"16011234567", 0, ReasonDigitCount},
		{"+91 0 140 1234567", 0, ReasonServiceNumber},
		{"+91 01 800 123 4567", 0, ReasonServiceNumber},
		{"8001234567", 8001234567, ReasonNone},
		{"01401234567", 0, ReasonServiceNumber},

		{"6000000000", 6000000000, ReasonNone}, // the ends of the mobile space
		{"5999999999", 0, ReasonNotMobileRange},
		{"9999999999", 9999999999, ReasonNone},
	} {
		if p, reason := (PhonePolicy{}).Parse(tt.input); p != tt.number || reason != tt.reason {
			t.Errorf("%q: %d, %q; want %d, %q", tt.input, int64(p), reason, int64(tt.number), tt.reason)
		}
	}
}

// TestPhoneDuplicates: spellings of one number are one number, and only they.
func TestPhoneDuplicates(t *testing.T) {
	t.Parallel()
	seen := map[Phone]bool{}
	var got []string
	for _, s := range []string{"9876543210", "+91 98765 43210", "09876543210", "919198765432", "9198765432"} {
		p, reason := PhonePolicy{}.Parse(s)
		if reason != ReasonNone {
			t.Fatalf("%q: %s", s, reason)
		}
		if seen[p] {
			got = append(got, "duplicate")
			continue
		}
		seen[p] = true
		got = append(got, "added")
	}
	if want := []string{"added", "duplicate", "duplicate", "added", "duplicate"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPhoneForms(t *testing.T) {
	t.Parallel()
	const p = Phone(9876543210)
	for name, tt := range map[string]struct{ got, want string }{
		"String":         {p.String(), "xxxxxx3210"},
		"%v":             {fmt.Sprintf("%v", p), "xxxxxx3210"},
		"%s in a struct": {fmt.Sprintf("%s", struct{ P Phone }{p}), "{xxxxxx3210}"},
		"National":       {p.National(), "9876543210"},
		"AppendNational": {string(p.AppendNational([]byte("to "))), "to 9876543210"},
		"E164":           {p.E164(), "+919876543210"},
		"fixed line":     {Phone(1123456789).E164(), "+911123456789"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}

// TestPhoneLogsMasked looks at what really comes out of both handlers of slog.
func TestPhoneLogsMasked(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("parsed", "phone", Phone(9876543210))
		if out := b.String(); !strings.Contains(out, "xxxxxx3210") || strings.Contains(out, "987654") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestPhoneParseAllocatesNothing(t *testing.T) {
	for _, s := range []string{"9876543210", "+91 98765 43210", "+12025550123", "01123456789", "invalid",
		"98765\u201143210", "९८७६५४३२१०", "9876543210\xff"} {
		if n := testing.AllocsPerRun(100, func() { PhonePolicy{FixedLines: true}.Parse(s) }); n != 0 {
			t.Errorf("%q: %v allocations", s, n)
		}
	}
}

// phoneScripts are the zeros of the scripts in the rules, ASCII first.
var phoneScripts = []rune{'0', 0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66}

// inScript writes the ASCII digits of s in another script.
func inScript(s string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r - '0' + zero
		}
		return r
	}, s)
}

func TestPhoneScripts(t *testing.T) {
	t.Parallel()
	const number = "9876543210"
	for _, zero := range phoneScripts {
		if p, reason := (PhonePolicy{}).Parse("+91 " + inScript(number, zero)); zero != '0' && reason != ReasonInvalidCharacter {
			t.Errorf("ASCII 91 before digits of U+%04X: %d, %q", zero, int64(p), reason)
		}
		for _, other := range phoneScripts {
			mixed := inScript(number[:5], zero) + inScript(number[5:], other)
			p, reason := PhonePolicy{}.Parse(mixed)
			if zero == other && (p != 9876543210 || reason != ReasonNone) || zero != other && reason != ReasonInvalidCharacter {
				t.Errorf("U+%04X then U+%04X: %d, %q", zero, other, int64(p), reason)
			}
		}
		// The neighbours of a script's digits are not digits.
		for _, r := range []rune{zero - 1, zero + 10} {
			if p, reason := (PhonePolicy{}).Parse(number + string(r)); reason != ReasonInvalidCharacter {
				t.Errorf("with U+%04X: %d, %q", r, int64(p), reason)
			}
		}
	}
}

// TestPhoneLibrary compares the mobile space with libphonenumber. What it calls
// valid there we must accept as the same number. We accept more, on purpose: any
// ten digits from 6 to 9 may be assigned tomorrow, and metadata lags behind.
func TestPhoneLibrary(t *testing.T) {
	t.Parallel()
	spellings := []func(n string) string{
		func(n string) string { return n },
		func(n string) string { return "0" + n },
		func(n string) string { return "+91" + n },
		func(n string) string { return "0091" + n },
		func(n string) string { return "+91 " + n[:5] + " " + n[5:] },
		func(n string) string { return "+91-" + n[:5] + "-" + n[5:] },
		func(n string) string { return "(" + n[:3] + ") " + n[3:6] + "." + n[6:] },
		func(n string) string { return inScript("+91 "+n, 0xFF10) },
		func(n string) string { return inScript(n, 0x0966) },
	}
	valid, more := 0, 0
	const step = 654_323 // prime: over 6000 numbers with every last digit
	for n := int64(6e9); n < 1e10; n += step {
		s := spellings[(n/7)%int64(len(spellings))](strconv.FormatInt(n, 10))
		p, reason := PhonePolicy{}.Parse(s)
		if int64(p) != n || reason != ReasonNone {
			t.Fatalf("%q: %d, %q", s, int64(p), reason)
		}
		lib, err := phonenumbers.Parse(s, "IN")
		if err != nil || !phonenumbers.IsValidNumberForRegion(lib, "IN") {
			more++
			continue
		}
		valid++
		if lib.GetNationalNumber() != uint64(p) {
			t.Fatalf("%q: %d, the library reads %d", s, int64(p), lib.GetNationalNumber())
		}
	}
	if valid < 5000 || more == 0 {
		t.Errorf("the library calls %d numbers valid and %d not: the sample proves nothing", valid, more)
	}
	t.Logf("valid for the library %d, accepted beyond it %d", valid, more)
}

// ignored are characters from each range that the rules drop or skip.
var ignored = []rune(" \t-.()\u00ad\u200b\u200f\u202a\u202e\u2060\u2064\u2066\u2069\ufeff" +
	"\u00a0\u2000\u200a\u202f\u3000\u2010\u2015\u2212\uff0d")

// writtenPhone draws something people might call a phone number: mostly one that
// is accepted, sometimes one that only looks like it.
func writtenPhone(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "+91", "91", "0", "091", "910", "0091", "+910", "+", "00", "1"}).Draw(t, "prefix") +
		rapid.OneOf(rapid.StringMatching(`[6-9]\d{9}`), rapid.StringMatching(`\d{5,13}`),
			rapid.StringMatching(`1(800|803|86[0-2]|40|60[01])\d{4,9}`)).Draw(t, "number")
}

func TestPhoneIgnoredCharacters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plain := writtenPhone(t)
		runes := []rune(plain)
		for range rapid.IntRange(0, max(0, maxPhoneLength-len(runes))).Draw(t, "extra") {
			at := rapid.IntRange(0, len(runes)).Draw(t, "at")
			runes = slices.Insert(runes, at, rapid.SampledFrom(ignored).Draw(t, "ignored"))
		}
		sameParse(t, plain, string(runes))
	})
}

func TestPhoneOtherScripts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plain := writtenPhone(t)
		other := inScript(plain, rapid.SampledFrom(phoneScripts).Draw(t, "script"))
		if rapid.Bool().Draw(t, "wide plus") {
			other = strings.Replace(other, "+", "＋", 1)
		}
		sameParse(t, plain, other)
	})
}

// sameParse fails unless both spellings have one outcome under both policies.
func sameParse(t *rapid.T, a, b string) {
	t.Helper()
	for name, pp := range policies {
		p, reason := pp.Parse(a)
		if q, other := pp.Parse(b); q != p || other != reason {
			t.Fatalf("%s: %q is %d, %q; %q is %d, %q", name, a, int64(p), reason, b, int64(q), other)
		}
	}
}

func TestPhoneIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := writtenPhone(t)
		for name, pp := range policies {
			p, reason := pp.Parse(s)
			if reason != ReasonNone {
				continue
			}
			for _, form := range []string{p.National(), p.E164()} {
				if q, reason := pp.Parse(form); q != p || reason != ReasonNone {
					t.Fatalf("%s: %q is %s, which is %d, %q", name, s, form, int64(q), reason)
				}
			}
		}
	})
}

// BenchmarkPhoneParse shows our parser beside the library it is tested against.
// x-library is how many times as long that takes, in the same run: the two take turns,
// and of each the quickest try counts.
func BenchmarkPhoneParse(b *testing.B) {
	library := func(s string) {
		if n, err := phonenumbers.Parse(s, "IN"); err == nil {
			phonenumbers.IsValidNumberForRegion(n, "IN")
		}
	}
	for _, s := range []string{"9876543210", "+919876543210", "+91 98765 43210", "(+91) 98765-43210",
		"01123456789", "९८७६५४३२१०", "invalid"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				PhonePolicy{}.Parse(s)
			}
			const runs = 100
			ours, theirs := time.Duration(1<<62), time.Duration(1<<62)
			for range runs {
				start := time.Now()
				for range runs {
					PhonePolicy{}.Parse(s)
				}
				ours = min(ours, time.Since(start)/runs)
				start = time.Now()
				library(s)
				theirs = min(theirs, time.Since(start))
			}
			b.ReportMetric(float64(theirs)/float64(ours), "x-library")
		})
	}
}
