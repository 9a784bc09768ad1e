package phoneblock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"saaf"
)

// MaxBody is how many bytes a block has at most. A row of SQLite without a row id that
// is larger than about a quarter of its page of 4096 bytes spills to a page of its own.
const MaxBody = 960

const (
	phoneBits  = 34 // every number of ten digits is below 1<<34
	stateBits  = 6
	cellBytes  = (phoneBits + stateBits) / 8
	phoneMask  = 1<<phoneBits - 1
	headBytes  = 4*8 + 1
	maxIDBytes = binary.MaxVarintLen64
)

// Entry is a lead as its block knows it.
type Entry struct {
	ID    saaf.LeadID
	Phone saaf.Phone // 0: the lead was removed
	State State
	at    int // where its cell lies in the block
}

// Bounds says between which times something lies, in Unix milliseconds, both ends
// included. No bounds have Min above Max.
type Bounds struct{ Min, Max int64 }

// None are the bounds of nothing.
var None = Bounds{Min: 1<<63 - 1, Max: -1 << 63}

// Add widens the bounds so that they hold ms.
func (b *Bounds) Add(ms int64) { b.Min, b.Max = min(b.Min, ms), max(b.Max, ms) }

// Empty reports whether nothing lies in them.
func (b Bounds) Empty() bool { return b.Min > b.Max }

// Head is what is known of the leads of a block without a look at each. It may say
// too much after leads have changed or gone, and never too little.
type Head struct {
	First     saaf.LeadID // the lowest id
	States    States      // that some lead has
	Created   Bounds      // of all leads
	Checked   Bounds      // of the leads with a finding of the registry, see State.Dated
	Unfounded bool        // some lead was found clean without a snapshot
}

// Block is a run of leads of one campaign in the order of their ids, packed. Leads are
// appended to the last block of a campaign alone; later a lead may change its state, or
// be removed, which leaves its place empty. The zero value is an empty block.
//
// The layout: the bounds of Head as four little-endian integers of 8 bytes and one byte
// for Unfounded; then for each lead 5 bytes little-endian, 34 bits of phone and 6 of
// state, and as an unsigned varint its id less the one before (for the first: its id).
type Block struct {
	body []byte
	last saaf.LeadID // the highest id, of removed leads too
}

var errDamaged = errors.New("the block is damaged")

