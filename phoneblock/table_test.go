package phoneblock

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"saaf"
)

func TestTableAgainstMap(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 2))
		// Few phones meet often, neighbours share homes, and some tables grow past the few
		// shards.
		space := []uint64{300, 20_000, 9_999_999_999}[seed%3]
		table, want := NewTable(r.IntN(100)), map[saaf.Phone]uint32{}
		known := []saaf.Phone{}
		for range 100_000 {
			p := saaf.Phone(1 + r.Uint64N(space))
			if len(known) > 0 && r.IntN(3) == 0 {
				p = known[r.IntN(len(known))]
			}
			if r.IntN(4) == 0 {
				table.Delete(p)
				delete(want, p)
			} else {
				block := 1 + r.Uint32N(1<<32-1)
				err := table.Put(p, block)
				if _, twice := errors.AsType[*TwiceError](err); twice != (want[p] != 0) {
					t.Fatalf("seed %d: Put(%d) = %v, and it was in block %d", seed, p, err, want[p])
				}
				if err == nil {
					want[p] = block
					known = append(known, p)
				}
			}
			if q := saaf.Phone(1 + r.Uint64N(space)); table.Block(q) != want[q] {
				t.Fatalf("seed %d: phone %d is in block %d, want %d", seed, q, table.Block(q), want[q])
			}
			if table.Len() != len(want) {
				t.Fatalf("seed %d: %d phones, want %d", seed, table.Len(), len(want))
			}
		}
		for p, block := range want {
			if table.Block(p) != block {
				t.Fatalf("seed %d: phone %d is in block %d, want %d", seed, p, table.Block(p), block)
			}
		}
	}
}

func TestFillerMakesTheSameTable(t *testing.T) {
	for _, n := range []int{0, 1, 500, manyFrom - 1, manyFrom + 1, 1_100_000} {
		for _, hint := range []int{0, n} {
			f, r := NewFiller(hint), rand.New(rand.NewPCG(uint64(n), 3))
			want := map[saaf.Phone]uint32{}
			for block := uint32(1); len(want) < n; block++ {
				var list []Entry
				for range 150 {
					if p := somePhone(r); want[p] == 0 && len(want) < n {
						want[p] = block
						list = append(list, Entry{Phone: p})
					}
				}
				if err := f.Add(block, list); err != nil {
					t.Fatal(err)
				}
			}
			table, err := f.Table()
			slow := NewTable(0)
			for p, block := range want {
				_ = slow.Put(p, block)
			}
			if n > 0 && (!table.Equal(slow) || !slow.Equal(table)) {
				t.Errorf("%d phones: two tables of them are not equal", n)
			}
			for p, block := range want {
				slow.Delete(p)
				_ = slow.Put(p, block+1)
				if table.Equal(slow) || slow.Equal(table) {
					t.Errorf("%d phones: a table with another block is equal", n)
				}
				break
			}
			if err != nil || table.Len() != n {
				t.Fatalf("%d phones: table of %d, %v", n, table.Len(), err)
			}
			for p, block := range want {
				if table.Block(p) != block {
					t.Fatalf("phone %d is in block %d, want %d", p, table.Block(p), block)
				}
			}
		}
	}
}

func TestFillerFindsAPhoneThatIsThereTwice(t *testing.T) {
	f := NewFiller(0)
	_ = f.Add(1, []Entry{{Phone: 6000000001}})
	_ = f.Add(7, []Entry{{Phone: 6000000002}, {Phone: 6000000001}})
	_, err := f.Table()
	if twice, ok := errors.AsType[*TwiceError](err); !ok || twice.Blocks != [2]uint32{1, 7} {
		t.Errorf("err = %v", err)
	}
}

// phones of a table never run out of a shard, whatever their order.
func TestTableOfNeighbours(t *testing.T) {
	table := NewTable(0)
	for p := saaf.Phone(6_000_000_000); p < 6_000_300_000; p++ {
		if err := table.Put(p, uint32(p-5_999_999_999)); err != nil {
			t.Fatal(err)
		}
	}
	for p := saaf.Phone(6_000_000_000); p < 6_000_300_000; p++ {
		if got := table.Block(p); got != uint32(p-5_999_999_999) {
			t.Fatalf("phone %d is in block %d", p, got)
		}
	}
	if per := float64(table.Bytes()) / 300_000; per > 14 {
		t.Errorf("%.1f bytes a phone", per)
	}
}

func BenchmarkTable(b *testing.B) {
	for _, n := range []int{50_000, 1_000_000, 10_000_000} {
		r := rand.New(rand.NewPCG(1, 1))
		phones := make([]saaf.Phone, n)
		for i := range phones {
			phones[i] = somePhone(r)
		}
		table := NewTable(0)
		b.Run(fmt.Sprintf("put/%d", n), func(b *testing.B) {
			for b.Loop() {
				table = NewTable(0)
				for i, p := range phones {
					_ = table.Put(p, uint32(i/150+1))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/phone")
			b.ReportMetric(float64(table.Bytes())/float64(table.Len()), "B/phone")
		})
		b.Run(fmt.Sprintf("fill/%d", n), func(b *testing.B) {
			list := make([]Entry, 150)
			for b.Loop() {
				f := NewFiller(n)
				for at := 0; at+150 <= n; at += 150 {
					for i := range list {
						list[i].Phone = phones[at+i]
					}
					_ = f.Add(uint32(at/150+1), list)
				}
				_, _ = f.Table()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/phone")
		})
		b.Run(fmt.Sprintf("look/%d", n), func(b *testing.B) {
			i, found := 0, 0
			for b.Loop() {
				if table.Block(phones[i]) != 0 {
					found++
				}
				if i += 7919; i >= n {
					i -= n
				}
			}
			if found == 0 {
				b.Fatal("nothing was found")
			}
		})
	}
}
