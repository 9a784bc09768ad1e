package saaf

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestIDSpelling(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		TenantID(1).String():            "ten_0000000000001",
		KeyID(31).String():              "key_000000000000z",
		CampaignID(32).String():         "camp_0000000000010",
		LeadID(math.MaxInt64).String():  "lead_7zzzzzzzzzzzz",
		SnapshotID(1 << 60).String():    "snap_1000000000000",
		ServerID(18 + 19<<5).String():   "srv_00000000000kj",
		string(LeadID(7).AppendTo(nil)): "lead_0000000000007",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestParseIDRefuses: one thing has one spelling, because ids are compared as text
// by those who keep them.
func TestParseIDRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "lead_", "lead_000000000000", "lead_00000000000001", "0000000000001", strings.Repeat("lead_", 1<<16),
		"lead_0000000000000",                       // zero is no id
		"lead_8000000000000", "lead_zzzzzzzzzzzzz", // 64 and 65 bits
		"lead_000000000000A", "LEAD_0000000000001", // upper case
		"camp_0000000000001", "leads0000000000001", // not a lead
		"lead_000000000000i", "lead_000000000000l", "lead_000000000000o", "lead_000000000000u", // not in Crockford's alphabet
		" lead_000000000001", "lead_000000000001\n", "lead_000000-00001", "lead_00000000000é", "lead_00000000000\xff1",
	} {
		if id, ok := ParseID[LeadID](s); ok {
			t.Errorf("%.40q is %d", s, int64(id))
		}
	}
}

func TestIDText(t *testing.T) {
	t.Parallel()
	type body struct {
		Lead LeadID `json:"lead"`
	}
	b, err := json.Marshal(body{Lead: 42})
	if err != nil || string(b) != `{"lead":"lead_000000000001a"}` {
		t.Errorf("%s, %v", b, err)
	}
	var got body
	if err := json.Unmarshal(b, &got); err != nil || got.Lead != 42 {
		t.Errorf("%v, %v", got, err)
	}
	err = json.Unmarshal([]byte(`{"lead":"camp_000000000001a"}`), &got)
	if err == nil || !strings.Contains(err.Error(), "lead_") || got.Lead != 42 {
		t.Errorf("a campaign id as a lead id: %v, %v", got, err)
	}
}

// TestIDOrder: the spelling sorts as the integers do, in any database and by ls.
func TestIDOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Int64Range(1, math.MaxInt64), 2, 20).Draw(t, "ids")
		slices.Sort(ids)
		var last string
		for i, v := range ids {
			s := LeadID(v).String()
			if back, ok := ParseID[LeadID](s); !ok || int64(back) != v {
				t.Fatalf("%d is %s, which is %d", v, s, int64(back))
			}
			if i > 0 && (s < last || s == last != (v == ids[i-1])) {
				t.Fatalf("%s after %s", s, last)
			}
			last = s
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"lead_0000000000001", "lead_7zzzzzzzzzzzz", "lead_8000000000000", "LEAD_0000000000001", "camp_0000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := ParseID[LeadID](s); ok && (id <= 0 || id.String() != s) {
			t.Fatalf("%q is %d, which is %q", s, int64(id), id.String())
		}
	})
}

// idParts takes an id apart.
func idParts(id int64) (at time.Time, node, seq int64) {
	return time.UnixMilli(id >> (idNodeBits + idSeqBits)), id >> idSeqBits & MaxNode, id & (1<<idSeqBits - 1)
}

func newIDSource(t testing.TB, node int, floor int64) *IDSource {
	t.Helper()
	s, err := NewIDSource(node, floor)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewIDSourceRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		node  int
		floor int64
	}{{-1, 0}, {MaxNode + 1, 0}, {0, -1}} {
		if _, err := NewIDSource(tt.node, tt.floor); err == nil {
			t.Errorf("node %d, floor %d: no error", tt.node, tt.floor)
		}
	}
}

