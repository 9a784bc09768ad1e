package dnd

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"

	"saaf"
)

// SyntheticConfig says what made-up registry there is to be. The zero value of a
// share is none.
type SyntheticConfig struct {
	Numbers     int64   // rows of the full set, each of another number: 1 to 4,000,000,000, or 1,000,000,000 when clustered
	Seed        uint64  // another seed, another registry
	Deleted     float64 // share of D rows in the full set, 0 to 1
	Preferences float64 // share of rows with a list of categories, 0 to 1; all others have "0"
	// Uniform spreads the numbers evenly over 6000000000 to 9999999999, as wide as a
	// registry can be. Otherwise they fill blocks of 100,000 numbers that begin with
	// 6 to a quarter, and to more when there are more numbers than that.
	Uniform bool
}

// Synthetic is a registry of made-up numbers, for demonstrations, tests and
// measurements. No range of Indian mobile numbers is kept free for such use, so that
// a number in it may by chance be somebody's: it says nothing about anybody.
//
// It is a numbering of the numbers: 0 to Numbers-1 are the full set, in no visible
// order, and a [SyntheticDelta] adds what follows. Both directions are computed, so
// that a registry of any size takes 3 MB, and everybody who knows the config knows
// what is listed. A Synthetic does not change and may be used by many goroutines.
type Synthetic struct {
	SyntheticConfig
	blocks   []syntheticBlock // in the order in which numbers are dealt to them
	dealt    []int32          // for each head from firstBlock on its place in blocks, -1 without
	suffixes []uint32         // the numbers within a block, shuffled
	places   []uint32         // where in suffixes a number is
	key      uint64           // of the hash over numbers

	deletedBelow, preferencesBelow uint64 // the shares, of 1 << 32
}

const (
	blockSpan   = 100_000 // numbers that share their first five digits
	firstBlock  = 60_000  // 6000000000, the first mobile number
	afterBlocks = 100_000
	// The numbers of a quarter of all mobile subscribers are registered.
	clusterFill = blockSpan / 4
	afterSix    = 70_000 // clusters are before it
	areas       = 23
)

// syntheticBlock is 100,000 numbers that begin alike.
type syntheticBlock struct {
	head  uint32 // the first five digits
	start uint32 // where in the shuffled suffixes its first number is
	area  uint8  // service area code, 1 to 23
}

// NewSynthetic returns the registry of the config, or a [saaf.Error] with the word
// "invalid".
func NewSynthetic(c SyntheticConfig) (*Synthetic, error) {
	heads := afterSix - firstBlock
	if c.Uniform {
		heads = afterBlocks - firstBlock
	}
	if room := int64(heads) * blockSpan; c.Numbers < 1 || c.Numbers > room {
		return nil, invalidSynthetic("A synthetic registry has 1 to %s numbers of this spread.", grouped(room))
	}
	for _, share := range []float64{c.Deleted, c.Preferences} {
		if !isShare(share) {
			return nil, invalidSynthetic("A share is a number from 0 to 1.")
		}
	}
	s := &Synthetic{
		SyntheticConfig:  c,
		dealt:            make([]int32, afterBlocks-firstBlock),
		suffixes:         make([]uint32, blockSpan),
		places:           make([]uint32, blockSpan),
		deletedBelow:     uint64(math.Round(c.Deleted * (1 << 32))),
		preferencesBelow: uint64(math.Round(c.Preferences * (1 << 32))),
	}
	random := rand.NewPCG(c.Seed, 0x73616166)
	s.key = random.Uint64()
	for i := range s.suffixes {
		s.suffixes[i] = uint32(i)
	}
	shuffle(random, s.suffixes)
	for place, suffix := range s.suffixes {
		s.places[suffix] = uint32(place)
	}
	s.deal(random, heads)
	return s, nil
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

func invalidSynthetic(format string, args ...any) error {
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Message: fmt.Sprintf(format, args...)}
}