// Parse reads a block from what Bytes gave. It keeps body.
func Parse(body []byte) (Block, error) {
	b := Block{body: body}
	if len(body) == 0 {
		return b, nil
	}
	if len(body) < headBytes || len(body) > MaxBody || body[headBytes-1] > 1 {
		return Block{}, errDamaged
	}
	n := 0
	for rest := body[headBytes:]; len(rest) > 0; n++ {
		if len(rest) <= cellBytes {
			return Block{}, errDamaged
		}
		cell := rest[:cellBytes]
		delta, k := binary.Uvarint(rest[cellBytes:])
		id := b.last + saaf.LeadID(delta)
		phone, state := unpack(cell)
		// An overlong varint is no damage that could be seen otherwise.
		if k <= 0 || k != uvarintLen(delta) || delta == 0 || id <= b.last || phone == 0 && state != 0 {
			return Block{}, errDamaged
		}
		b.last = id
		rest = rest[cellBytes+k:]
	}
	if n == 0 {
		return Block{}, errDamaged
	}
	return b, nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func unpack(cell []byte) (saaf.Phone, State) {
	v := uint64(binary.LittleEndian.Uint32(cell)) | uint64(cell[4])<<32
	return saaf.Phone(v & phoneMask), State(v >> phoneBits)
}

func pack(cell []byte, p saaf.Phone, s State) {
	v := uint64(p) | uint64(s)<<phoneBits
	binary.LittleEndian.PutUint32(cell, uint32(v))
	cell[4] = byte(v >> 32)
}

// Bytes is the block as it is stored, at most MaxBody of them. They are the block's own.
func (b *Block) Bytes() []byte { return b.body }

// Clone is a copy that can be changed alone.
func (b *Block) Clone() Block {
	return Block{body: append(make([]byte, 0, MaxBody), b.body...), last: b.last}
}

// Last is the highest id that was ever in the block, 0 for an empty block.
func (b *Block) Last() saaf.LeadID { return b.last }

// Addition is a lead that is new in a campaign. Times are in Unix milliseconds.
type Addition struct {
	ID        saaf.LeadID
	Phone     saaf.Phone
	State     State
	Created   int64
	Checked   int64 // when the registry was asked; used for dated findings alone
	Unfounded bool  // it was found clean without a snapshot
}

// Append adds a lead, whose id must be above [Block.Last]. It returns false, and leaves
// the block as it was, when there is no room.
func (b *Block) Append(a Addition) bool {
	if a.ID <= b.last || a.Phone == 0 || a.Phone > phoneMask || a.State > maxState {
		panic(fmt.Sprintf("phoneblock: lead %d in state %d cannot follow lead %d", a.ID, a.State, b.last))
	}
	var tail [cellBytes + maxIDBytes]byte
	pack(tail[:], a.Phone, a.State)
	n := cellBytes + binary.PutUvarint(tail[cellBytes:], uint64(a.ID-b.last))
	if len(b.body)+n > MaxBody {
		return false
	}
	if len(b.body) == 0 {
		b.body = append(b.body, make([]byte, headBytes)...)
		b.setBounds(None, None)
	}
	created, checked := b.bounds(0), b.bounds(1)
	created.Add(a.Created)
	if a.State.Dated() {
		checked.Add(a.Checked)
		if a.Unfounded && a.State.Reason().Clean() {
			b.body[headBytes-1] = 1
		}
	}
	b.setBounds(created, checked)
	b.body = append(b.body, tail[:n]...)
	b.last = a.ID
	return true
}

func (b *Block) bounds(i int) Bounds {
	at := b.body[16*i:]
	return Bounds{int64(binary.LittleEndian.Uint64(at)), int64(binary.LittleEndian.Uint64(at[8:]))}
}

func (b *Block) setBounds(list ...Bounds) {
	for i, v := range list {
		binary.LittleEndian.PutUint64(b.body[16*i:], uint64(v.Min))
		binary.LittleEndian.PutUint64(b.body[16*i+8:], uint64(v.Max))
	}
}

// Head is what is known of the leads of the block.
func (b *Block) Head() Head {
	if len(b.body) == 0 {
		return Head{Created: None, Checked: None}
	}
	h := Head{Created: b.bounds(0), Checked: b.bounds(1), Unfounded: b.body[headBytes-1] == 1}
	b.each(func(e Entry) bool {
		if h.First == 0 {
			h.First = e.ID
		}
		if e.Phone != 0 {
			h.States |= 1 << e.State
		}
		return true
	})
	return h
}

// each hands out every place of the block, also of removed leads, until fn says stop.
func (b *Block) each(fn func(Entry) bool) {
	if len(b.body) == 0 {
		return
	}
	id := saaf.LeadID(0)
	for at := headBytes; at < len(b.body); {
		e := Entry{at: at}
		e.Phone, e.State = unpack(b.body[at:])
		delta, k := binary.Uvarint(b.body[at+cellBytes:])
		id += saaf.LeadID(delta)
		e.ID = id
		if !fn(e) {
			return
		}
		at += cellBytes + k
	}
}

// Entries appends the leads of the block to list, by id; removed ones are not there.
func (b *Block) Entries(list []Entry) []Entry {
	b.each(func(e Entry) bool {
		if e.Phone != 0 {
			list = append(list, e)
		}
		return true
	})
	return list
}

// ByPhone finds the lead of the block that has the phone.
func (b *Block) ByPhone(p saaf.Phone) (found Entry, ok bool) {
	if p == 0 {
		return found, false
	}
	b.each(func(e Entry) bool {
		if e.Phone == p {
			found, ok = e, true
		}
		return !ok
	})
	return found, ok
}

// ByID finds a lead of the block.
func (b *Block) ByID(id saaf.LeadID) (found Entry, ok bool) {
	b.each(func(e Entry) bool {
		if e.ID == id {
			found, ok = e, e.Phone != 0
		}
		return e.ID < id
	})
	return found, ok
}

// Remove empties the place of a lead that ByPhone, ByID or Entries found. Its id stays
// in use: the ids behind it count from it.
func (b *Block) Remove(e Entry) { pack(b.body[e.at:], 0, 0) }

// Change is what becomes of a lead that ByPhone, ByID or Entries found.
type Change struct {
	Entry     Entry
	State     State
	Checked   int64 // when the registry was asked, in Unix milliseconds; used for dated findings alone
	Unfounded bool  // it was found clean without a snapshot
}

// Change gives leads new states.
func (b *Block) Change(list ...Change) {
	checked, unfounded := None, false
	for i := range list {
		c := &list[i]
		pack(b.body[c.Entry.at:], c.Entry.Phone, c.State)
		if c.State.Dated() {
			checked.Add(c.Checked)
			unfounded = unfounded || c.Unfounded && c.State.Reason().Clean()
		}
	}
	// Only when nobody is left whose finding is as old as it was can the bounds move on.
	b.each(func(e Entry) bool {
		if e.Phone == 0 || !e.State.Dated() || slices.ContainsFunc(list, func(c Change) bool { return c.Entry.at == e.at }) {
			return true
		}
		old := b.bounds(1)
		checked.Min, checked.Max = min(checked.Min, old.Min), max(checked.Max, old.Max)
		unfounded = unfounded || b.body[headBytes-1] == 1
		return false
	})
	b.setBounds(b.bounds(0), checked)
	b.body[headBytes-1] = 0
	if unfounded {
		b.body[headBytes-1] = 1
	}
}

// Empty reports whether no lead is left in the block.
func (b *Block) Empty() bool {
	empty := true
	b.each(func(e Entry) bool { empty = e.Phone == 0; return empty })
	return empty
}
