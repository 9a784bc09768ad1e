package phoneblock

import (
	"math/rand/v2"
	"slices"
	"testing"

	"saaf"
)

// model is a block as a plain list.
type model struct {
	all  []Addition
	dead map[saaf.LeadID]bool
}

func (m *model) live() (list []Addition) {
	for _, a := range m.all {
		if !m.dead[a.ID] {
			list = append(list, a)
		}
	}
	return list
}

func somePhone(r *rand.Rand) saaf.Phone { return saaf.Phone(1 + r.Uint64N(9_999_999_999)) }

func someState(r *rand.Rand) State {
	return Of(saaf.LeadStatus(r.IntN(saaf.NumLeadStatuses)), saaf.VerdictReason(r.IntN(len(saaf.FindingCounts{}))))
}

func TestStateFits(t *testing.T) {
	if saaf.NumLeadStatuses > 1<<stateBits/statusStep || len(saaf.FindingCounts{}) > statusStep {
		t.Fatal("statuses and findings no longer fit into six bits")
	}
	for status := range saaf.LeadStatus(saaf.NumLeadStatuses) {
		for reason := range saaf.VerdictReason(len(saaf.FindingCounts{})) {
			s := Of(status, reason)
			if s.Status() != status || s.Reason() != reason || s > maxState {
				t.Errorf("Of(%v, %v) = %d is read as %v, %v", status, reason, s, s.Status(), s.Reason())
			}
		}
	}
}

func TestBlockAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b Block
		m := model{dead: map[saaf.LeadID]bool{}}
		id := saaf.LeadID(r.Int64N(1 << 61))
		for range 300 {
			live := m.live()
			switch r.IntN(6) {
			case 0:
				if len(live) == 0 {
					continue
				}
				a := live[r.IntN(len(live))]
				e, ok := b.ByID(a.ID)
				if !ok {
					t.Fatalf("seed %d: lead %d is not found", seed, a.ID)
				}
				b.Remove(e)
				m.dead[a.ID] = true
			case 1:
				var list []Change
				checked, unfounded := r.Int64N(1000), r.IntN(2) == 0
				for _, a := range live {
					if r.IntN(3) == 0 {
						continue
					}
					e, _ := b.ByPhone(a.Phone)
					c := Change{Entry: e, State: someState(r), Checked: checked, Unfounded: unfounded}
					list = append(list, c)
					i := slices.IndexFunc(m.all, func(x Addition) bool { return x.ID == e.ID })
					m.all[i].State, m.all[i].Checked, m.all[i].Unfounded = c.State, checked, unfounded
				}
				if len(list) > 0 {
					b.Change(list...)
				}
			default:
				id += saaf.LeadID(1 + r.Int64N(1<<r.IntN(40)))
				a := Addition{ID: id, Phone: somePhone(r), State: someState(r), Created: r.Int64N(1000), Checked: r.Int64N(1000), Unfounded: r.IntN(4) == 0}
				before := slices.Clone(b.Bytes())
				if b.Append(a) {
					m.all = append(m.all, a)
				} else if !slices.Equal(before, b.Bytes()) {
					t.Fatalf("seed %d: a block that was full has changed", seed)
				}
			}
			check(t, seed, &b, &m)
			again, err := Parse(slices.Clone(b.Bytes()))
			if err != nil {
				t.Fatalf("seed %d: what was written cannot be read: %v", seed, err)
			}
			if again.Last() != b.Last() {
				t.Fatalf("seed %d: last is %d, read as %d", seed, b.Last(), again.Last())
			}
			if r.IntN(3) == 0 {
				b = again.Clone()
			}
		}
	}
}

