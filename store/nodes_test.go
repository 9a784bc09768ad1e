package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"saaf"
)

// nodeOf is the node number in an id.
func nodeOf(id int64) int64 { return id >> 11 & saaf.MaxNode }

// Processes make ids with numbers that they lease from the database: no two at a time
// have the same, and whoever takes one over goes on above the ids of the one before.
func TestNodeNumbers(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two := open(t, Config{Dir: one.dir})
	first, second := nodeOf(one.NewID()), nodeOf(two.NewID())
	if first == second {
		t.Errorf("both have the number %d", first)
	}
	for _, id := range []int64{int64(one.tenant), int64(one.campaign)} {
		if nodeOf(id) != first {
			t.Errorf("the id %d is made with the number %d; want %d", id, nodeOf(id), first)
		}
	}
	outside := one.outside()
	do := func(sql string, args ...any) {
		t.Helper()
		n, err := outside.exec(sql, args...)
		one.must(err)
		if n == 0 {
			t.Errorf("nothing is changed by %s", sql)
		}
	}
	last := two.NewID()
	two.stop()
	if floor := one.number(`SELECT floor FROM nodes WHERE node = $1`, second); floor != last {
		t.Errorf("it was given back with the floor %d; want %d", floor, last)
	}

	// All are taken but that one, whose process had a clock that was years ahead.
	ahead := time.Now().AddDate(20, 0, 0).UnixMilli() << idTimeBits
	do(`UPDATE nodes SET until = $1 WHERE node <> $2`, time.Now().Add(time.Hour), second)
	do(`UPDATE nodes SET floor = $1 WHERE node = $2`, ahead, second)
	three := open(t, Config{Dir: one.dir})
	if id := three.NewID(); nodeOf(id) != second || id <= ahead {
		t.Errorf("the id %d is made with the number %d; want %d, and above %d", id, nodeOf(id), second, ahead)
	}
	if _, err := Open(t.Context(), configured(t, Config{Dir: one.dir})); err == nil || !strings.Contains(err.Error(), "all 1024 node numbers are taken") {
		t.Errorf("one more process: %v", err)
	}
}

// A process writes nothing when its lease has run out, and ends when the number was
// given to another.
func TestNodeNumberIsLost(t *testing.T) {
	t.Parallel()
	b := openIdle(t, Config{Dir: t.TempDir(), retryFor: 50 * time.Millisecond})
	closeStore := b.stop
	ended := make(chan error, 1)
	go func() { ended <- b.Run(t.Context()) }()
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, saaf.Live)
	b.add(b.campaign, leads(0, 1)...)
	e := b.engine.(*postgres)

	e.node.until.Store(new(time.Now().Add(nodeMargin)))
	_, answer := b.push(t.Context(), leads(1, 2)...)
	if err := <-answer; !isUnavailable(err, "storage_unavailable") {
		t.Errorf("with a lease that runs out: %v", err)
	}
	b.must(e.renew(t.Context()))
	b.add(b.campaign, leads(1, 2)...)

	_, err := b.outside().exec(`UPDATE nodes SET fence = fence + 1 WHERE node = $1`, e.node.number)
	b.must(err)
	if err := e.renew(t.Context()); !errors.Is(err, errNodeLost) {
		t.Errorf("a number that another has: %v", err)
	}
	if err := <-ended; !errors.Is(err, errNodeLost) { // at the next renewal
		t.Errorf("the writers ended with %v", err)
	}
	if _, answer := b.push(t.Context(), leads(2, 3)...); !isUnavailable(<-answer, "stopping") {
		t.Error("pushes are taken")
	}
	before := b.number(`SELECT fence FROM nodes WHERE node = $1`, e.node.number)
	b.stop = func() {}
	closeStore()
	after := int64(0)
	b.must(b.outside().query(`SELECT fence FROM nodes WHERE node = $1 AND until > 0`, func(r row) error { after = r.int64(); return nil }, e.node.number))
	if after != before {
		t.Errorf("fence %d, before %d: it gave back what was another's", after, before)
	}
}
