package saaf

import "unicode/utf8"

// MaskNumbers hides all but the last four digits of everything in text that could
// be a phone number, so that a record which is kept for years holds none: ten
// digits in a row, or ten digits of which the first is 6 to 9 with whatever
// [PhonePolicy.Parse] passes over between them, or the underscore of request ids.
func MaskNumbers(text string) string {
	if fewDigits(text) {
		return text
	}
	runes := []rune(text)
	for at := 0; at < len(runes); {
		run := digitRun(runes, at)
		if len(run) == 0 {
			at++
			continue
		}
		at = run[len(run)-1] + 1
		if isNumber(runes, run) {
			for _, i := range run[:len(run)-4] {
				runes[i] = 'x'
			}
		}
	}
	return string(runes)
}

// fewDigits reports whether text is ASCII with less digits than a number has.
func fewDigits(text string) bool {
	digits := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			return false
		case '0' <= c && c <= '9':
			digits++
		}
	}
	return digits < nationalDigits
}

// digitRun is where the digits stand that begin at a place and have nothing but
// separators between them.
func digitRun(runes []rune, at int) (places []int) {
	for ; at < len(runes); at++ {
		switch c := classify(runes[at]); {
		case c <= 9:
			places = append(places, at)
		case c != charIgnored && runes[at] != '_' || len(places) == 0:
			return places
		}
	}
	return places
}

func isNumber(runes []rune, run []int) bool {
	for i := 0; i+nationalDigits <= len(run); i++ {
		last := run[i+nationalDigits-1]
		if classify(runes[run[i]]) >= 6 || last-run[i] == nationalDigits-1 {
			return true
		}
	}
	return false
}
