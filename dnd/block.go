package dnd

import (
	"math/bits"
	"sort"
)

// block is the part of a snapshot file that belongs to one head. Its slices are
// the mapped file itself: whoever holds one keeps the Snapshot alive.
type block struct {
	bits     []byte
	ranks    []byte // nil when no number of the head has categories
	codes    []byte // exactly one for each active number
	overflow []byte
}

// newBlock cuts the block of a head with the given counts out of data, which
// begins with it.
func newBlock(data []byte, c headCounts) (b block) {
	if c.active == 0 {
		return b
	}
	b.bits, data = data[:bitmapSize:bitmapSize], data[bitmapSize:]
	if c.partial == 0 {
		return b
	}
	b.ranks, data = data[:ranksSize:ranksSize], data[ranksSize:]
	b.codes, data = data[:c.active:c.active], data[filled(int64(c.active)):]
	b.overflow = data[: 4*c.overflow : 4*c.overflow]
	return b
}

// listed reports whether n is active.
func (b *block) listed(n uint32) bool { return b.bits != nil && b.bits[n/8]>>(n%8)&1 != 0 }

// rank is how many active numbers stand before n in the block.
func (b *block) rank(n uint32) uint32 {
	r := le.Uint64(b.ranks[n/rankGroup*8:])
	part := n % rankGroup / rankPart
	// Shifted up by one count, the first part finds the 0 that is not stored.
	before := r>>rankBefore + r<<rankBits>>(part*rankBits)&(1<<rankBits-1)
	count := uint32(before)
	word, last := n/rankPart*(rankPart/8), n/64*8
	for ; word < last; word += 8 {
		count += uint32(bits.OnesCount64(le.Uint64(b.bits[word:])))
	}
	return count + uint32(bits.OnesCount64(le.Uint64(b.bits[last:])&(1<<(n%64)-1)))
}

// set is the place in the dictionary of the active number n, 0 for a full block.
// Damage that the checksums of the header do not cover can only make the answer
// stricter.
func (b *block) set(n uint32) uint16 {
	if b.ranks == nil {
		return 0
	}
	i := b.rank(n)
	if i >= uint32(len(b.codes)) {
		return 0
	}
	if code := b.codes[i]; code != codeBeyond {
		return uint16(code)
	}
	return b.beyond(n)
}

// beyond looks n up in the overflow list.
func (b *block) beyond(n uint32) uint16 {
	count := len(b.overflow) / 4
	i := sort.Search(count, func(i int) bool { return le.Uint32(b.overflow[4*i:])>>setBits >= n })
	if i == count {
		return 0
	}
	p := placed(le.Uint32(b.overflow[4*i:]))
	if p.number() != n {
		return 0
	}
	return p.set()
}

// placed is a number within a block and the place of its category set, or the id
// that the set has while a file is built.
type placed uint32

func place(n uint32, set uint16) placed { return placed(n<<setBits | uint32(set)) }

func (p placed) number() uint32 { return uint32(p) >> setBits }
func (p placed) set() uint16    { return uint16(p & maxSets) }
