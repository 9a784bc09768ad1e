package web

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped is where the first escape of the inside of a string stands, -1 without any.
func escaped(inner []byte) int { return bytes.IndexByte(inner, '\\') }

// appendUnescaped appends what the inside of a checked string says; halves of
// surrogate pairs become U+FFFD.
func appendUnescaped(dst, inner []byte) []byte {
	for {
		at := escaped(inner)
		if at < 0 {
			return append(dst, inner...)
		}
		dst = append(dst, inner[:at]...)
		c := inner[at+1]
		inner = inner[at+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(inner)
			inner = inner[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(inner) >= 6 && inner[0] == '\\' && inner[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(inner[2:]))
				}
				if r = pair; r != utf8.RuneError {
					inner = inner[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// hex4 is the number that four hexadecimal digits make.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
