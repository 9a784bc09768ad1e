package phoneblock

import (
	"fmt"
	"math/bits"

	"saaf"
)

// Table says in which block of a campaign a phone is. It is exact: there are no false
// answers, and no two phones share a place. It takes 10 to 12 bytes a phone, without
// pointers, so that the garbage collector does not look into it. It is not safe for
// concurrent use.
//
// A phone is turned into another number of 34 bits by an odd factor, which no two phones
// share. Its upper bits choose a shard, its lower 32 are kept beside the block, in a
// table with open addresses and linear probing. A table that grows does so a shard at a time.
type Table struct {
	shards    []shard
	shardBits uint
	n         int
	slots     int // of all shards
}

type shard struct {
	slots []uint64 // the lower 32 bits of the mixed phone << 32 | block; block 0: free
	n     int
}

const (
	fewShardBits  = 2 // 34 bits less those that a slot keeps: less would not be exact
	manyShardBits = 8
	manyFrom      = 64_000 // phones, from which the many shards are used
	mixFactor     = 0x2_7F4A_7C15
	unmixFactor   = 0x9937733d // the inverse of mixFactor modulo 1<<34
	spread        = 0x9E37_79B1
)

// NewTable makes a table for about hint phones; it grows as it must.
func NewTable(hint int) *Table {
	t := &Table{shardBits: fewShardBits}
	if hint >= manyFrom {
		t.shardBits = manyShardBits
	}
	t.shards = make([]shard, 1<<t.shardBits)
	for i := range t.shards {
		t.shards[i].slots = make([]uint64, slotsFor(hint>>t.shardBits))
		t.slots += len(t.shards[i].slots)
	}
	return t
}

// slotsFor is how many slots n phones want: the load stays under four fifths.
func slotsFor(n int) int { return n + n/3 + 8 }

// Len is how many phones are in the table.
func (t *Table) Len() int { return t.n }

// Bytes is the memory the table takes.
func (t *Table) Bytes() int64 { return int64(8*t.slots + 32*len(t.shards)) }

// Equal reports whether two tables say the same.
func (t *Table) Equal(other *Table) bool {
	if t.n != other.n {
		return false
	}
	for i := range t.shards {
		for _, v := range t.shards[i].slots {
			if uint32(v) != 0 && other.Block(t.phone(i, uint32(v>>32))) != uint32(v) {
				return false
			}
		}
	}
	return true
}

// phone is what place has mixed.
func (t *Table) phone(shard int, key uint32) saaf.Phone {
	mixed := uint64(shard)<<(phoneBits-t.shardBits) | uint64(key)
	return saaf.Phone(mixed * unmixFactor & phoneMask)
}

// place is the shard of a phone, and what the shard keeps of it.
func (t *Table) place(p saaf.Phone) (*shard, uint32) {
	mixed := uint64(p) * mixFactor & phoneMask
	return &t.shards[mixed>>(phoneBits-t.shardBits)], uint32(mixed)
}

// home is the slot where the search for a key begins.
func (s *shard) home(key uint32) int {
	hi, _ := bits.Mul64(uint64(key*spread)<<32, uint64(len(s.slots)))
	return int(hi)
}

// find is the slot of a key, or the free one where it would go.
func (s *shard) find(key uint32) (slot int, found bool) {
	for i := s.home(key); ; {
		v := s.slots[i]
		if uint32(v) == 0 {
			return i, false
		}
		if uint32(v>>32) == key {
			return i, true
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// Block is the block that holds the phone, 0 when none does.
func (t *Table) Block(p saaf.Phone) uint32 {
	s, key := t.place(p)
	i, found := s.find(key)
	if !found {
		return 0
	}
	return uint32(s.slots[i])
}

// Put enters a phone with its block, which is not 0. A phone that is there already is
// refused: it is in the campaign twice.
func (t *Table) Put(p saaf.Phone, block uint32) error {
	if block == 0 || p == 0 || p > phoneMask {
		return fmt.Errorf("phoneblock: block %d cannot hold that phone", block)
	}
	if t.shardBits == fewShardBits && t.n >= manyFrom {
		t.split()
	}
	s, key := t.place(p)
	if i, found := s.find(key); found {
		return &TwiceError{Blocks: [2]uint32{uint32(s.slots[i]), block}}
	}
	if 5*(s.n+1) > 4*len(s.slots) {
		t.slots += s.grow()
	}
	i, _ := s.find(key)
	s.slots[i] = uint64(key)<<32 | uint64(block)
	s.n++
	t.n++
	return nil
}

// TwiceError says that a phone is in two blocks, or twice in one.
type TwiceError struct{ Blocks [2]uint32 }

func (e *TwiceError) Error() string {
	return fmt.Sprintf("a phone is twice in the campaign, in blocks %d and %d", e.Blocks[0], e.Blocks[1])
}

// grow makes room in the shard and returns for how many more slots.
func (s *shard) grow() (more int) {
	old := s.slots
	s.slots = make([]uint64, len(old)+len(old)/4+8)
	for _, v := range old {
		if uint32(v) != 0 {
			i, _ := s.find(uint32(v >> 32))
			s.slots[i] = v
		}
	}
	return len(s.slots) - len(old)
}

// split moves the phones of a small table into the many shards of a large one.
func (t *Table) split() {
	large := NewTable(max(t.n, manyFrom))
	for i := range t.shards {
		for _, v := range t.shards[i].slots {
			if uint32(v) == 0 {
				continue
			}
			mixed := uint64(i)<<(phoneBits-fewShardBits) | v>>32
			s := &large.shards[mixed>>(phoneBits-manyShardBits)]
			if 5*(s.n+1) > 4*len(s.slots) {
				large.slots += s.grow()
			}
			slot, _ := s.find(uint32(mixed))
			s.slots[slot] = v
			s.n++
		}
	}
	large.n = t.n
	*t = *large
}

// Delete takes a phone out. One that is not there is no matter.
func (t *Table) Delete(p saaf.Phone) {
	s, key := t.place(p)
	i, found := s.find(key)
	if !found {
		return
	}
	// Those behind it move up, as far as their home allows: no marks are left, and a
	// search ends at the first free slot as before.
	for j := i; ; {
		if j++; j == len(s.slots) {
			j = 0
		}
		v := s.slots[j]
		if uint32(v) == 0 {
			break
		}
		if home := s.home(uint32(v >> 32)); between(i, home, j) {
			continue
		}
		s.slots[i] = v
		i = j
	}
	s.slots[i] = 0
	s.n--
	t.n--
}

// between reports whether home lies behind slot i, up to slot j, going round.
func between(i, home, j int) bool {
	if i < j {
		return i < home && home <= j
	}
	return i < home || home <= j
}
