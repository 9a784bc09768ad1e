package scrub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

// drawHistory is a history of any number of processes: they come, write beside each
// other, are signed now and then, and go.
func (b *bundle) drawHistory(t *rapid.T) *history {
	h := b.newHistory(t)
	for range rapid.IntRange(3, 40).Draw(t, "steps") {
		pass := time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second
		if rapid.IntRange(0, 15).Draw(t, "idle") == 0 {
			pass = 5 * time.Hour
		}
		h.now = h.now.Add(pass)
		growing := slices.DeleteFunc(slices.Clone(h.chains), func(c *grownChain) bool { return c.gone })
		switch step := rapid.SampledFrom([]string{"enter", "enter", "enter", "enter", "sign", "sign", "begin", "end"}).Draw(t, "step"); {
		case step == "sign":
			h.sign()
		case step == "begin" || len(growing) == 0:
			h.enter(h.begin(), 0)
		case step == "end":
			rapid.SampledFrom(growing).Draw(t, "process").gone = true
		default:
			c := rapid.SampledFrom(growing).Draw(t, "process")
			for range rapid.IntRange(1, 3).Draw(t, "entries") {
				h.enter(c, time.Duration(rapid.IntRange(0, 50_000).Draw(t, "took"))*time.Millisecond)
			}
		}
	}
	return h
}

// report is what a verification must say of a history.
func (h *history) report() VerifyReport {
	rep := VerifyReport{Deployment: h.deployment, PublicKey: saaf.EncodeKey(h.public()), Entries: int64(len(h.entries)),
		Decisions: int64(len(h.entries)), Checkpoints: int64(len(h.checkpoints)), Chains: []VerifiedChain{}, Problems: []Problem{}}
	for _, c := range h.chains {
		named, by := h.named(c.head.Writer)
		rep.Signed += named.Seq
		if by > 0 && by < int64(len(h.checkpoints)) {
			rep.Ended++
		} else if c.head.Seq > 0 {
			rep.Chains = append(rep.Chains, VerifiedChain{ChainHead(c.head), named.Seq})
		}
		if c.head.Entry > rep.Head.Entry {
			rep.Head = ChainHead(c.head)
		}
	}
	slices.SortFunc(rep.Chains, func(a, b VerifiedChain) int { return int(a.Writer - b.Writer) })
	return rep
}

// damage is what somebody does to a history that was put away, and what must be found
// of it. A zero Problem: it cannot be told from something that has never been. Else what
// is set in it must be found, and of everything else nothing is known.
type damage func(t *rapid.T, h *history) (done bool, want *Problem)

var anywhere = &Problem{}