// deal chooses the blocks, out of the first heads.
func (s *Synthetic) deal(random *rand.PCG, heads int) {
	order := make([]uint32, heads)
	for i := range order {
		order[i] = uint32(i)
	}
	shuffle(random, order)
	if !s.Uniform {
		order = order[:min(int64(heads), (s.Numbers+clusterFill-1)/clusterFill)]
	}
	for i := range s.dealt {
		s.dealt[i] = -1
	}
	s.blocks = make([]syntheticBlock, len(order))
	for i, at := range order {
		s.dealt[at] = int32(i)
		s.blocks[i] = syntheticBlock{
			head:  firstBlock + at,
			start: uint32(below(random, blockSpan)),
			area:  uint8(1 + below(random, areas)),
		}
	}
}

// shuffle is written out, and not taken from a library, because what a seed means
// must not change with the compiler.
func shuffle(random *rand.PCG, list []uint32) {
	for i := len(list) - 1; i > 0; i-- {
		j := below(random, uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
}

// below is a number from 0 to n-1.
func below(random *rand.PCG, n uint64) uint64 {
	high, _ := bits.Mul64(random.Uint64(), n)
	return high
}

// Capacity is how many numbers there are to deal: those of the full set, and those
// that deltas can add.
func (s *Synthetic) Capacity() int64 { return int64(len(s.blocks)) * blockSpan }

// Number is number i, from 0 to Capacity()-1; it panics beyond. No two are equal.
// Those below Numbers are the rows of the full set in their order, unless they are
// written in ascending order.
func (s *Synthetic) Number(i int64) saaf.Phone {
	n := int64(len(s.blocks))
	b := &s.blocks[i%n]
	if i >= s.Capacity() {
		panic("dnd: a synthetic number beyond the capacity")
	}
	return b.number(s.suffix(b, i/n))
}

// suffix is the number within a block that it gets at its turn, 0 to 99,999.
func (s *Synthetic) suffix(b *syntheticBlock, turn int64) uint32 {
	at := b.start + uint32(turn)
	if at >= blockSpan {
		at -= blockSpan
	}
	return s.suffixes[at]
}

func (b *syntheticBlock) number(suffix uint32) saaf.Phone {
	return saaf.Phone(int64(b.head)*blockSpan + int64(suffix))
}

// Index is the i that [Synthetic.Number] makes p of. ok is false when there is none.
func (s *Synthetic) Index(p saaf.Phone) (i int64, ok bool) {
	head, suffix := int64(p)/blockSpan, int64(p)%blockSpan
	if head < firstBlock || head >= afterBlocks {
		return 0, false
	}
	at := s.dealt[head-firstBlock]
	if at < 0 {
		return 0, false
	}
	turn := int64(s.places[suffix]) - int64(s.blocks[at].start)
	if turn < 0 {
		turn += blockSpan
	}
	return turn*int64(len(s.blocks)) + int64(at), true
}

// Entry is what a snapshot of the full set has for p.
func (s *Synthetic) Entry(p saaf.Phone) Entry {
	i, ok := s.Index(p)
	if k := s.kind(p); ok && i < s.Numbers && !k.deleted() {
		return Entry{Listed: true, Categories: k.categories()}
	}
	return Entry{}
}

// rowKind is what stands in a row beside the number: categories 1 to 8 in bits 0 to
// 7, none for a full block, and bit 8 for D.
type rowKind uint32

const (
	kindDeleted rowKind = 1 << 8
	rowKinds            = 2 * kindDeleted
)

func (k rowKind) deleted() bool          { return k&kindDeleted != 0 }
func (k rowKind) categories() Categories { return Categories{low: uint64(k&0xff) << 1} }

// kind decides by a hash of the number, so that it is the same in whatever order
// numbers are asked for. What people who choose leave open is little: three of four
// categories are in a list.
func (s *Synthetic) kind(p saaf.Phone) rowKind {
	h := mix(uint64(p) ^ s.key)
	var k rowKind
	if h>>32 < s.preferencesBelow {
		list := h * 0x9e3779b97f4a7c15 >> 48
		k = max(1, rowKind(list>>8|list&0xff))
	}
	if h&math.MaxUint32 < s.deletedBelow {
		k |= kindDeleted
	}
	return k
}

// mix is the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
