package dnd

import (
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"saaf"
)

// fullSet is a registry built from nothing. The result does not depend on the
// order of rows and files: a number with any A row is active whatever its D rows
// say, one of its A rows with a full block makes it fully blocked, and otherwise
// it has the categories of all its A rows together. So rows go in from many
// goroutines at once.
//
// It holds a bitmap for each head with rows that block fully, one for each head
// with D rows, and 4 bytes for each row with categories.
type fullSet struct {
	date    saaf.Date
	sets    *setTable
	memory  *scratch
	growing sync.Mutex
	blocked [numHeads]atomic.Pointer[bitmap] // an A row blocks fully
	deleted [numHeads]atomic.Pointer[bitmap] // there is a D row
	partial []*[numHeads]list[placed]        // of each worker: A rows with categories
}

func newFullSet(date saaf.Date, sets *setTable, memory *scratch, workers int) *fullSet {
	f := &fullSet{date: date, sets: sets, memory: memory, partial: make([]*[numHeads]list[placed], workers)}
	for i := range f.partial {
		f.partial[i] = new([numHeads]list[placed])
	}
	return f
}

func (f *fullSet) add(worker int, rows []row) error {
	for len(rows) > 0 {
		some := rows[:min(len(rows), batch)]
		rows = rows[len(some):]
		if err := f.addSome(f.partial[worker], some); err != nil {
			return err
		}
	}
	return nil
}

// addSome adds at most [batch] rows. Files are in no order, so that every bit is
// far from the last: their words are fetched together before they are changed.
func (f *fullSet) addSome(partial *[numHeads]list[placed], rows []row) error {
	var words [batch]*uint64
	var masks [batch]uint64
	count := 0
	for _, r := range rows {
		head, n := r.split()
		if !r.deletes() && r.set() != 0 {
			if err := partial[head].append(f.memory, place(n, r.set())); err != nil {
				return err
			}
			continue
		}
		at := &f.blocked[head]
		if r.deletes() {
			at = &f.deleted[head]
		}
		b := at.Load()
		if b == nil {
			var err error
			if b, err = f.grow(at); err != nil {
				return err
			}
		}
		words[count], masks[count] = &b[n/64], 1<<(n%64)
		count++
	}
	var sum uint64
	for _, w := range words[:count] {
		sum += atomic.LoadUint64(w)
	}
	runtime.KeepAlive(sum) // so that it is computed
	for i, w := range words[:count] {
		atomic.OrUint64(w, masks[i])
	}
	return nil
}

// grow makes the bitmap that at is for, unless somebody else just did.
func (f *fullSet) grow(at *atomic.Pointer[bitmap]) (*bitmap, error) {
	f.growing.Lock()
	defer f.growing.Unlock()
	if b := at.Load(); b != nil {
		return b, nil
	}
	words, err := allocOf[uint64](f.memory, headWords)
	if err != nil {
		return nil, err
	}
	b := (*bitmap)(words)
	at.Store(b)
	return b, nil
}

// has reports whether the head has A rows.
func (f *fullSet) has(head int) bool {
	return f.blocked[head].Load() != nil ||
		slices.ContainsFunc(f.partial, func(p *[numHeads]list[placed]) bool { return !p[head].empty() })
}

// counted is a head and what is in it.
type counted struct {
	spread
	head      int
	counts    headCounts
	conflicts int64
	uses      setUses // of all heads that came by
}

func (f *fullSet) resolve(ctx context.Context, r *Report) (*outline, error) {
	o := &outline{date: f.date, sets: f.sets}
	slots := make([]*counted, len(f.partial)+1)
	for i := range slots {
		slots[i] = new(counted)
	}
	head := 0
	err := pipeline(len(f.partial), slots, func(c *counted) bool {
		for head < numHeads && !f.has(head) {
			head++
		}
		c.head = head
		head++
		return c.head < numHeads && ctx.Err() == nil
	}, func(_ int, c *counted) {
		f.head(c.head, &c.spread)
		c.counts = c.count(&c.uses)
		c.conflicts = conflicts(&c.bits, f.deleted[c.head].Load())
	}, func(c *counted) error {
		o.heads[c.head] = c.counts
		r.Conflicts += c.conflicts
		return ctx.Err()
	})
	for _, c := range slots {
		for id, n := range c.uses {
			o.uses[id] += n
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return o, err
}

// head makes one entry of all rows with categories that a number has, none where
// another row blocks it fully.
func (f *fullSet) head(head int, to *spread) {
	blocked := f.blocked[head].Load()
	to.partial = false
	if blocked != nil {
		to.bits = *blocked
	} else {
		clear(to.bits[:])
		blocked = &noBits
	}
	var more []placed // rows that meet another with other categories
	for _, lists := range f.partial {
		l := &lists[head]
		if l.empty() {
			continue
		}
		to.begin()
		for _, part := range l.full {
			more = join(to, blocked, part, more)
		}
		more = join(to, blocked, l.last, more)
	}
	if len(more) > 0 {
		f.unite(to, more)
	}
}

var noBits bitmap

// join adds rows with categories to the spread, and those that meet another one
// to more.
func join(to *spread, blocked *bitmap, rows, more []placed) []placed {
	for _, p := range rows {
		n, set := p.number(), p.set()
		if blocked[n/64]>>(n%64)&1 != 0 {
			continue
		}
		to.bits[n/64] |= 1 << (n % 64)
		switch to.ids[n] {
		case 0:
			to.ids[n] = set
		case set:
		default:
			more = append(more, p)
		}
	}
	return more
}

// unite gives each number in more the categories of all its rows together. Sets
// on the way there get no id: which there are would depend on the order.
func (f *fullSet) unite(to *spread, more []placed) {
	slices.Sort(more)
	for len(more) > 0 {
		n := more[0].number()
		all := f.sets.set(to.ids[n])
		for len(more) > 0 && more[0].number() == n {
			all = all.union(f.sets.set(more[0].set()))
			more = more[1:]
		}
		to.ids[n] = f.sets.id(all)
	}
}

// conflicts counts the numbers that are in both bitmaps; the second may be nil.
func conflicts(active, deleted *bitmap) (n int64) {
	if deleted == nil {
		return 0
	}
	for i, word := range active {
		n += int64(bits.OnesCount64(word & deleted[i]))
	}
	return n
}

func (f *fullSet) unchanged(int) []byte { return nil }
