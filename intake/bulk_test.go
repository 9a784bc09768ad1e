package intake

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

// A check waits for the disk, so that fewer are made than usual; -rapid.checks
// asks for more.
func init() {
	checks := "50"
	if os.Getenv("SAAF_LONG") != "" {
		checks = "2000"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
}

// spellings is the ways in which the model writes a number.
var spellings = []func(saaf.Phone) string{
	saaf.Phone.National,
	saaf.Phone.E164,
	func(p saaf.Phone) string { return "0" + p.National() },
	func(p saaf.Phone) string { return "+91 " + p.National()[:5] + "-" + p.National()[5:] },
}

// wrongs make a good row into one that is refused.
var wrongs = map[saaf.Reason]func(*Row){
	saaf.ReasonNotAnObject:      func(r *Row) { *r = Row{Refused: saaf.ReasonNotAnObject} },
	saaf.ReasonPhoneType:        func(r *Row) { r.Refused = saaf.ReasonPhoneType },
	saaf.ReasonDigitCount:       func(r *Row) { r.Input.Phone = "98765432" },
	saaf.ReasonInvalidCharacter: func(r *Row) { r.Input.Phone = "98765abc10" },
	saaf.ReasonNameLength:       func(r *Row) { r.Input.Name = new(strings.Repeat("अ", saaf.MaxName+1)) },
	saaf.ReasonEmailLength:      func(r *Row) { r.Input.Email = new(strings.Repeat("e", saaf.MaxEmail+1)) },
	saaf.ReasonExternalIDLength: func(r *Row) { r.Input.ExternalID = new(strings.Repeat("x", saaf.MaxExternalID+1)) },
	saaf.ReasonNUL:              func(r *Row) { r.Input.Email = new("a\x00b") },
	saaf.ReasonMetadataSize:     func(r *Row) { r.Input.Metadata = bytes.Repeat([]byte(" "), saaf.MaxMetadataBytes+1) },
	saaf.ReasonMetadataDepth:    func(r *Row) { r.Input.Metadata = []byte(strings.Repeat("[", saaf.MaxMetadataDepth+1)) },
}

// bulkRow is a row with what the model knows about it.
type bulkRow struct {
	Row
	phone saaf.Phone
	wrong saaf.Reason
}

// reasons is ReasonNone as often as all others together.
var reasons = rapid.Custom(func(t *rapid.T) saaf.Reason {
	if rapid.Bool().Draw(t, "good") {
		return saaf.ReasonNone
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(wrongs))).Draw(t, "wrong")
})

// request draws rows for a few numbers, so that many are there twice.
var request = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bulkRow {
	r := bulkRow{phone: full + saaf.Phone(rapid.IntRange(0, 5).Draw(t, "phone")), wrong: reasons.Draw(t, "reason")}
	r.Input = saaf.LeadInput{
		Phone: rapid.SampledFrom(spellings).Draw(t, "spelling")(r.phone),
		Name:  new(rapid.StringOfN(rapid.SampledFrom([]rune("a अ😀")), 0, 3, -1).Draw(t, "name")),
	}
	if r.wrong != saaf.ReasonNone {
		wrongs[r.wrong](&r.Row)
	}
	return r
}), 1, 25)

// TestBulkModel pushes several requests into one campaign and compares every
// outcome, and every lead in the end, with what a map makes of the same rows.
func TestBulkModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lists(0, ordinary)
	listed := map[saaf.Phone]bool{full: true, partial: true}
	rapid.Check(t, func(t *rapid.T) {
		b.campaign = b.newCampaign()
		names := map[saaf.Phone]string{} // of the lead that is there
		for _, in := range rapid.SliceOfN(request, 1, 3).Draw(t, "requests") {
			var sent []Row
			for _, r := range in {
				sent = append(sent, r.Row)
			}
			res, err := b.PushBulk(b.t.Context(), b.tenant, saaf.Live, b.campaign, sent, saaf.By{Actor: "test"})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Rows) != len(in) || res.Valid+res.Invalid+res.Duplicates != len(in) {
				t.Fatalf("%d rows make %d valid, %d invalid and %d duplicates in %d outcomes",
					len(in), res.Valid, res.Invalid, res.Duplicates, len(res.Rows))
			}
			ids := map[saaf.Phone]saaf.LeadID{}
			for p, l := range b.stored() {
				ids[p] = l.ID
			}
			want := Result{}
			for _, r := range in {
				out := Outcome{Reason: r.wrong}
				_, there := names[r.phone]
				switch {
				case r.wrong != saaf.ReasonNone:
					want.Invalid++
				case there:
					out = Outcome{Reason: saaf.ReasonDuplicate, ID: ids[r.phone]}
					want.Duplicates++
				default:
					out = Outcome{ID: ids[r.phone], DND: listed[r.phone]}
					want.Valid++
					names[r.phone] = *r.Input.Name
				}
				want.Rows = append(want.Rows, out)
			}
			if diff := cmp.Diff(want, res); diff != "" {
				t.Fatal(diff)
			}
		}
		got := map[saaf.Phone]string{}
		for p, l := range b.stored() {
			got[p] = *l.Name
			if l.Verdict.Reason.Blocked() != listed[p] || l.Verdict.Reason.Clean() == listed[p] {
				t.Errorf("%v is %v", p, l.Verdict)
			}
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("stored: %s", diff)
		}
	})
}

// A full request of the largest size, all of it good.
func TestLargestBulk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	res, err := b.PushBulk(t.Context(), b.tenant, saaf.Live, b.campaign, crowd(saaf.MaxBulk), saaf.By{Actor: "test"})
	if err != nil || res.Valid != saaf.MaxBulk || len(b.stored()) != saaf.MaxBulk {
		t.Errorf("%d valid, %v", res.Valid, err)
	}
	for i := 1; i < len(res.Rows); i++ {
		if res.Rows[i-1].ID >= res.Rows[i].ID {
			t.Fatalf("row %d has the id %v and the one before it %v", i, res.Rows[i].ID, res.Rows[i-1].ID)
		}
	}
}
