package web

// valid reports whether b is exactly one JSON value as RFC 8259 has it, with white
// space around it. It differs from json.Valid in one thing: there is no limit to
// the nesting, where that one gives a whole body up at 10,000 levels. One lead
// that is nested too deep must not cost the others of its request.
func valid(b []byte) bool {
	var open []byte // the bracket that closes each object and array around i
	for i := skipSpace(b, 0); ; {
		switch {
		case i >= len(b):
			return false
		case b[i] == '{':
			if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
				i++
				break
			}
			if i = behindName(b, i); i < 0 {
				return false
			}
			open = append(open, '}')
			continue
		case b[i] == '[':
			if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
				i++
				break
			}
			open = append(open, ']')
			continue
		default:
			if i = behindScalar(b, i); i < 0 {
				return false
			}
		}
		if i, open = behindValue(b, i, open); i < 0 {
			return false
		}
		if len(open) == 0 {
			return i == len(b)
		}
	}
}

// behindValue closes what ends at i and goes on to the next value, or to the end
// when nothing is open any more. i is -1 when there is neither.
func behindValue(b []byte, i int, open []byte) (int, []byte) {
	for {
		i = skipSpace(b, i)
		if len(open) == 0 {
			return i, open
		}
		if i >= len(b) {
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
}

// behindName is where the value of the member begins whose name begins at i, -1
// when there is no name and colon.
func behindName(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = behindString(b, i); i < 0 {
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
		return behindString(b, i)
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

func behindString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for end := i + 4; i < end; {
					if i++; i >= len(b) || !isHex(b[i]) {
						return -1
					}
				}
			default:
				return -1
			}
		}
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
