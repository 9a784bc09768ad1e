package phoneblock

import "saaf"

// Filler makes a table out of many phones. It gathers them by shard and enters a
// shard at a time, which finds them in the cache of the processor: twice as fast as one
// by one.
type Filler struct {
	table   *Table
	pending [][]pair
	n       int
}

type pair struct {
	phone saaf.Phone
	block uint32
}

// fillAt is how many phones are gathered, 16 MB of them.
const fillAt = 1 << 20

// NewFiller makes one for about hint phones.
func NewFiller(hint int) *Filler {
	t := NewTable(hint)
	return &Filler{table: t, pending: make([][]pair, len(t.shards))}
}

// Add enters the leads of a block. An error is as by [Table.Put], and may come later.
func (f *Filler) Add(block uint32, leads []Entry) error {
	for _, e := range leads {
		i := uint64(e.Phone) * mixFactor & phoneMask >> (phoneBits - f.shardBits())
		f.pending[i] = append(f.pending[i], pair{e.Phone, block})
	}
	if f.n += len(leads); f.n < fillAt {
		return nil
	}
	return f.flush()
}

func (f *Filler) shardBits() uint {
	if len(f.pending) == 1<<manyShardBits {
		return manyShardBits
	}
	return fewShardBits
}

func (f *Filler) flush() error {
	for i, list := range f.pending {
		for _, p := range list {
			if err := f.table.Put(p.phone, p.block); err != nil {
				return err
			}
		}
		f.pending[i] = list[:0]
	}
	f.n = 0
	return nil
}

// Table is the table of all that was added.
func (f *Filler) Table() (*Table, error) {
	err := f.flush()
	return f.table, err
}