var ways = map[string]damage{
	"a byte of an entry": func(t *rapid.T, h *history) (bool, *Problem) {
		e := drawEntry(t, h)
		want := &Problem{Writer: e.Writer, Seq: e.Seq, Entry: e.ID}
		number := int64(1) << rapid.IntRange(0, 62).Draw(t, "bit")
		switch rapid.IntRange(0, 7).Draw(t, "column") {
		case 0:
			e.Campaign ^= saaf.CampaignID(number)
		case 1:
			e.Tenant ^= saaf.TenantID(number)
		case 2:
			e.Seq ^= number
		case 3:
			e.Head[rapid.IntRange(0, len(e.Head)-1).Draw(t, "byte")] ^= byte(1) << rapid.IntRange(0, 7).Draw(t, "of it")
		case 4:
			e.Body[rapid.IntRange(0, len(e.Body)-1).Draw(t, "byte")] ^= byte(1) << rapid.IntRange(0, 7).Draw(t, "of it")
		case 5:
			e.Hash[rapid.IntRange(0, len(e.Hash)-1).Draw(t, "byte")] ^= byte(1) << rapid.IntRange(0, 7).Draw(t, "of it")
		case 6: // it may be behind its successor, or at the beginning of no chain
			e.Writer ^= number
			want = anywhere
		case 7:
			e.ID ^= saaf.EntryID(number)
			want = anywhere
		}
		return true, want
	},
	"an entry is removed": func(t *rapid.T, h *history) (bool, *Problem) {
		e := *drawEntry(t, h)
		places := h.of(e.Writer)
		h.remove(e.Writer, e.Seq)
		if int(e.Seq) == len(places) {
			return true, h.cut(e.Writer, e.Seq)
		}
		return true, &Problem{Writer: e.Writer, Seq: e.Seq}
	},
	"a chain is cut": func(t *rapid.T, h *history) (bool, *Problem) {
		e := *drawEntry(t, h)
		for seq := e.Seq; h.remove(e.Writer, seq); {
			seq++
		}
		return true, h.cut(e.Writer, e.Seq)
	},
	"a chain is removed": func(t *rapid.T, h *history) (bool, *Problem) {
		writer := drawEntry(t, h).Writer
		h.entries = slices.DeleteFunc(h.entries, func(e saaf.EntryRow) bool { return e.Writer == writer })
		return true, h.cut(writer, 1)
	},
	"a chain is written anew": func(t *rapid.T, h *history) (bool, *Problem) {
		e := *drawEntry(t, h)
		h.relink(e.Writer, e.Seq)
		checkpoint, named := h.covers(e.Writer, e.Seq)
		if checkpoint == 0 {
			return true, nil
		}
		return true, &Problem{Writer: e.Writer, Seq: named, Checkpoint: checkpoint}
	},
	"a chain is inserted": func(t *rapid.T, h *history) (bool, *Problem) {
		_, began := h.insert(t)
		if len(h.checkpoints) == 0 || !began.Before(h.until()) {
			return true, nil
		}
		return true, &Problem{Writer: h.entries[len(h.entries)-1].Writer, Seq: 1}
	},
	"a chain is inserted, and signed": func(t *rapid.T, h *history) (bool, *Problem) {
		c, began := h.insert(t)
		old := len(h.checkpoints) > 0 && began.Before(h.until())
		h.chains = append(slices.Clone(h.chains), c)
		h.sign()
		if !old {
			return true, nil
		}
		return true, &Problem{Writer: c.head.Writer, Seq: 1, Checkpoint: int64(len(h.checkpoints))}
	},
	"a chain grows that has ended": func(t *rapid.T, h *history) (bool, *Problem) {
		ended := slices.DeleteFunc(slices.Clone(h.chains), func(c *grownChain) bool {
			_, by := h.named(c.head.Writer)
			return by == 0 || by == int64(len(h.checkpoints))
		})
		if len(ended) == 0 {
			return false, nil
		}
		c := *rapid.SampledFrom(ended).Draw(t, "chain")
		if rapid.Bool().Draw(t, "in its time") {
			h.now = time.UnixMilli(madeAt(c.head.Entry))
		}
		h.enter(&c, 0)
		return true, &Problem{Writer: c.head.Writer, Seq: c.head.Seq, Entry: c.head.Entry}
	},
	"two chains change their names": func(t *rapid.T, h *history) (bool, *Problem) {
		a, b := drawEntry(t, h).Writer, drawEntry(t, h).Writer
		if a == b {
			return false, nil
		}
		for i := range h.entries {
			switch e := &h.entries[i]; e.Writer {
			case a:
				e.Writer = b
			case b:
				e.Writer = a
			}
		}
		if rapid.Bool().Draw(t, "in their heads too") {
			h.relink(a, 1)
			h.relink(b, 1)
			if _, by := h.named(a); by == 0 {
				if _, by := h.named(b); by == 0 {
					return true, nil
				}
			}
		}
		return true, anywhere
	},
	"two entries change places": func(t *rapid.T, h *history) (bool, *Problem) {
		a, b := drawEntry(t, h), drawEntry(t, h)
		if a == b {
			return false, nil
		}
		*a, *b = *b, *a
		a.ID, b.ID = b.ID, a.ID
		return true, anywhere
	},
	"an entry is there twice": func(t *rapid.T, h *history) (bool, *Problem) {
		e := *drawEntry(t, h)
		e.Campaign += 7
		if rapid.Bool().Draw(t, "with an id of its own") {
			e.ID = saaf.EntryID(h.id(h.now))
		}
		h.entries = append(h.entries, e)
		return true, anywhere
	},
	"heads are swapped in a checkpoint": func(t *rapid.T, h *history) (bool, *Problem) {
		n, ok := drawCheckpoint(t, h, 2)
		if !ok {
			return false, nil
		}
		heads := h.checkpoints[n].Heads
		i := rapid.IntRange(1, len(heads)-1).Draw(t, "head")
		a, b := &heads[i-1], &heads[i]
		switch rapid.IntRange(0, 3).Draw(t, "what of them") {
		case 0:
			a.Hash, b.Hash = b.Hash, a.Hash
		case 1:
			a.Entry, b.Entry = b.Entry, a.Entry
		case 2:
			a.Writer, b.Writer = b.Writer, a.Writer
		case 3:
			*a, *b = *b, *a
		}
		h.resign(n)
		return true, &Problem{Checkpoint: int64(n + 1)}
	},
	"a checkpoint leaves a chain out": func(t *rapid.T, h *history) (bool, *Problem) {
		n, ok := drawCheckpoint(t, h, 2)
		if !ok {
			return false, nil
		}
		c := &h.checkpoints[n]
		i := rapid.IntRange(0, len(c.Heads)-1).Draw(t, "head")
		left := c.Heads[i]
		c.Heads = slices.Delete(c.Heads, i, i+1)
		h.resign(n)
		named, by := h.named(left.Writer)
		switch {
		case n > 0 && headOfChain(&h.checkpoints[n-1], left.Writer).Seq > 0 && by > int64(n+1):
			return true, anywhere // it is named again
		case n > 0 && by == int64(n) && named.Seq < int64(len(h.of(left.Writer))):
			return true, &Problem{Writer: left.Writer, Seq: named.Seq + 1}
		}
		// As if it had ended before, or was there a checkpoint later: that is found when
		// it is too much later.
		return false, nil
	},
	"a checkpoint names nothing of one": func(t *rapid.T, h *history) (bool, *Problem) {
		n, ok := drawCheckpoint(t, h, 1)
		if !ok {
			return false, nil
		}
		heads := h.checkpoints[n].Heads
		heads[rapid.IntRange(0, len(heads)-1).Draw(t, "head")].Seq = 0
		h.resign(n)
		return true, &Problem{Checkpoint: int64(n + 1)}
	},
	"a checkpoint is removed": func(t *rapid.T, h *history) (bool, *Problem) {
		n, ok := drawCheckpoint(t, h, 1)
		if !ok {
			return false, nil
		}
		last := n == len(h.checkpoints)-1
		h.checkpoints, h.signed = slices.Delete(h.checkpoints, n, n+1), slices.Delete(h.signed, n, n+1)
		if last {
			return true, nil
		}
		return true, &Problem{Checkpoint: int64(n + 1)}
	},
}