// check holds what a block says against the model: never too little.
func check(t *testing.T, seed uint64, b *Block, m *model) {
	t.Helper()
	live := m.live()
	entries := b.Entries(nil)
	if len(entries) != len(live) || b.Empty() != (len(live) == 0) {
		t.Fatalf("seed %d: %d leads, want %d", seed, len(entries), len(live))
	}
	h := b.Head()
	if len(m.all) > 0 && h.First != m.all[0].ID {
		t.Fatalf("seed %d: first is %d, want %d", seed, h.First, m.all[0].ID)
	}
	clean, exact := None, None
	for i, a := range live {
		e := entries[i]
		if e.ID != a.ID || e.Phone != a.Phone || e.State != a.State {
			t.Fatalf("seed %d: lead %d is %+v, want %+v", seed, i, e, a)
		}
		if !h.States.Has(a.State) {
			t.Fatalf("seed %d: state %d is missing in the head", seed, a.State)
		}
		if a.Created < h.Created.Min || a.Created > h.Created.Max {
			t.Fatalf("seed %d: created %d outside of %v", seed, a.Created, h.Created)
		}
		if !a.State.Dated() {
			continue
		}
		exact.Add(a.Checked)
		if clean = h.Checked; a.Checked < clean.Min || a.Checked > clean.Max || a.Unfounded && a.State.Reason().Clean() && !h.Unfounded {
			t.Fatalf("seed %d: checked %d, unfounded %v outside of %v, %v", seed, a.Checked, a.Unfounded, clean, h.Unfounded)
		}
	}
	if len(m.dead) == 0 && len(live) > 0 && exact.Min == exact.Max && exact.Empty() != clean.Empty() {
		t.Fatalf("seed %d: bounds %v of %v", seed, clean, exact)
	}
}

func TestChangeMovesTheBoundsOn(t *testing.T) {
	var b Block
	clean := Of(saaf.LeadPending, saaf.NotRegistered)
	for i := range 10 {
		b.Append(Addition{ID: saaf.LeadID(i + 1), Phone: saaf.Phone(i + 1), State: clean, Checked: int64(i), Unfounded: true})
	}
	var list []Change
	for _, e := range b.Entries(nil) {
		list = append(list, Change{Entry: e, State: clean, Checked: 100})
	}
	if b.Change(list[1:]...); b.Head().Checked != (Bounds{0, 100}) || !b.Head().Unfounded {
		t.Errorf("with one left: %+v", b.Head())
	}
	if b.Change(list...); b.Head().Checked != (Bounds{100, 100}) || b.Head().Unfounded {
		t.Errorf("with all changed: %+v", b.Head())
	}
}

func TestBlockHoldsAHundredAndFifty(t *testing.T) {
	var b Block
	n := 0
	for id := saaf.LeadID(1 << 60); b.Append(Addition{ID: id, Phone: 9876543210}); id++ {
		n++
	}
	if n < 150 || len(b.Bytes()) > MaxBody {
		t.Errorf("a block holds %d leads in %d bytes", n, len(b.Bytes()))
	}
}

func FuzzParse(f *testing.F) {
	var b Block
	f.Add(b.Bytes())
	for id := saaf.LeadID(1 << 60); id < 1<<60+3; id++ {
		b.Append(Addition{ID: id, Phone: 9876543210 + saaf.Phone(id%7), State: 3, Created: 12, Checked: 13})
	}
	f.Add(slices.Clone(b.Bytes()))
	e, _ := b.ByPhone(9876543211)
	b.Remove(e)
	f.Add(slices.Clone(b.Bytes()))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := Parse(slices.Clone(body))
		if err != nil {
			return
		}
		head := b.Head()
		last := saaf.LeadID(0)
		for _, e := range b.Entries(nil) {
			if e.ID <= last || e.ID > b.Last() || e.Phone == 0 || !head.States.Has(e.State) {
				t.Fatalf("entry %+v in %+v", e, head)
			}
			last = e.ID
			if found, ok := b.ByID(e.ID); !ok || found != e {
				t.Fatalf("%+v is found as %+v", e, found)
			}
		}
		if !slices.Equal(body, b.Bytes()) {
			t.Fatal("reading has changed the block")
		}
	})
}
