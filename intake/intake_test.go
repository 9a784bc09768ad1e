package intake

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/dnd"
	"saaf/scrub"
)

// today is the day of the tests, in India.
func today() saaf.Date { return saaf.DateOf(time.Now()) }

// state is a state of the registry and what a check finds in it.
type state struct {
	begin func(b *bundle) saaf.SnapshotRef // brings it about
	found map[saaf.Phone]saaf.VerdictReason
}

// answers is what a registry that answers finds.
var answers = map[saaf.Phone]saaf.VerdictReason{
	full: saaf.FullBlock, partial: saaf.PartialBlock, free: saaf.NotRegistered,
}

// nothing is what is found when there is one reason for nobody to answer.
func nothing(reason saaf.VerdictReason) map[saaf.Phone]saaf.VerdictReason {
	return map[saaf.Phone]saaf.VerdictReason{full: reason, partial: reason, free: reason}
}

// aged is a registry of this age.
func aged(days saaf.Date) func(*bundle) saaf.SnapshotRef {
	return func(b *bundle) saaf.SnapshotRef {
		snap := b.lists(days, ordinary)
		return saaf.SnapshotRef{ID: snap.ID, EffectiveDate: snap.EffectiveDate}
	}
}

var states = map[string]state{
	"none":  {func(*bundle) saaf.SnapshotRef { return saaf.SnapshotRef{} }, nothing(saaf.RegistryUnavailable)},
	"fresh": {aged(0), answers},
	"warn":  {aged(5), answers},
	"stale": {aged(7), nothing(saaf.RegistryStale)},
	"damaged": {func(b *bundle) saaf.SnapshotRef {
		b.lists(0, ordinary) // which answers until the next one comes
		snap := b.imports(0, ordinary+listOf(free))
		path := filepath.Join(scrub.RegistryDir(b.data), snap.SHA256.String()+dnd.Extension)
		content, err := os.ReadFile(path)
		if err != nil {
			b.t.Fatal(err)
		}
		content[len(content)-1] ^= 1
		if err := errors.Join(os.Remove(path), os.WriteFile(path, content, 0o400)); err != nil {
			b.t.Fatal(err)
		}
		b.loads()
		return saaf.SnapshotRef{}
	}, nothing(saaf.RegistryUnavailable)},
}

// agrees looks whether all that a lead says follows from one finding.
func (b *bundle) agrees(l saaf.Lead, reason saaf.VerdictReason, by saaf.SnapshotRef, from, to time.Time) {
	b.t.Helper()
	status, verdict := saaf.LeadPending, saaf.Verdict{Reason: reason}
	switch reason {
	case saaf.FullBlock, saaf.PartialBlock:
		status = saaf.LeadDND
		fallthrough
	case saaf.NotRegistered:
		verdict.Snapshot, verdict.CheckedAt = by, l.Verdict.CheckedAt
		if at := l.Verdict.CheckedAt; at.Before(from.Truncate(time.Millisecond)) || at.After(to) {
			b.t.Errorf("%v was checked at %v, outside %v to %v", l.Phone, at, from, to)
		}
	default:
		if l.Verdict.Reason.Clean() || l.Verdict.Reason.Checked() {
			b.t.Errorf("%v was found by nobody and is %v", l.Phone, l.Verdict.Reason)
		}
	}
	if l.Status != status {
		b.t.Errorf("%v is %v, want %v", l.Phone, l.Status, status)
	}
	if diff := cmp.Diff(verdict, l.Verdict); diff != "" {
		b.t.Error(l.Phone, diff)
	}
}

func TestPushInEveryState(t *testing.T) {
	t.Parallel()
	for name, s := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			by := s.begin(b)
			for p, reason := range s.found {
				from := time.Now()
				got, err := b.pushes(t.Context(), p)
				to := time.Now()
				if err != nil {
					t.Fatal(err)
				}
				b.agrees(got, reason, by, from, to)
				in := input(p)
				want := saaf.Lead{ID: got.ID, CampaignID: b.campaign, Phone: p, Name: in.Name, Email: in.Email,
					ExternalID: in.ExternalID, Metadata: in.Metadata, Status: got.Status, Verdict: got.Verdict,
					CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error("returned:", diff)
				}
				if got.ID == 0 || got.CreatedAt.Before(from.Truncate(time.Millisecond)) || got.CreatedAt.After(to) {
					t.Errorf("%v is %v, made at %v, outside %v to %v", p, got.ID, got.CreatedAt, from, to)
				}
				stored, err := b.store.Lead(t.Context(), b.tenant, b.campaign, got.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(got, stored); diff != "" {
					t.Error("stored:", diff)
				}
			}
		})
	}
}

