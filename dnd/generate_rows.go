package dnd

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"strconv"
)

// span is rows from one to before another, counted over the whole set.
type span struct{ from, to int64 }

func (s span) rows() int64 { return s.to - s.from }

// split cuts a span into pieces of size rows, the last one of what is left.
func (s span) split(size int64) (pieces []span) {
	for at := s.from; at < s.to; at += size {
		pieces = append(pieces, span{at, min(at+size, s.to)})
	}
	return pieces
}

// rowText is the text of rows apart from their numbers, made once: what stands
// before the last five digits, and what behind them.
type rowText struct {
	full   *Synthetic
	delta  *SyntheticDelta // nil for the full set
	header string
	heads  []textPart // of the blocks
	tails  [rowKinds]textPart
	sorted *sortedBlocks // nil for shuffled order
}

// textPart is copied whole, which is quicker than its length.
type textPart struct {
	text   [31]byte
	length uint8
}

const (
	suffixDigits = 5
	// maxRow holds any row, and what is copied too much behind it.
	maxRow = 2*len(textPart{}.text) + suffixDigits
)

func newTextPart(s string) (p textPart) {
	p.length = uint8(copy(p.text[:], s))
	return p
}

// syntheticHeader is the header of the files that telemarketers download.
const syntheticHeader = `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"` + "\n"

// newRowText prepares the rows, without header and quotes when they are bare.
func newRowText(full *Synthetic, delta *SyntheticDelta, bare, ascending bool) *rowText {
	t := &rowText{full: full, delta: delta, header: syntheticHeader, heads: make([]textPart, len(full.blocks))}
	quote := `"`
	if bare {
		quote, t.header = "", ""
	}
	between := quote + "," + quote
	for i, b := range full.blocks {
		t.heads[i] = newTextPart(quote + strconv.Itoa(int(b.area)) + between + strconv.Itoa(int(b.head)))
	}
	for k := range t.tails {
		op, k := "A", rowKind(k)
		if k.deleted() {
			op = "D"
		}
		const mobile = "2" // the only phone type in published rows
		t.tails[k] = newTextPart(between + k.categories().String() + between + op + between + mobile + quote + "\n")
	}
	if ascending {
		t.sorted = sortBlocks(full)
	}
	return t
}

// rowWriter appends rows to a text and counts them.
type rowWriter struct {
	*rowText
	text   []byte
	counts rowCounts
	within [(blockSpan + 63) / 64]uint64 // numbers of a block, for ascending order
}

// rowCounts is what an import counts, and the rows that delete what is not listed.
type rowCounts struct{ deleted, partial, notListed int64 }

// write replaces the text by the given rows, behind a header if that is wanted.
func (w *rowWriter) write(s span, withHeader bool) {
	w.text, w.counts = w.text[:0], rowCounts{}
	if withHeader {
		w.text = append(w.text, w.header...)
	}
	w.text = slices.Grow(w.text, int(s.rows())*maxRow)
	switch {
	case w.delta != nil:
		w.changes(s)
	case w.sorted != nil:
		w.ascending(s)
	default:
		w.shuffled(s)
	}
}

func (w *rowWriter) shuffled(s span) {
	n := int64(len(w.full.blocks))
	block, turn := s.from%n, s.from/n
	for range s.rows() {
		suffix := w.full.suffix(&w.full.blocks[block], turn)
		w.row(block, suffix, w.full.kind(w.full.blocks[block].number(suffix)))
		if block++; block == n {
			block, turn = 0, turn+1
		}
	}
}

func (w *rowWriter) changes(s span) {
	for k := s.from; k < s.to; k++ {
		p, removes, listed := w.delta.row(k)
		kind := w.full.kind(p) &^ kindDeleted
		if removes {
			kind |= kindDeleted
			if !listed {
				w.counts.notListed++
			}
		}
		w.row(int64(w.full.dealt[int64(p)/blockSpan-firstBlock]), uint32(int64(p)%blockSpan), kind)
	}
}

// sortedBlocks knows where in ascending order the numbers of a block are.
type sortedBlocks struct {
	blocks []int32 // places in Synthetic.blocks, by head
	before []int64 // numbers in the blocks before each, and at the end all
}

func sortBlocks(s *Synthetic) *sortedBlocks {
	o := &sortedBlocks{blocks: make([]int32, len(s.blocks)), before: make([]int64, len(s.blocks)+1)}
	for i := range o.blocks {
		o.blocks[i] = int32(i)
	}
	slices.SortFunc(o.blocks, func(a, b int32) int { return cmp.Compare(s.blocks[a].head, s.blocks[b].head) })
	for i, block := range o.blocks {
		o.before[i+1] = o.before[i] + s.turns(int64(block))
	}
	return o
}

// turns is how many numbers of the full set a block has.
func (s *Synthetic) turns(block int64) int64 {
	n := int64(len(s.blocks))
	turns := s.Numbers / n
	if block < s.Numbers%n {
		turns++
	}
	return turns
}

// ascending sorts block by block, a bit for each number.
func (w *rowWriter) ascending(s span) {
	o := w.sorted
	at := sort.Search(len(o.blocks), func(i int) bool { return o.before[i+1] > s.from })
	for ; at < len(o.blocks) && o.before[at] < s.to; at++ {
		block := int64(o.blocks[at])
		b := &w.full.blocks[block]
		clear(w.within[:])
		for turn := range w.full.turns(block) {
			suffix := w.full.suffix(b, turn)
			w.within[suffix/64] |= 1 << (suffix % 64)
		}
		row := o.before[at]
		for i, word := range w.within {
			if skip := int64(bits.OnesCount64(word)); row+skip <= s.from {
				row += skip
				continue
			}
			for ; word != 0; word &= word - 1 {
				if suffix := uint32(64*i + bits.TrailingZeros64(word)); s.from <= row && row < s.to {
					w.row(block, suffix, w.full.kind(b.number(suffix)))
				}
				row++
			}
		}
	}
}

// row appends one row; there is room for it.
func (w *rowWriter) row(block int64, suffix uint32, k rowKind) {
	w.counts.deleted += int64(k >> 8)
	if 0 < k && k < kindDeleted {
		w.counts.partial++
	}
	at := len(w.text)
	to := w.text[at : at+maxRow]
	head, tail := &w.heads[block], &w.tails[k]
	n := int(head.length)
	*(*[len(head.text)]byte)(to) = head.text
	high, low := suffix/1000, suffix%1000
	*(*[2]byte)(to[n:]) = twoDigits[high]
	*(*[3]byte)(to[n+2:]) = threeDigits[low]
	n += suffixDigits
	*(*[len(tail.text)]byte)(to[n:]) = tail.text
	w.text = w.text[:at+n+int(tail.length)]
}

var (
	twoDigits = func() (t [100][2]byte) {
		for i := range t {
			t[i] = [2]byte{byte('0' + i/10), byte('0' + i%10)}
		}
		return t
	}()
	threeDigits = func() (t [1000][3]byte) {
		for i := range t {
			t[i] = [3]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)}
		}
		return t
	}()
)
