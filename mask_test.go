package saaf

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestMaskNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "",
		"asked to be left alone":                "asked to be left alone",
		"9876543210":                            "xxxxxx3210",
		"call +91 98765-43210, she said":        "call +xx xxxxx-x3210, she said",
		"0091 (0) 98765.43210":                  "xxxx (x) xxxxx.x3210",
		"tel:+919876543210;ext=5":               "tel:+xxxxxxxx3210;ext=5",
		"01123456789":                           "xxxxxxx6789", // a fixed line
		"a12345678901b":                         "axxxxxxx8901b",
		"९८७६५४३२१०":                            "xxxxxx३२१०",
		"９８７６５\u3000４３２１０":                      "xxxxx\u3000x３２１０",
		"98765\u00a043210 and 98765\u201143210": "xxxxx\u00a0x3210 and xxxxx\u2011x3210",
		"98765\u200b43210":                      "xxxxx\u200bx3210",
		"9876543210 9123456789":                 "xxxxxxxxxx xxxxxx6789",
		"req_98765_43210":                       "req_xxxxx_x3210",
		"98७65४3210":                            "xxxxxx3210", // two scripts, which a push would not take

		// What is no number of ten digits stays.
		"987654321":                        "987654321",
		"on 2026-11-20":                    "on 2026-11-20",
		"2026-11-20 10:30":                 "2026-11-20 10:30",
		"20.11.2026 - 21.11.2026":          "20.11.2026 - 21.11.2026",
		"from 2026-11-20 to 2026-12-31":    "from 2026-11-20 to 2026-12-31",
		"ticket 12345, row 67890":          "ticket 12345, row 67890",
		"98765x43210":                      "98765x43210",
		"9876543 of 1234567":               "9876543 of 1234567",
		"PAN ABCDE1234F, Rs 1,00,000.00":   "PAN ABCDE1234F, Rs 1,00,000.00",
		"lead_01jd7zq2m4x9v":               "lead_01jd7zq2m4x9v",
		"\xff is not UTF-8 but 9876543210": "\ufffd is not UTF-8 but xxxxxx3210",
	} {
		if got := MaskNumbers(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// However a number is written that a push takes, nobody can read it in what is
// left, and the text around it stays.
func TestMaskNumbersHidesWhatAPushTakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		written := writtenPhone(t)
		p, reason := PhonePolicy{}.Parse(written)
		if reason != ReasonNone {
			return
		}
		before := rapid.SampledFrom([]string{"", "she said: ", "number=", "é\t("}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", " is wrong", ";", ")\n"}).Draw(t, "after")
		masked := MaskNumbers(before + written + after)
		inside, ok := strings.CutPrefix(masked, before)
		inside, ok2 := strings.CutSuffix(inside, after)
		if !ok || !ok2 || utf8.RuneCountInString(inside) != utf8.RuneCountInString(written) {
			t.Fatalf("%q became %q", before+written+after, masked)
		}
		digits := 0
		for _, r := range inside {
			if classify(r) <= 9 {
				digits++
			}
		}
		if digits != 4 {
			t.Fatalf("%s, written %q, became %q with %d digits", p.National(), written, inside, digits)
		}
		if again := MaskNumbers(masked); again != masked {
			t.Fatalf("%q became %q the second time", masked, again)
		}
	})
}

func FuzzMaskNumbers(f *testing.F) {
	for _, s := range []string{"", "call 98765 43210", "2026-11-20 103045", "९८७६५४३२१०", "\xff9876543210", strings.Repeat("9", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := MaskNumbers(text)
		if again := MaskNumbers(got); again != got {
			t.Fatalf("%q became %q and then %q", text, got, again)
		}
		in, out := []rune(text), []rune(got)
		if len(in) != len(out) {
			t.Fatalf("%q became %q", text, got)
		}
		run := 0
		for i := range in {
			if in[i] != out[i] && (out[i] != 'x' || classify(in[i]) > 9) {
				t.Fatalf("%q became %q", text, got)
			}
			if run++; classify(out[i]) > 9 {
				run = 0
			}
			if run == nationalDigits {
				t.Fatalf("%q became %q, with ten digits in a row", text, got)
			}
		}
	})
}

func TestCheckReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" asked by mail \n":                   "asked by mail",
		"98765 43210 called":                  "xxxxx x3210 called",
		strings.Repeat("आ", MaxReason):        strings.Repeat("आ", MaxReason),
		"  " + strings.Repeat("x", MaxReason): strings.Repeat("x", MaxReason),
	} {
		if got, err := CheckReason("reason", text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, typ := range map[string]string{
		"":                               "value_error.missing",
		" \t\u00a0\n":                    "value_error.missing",
		strings.Repeat("आ", MaxReason+1): "value_error.any_str.max_length",
		"a\x00b":                         "value_error.nul",
	} {
		got, err := CheckReason("reason", text)
		if got != "" || err == nil || err.Type != typ || err.Loc[1] != "reason" {
			t.Errorf("%q: %q, %+v; want %s", text, got, err, typ)
		}
	}
}
