package dnd

import (
	"cmp"
	"iter"
	"math/bits"
	"strconv"
)

// Categories is a set of preference categories, 0 to 99. A person who chose some
// is partially blocked; the empty set stands for the full block.
type Categories struct {
	low, high uint64 // categories 0 to 63, and 64 to 99
}

const (
	maxCategory = 99
	fullBlock   = 0 // the category that blocks everything, whatever stands beside it
)

// ParseCategories reads the preferences of a registry row: "0", nothing, or
// categories separated by "#" as in "2#3#". Empty segments are passed over,
// unknown categories are kept. The set is empty, a full block, when it holds 0 or
// nothing. ok is false for anything else, which a reader takes as a full block.
func ParseCategories(text []byte) (c Categories, ok bool) {
	full := false
	for start, i := 0, 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '#' {
			continue
		}
		n, empty, ok := category(text[start:i])
		switch {
		case !ok:
			return Categories{}, false
		case empty:
		case n == fullBlock:
			full = true
		default:
			c = c.with(n)
		}
		start = i + 1
	}
	if full {
		return Categories{}, true
	}
	return c, true
}

// category reads one segment: one or two digits, blanks around them, or nothing.
func category(text []byte) (n int, empty, ok bool) {
	text = trim(text)
	if len(text) > 2 {
		return 0, false, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(text) == 0, true
}

// with is c and the category n.
func (c Categories) with(n int) Categories {
	if n < 64 {
		c.low |= 1 << n
	} else {
		c.high |= 1 << (n - 64)
	}
	return c
}

// union is what c and d hold together.
func (c Categories) union(d Categories) Categories {
	return Categories{c.low | d.low, c.high | d.high}
}

// compare orders sets as numbers of 128 bits.
func (c Categories) compare(d Categories) int {
	return cmp.Or(cmp.Compare(c.high, d.high), cmp.Compare(c.low, d.low))
}

// Empty reports whether the set is empty, as it is for a full block.
func (c Categories) Empty() bool { return c == Categories{} }

// Has reports whether category n, 0 to 99, is in the set.
func (c Categories) Has(n int) bool {
	switch {
	case n < 0 || n > maxCategory:
		return false
	case n < 64:
		return c.low>>n&1 != 0
	default:
		return c.high>>(n-64)&1 != 0
	}
}

// All yields the categories in ascending order.
func (c Categories) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range [2]uint64{c.low, c.high} {
			for ; word != 0; word &= word - 1 {
				if !yield(64*i + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// String is the set as a registry row has it: "2#3#7", or "0" for a full block.
func (c Categories) String() string {
	if c.Empty() {
		return "0"
	}
	var text []byte
	for n := range c.All() {
		if len(text) > 0 {
			text = append(text, '#')
		}
		text = strconv.AppendInt(text, int64(n), 10)
	}
	return string(text)
}

// MarshalText writes the set as [Categories.String] does.
func (c Categories) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
