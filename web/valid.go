package web

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// behindNested is the index behind the object or array at i, -1 when that is not JSON as
// RFC 8259 has it. There is no limit to the nesting, where encoding/json gives a whole
// body up at 10,000 levels: one lead that is nested too deep must not cost the others of
// its request. open is memory to work in: the bracket that closes each object and array
// around i. What it has grown to is returned.
func behindNested(b []byte, i int, open []byte) (int, []byte) {
	for i < len(b) {
		switch c := b[i]; c {
		case '{':
			if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
				i++
				break
			}
			if i = behindName(b, i); i < 0 {
				return -1, open
			}
			open = append(open, '}')
			continue
		case '[':
			if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
				i++
				break
			}
			open = append(open, ']')
			continue
		default:
			if i = behindScalar(b, i); i < 0 {
				return -1, open
			}
		}
		if i, open = behindValue(b, i, open); i < 0 || len(open) == 0 {
			return i, open
		}
	}
	return -1, open
}

// behindValue closes what ends at i and goes on to the next value, or behind the last
// bracket when nothing is open any more. i is -1 when there is neither.
func behindValue(b []byte, i int, open []byte) (int, []byte) {
	for len(open) > 0 {
		if i = skipSpace(b, i); i == len(b) {
			return -1, open
		}
		closing := open[len(open)-1]
		switch b[i] {
		case closing:
			i++
			open = open[:len(open)-1]
		case ',':
			if i = skipSpace(b, i+1); closing == '}' {
				i = behindName(b, i)
			}
			return i, open
		default:
			return -1, open
		}
	}
	return i, open
}

// behindName is where the value of the member begins whose name begins at i, -1
// when there is no name and colon.
func behindName(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i, _ = behindString(b, i); i < 0 {
		return -1
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

// behindScalar is the index behind the string, number or word at i, -1 when there
// is none.
func behindScalar(b []byte, i int) int {
	switch b[i] {
	case '"':
		i, _ = behindString(b, i)
		return i
	case 't':
		return behindWord(b, i, "true")
	case 'f':
		return behindWord(b, i, "false")
	case 'n':
		return behindWord(b, i, "null")
	}
	return behindNumber(b, i)
}

func behindWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// behindString is the index behind the string that begins at i, and whether it is plain:
// without escapes. It is -1 for one that does not end, or holds what must be escaped, a
// wrong escape, or what is no UTF-8. Eight bytes are looked at together as long as they
// are ordinary.
func behindString(b []byte, i int) (end int, plain bool) {
	plain = true
	for i++; ; {
		for i+8 <= len(b) {
			marks := extraordinary(binary.LittleEndian.Uint64(b[i:]))
			if marks != 0 {
				i += bits.TrailingZeros64(marks) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1, false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, plain
		case c == '\\':
			plain = false
			if i = behindEscape(b, i); i < 0 {
				return -1, false
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return -1, false
			}
			i += n
		case c < ' ':
			return -1, false
		default:
			i++
		}
	}
}

// extraordinary has the highest bit set in the first byte of eight that a string must
// stop at: a quote, a backslash, a control character, or one beyond ASCII. Bytes behind
// that one may be marked for nothing.
func extraordinary(eight uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	// Of a byte below 0x80 a subtraction sets the bit when it goes below zero.
	return (eight | (eight - ones*' ') | ((eight ^ ones*'"') - ones) | ((eight ^ ones*'\\') - ones)) & highs
}

// behindEscape is the index behind the escape at i, -1 when it is none.
func behindEscape(b []byte, i int) int {
	if i++; i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i <= 4 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if !isHex(c) {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func behindNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = behindDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = behindDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return behindDigits(b, i)
	}
	return i
}

// behindDigits is the index behind one digit or more, -1 when there is none.
func behindDigits(b []byte, i int) int {
	from := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i == from {
		return -1
	}
	return i
}