// TestIDSourceClock runs in a bubble, where the clock stands still until told.
func TestIDSourceClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newIDSource(t, MaxNode, 0)
		const n = 3<<idSeqBits + 1 // three full milliseconds and one id
		last := s.Last()
		for i := range n {
			id := s.Next()
			at, node, seq := idParts(id)
			if id <= last || s.Last() != id {
				t.Fatalf("id %d: %d after %d, last %d", i, id, last, s.Last())
			}
			if ahead := time.Duration(i>>idSeqBits) * time.Millisecond; !at.Equal(start.Add(ahead)) || node != MaxNode || seq != int64(i&(1<<idSeqBits-1)) {
				t.Fatalf("id %d: at %v, node %d, sequence %d", i, at, node, seq)
			}
			last = id
		}

		time.Sleep(time.Second)
		if at, _, seq := idParts(s.Next()); !at.Equal(start.Add(time.Second)) || seq != 0 {
			t.Errorf("after a second: at %v, sequence %d", at, seq)
		}
	})
}

// TestIDSourceClockGoesBack makes an id now and the next in a bubble, where it is
// the year 2000 again.
func TestIDSourceClockGoesBack(t *testing.T) {
	t.Parallel()
	s := newIDSource(t, 3, 0)
	before := s.Next()
	synctest.Test(t, func(t *testing.T) {
		if at, _, _ := idParts(before); !time.Now().Before(at) {
			t.Fatalf("the clock of the bubble, %v, is not behind %v", time.Now(), at)
		}
		last := before
		for range 2 << idSeqBits {
			id := s.Next()
			if _, node, _ := idParts(id); id <= last || node != 3 {
				t.Fatalf("%d of node %d after %d", id, node, last)
			}
			last = id
		}
	})
}

// TestIDSourceFloor starts above ids of any node and time, also of a node whose
// ids lie just beside ours.
func TestIDSourceFloor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		node := rapid.OneOf(rapid.SampledFrom([]int{0, 1, MaxNode - 1, MaxNode}), rapid.IntRange(0, MaxNode)).Draw(t, "node")
		other := rapid.OneOf(rapid.SampledFrom([]int64{0, int64(node), int64(max(node-1, 0)), MaxNode}), rapid.Int64Range(0, MaxNode)).Draw(t, "other node")
		seq := rapid.OneOf(rapid.Just(int64(1<<idSeqBits-1)), rapid.Int64Range(0, 1<<idSeqBits-1)).Draw(t, "sequence")
		ms := rapid.OneOf(rapid.Int64Range(0, 1<<41-1), rapid.Int64Range(1<<41, 1<<42-9)).Draw(t, "ms") // behind the clock or ahead
		floor := ms<<(idNodeBits+idSeqBits) | other<<idSeqBits | seq

		s, err := NewIDSource(node, floor)
		if err != nil {
			t.Fatal(err)
		}
		if s.Last() != floor {
			t.Fatalf("last %d, floor %d", s.Last(), floor)
		}
		last := floor
		for range 3 {
			id := s.Next()
			at, got, _ := idParts(id)
			if id <= last || got != int64(node) {
				t.Fatalf("%d of node %d after %d", id, got, last)
			}
			if limit := time.UnixMilli(max(time.Now().UnixMilli(), ms) + 1); at.After(limit) {
				t.Fatalf("the id runs ahead: %v, clock and floor allow %v", at, limit)
			}
			last = id
		}
	})
}

func TestIDSourceConcurrent(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 2000
	s := newIDSource(t, 5, 0)
	made := make([][]int64, goroutines)
	var wg sync.WaitGroup
	for g := range made {
		wg.Go(func() {
			for range each {
				made[g] = append(made[g], s.Next())
			}
		})
	}
	wg.Wait()
	for g, ids := range made {
		if !slices.IsSorted(ids) {
			t.Errorf("goroutine %d saw ids go back", g)
		}
	}
	all := slices.Sorted(slices.Values(slices.Concat(made...)))
	if n := len(slices.Compact(all)); n != goroutines*each {
		t.Errorf("%d different ids, want %d", n, goroutines*each)
	}
}

func BenchmarkIDSource(b *testing.B) {
	s := newIDSource(b, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.Next()
	}
}
