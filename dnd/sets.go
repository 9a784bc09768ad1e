package dnd

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// setTable gives every category set of an import a small id, in the order of
// arrival. Id 0 is the empty set, the full block. It is safe for concurrent use.
type setTable struct {
	small [1 << smallSets]atomic.Uint32 // the ids of sets of low categories, 0 where there is none yet
	mu    sync.RWMutex
	sets  []Categories
	ids   map[Categories]uint16
	full  bool // more sets came than there are ids: the import must be refused
}

// smallSets is how many categories, from 0, make a set that is found without
// hashing. The registry knows eight.
const smallSets = 9

func newSetTable() *setTable {
	return &setTable{sets: []Categories{{}}, ids: map[Categories]uint16{{}: 0}}
}

// id returns the id of c, a new one if need be. When there is none left it sets
// full and returns 0.
func (t *setTable) id(c Categories) uint16 {
	small := c.high == 0 && c.low < 1<<smallSets
	if small {
		if id := t.small[c.low].Load(); id != 0 {
			return uint16(id)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id, known := t.ids[c]
	if !known {
		if len(t.sets) > maxSets {
			t.full = true
			return 0
		}
		id = uint16(len(t.sets))
		t.sets = append(t.sets, c)
		t.ids[c] = id
	}
	if small {
		t.small[c.low].Store(uint32(id))
	}
	return id
}

// set is the set with an id.
func (t *setTable) set(id uint16) Categories {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sets[id]
}

// setUses counts for each id how many numbers have the set.
type setUses [maxSets + 1]int64

// setPlaces is the place of each id in a dictionary, 0 for a set nobody has.
type setPlaces [maxSets + 1]uint16

// dictionary is the sets that numbers have, in the order of the file.
func (t *setTable) dictionary(uses *setUses) (dict []usedSet, places setPlaces) {
	for id := 1; id < len(t.sets); id++ {
		if uses[id] > 0 {
			dict = append(dict, usedSet{t.sets[id], uses[id]})
		}
	}
	slices.SortFunc(dict, func(a, b usedSet) int {
		return cmp.Or(cmp.Compare(b.numbers, a.numbers), a.categories.compare(b.categories))
	})
	for i, u := range dict {
		places[t.ids[u.categories]] = uint16(i + 1)
	}
	return dict, places
}
