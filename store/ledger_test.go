package store

import (
	"maps"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
)

// anyOrder compares copies of the lists, whose entries for one number stand in no
// order.
var anyOrder = []cmp.Option{
	cmp.AllowUnexported(suppressionIndex{}, listedPhone{}, listing{}), cmpopts.EquateEmpty(),
	cmpopts.SortSlices(func(a, b listing) bool { return a.id < b.id }),
}

// chain reads the whole ledger and checks that it is one chain.
func (b *bundle) chain() (list []saaf.EntryRow) {
	b.t.Helper()
	var before saaf.SHA256
	for {
		after := saaf.EntryID(0)
		if n := len(list); n > 0 {
			after = list[n-1].ID
		}
		page, err := b.LedgerAfter(b.ctx, after)
		b.must(err)
		if len(page) == 0 {
			return list
		}
		for _, e := range page {
			if err := e.Check(b.Deployment(), before); err != nil {
				b.t.Errorf("entry %s: %v", e.ID, err)
			}
			list = append(list, e)
			if e.Seq != int64(len(list)) || e.ID <= after {
				b.t.Errorf("entry %s is the %d. of the chain and says %d", e.ID, len(list), e.Seq)
			}
			before, after = e.Hash, e.ID
		}
	}
}

// checkIndex compares the writer's copy of the opt-out lists with the lists, once
// it was asked for.
func (b *bundle) checkIndex() {
	b.t.Helper()
	var want suppressionIndex
	var got suppressionIndex
	b.must(b.write(b.ctx, 0, func(x *tx) error {
		index, err := x.suppressed()
		if err != nil {
			return err
		}
		got.seq, got.global, got.lists = index.seq, index.global, maps.Clone(index.lists)
		err = query(x.conn, `SELECT suppression_seq FROM deployment`, func(r row) error { want.seq = r.int64(); return nil })
		if err != nil {
			return err
		}
		return query(x.conn, `SELECT `+suppressionColumns+` WHERE ended_at IS NULL ORDER BY id`, func(r row) error {
			want.apply(new(scanSuppression(r)))
			return nil
		})
	}))
	b.equal("the writer's copy of the lists", want, got, anyOrder...)
}
