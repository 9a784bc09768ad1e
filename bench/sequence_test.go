package bench

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"saaf"
	"saaf/dnd"
)

// The leads of a campaign are all different, their verdict is that of the registry, and
// the way back from a phone is the way there.
func TestSequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		registry, err := dnd.NewSynthetic(dnd.SyntheticConfig{Numbers: rapid.Int64Range(1, 3000).Draw(t, "numbers"), Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := newSequence(registry, rapid.Int64Range(0, 1100).Draw(t, "salt"))
		seen := make(map[saaf.Phone]bool)
		for n := range min(room(registry), 4000) {
			p, listed := s.lead(n)
			if seen[p] {
				t.Fatalf("lead %d is there twice", n)
			}
			seen[p] = true
			if listed != registry.Entry(p).Listed {
				t.Fatalf("lead %d: listed is %v", n, listed)
			}
			if back, ok := s.index(p); !ok || back != n {
				t.Fatalf("lead %d comes back as %d (%v)", n, back, ok)
			}
		}
	})
}

// What is pushed is JSON that a strict reader takes, with the phones and as many listed
// ones as it says.
func TestBulkBody(t *testing.T) {
	t.Parallel()
	registry, err := dnd.NewSynthetic(dnd.SyntheticConfig{Numbers: 5000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := newSequence(registry, 7)
	body, listed := s.appendBulk(nil, 11, 25)
	var push struct {
		Leads []struct {
			Phone    string          `json:"phone"`
			Metadata json.RawMessage `json:"metadata"`
		} `json:"leads"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		t.Fatal(err)
	}
	if len(push.Leads) != 25 || listed != 12 {
		t.Errorf("%d leads, %d listed", len(push.Leads), listed)
	}
	for i, l := range push.Leads {
		if p, _ := s.lead(11 + int64(i)); l.Phone != p.National() || len(l.Metadata) != 140 {
			t.Errorf("lead %d has %d bytes of metadata, or another phone", i, len(l.Metadata))
		}
	}
}

// An answer that is not as it must be is an error, whichever way it is wrong.
func TestExpect(t *testing.T) {
	t.Parallel()
	bulk := `{"results":[{"status":"added","id":"x","dnd":true},{"status":"added","id":"y"}]}`
	for _, c := range []struct {
		status int
		answer string
		leads  int64
		listed int
		ok     bool
	}{
		{200, bulk, 2, 1, true}, {200, bulk, 2, 0, false}, {200, bulk, 2, 2, false}, {200, bulk, 3, 1, false}, {500, bulk, 2, 1, false},
		{201, `{"status":"dnd"}`, 1, 1, true}, {201, `{"status":"dnd"}`, 1, 0, false},
		{201, `{"status":"pending"}`, 1, 0, true}, {201, `{"status":"pending"}`, 1, 1, false}, {409, `{"status":"pending"}`, 1, 0, false},
	} {
		if err := expect(c.status, []byte(c.answer), c.leads, c.listed); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Requests without an answer may be there or not, but not in part.
func TestSettle(t *testing.T) {
	t.Parallel()
	c := campaign{Leads: 6, Unanswered: []span{{0, 2}, {2, 2}, {4, 1}}}
	if n := c.acknowledged(); n != 1 {
		t.Errorf("%d leads count as acknowledged, want 1", n)
	}
	seen := []bool{true, true, true, false, false, false}
	if halves := c.settle(seen); halves != 1 {
		t.Errorf("%d requests are stored in part, want 1", halves)
	}
	for n, is := range seen {
		if is != (n < 5) {
			t.Errorf("lead %d: seen is %v", n, is)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r  Row
		ok bool
	}{
		{row(1, "a", "", 7, "x").beside(10).must(atLeast, 0.7), true}, {row(1, "a", "", 6.9, "x").beside(10).must(atLeast, 0.7), false},
		{row(1, "a", "", 60, "ms").must(atMost, 60), true}, {row(1, "a", "", 61, "ms").must(atMost, 60), false},
		{within("a", "", 1, "B", 2).rowOf(10), true}, {against("a", "", 5, 2, "B", 2).rowOf(10), false},
	} {
		if *c.r.OK != c.ok {
			t.Errorf("%+v: ok is %v", c.r, *c.r.OK)
		}
	}
	if r := told("a", "", 1, "s").rowOf(12); r.OK != nil || r.Floor != nil {
		t.Errorf("what is only told is judged: %+v", r)
	}
}
