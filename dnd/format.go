package dnd

import (
	"encoding/binary"
	"hash/crc32"

	"saaf"
)

// A snapshot file holds the active numbers of the registry at one date. It is
// written once and never changed, and what it holds decides its bytes: the same
// numbers, categories and date give the same file whatever they were read from.
// All integers are little endian; every part begins at a multiple of 8 bytes.
//
//	header       4,096   magic, version, date, counts, checksums (below)
//	directory  120,000   for each of the 10,000 four-digit heads 0000 to 9999 three
//	                     uint32: active numbers, of these with categories, of
//	                     these in the overflow list
//	dictionary 24 each   category sets, most used first, equal ones in ascending
//	                     order: categories 0 to 63 and 64 to 99 as two uint64 with
//	                     bit n for category n, then how many numbers have the set
//	blocks               one for each head that has active numbers, in order
//
// The block of a head begins with a bitmap of its 1,000,000 numbers, bit n%8 of
// byte n/8 for the number that ends in n: set means active. When some of them
// have categories, three parts follow, each filled up to 8 bytes:
//
//	ranks      1,960   a uint64 for each 4,096 numbers: the active numbers of the
//	                   block before them (bits 36 to 55), and among them the active
//	                   ones before the second, third and fourth 1,024 (bits 0, 12, 24)
//	codes      a byte for each active number, in ascending order: 0 is a full
//	           block, 1 to 254 a place in the dictionary (the first is 1), and 255
//	           a number whose set is in the overflow list
//	overflow   a uint32 for each such number, ascending: the number within the
//	           block in the upper 20 bits, the place in the dictionary below
//
// So a number costs one load, a block without categories costs nothing beyond its
// bits, and the categories of a number cost one rank and at most 16 popcounts.
// Where blocks begin is not stored: it follows from the directory.
const (
	numHeads      = 10_000
	headSpan      = 1_000_000 // numbers that share a head
	headerSize    = 4096
	headSize      = 12 // of a directory entry
	directorySize = numHeads * headSize
	setSize       = 24 // of a dictionary entry
	bitmapSize    = headSpan / 8

	rankGroup  = 4096 // numbers for each rank
	rankPart   = 1024 // numbers for each count inside a rank
	ranksSize  = (headSpan + rankGroup - 1) / rankGroup * 8
	rankBits   = 12             // of a count inside a rank
	rankBefore = 3 * rankBits   // where the count before the group begins
	setBits    = 12             // of a place in the dictionary
	maxSets    = 1<<setBits - 1 // places are 1 to 4,095
	maxCode    = 254            // the last place that fits into a code
	codeBeyond = maxCode + 1    // the code of the overflow list
	minFile    = headerSize + directorySize
)

const (
	magic   = "saaf-dnd"
	version = 1
)

// Offsets in the header. The rest is zero.
const (
	atVersion = 8    // uint32
	atDate    = 12   // int32, days since 1970-01-01 IST
	atBytes   = 16   // uint64, length of the file
	atNumbers = 24   // uint64, active numbers
	atPartial = 32   // uint64, of these with categories
	atHeads   = 40   // uint32, blocks
	atSets    = 44   // uint32, dictionary entries
	atTables  = 48   // uint32, CRC-32C of directory and dictionary
	atZero    = 52   // a byte without a bit, for numbers that have none
	atCheck   = 4092 // uint32, CRC-32C of the header before it
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Info is what a snapshot says about itself.
type Info struct {
	EffectiveDate saaf.Date `json:"effective_date"`   // the day the registry had this content
	Numbers       int64     `json:"numbers"`          // active numbers
	Partial       int64     `json:"partial"`          // of these with a list of categories
	Heads         int       `json:"heads"`            // four-digit heads with active numbers
	Sets          int       `json:"sets"`             // different lists of categories
	Bytes         int64     `json:"bytes"`            // length of the file, of base and overlay together
	Overlay       int64     `json:"overlay,omitzero"` // numbers for which an overlay holds something else than its base
}

// appendHeader appends the header of a file with the given content. tables is the
// checksum of its directory and dictionary.
func (in *Info) appendHeader(dst []byte, tables uint32) []byte {
	h := make([]byte, headerSize)
	copy(h, magic)
	le.PutUint32(h[atVersion:], version)
	le.PutUint32(h[atDate:], uint32(in.EffectiveDate))
	le.PutUint64(h[atBytes:], uint64(in.Bytes))
	le.PutUint64(h[atNumbers:], uint64(in.Numbers))
	le.PutUint64(h[atPartial:], uint64(in.Partial))
	le.PutUint32(h[atHeads:], uint32(in.Heads))
	le.PutUint32(h[atSets:], uint32(in.Sets))
	le.PutUint32(h[atTables:], tables)
	le.PutUint32(h[atCheck:], checksum(h[:atCheck]))
	return append(dst, h...)
}

// headCounts is what the directory says about a head.
type headCounts struct {
	active   uint32 // 0 to headSpan; without any there is no block
	partial  uint32 // 0 to active
	overflow uint32 // 0 to partial
}

func (c headCounts) append(dst []byte) []byte {
	dst = le.AppendUint32(dst, c.active)
	dst = le.AppendUint32(dst, c.partial)
	return le.AppendUint32(dst, c.overflow)
}

func readHeadCounts(b []byte) headCounts {
	return headCounts{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])}
}

// possible reports whether any registry can have these counts.
func (c headCounts) possible() bool {
	return c.active <= headSpan && c.partial <= c.active && c.overflow <= c.partial
}

// size is the length of the block in bytes.
func (c headCounts) size() int64 {
	switch {
	case c.active == 0:
		return 0
	case c.partial == 0:
		return bitmapSize
	}
	return bitmapSize + ranksSize + filled(int64(c.active)) + filled(4*int64(c.overflow))
}

// filled is n bytes and the padding behind them.
func filled(n int64) int64 { return (n + 7) &^ 7 }

// usedSet is an entry of the dictionary.
type usedSet struct {
	categories Categories
	numbers    int64 // that have the set
}

func (u usedSet) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, u.categories.low)
	dst = le.AppendUint64(dst, u.categories.high)
	return le.AppendUint64(dst, uint64(u.numbers))
}

func readUsedSet(b []byte) usedSet {
	return usedSet{Categories{le.Uint64(b), le.Uint64(b[8:])}, int64(le.Uint64(b[16:]))}
}
