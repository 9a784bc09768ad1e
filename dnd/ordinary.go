package dnd

import "saaf"

// ordinaryRow reads a row in the form that nearly all have, in the standard order
// of columns:
//
//	13,9876543210,2#3,A,2
//	"13","9876543210","0","D","2"
//
// with a service area of one or two digits, categories of one digit, and all
// fields quoted or none. It reads no row differently from [parser.anyLine]: for
// everything else ok is false. categories has bit n for category n and is 0 for a
// full block.
func ordinaryRow(line []byte) (phone saaf.Phone, categories uint64, deletes, ok bool) {
	const shortest = len("1,9876543210,,A")
	if len(line) < shortest {
		return 0, 0, false, false
	}
	quoted := line[0] == '"'
	i := 0
	if quoted {
		i = 1
	}
	if !isDigit(line[i]) {
		return 0, 0, false, false
	}
	i++
	if isDigit(line[i]) {
		i++
	}
	if i = nextField(line, i, quoted); i < 0 || len(line)-i < 10 || line[i] == '0' {
		return 0, 0, false, false
	}
	if phone, ok = tenDigits(line[i : i+10]); !ok {
		return 0, 0, false, false
	}
	if i = nextField(line, i+10, quoted); i < 0 {
		return 0, 0, false, false
	}
	for ; i < len(line) && isDigit(line[i]); i++ {
		categories |= 1 << (line[i] - '0')
		if i+1 < len(line) && line[i+1] == '#' {
			i++
		} else if i+1 < len(line) && isDigit(line[i+1]) {
			return 0, 0, false, false
		}
	}
	if categories&(1<<fullBlock) != 0 {
		categories = 0
	}
	if i = nextField(line, i, quoted); i < 0 || i >= len(line) {
		return 0, 0, false, false
	}
	op := line[i] | 0x20 // in small letters
	if i++; quoted {
		if i >= len(line) || line[i] != '"' {
			return 0, 0, false, false
		}
		i++
	}
	return phone, categories, op == 'd', (op == 'a' || op == 'd') && ordinaryEnd(line[i:], quoted)
}

// ordinaryEnd reports whether what stands behind the opstype is nothing, or a
// phone type of one or two digits and the end of the line. Anything more could be
// another row.
func ordinaryEnd(rest []byte, quoted bool) bool {
	i := 0
	if i < len(rest) && rest[i] == ',' {
		i++
		if quoted {
			if i >= len(rest) || rest[i] != '"' {
				return false
			}
			i++
		}
		for digits := 0; i < len(rest) && isDigit(rest[i]) && digits < 2; digits++ {
			i++
		}
		if quoted {
			if i >= len(rest) || rest[i] != '"' {
				return false
			}
			i++
		}
	}
	if i < len(rest) && rest[i] == '\r' {
		i++
	}
	return i == len(rest)
}

// nextField is where the field after the one that ends at i begins, -1 when the
// one at i goes on.
func nextField(line []byte, i int, quoted bool) int {
	if !quoted {
		if i < len(line) && line[i] == ',' {
			return i + 1
		}
		return -1
	}
	if len(line)-i > 3 && line[i] == '"' && line[i+1] == ',' && line[i+2] == '"' {
		return i + 3
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// tenDigits reads exactly ten ASCII digits, eight of them at once.
func tenDigits(b []byte) (p saaf.Phone, ok bool) {
	_ = b[9]
	v := le.Uint64(b)
	// A digit is 0x30 to 0x39: its upper half is 3, and still is after adding 6.
	const upper, threes, sixes = 0xf0f0f0f0f0f0f0f0, 0x3030303030303030, 0x0606060606060606
	if v&upper != threes || (v+sixes)&upper != threes || !isDigit(b[8]) || !isDigit(b[9]) {
		return 0, false
	}
	// Neighbours are joined to numbers of two, four and eight digits; the first
	// digit is in the lowest byte.
	v = (v & 0x0f0f0f0f0f0f0f0f) * (10<<8 + 1) >> 8
	v = (v & 0x00ff00ff00ff00ff) * (100<<16 + 1) >> 16
	v = (v & 0x0000ffff0000ffff) * (10000<<32 + 1) >> 32
	return saaf.Phone(v*100 + uint64(b[8]-'0')*10 + uint64(b[9]-'0')), true
}
