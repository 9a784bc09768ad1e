package dnd

import (
	"math/bits"

	"saaf"
)

// An overlay file holds what a snapshot has otherwise than another snapshot file,
// its base: all of it, however many deltas led there. It is named like every
// snapshot file, by the SHA-256 of its content, and names the one of its base, so
// that its name fixes what every number finds. It too is written once and never
// changed, and the base, the content and the date decide its bytes.
//
//	header       4,096   magic, version, date, counts, the base, checksums (below)
//	dictionary 24 each   as in a snapshot file, of the sets that entries have, then
//	                     zeros up to a multiple of 64
//	sieves      8 each   a uint64 for each bucket, then zeros up to a multiple of 64
//	buckets    64 each   eight cells, a uint64 each
//
// A cell is a number in the bits from 13 on, bit 12 when the number is not listed,
// the place of its category set below, 0 for a full block. Zero is a free cell. A
// number belongs to the bucket its hash says, or, where that is full, to the next
// one that has a free cell, the first one following the last. Its hash also says
// which two bits it sets in the sieve of the bucket it belongs to, wherever it is.
// Entries went in in ascending order. There is a bucket for every four entries.
//
// So a number that the overlay does not hold costs one load that waits for no
// other, from an array of two bytes an entry, which stays near the processor. One
// in seventy finds the bits of others and looks at the cells.
const (
	overlayMagic   = "saaf-dif"
	overlayVersion = 1

	cellSize    = 8
	sieveSize   = 8
	bucketSize  = 64
	bucketShare = 4 // entries for each bucket, on the average

	// maxOverlay is how many entries an overlay may have. Above foldLimit an import
	// writes a new base instead.
	maxOverlay = 4_000_000
	foldLimit  = 2_000_000
)

// Offsets in the header of an overlay. Version, date, length, numbers, partial,
// heads and checksum are where a snapshot file has them, and count what base and
// overlay make together. The rest is zero.
const (
	atOverlaySets    = 44 // uint32, different category sets of base and overlay together
	atOverlayDict    = 48 // uint32, dictionary entries
	atOverlayEntries = 52 // uint32
	atOverlayRest    = 56 // uint32, CRC-32C of everything behind the header
	atOverlayBase    = 64 // 32 bytes, the SHA-256 of the base file
	atOverlayLength  = 96 // uint64, length of the base file
)

// overlayHeader is what the header of an overlay says.
type overlayHeader struct {
	info    Info // of base and overlay; Bytes of the overlay alone
	sets    int  // dictionary entries
	entries int
	rest    uint32
	base    saaf.SHA256
	length  int64 // of the base file
}

func (o *overlayHeader) append(dst []byte) []byte {
	h := make([]byte, headerSize)
	copy(h, overlayMagic)
	le.PutUint32(h[atVersion:], overlayVersion)
	le.PutUint32(h[atDate:], uint32(o.info.EffectiveDate))
	le.PutUint64(h[atBytes:], uint64(o.info.Bytes))
	le.PutUint64(h[atNumbers:], uint64(o.info.Numbers))
	le.PutUint64(h[atPartial:], uint64(o.info.Partial))
	le.PutUint32(h[atHeads:], uint32(o.info.Heads))
	le.PutUint32(h[atOverlaySets:], uint32(o.info.Sets))
	le.PutUint32(h[atOverlayDict:], uint32(o.sets))
	le.PutUint32(h[atOverlayEntries:], uint32(o.entries))
	le.PutUint32(h[atOverlayRest:], o.rest)
	copy(h[atOverlayBase:], o.base[:])
	le.PutUint64(h[atOverlayLength:], uint64(o.length))
	le.PutUint32(h[atCheck:], checksum(h[:atCheck]))
	return append(dst, h...)
}

// sievesAt is where the sieves begin.
func (o *overlayHeader) sievesAt() int64 { return lines(headerSize + int64(o.sets)*setSize) }

// lines is n bytes filled up to a multiple of 64.
func lines(n int64) int64 { return (n + bucketSize - 1) / bucketSize * bucketSize }

// buckets is how many buckets there are, at least one.
func (o *overlayHeader) buckets() int { return o.entries/bucketShare + 1 }

// size is the length of the overlay file.
func (o *overlayHeader) size() int64 {
	return o.sievesAt() + lines(int64(o.buckets())*sieveSize) + int64(o.buckets())*bucketSize
}

// table is the sieves and the buckets of an overlay, parts of the mapped file.
type table struct {
	sieves, cells []byte
	buckets       uint64
}

// tableOf cuts the table out of data, which begins with the sieves.
func (o *overlayHeader) tableOf(data []byte) table {
	n := int64(o.buckets())
	return table{data[: n*sieveSize : n*sieveSize], data[lines(n*sieveSize):], uint64(n)}
}

// home is the bucket of p, and a number of which bits 20 to 31 say the rest.
func (t *table) home(p saaf.Phone) (bucket int, hash uint64) {
	const golden = 0x9e3779b97f4a7c15 // spreads neighbours over all buckets
	hash = uint64(p) * golden
	high, _ := bits.Mul64(hash, t.buckets)
	return int(high), hash
}

// sieveBits are the two bits of a hash in a sieve.
func sieveBits(hash uint64) (a, b uint64) { return hash >> 20 % 64, hash >> 26 % 64 }

// sieve is 0 when p is certainly not in the table, otherwise 1.
func (t *table) sieve(p saaf.Phone) uint64 {
	bucket, hash := t.home(p)
	a, b := sieveBits(hash)
	sieve := le.Uint64(t.sieves[bucket*sieveSize:])
	return sieve >> a & (sieve >> b) & 1
}

// find is the cell of p, or the free one where it would be. found is false also
// when the table is full of others.
func (t *table) find(p saaf.Phone) (at int, found bool) {
	bucket, _ := t.home(p)
	at = bucket * bucketSize
	for range len(t.cells) / cellSize {
		r := row(le.Uint64(t.cells[at:]))
		if r>>(setBits+1) == row(p) || r == 0 {
			return at, r != 0
		}
		if at += cellSize; at == len(t.cells) {
			at = 0
		}
	}
	return 0, false
}

// insert puts r where its number belongs, which is not there yet.
func (t *table) insert(r row) {
	bucket, hash := t.home(r.phone())
	a, b := sieveBits(hash)
	sieve := t.sieves[bucket*sieveSize:]
	le.PutUint64(sieve, le.Uint64(sieve)|1<<a|1<<b)
	at, _ := t.find(r.phone())
	le.PutUint64(t.cells[at:], uint64(r))
}
