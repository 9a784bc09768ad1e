package dnd

import (
	"context"
	"math/bits"
	"slices"
	"sync"

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
//
// Files are in no order, so that the bit of every row is far from the last, a line
// of the cache and a page of memory away. Each worker therefore collects the rows
// of a head in a room and sets their bits together, when the bitmap of the head
// is near the processor.
type fullSet struct {
	date    saaf.Date
	sets    *setTable
	memory  *scratch
	crew    crew
	workers []*fullRows          // of the crew
	heads   [numHeads]sync.Mutex // for the bitmaps, while rows come
	blocked [numHeads]*bitmap    // an A row blocks fully
	deleted [numHeads]*bitmap    // there is a D row
}

// fullRows is what one worker has collected.
type fullRows struct {
	blocked, deleted rooms
	partial          [numHeads]list[placed] // A rows with categories
}

// rooms hold numbers of each head whose bits are not set yet.
type rooms struct {
	at    [numHeads]*room
	count [numHeads]uint16 // numbers in the room, below roomSize
}

type room [roomSize]uint32

// roomSize is a compromise: a larger room finds its bitmap near more often, and
// 4,000 heads have one for each worker.
const roomSize = 2048

func newFullSet(date saaf.Date, sets *setTable, memory *scratch, c crew) *fullSet {
	f := &fullSet{date: date, sets: sets, memory: memory}
	f.crew = c
	for range c.size {
		f.workers = append(f.workers, new(fullRows))
	}
	return f
}

func (f *fullSet) add(worker int, rows []row) (err error) {
	to := f.workers[worker]
	for _, r := range rows {
		head, n := r.split()
		switch {
		case r.deletes():
			err = f.collect(&to.deleted, &f.deleted, head, n)
		case r.set() == 0:
			err = f.collect(&to.blocked, &f.blocked, head, n)
		default:
			err = to.partial[head].append(f.memory, place(n, r.set()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// collect puts n into the room of its head, which is emptied when it is full.
func (f *fullSet) collect(from *rooms, to *[numHeads]*bitmap, head int, n uint32) (err error) {
	at := from.at[head]
	if at == nil {
		numbers, err := allocOf[uint32](f.memory, roomSize)
		if err != nil {
			return err
		}
		at = (*room)(numbers)
		from.at[head] = at
	}
	count := from.count[head] % roomSize
	at[count] = n
	from.count[head] = count + 1
	if count+1 == roomSize {
		return f.empty(from, to, head)
	}
	return nil
}

// empty sets the bits of the numbers in a room.
func (f *fullSet) empty(from *rooms, to *[numHeads]*bitmap, head int) error {
	f.heads[head].Lock()
	defer f.heads[head].Unlock()
	if to[head] == nil {
		words, err := allocOf[uint64](f.memory, headWords)
		if err != nil {
			return err
		}
		to[head] = (*bitmap)(words)
	}
	bits := to[head]
	for _, n := range from.at[head][:from.count[head]] {
		bits[n/64] |= 1 << (n % 64)
	}
	from.count[head] = 0
	return nil
}

// emptyAll empties all rooms of a head.
func (f *fullSet) emptyAll(head int) error {
	for _, w := range f.workers {
		if w.blocked.count[head] > 0 {
			if err := f.empty(&w.blocked, &f.blocked, head); err != nil {
				return err
			}
		}
		if w.deleted.count[head] > 0 {
			if err := f.empty(&w.deleted, &f.deleted, head); err != nil {
				return err
			}
		}
	}
	return nil
}

// has reports whether the head has A rows.
func (f *fullSet) has(head int) bool {
	return f.blocked[head] != nil ||
		slices.ContainsFunc(f.workers, func(w *fullRows) bool { return w.blocked.count[head] > 0 || !w.partial[head].empty() })
}

// counted is a head and what is in it.
type counted struct {
	spread
	head      int
	counts    headCounts
	conflicts int64
	uses      setUses // of all heads that came by
	err       error
}

func (f *fullSet) resolve(ctx context.Context, r *Report) (*outline, error) {
	o := &outline{date: f.date, sets: f.sets}
	slots := make([]*counted, len(f.workers)+1)
	for i := range slots {
		slots[i] = new(counted)
	}
	head := 0
	err := pipeline(f.crew, slots, func(c *counted) bool {
		for head < numHeads && !f.has(head) {
			head++
		}
		c.head = head
		head++
		return c.head < numHeads && ctx.Err() == nil
	}, func(_ int, c *counted) {
		c.err = f.emptyAll(c.head)
		f.head(c.head, &c.spread)
		c.counts = c.count(&c.uses)
		c.conflicts = conflicts(&c.bits, f.deleted[c.head])
	}, func(c *counted) error {
		if c.err != nil {
			return c.err
		}
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
	blocked := f.blocked[head]
	to.partial = false
	if blocked != nil {
		to.bits = *blocked
	} else {
		clear(to.bits[:])
		blocked = &noBits
	}
	var more []placed // rows that meet another with other categories
	for _, w := range f.workers {
		l := &w.partial[head]
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
