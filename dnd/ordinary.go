package dnd

import "saaf"

// ordinaryRow reads the row at the beginning of text in the form that nearly all
// have, in the standard order of columns:
//
//	13,9876543210,2#3,A,2
//	"13","9876543210","0","D","2"
//
// with a service area of one or two digits, categories of one digit, and all
// fields quoted or none. length is that of the line with its end, if it has one.
// It reads no row differently from [parser.anyLine]: for everything else length is
// 0. categories has bit n for category n and is 0 for a full block. That it need
// not know where the line ends saves looking for the end first.
func ordinaryRow(text []byte) (phone saaf.Phone, categories uint64, deletes bool, length int) {
	if phone, deletes, ok := usualRow(text); ok {
		return phone, 0, deletes, usualLength
	}
	const shortest = len("1,9876543210,,A")
	if len(text) < shortest {
		return 0, 0, false, 0
	}
	quoted := text[0] == '"'
	i := 1
	if quoted {
		i = 2
	}
	if !isDigit(text[i-1]) {
		return 0, 0, false, 0
	}
	if isDigit(text[i]) {
		i++
	}
	if i = nextField(text, i, quoted); i < 0 || len(text)-i < 10 || text[i] == '0' {
		return 0, 0, false, 0
	}
	phone, ok := tenDigits(text[i : i+10])
	if !ok {
		return 0, 0, false, 0
	}
	if i = nextField(text, i+10, quoted); i < 0 {
		return 0, 0, false, 0
	}
	for ; i < len(text) && isDigit(text[i]); i++ {
		categories |= 1 << (text[i] - '0')
		if i+1 < len(text) && text[i+1] == '#' {
			i++
		} else if i+1 < len(text) && isDigit(text[i+1]) {
			return 0, 0, false, 0
		}
	}
	if categories&(1<<fullBlock) != 0 {
		categories = 0
	}
	if i = nextField(text, i, quoted); i < 0 || i >= len(text) {
		return 0, 0, false, 0
	}
	op := text[i] | 0x20 // in small letters
	if op != 'a' && op != 'd' {
		return 0, 0, false, 0
	}
	if i++; quoted {
		if i >= len(text) || text[i] != '"' {
			return 0, 0, false, 0
		}
		i++
	}
	if i = ordinaryEnd(text, i, quoted); i > maxLine {
		return 0, 0, false, 0
	}
	return phone, categories, op == 'd', i
}

const usualLength = len("13,9876543210,0,A,2\n")

// usualRow reads the one form of a row that most files are full of, by words
// instead of bytes. It takes half the time.
func usualRow(text []byte) (phone saaf.Phone, deletes, ok bool) {
	const (
		any      = 0xff << 40             // the phone type, which is looked at below
		adds     = 0x0a_00_2c_41_2c_30_2c // ",0,A,?\n" from the lowest byte
		deleting = 0x0a_00_2c_44_2c_30_2c
	)
	if len(text) <= usualLength {
		return 0, false, false
	}
	end := le.Uint64(text[13:]) << 8 >> 8 &^ any
	if end != adds && end != deleting {
		return 0, false, false
	}
	phone, ok = tenDigits(text[3:13])
	ok = ok && text[3] != '0' && text[2] == ',' && isDigit(text[0]) && isDigit(text[1]) && isDigit(text[18])
	return phone, end == deleting, ok
}

// ordinaryEnd is where the line after this one begins when what stands behind the
// opstype, from i on, is nothing, or a phone type of one or two digits and the end
// of the line. It is 0 otherwise: anything more could be another row.
func ordinaryEnd(text []byte, i int, quoted bool) int {
	if i < len(text) && text[i] == ',' {
		i++
		if quoted {
			if i >= len(text) || text[i] != '"' {
				return 0
			}
			i++
		}
		for digits := 0; i < len(text) && isDigit(text[i]) && digits < 2; digits++ {
			i++
		}
		if quoted {
			if i >= len(text) || text[i] != '"' {
				return 0
			}
			i++
		}
	}
	if i < len(text) && text[i] == '\r' {
		i++
	}
	switch {
	case i == len(text):
		return i
	case text[i] == '\n':
		return i + 1
	}
	return 0
}

// nextField is where the field after the one that ends at i begins, -1 when the
// one at i goes on.
func nextField(text []byte, i int, quoted bool) int {
	if !quoted {
		if i < len(text) && text[i] == ',' {
			return i + 1
		}
		return -1
	}
	if len(text)-i > 3 && text[i] == '"' && text[i+1] == ',' && text[i+2] == '"' {
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