func drawEntry(t *rapid.T, h *history) *saaf.EntryRow {
	return &h.entries[rapid.IntRange(0, len(h.entries)-1).Draw(t, "entry")]
}

// drawCheckpoint is the place of one that names at least so many chains.
func drawCheckpoint(t *rapid.T, h *history, heads int) (n int, ok bool) {
	var places []int
	for i := range h.checkpoints {
		if len(h.checkpoints[i].Heads) >= heads {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(places).Draw(t, "checkpoint"), true
}

// remove removes an entry.
func (h *history) remove(writer, seq int64) (removed bool) {
	n := len(h.entries)
	h.entries = slices.DeleteFunc(h.entries, func(e saaf.EntryRow) bool { return e.Writer == writer && e.Seq == seq })
	return len(h.entries) < n
}

// cut is what must be found when a chain ends before an entry.
func (h *history) cut(writer, seq int64) *Problem {
	checkpoint, _ := h.covers(writer, seq)
	if checkpoint == 0 {
		return nil
	}
	return &Problem{Writer: writer, Seq: seq, Checkpoint: checkpoint}
}

// relink writes a chain anew from an entry on, as whoever can compute hashes would.
func (h *history) relink(writer, from int64) {
	var before saaf.SHA256
	for _, i := range h.of(writer) {
		if e := &h.entries[i]; e.Seq >= from {
			e.Tenant++
			h.write(e, before)
		}
		before = h.entries[i].Hash
	}
}

// insert adds a chain of somebody else's that begins at any time.
func (h *history) insert(t *rapid.T) (c *grownChain, began time.Time) {
	now, chains := h.now, h.chains
	defer func() { h.now, h.chains = now, chains }()
	h.now = now.Add(-time.Duration(rapid.IntRange(0, 10*3600).Draw(t, "seconds ago")) * time.Second)
	c = h.begin()
	for range rapid.IntRange(1, 3).Draw(t, "entries") {
		h.enter(c, 0)
	}
	return c, time.UnixMilli(madeAt(h.entries[h.of(c.head.Writer)[0]].ID))
}

// What processes write is whole however they overlapped, and what somebody does to it
// afterwards is found, at the right place.
func TestVerifySeveralChains(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	names := make([]string, 0, len(ways))
	for name := range ways {
		names = append(names, name)
	}
	slices.Sort(names)
	done := map[string]int{}
	// Some histories leave no room for some kinds of damage.
	for round := 0; round < 10 && len(done) < len(ways) && !t.Failed(); round++ {
		rapid.Check(t, func(t *rapid.T) { b.damages(t, names, done) })
	}
	if len(done) < len(ways) && !t.Failed() {
		t.Errorf("of %d kinds of damage these were done: %v", len(ways), done)
	}
}

// damages makes a history and does every kind of damage to it.
func (b *burglar) damages(t *rapid.T, names []string, done map[string]int) {
	h := b.drawHistory(t)
	if len(h.entries) == 0 {
		return
	}
	rep, p := b.finds(h)
	if p != nil {
		t.Fatalf("what was written is broken: %v", p)
	}
	if diff := cmp.Diff(h.report(), rep); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range names {
		damaged := h.clone()
		did, want := ways[name](t, damaged)
		if !did || !damaged.storable() {
			continue
		}
		done[name]++
		_, p := b.finds(damaged)
		switch {
		case want == nil && p != nil:
			t.Fatalf("%s, of which nothing can be known: %v", name, p)
		case want == nil:
		case p == nil:
			t.Fatalf("%s, and nothing is found; want %+v", name, want)
		case want.Writer != 0 && p.Writer != want.Writer || want.Seq != 0 && p.Seq != want.Seq ||
			want.Entry != 0 && p.Entry != want.Entry || want.Checkpoint != 0 && p.Checkpoint != want.Checkpoint:
			t.Fatalf("%s: found %+v, want %+v", name, p, want)
		}
	}
}

// Every byte of every row, over several chains.
func TestVerifyFindsEveryByteOfSeveralChains(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	h := b.threeChains(t)
	if rep, p := b.finds(h); p != nil || rep.Ended != 1 || len(rep.Chains) != 2 || rep.Signed != rep.Entries-2 {
		t.Fatalf("it is not what this test is about: %+v, %v", rep, p)
	}
	flips := 0
	for n := range h.entries {
		row := &h.entries[n]
		for column, value := range map[string]any{"campaign": int64(row.Campaign), "tenant": int64(row.Tenant), "writer": row.Writer,
			"seq": row.Seq, "id": int64(row.ID), "head": row.Head, "body": row.Body, "hash": row.Hash[:]} {
			for _, flipped := range variants(value, n) {
				damaged := h.clone()
				e := &damaged.entries[n]
				switch column {
				case "campaign":
					e.Campaign = saaf.CampaignID(flipped.(int64))
				case "tenant":
					e.Tenant = saaf.TenantID(flipped.(int64))
				case "writer":
					e.Writer = flipped.(int64)
				case "seq":
					e.Seq = flipped.(int64)
				case "id":
					e.ID = saaf.EntryID(flipped.(int64))
				case "head":
					e.Head = flipped.([]byte)
				case "body":
					e.Body = flipped.([]byte)
				case "hash":
					e.Hash = saaf.SHA256(flipped.([]byte))
				}
				if !damaged.storable() {
					continue
				}
				flips++
				_, p := b.finds(damaged)
				if p == nil || column != "id" && column != "writer" && (p.Writer != row.Writer || p.Seq != row.Seq || p.Entry != row.ID) {
					t.Errorf("entry %d, %s flipped: found %+v", n, column, p)
				}
			}
		}
	}
	for n := range h.signed {
		row := &h.signed[n]
		for column, value := range map[string]any{"seq": row.Seq, "text": row.Text, "signature": row.Signature} {
			for _, flipped := range variants(value, n) {
				damaged := h.clone()
				switch c := &damaged.signed[n]; column {
				case "seq":
					c.Seq = flipped.(int64)
				case "text":
					c.Text = flipped.([]byte)
				case "signature":
					c.Signature = flipped.([]byte)
				}
				if !damaged.storable() {
					continue
				}
				flips++
				_, p := b.finds(damaged)
				if p == nil || p.Checkpoint == 0 {
					t.Errorf("checkpoint %d, %s flipped: found %+v", n+1, column, p)
				}
			}
		}
	}
	if flips*stride() < 4000 {
		t.Errorf("%d flips", flips)
	}
}

// overlapping is a history in which a chain was read two checkpoints further when the
// first one is seen to be whole.
func (b *bundle) overlapping(t *testing.T) *history {
	h := b.newHistory(t)
	one, two := h.begin(), h.begin()
	h.enter(one, time.Minute)
	h.enter(two, 0)
	h.sign()
	for n := range 2 {
		h.enter(one, time.Duration(30-n)*time.Second)
		h.sign()
	}
	h.now = h.now.Add(time.Minute)
	h.enter(one, 0)
	h.enter(two, 0)
	h.sign()
	return h
}

// What the other tests of this file would find by chance.
func TestVerifySeveralChainsToTheLetter(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	for what, c := range map[string]struct {
		do   func(h *history)
		want *Problem
		says string
	}{
		"nothing": {func(*history) {}, nil, ""},
		"a chain ends and is named again": {func(h *history) {
			c := &h.checkpoints[1]
			c.Heads = c.Heads[:1]
			h.remove(h.chains[1].head.Writer, 2)
			h.checkpoints = h.checkpoints[:3]
		}, &Problem{Checkpoint: 3}, "which had ended with checkpoint 1"},
		"a chain twice":                  {func(h *history) { c := &h.checkpoints[1]; c.Heads[1] = c.Heads[0] }, &Problem{Checkpoint: 2}, "names chains twice"},
		"chains in another order":        {func(h *history) { slices.Reverse(h.checkpoints[1].Heads) }, &Problem{Checkpoint: 2}, "not in their order"},
		"nothing of a chain":             {func(h *history) { h.checkpoints[0].Heads[1].Seq = 0 }, &Problem{Checkpoint: 1}, "signed less"},
		"less than before":               {func(h *history) { h.checkpoints[2].Heads[0] = h.checkpoints[0].Heads[0] }, &Problem{Checkpoint: 3}, "signed less"},
		"another entry than was passed":  {func(h *history) { h.checkpoints[1].Heads[0].Hash[7]++ }, &Problem{Checkpoint: 2, Writer: 1, Seq: 2}, "written anew behind seq 1"},
		"another id than was passed":     {func(h *history) { h.checkpoints[1].Heads[0].Entry++ }, &Problem{Checkpoint: 2, Writer: 1, Seq: 2}, "written anew behind seq 1"},
		"another entry than stands last": {func(h *history) { h.checkpoints[3].Heads[0].Hash[7]++ }, &Problem{Checkpoint: 4, Writer: 1, Seq: 4}, "written anew behind seq 3"},
		"two entries with one id": {func(h *history) {
			c := h.begin()
			h.enter(c, 0)
			e := &h.entries[len(h.entries)-1]
			e.ID = h.entries[len(h.entries)-2].ID
			h.write(e, saaf.SHA256{})
		}, anywhere, "another entry with its id"},
		"a chain without its beginning": {func(h *history) {
			c := h.begin()
			c.head.Seq = 1
			h.enter(c, 0)
		}, &Problem{Writer: 3, Seq: 1}, "behind seq 0 stands an entry with seq 2"},
		"a checkpoint of a clock that is far ahead": {func(h *history) {
			h.checkpoints[3].At = h.now.AddDate(1, 0, 0)
			h.now = h.now.Add(time.Minute)
			h.enter(h.begin(), 0)
			h.sign()
			h.now = h.now.Add(time.Minute)
			h.enter(h.begin(), 0)
		}, nil, ""},
		"a chain that a clock puts an hour behind": {func(h *history) {
			h.enter(h.begin(), time.Hour)
			h.sign()
			h.enter(h.begin(), time.Hour)
		}, nil, ""},
		"a chain that a clock puts far behind": {func(h *history) {
			h.enter(h.begin(), time.Hour+time.Second)
		}, &Problem{Writer: 3, Seq: 1}, "its chain is older than checkpoint 4, which does not name it: the chain was inserted, or the clock of its process was more than 1h0m0s behind"},
		"the same, and signed": {func(h *history) {
			h.enter(h.begin(), time.Hour+time.Second)
			h.sign()
		}, &Problem{Writer: 3, Seq: 1, Checkpoint: 5}, "its chain is older than checkpoint 4"},
		"two chains that are cut": {func(h *history) {
			h.remove(h.chains[0].head.Writer, 4)
			h.remove(h.chains[1].head.Writer, 2)
		}, &Problem{Writer: 1, Seq: 4, Checkpoint: 4}, "the chain ends with seq 3, and entries up to seq 4 were signed"},
	} {
		h := b.overlapping(t)
		c.do(h)
		h.resign(0)
		rep, p := b.finds(h)
		if c.want == nil {
			if p != nil || rep.Checkpoints != int64(len(h.checkpoints)) {
				t.Errorf("%s: %v, %d checkpoints", what, p, rep.Checkpoints)
			}
			continue
		}
		writer := int64(0)
		if n := c.want.Writer; n > 0 {
			writer = h.chains[n-1].head.Writer
		}
		if p == nil || !strings.Contains(p.What, c.says) || c.want != anywhere && (p.Writer != writer || p.Seq != c.want.Seq || p.Checkpoint != c.want.Checkpoint) {
			t.Errorf("%s: found %+v, want %+v", what, p, c.want)
		}
		if what == "two chains that are cut" && (len(rep.Problems) != 2 || rep.Problems[1].Writer != h.chains[1].head.Writer || rep.Problems[1].Seq != 2) {
			t.Errorf("%s: %v", what, rep.Problems)
		}
	}
}

// Who cuts the newest checkpoint too is found by one that was lodged; it names the chain
// of its newest entry.
func TestVerifySeveralChainsAgainstLodged(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	h := b.threeChains(t)
	lodged := h.signed[2].SignedCheckpoint
	if rep, p := b.finds(h, lodged, h.signed[0].SignedCheckpoint); p != nil || rep.Lodged != 2 {
		t.Errorf("found are %d, %v", rep.Lodged, p)
	}
	cut := h.clone()
	cut.entries = slices.DeleteFunc(cut.entries, func(e saaf.EntryRow) bool {
		by, _ := h.covers(e.Writer, e.Seq)
		return by == 0 || by > 2
	})
	cut.checkpoints, cut.signed = cut.checkpoints[:2], cut.signed[:2]
	if _, p := b.finds(cut); p != nil {
		t.Fatalf("the cut shows: %v", p)
	}
	newest := slices.MaxFunc(h.checkpoints[2].Heads, func(a, b saaf.CheckpointHead) int { return int(a.Entry - b.Entry) })
	_, p := b.finds(cut, lodged)
	if p == nil || p.Checkpoint != 3 || p.Entry != newest.Entry || p.Writer != newest.Writer || p.Seq != newest.Seq {
		t.Errorf("found %+v, want %+v", p, newest)
	}
	if text := p.Error(); !strings.Contains(text, fmt.Sprintf("entry %s, chain %d, seq %d, checkpoint 3", newest.Entry, newest.Writer, newest.Seq)) {
		t.Error(text)
	}
}