func TestPushBulkInEveryState(t *testing.T) {
	t.Parallel()
	phones := []saaf.Phone{free, full, partial}
	for name, s := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			by := s.begin(b)
			from := time.Now()
			res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(phones...), saaf.By{Actor: "test"})
			to := time.Now()
			if err != nil {
				t.Fatal(err)
			}
			want := Result{Valid: 3}
			stored := b.stored()
			for _, p := range phones {
				b.agrees(stored[p], s.found[p], by, from, to)
				blocked := s.found[p] == saaf.FullBlock || s.found[p] == saaf.PartialBlock
				want.Rows = append(want.Rows, Outcome{ID: stored[p].ID, DND: blocked})
			}
			if diff := cmp.Diff(want, res); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, err := b.pushes(t.Context(), full)
	if err != nil {
		t.Fatal(err)
	}
	// Also when another answer would be found now.
	b.lists(0, ordinary)
	_, err = b.Push(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.LeadInput{Name: new("another")}, full, saaf.By{Actor: "test"})
	e, ok := errors.AsType[*saaf.Error](err)
	if !ok || e.Code != saaf.Conflict || e.Word != "duplicate" || e.LeadID != first.ID {
		t.Errorf("the second one: %#v", err)
	}
	res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, rows(full, free), saaf.By{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	stored := b.stored()
	want := Result{Valid: 1, Duplicates: 1, Rows: []Outcome{{Reason: saaf.ReasonDuplicate, ID: first.ID}, {ID: stored[free].ID}}}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first, stored[full]); diff != "" {
		t.Error("the stored lead changed:", diff)
	}
	// The same phone in another campaign is another lead.
	b.campaign = b.newCampaign()
	if l, err := b.pushes(t.Context(), full); err != nil || l.ID == first.ID || l.Status != saaf.LeadDND {
		t.Errorf("in another campaign: %v %v, %v", l.ID, l.Status, err)
	}
}

// The campaign decides before the rows do, also when no row is any good.
func TestCampaignThatTakesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stranger, err := b.store.CreateTenant(t.Context(), "Ravi")
	if err != nil {
		t.Fatal(err)
	}
	completed := b.newCampaign()
	_, err = b.store.UpdateCampaign(t.Context(), b.tenant, saaf.Live, completed, func(c *saaf.Campaign) error {
		c.Status = saaf.CampaignCompleted
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	bad := []Row{{Refused: saaf.ReasonNotAnObject}, {Input: saaf.LeadInput{Phone: "12345"}}}
	for name, c := range map[string]struct {
		tenant   saaf.TenantID
		env      saaf.Environment
		campaign saaf.CampaignID
		want     error
	}{
		"of another tenant":      {stranger.ID, saaf.Live, b.campaign, saaf.ErrCampaignNotFound},
		"of another environment": {b.tenant, saaf.Test, b.campaign, saaf.ErrCampaignNotFound},
		"does not exist":         {b.tenant, saaf.Live, b.campaign + 1, saaf.ErrCampaignNotFound},
		"completed":              {b.tenant, saaf.Live, completed, saaf.ErrCampaignCompleted},
	} {
		if _, err := b.Push(t.Context(), c.tenant, c.env, c.campaign, input(free), free, saaf.By{Actor: "test"}); !errors.Is(err, c.want) {
			t.Errorf("%s: push: %v", name, err)
		}
		for _, in := range [][]Row{rows(free), bad} {
			res, err := b.PushBulk(t.Context(), c.tenant, c.env, c.campaign, in, saaf.By{Actor: "test"})
			if !errors.Is(err, c.want) || res.Rows != nil {
				t.Errorf("%s: bulk push of %d rows: %+v, %v", name, len(in), res, err)
			}
		}
	}
	for _, b.campaign = range []saaf.CampaignID{b.campaign, completed} {
		if n := len(b.stored()); n != 0 {
			t.Errorf("%d leads were stored", n)
		}
	}
	if res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, nil, saaf.By{Actor: "test"}); err != nil || len(res.Rows) != 0 {
		t.Errorf("no rows at all: %+v, %v", res, err)
	}
}

// Numbers that a deployment does not take are refused by its policy alone.
func TestPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := []Row{{Input: saaf.LeadInput{Phone: "011 2345 6789"}}}
	for _, fixedLines := range []bool{false, true} {
		s := NewService(b.store, b.registry, nil, saaf.PhonePolicy{FixedLines: fixedLines})
		if s.Policy().FixedLines != fixedLines {
			t.Errorf("the policy is %+v", s.Policy())
		}
		res, err := s.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, in, saaf.By{Actor: "test"})
		if err != nil {
			t.Fatal(err)
		}
		accepted := res.Rows[0].Reason == saaf.ReasonNone
		if accepted != fixedLines || !slices.Contains([]saaf.Reason{"", saaf.ReasonNotMobileRange}, res.Rows[0].Reason) {
			t.Errorf("with fixed lines %v: %+v", fixedLines, res)
		}
	}
	if _, there := b.stored()[1_123_456_789]; !there {
		t.Error("the fixed line is not stored under its number")
	}
}
