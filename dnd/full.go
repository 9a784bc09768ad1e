package dnd

import (
	"context"
	"math/bits"
	"runtime"
	"slices"

	"saaf"
)

// fullSet is a registry built from nothing. The result does not depend on the
// order of rows and files: a number with any A row is active whatever its D rows
// say, one of its A rows with a full block makes it fully blocked, and otherwise
// it has the categories of all its A rows together.
//
// It holds a bitmap for each head with rows that block fully, one for each head
// with D rows, and 4 bytes for each row with categories.
type fullSet struct {
	date    saaf.Date
	sets    *setTable
	memory  bitmaps
	active  [numHeads][]byte   // bitmaps: an A row blocks fully; after resolve: active
	deleted [numHeads][]byte   // bitmaps: there is a D row
	partial [numHeads][]placed // A rows with categories; after resolve: numbers with them
	scratch []placed
}

func newFullSet(date saaf.Date, sets *setTable) *fullSet {
	return &fullSet{date: date, sets: sets}
}

func (f *fullSet) add(rows []row) {
	for len(rows) > 0 {
		some := rows[:min(len(rows), batch)]
		rows = rows[len(some):]
		f.addSome(some)
	}
}

// addSome adds at most [batch] rows. Files are in no order, so that every bit is
// far from the last: their bytes are fetched together before they are changed.
func (f *fullSet) addSome(rows []row) {
	var bytes [batch]*byte
	var bits [batch]byte
	bitmaps := 0
	for _, r := range rows {
		head, n := r.split()
		if !r.deletes() && r.set() != 0 {
			f.partial[head] = append(f.partial[head], place(n, r.set()))
			continue
		}
		bitmap := &f.active[head]
		if r.deletes() {
			bitmap = &f.deleted[head]
		}
		bytes[bitmaps], bits[bitmaps] = f.memory.at(bitmap, n), 1<<(n%8)
		bitmaps++
	}
	var sum byte
	for _, b := range bytes[:bitmaps] {
		sum += *b
	}
	runtime.KeepAlive(sum) // so that it is computed
	for i, b := range bytes[:bitmaps] {
		*b |= bits[i]
	}
}

func (f *fullSet) resolve(ctx context.Context, r *Report) (*outline, error) {
	o := &outline{date: f.date, sets: f.sets}
	for head := range numHeads {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.join(head)
		for _, p := range f.partial[head] {
			o.uses[p.set()]++
		}
		o.heads[head] = headCounts{active: countOnes(f.active[head]), partial: uint32(len(f.partial[head]))}
		if f.deleted[head] != nil {
			r.Conflicts += conflicts(f.active[head], f.deleted[head])
		}
	}
	return o, nil
}

// join makes one entry of all rows with categories that a number of the head has,
// none where another row blocks it fully.
func (f *fullSet) join(head int) {
	rows := f.partial[head]
	f.scratch = sortStable(rows, f.scratch, setBits)
	joined := rows[:0]
	for len(rows) > 0 {
		n := rows[0].number()
		end := 1
		for end < len(rows) && rows[end].number() == n {
			end++
		}
		same := rows[:end]
		rows = rows[end:]
		if b := f.active[head]; b != nil && b[n/8]>>(n%8)&1 != 0 {
			continue
		}
		joined = append(joined, place(n, f.union(same)))
	}
	for _, p := range joined {
		n := p.number()
		*f.memory.at(&f.active[head], n) |= 1 << (n % 8)
	}
	f.partial[head] = joined
}

// union is the id of all categories in rows.
func (f *fullSet) union(rows []placed) uint16 {
	id := rows[0].set()
	if !slices.ContainsFunc(rows, func(p placed) bool { return p.set() != id }) {
		return id
	}
	var all Categories
	for _, p := range rows {
		all = all.union(f.sets.sets[p.set()])
	}
	return f.sets.id(all)
}

// conflicts counts the numbers that are in both bitmaps.
func conflicts(active, deleted []byte) (n int64) {
	for ; len(active) >= 8; active, deleted = active[8:], deleted[8:] {
		n += int64(bits.OnesCount64(le.Uint64(active) & le.Uint64(deleted)))
	}
	return n
}

func (f *fullSet) head(head int) ([]byte, []placed) { return f.active[head], f.partial[head] }

func (f *fullSet) unchanged(int) []byte { return nil }

func (f *fullSet) close() { f.memory.free() }
