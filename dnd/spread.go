package dnd

import "math/bits"

// headWords is how many words of 64 bits hold a bit for each number of a head.
const headWords = headSpan / 64

// bitmap has bit n%64 of word n/64 for the number n of a head.
type bitmap = [headWords]uint64

// spread is the numbers of one head, spread out so that each is found by its
// place.
type spread struct {
	bits bitmap
	// ids are the ids of the category sets of numbers that are listed; what stands
	// at others means nothing. Without partial nothing here means anything: all
	// listed numbers are fully blocked then.
	ids     [headSpan]uint16
	partial bool
}

func (s *spread) listed(n uint32) bool { return s.bits[n/64]>>(n%64)&1 != 0 }

// set is the id of the set of a listed number.
func (s *spread) set(n uint32) uint16 {
	if s.partial {
		return s.ids[n]
	}
	return 0
}

// begin makes the spread partial, with full blocks alone.
func (s *spread) begin() {
	if !s.partial {
		s.partial = true
		clear(s.ids[:])
	}
}

// list makes n a listed number with the set.
func (s *spread) list(n uint32, set uint16) {
	s.bits[n/64] |= 1 << (n % 64)
	if set != 0 {
		s.begin()
	}
	if s.partial {
		s.ids[n] = set
	}
}

// clear takes all numbers out.
func (s *spread) clear() {
	clear(s.bits[:])
	s.partial = false
}

func (s *spread) remove(n uint32) { s.bits[n/64] &^= 1 << (n % 64) }

// count counts the listed numbers, those of them with categories, and for each
// set how many have it.
func (s *spread) count(uses *setUses) (c headCounts) {
	c.active = s.bitCount()
	if !s.partial {
		return c
	}
	full := uses[0]
	for i, word := range s.bits {
		for ; word != 0; word &= word - 1 {
			uses[s.ids[64*i+bits.TrailingZeros64(word)]]++
		}
	}
	c.partial = c.active - uint32(uses[0]-full)
	return c
}

func (s *spread) bitCount() (n uint32) {
	for _, word := range s.bits {
		n += uint32(bits.OnesCount64(word))
	}
	return n
}

// spread spreads the numbers of the block out, with places as ids.
func (b *block) spread(to *spread) {
	to.partial = b.ranks != nil
	if b.bits == nil {
		clear(to.bits[:])
		return
	}
	for i := range to.bits {
		to.bits[i] = le.Uint64(b.bits[8*i:])
	}
	if !to.partial {
		return
	}
	codes := b.codes
	for i, word := range to.bits {
		for ; word != 0; word &= word - 1 {
			n := uint32(64*i + bits.TrailingZeros64(word))
			switch {
			case len(codes) == 0: // more bits than codes: damage
				to.ids[n] = 0
				continue
			case codes[0] == codeBeyond:
				to.ids[n] = b.beyond(n)
			default:
				to.ids[n] = uint16(codes[0])
			}
			codes = codes[1:]
		}
	}
}
