package dnd

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

// A run of the model writes files, so that fewer of them are made than usual;
// -rapid.checks asks for more.
func init() {
	checks := "25"
	if os.Getenv("SAAF_LONG") != "" {
		checks = "1000"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
}

// registry is what a registry holds, the slow and obvious way.
type registry map[saaf.Phone]map[int]bool // no category is a full block

// sample is one row of a test.
type sample struct {
	phone      saaf.Phone
	deletes    bool
	categories map[int]bool
}

// full applies the rows of a full set: any A row blocks, a full block wins, and
// otherwise categories add up.
func full(rows []sample) registry {
	r := registry{}
	for _, row := range rows {
		had, listed := r[row.phone]
		switch {
		case row.deletes:
		case !listed:
			r[row.phone] = row.categories
		case len(had) == 0 || len(row.categories) == 0:
			r[row.phone] = nil
		default:
			all := map[int]bool{}
			for _, some := range []map[int]bool{had, row.categories} {
				for c := range some {
					all[c] = true
				}
			}
			r[row.phone] = all
		}
	}
	return r
}

// apply applies the rows of a delta: the last one of a number wins.
func (r registry) apply(rows []sample) {
	for _, row := range rows {
		if row.deletes {
			delete(r, row.phone)
		} else {
			r[row.phone] = row.categories
		}
	}
}

// rows is a full set that makes the registry.
func (r registry) rows() (rows []sample) {
	for p, categories := range r {
		rows = append(rows, sample{phone: p, categories: categories})
	}
	return rows
}

// check compares every number of the model, and those beside them.
func (r registry) check(t *rapid.T, s *Snapshot) {
	numbers, partial := 0, 0
	for p, categories := range r {
		numbers++
		if len(categories) > 0 {
			partial++
		}
		for q := p - 1; q <= p+1; q++ {
			want, listed := r[q]
			got := s.Lookup(q)
			if got.Listed != listed {
				t.Fatalf("%d: listed %v, want %v", q, got.Listed, listed)
			}
			for c := range maxCategory + 1 {
				if got.Categories.Has(c) != want[c] {
					t.Fatalf("%d: categories %v, want %v", q, got.Categories, want)
				}
			}
		}
	}
	if in := s.Info(); in.Numbers != int64(numbers) || in.Partial != int64(partial) {
		t.Fatalf("%d numbers, %d partial, want %d and %d", in.Numbers, in.Partial, numbers, partial)
	}
}

// drawRows draws rows from a few numbers, so that they meet, in neighbouring and
// in distant heads. With many there are more category sets than codes.
func drawRows(t *rapid.T, many bool) []sample {
	phones := rapid.Custom(func(t *rapid.T) saaf.Phone {
		head := rapid.SampledFrom([]saaf.Phone{1000, 2222, 6000, 6001, 9999}).Draw(t, "head")
		return head*headSpan + rapid.SampledFrom([]saaf.Phone{0, 1, 63, 64, 1023, 1024, 4095, 4096, 999_999}).Draw(t, "near") ^
			saaf.Phone(rapid.IntRange(0, 7).Draw(t, "by"))
	})
	rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sample {
		row := sample{phone: phones.Draw(t, "phone"), deletes: rapid.IntRange(0, 3).Draw(t, "op") == 0}
		if rapid.Bool().Draw(t, "partial") {
			row.categories = map[int]bool{}
			for _, c := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(1, 99)), 1, 4).Draw(t, "categories") {
				row.categories[c] = true
			}
		}
		return row
	}), 1, 60).Draw(t, "rows")
	if many {
		seed := rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, seed))
		for range 500 {
			rows = append(rows, sample{
				phone:      6000*headSpan + saaf.Phone(random.IntN(3000)),
				categories: map[int]bool{1 + random.IntN(30): true, 40 + random.IntN(20): true},
			})
		}
	}
	return rows
}

// text writes a row in one of the forms that files have.
func (row sample) text(t *rapid.T, form form) string {
	var preferences []string
	for c := range row.categories {
		preferences = append(preferences, fmt.Sprint(c))
	}
	op := "A"
	if row.deletes {
		op = "D"
	}
	columns := map[string]string{
		"Service Area Code": "13", "Phone Numbers": row.phone.National(), "Preferences": strings.Join(preferences, "#"),
		"Opstype": op, "Phone Type": "2", "Remarks": `a "big", one`,
	}
	switch len(preferences) {
	case 0:
		columns["Preferences"] = rapid.SampledFrom([]string{"0", "", "0#3", "#", " 0 "}).Draw(t, "full block")
	case 1:
		columns["Preferences"] += rapid.SampledFrom([]string{"", "#", "##"}).Draw(t, "empty segments")
	}
	if row.phone >= 6e9 {
		columns["Phone Numbers"] = rapid.SampledFrom([]string{"", "", "", "+91", "0", " "}).Draw(t, "prefix") + columns["Phone Numbers"]
	}
	fields := make([]string, len(form.columns))
	for i, name := range form.columns {
		fields[i] = columns[name]
		if form.quoted || strings.ContainsAny(fields[i], `",`) || rapid.IntRange(0, 9).Draw(t, "quote") == 0 {
			fields[i] = `"` + strings.ReplaceAll(fields[i], `"`, `""`) + `"`
		}
	}
	return strings.Join(fields, ",") + form.end
}

// form is how one stream of rows is written.
type form struct {
	columns []string
	header  bool
	quoted  bool
	end     string
}

func drawForm(t *rapid.T) form {
	f := form{
		columns: []string{"Service Area Code", "Phone Numbers", "Preferences", "Opstype", "Phone Type"},
		header:  rapid.Bool().Draw(t, "header"),
		quoted:  rapid.Bool().Draw(t, "quoted"),
		end:     rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"),
	}
	if f.header {
		f.columns = append(f.columns, "Remarks")
		f.columns = rapid.Permutation(f.columns).Draw(t, "columns")
	}
	return f
}

// written is rows in one form.
func written(t *rapid.T, rows []sample) string {
	var b strings.Builder
	form := drawForm(t)
	if rapid.Bool().Draw(t, "byte order mark") {
		b.WriteString("\uFEFF")
	}
	if form.header {
		b.WriteString(strings.Join(form.columns, ",") + form.end)
	}
	for _, row := range rows {
		b.WriteString(row.text(t, form))
		if rapid.IntRange(0, 20).Draw(t, "blank") == 0 {
			b.WriteString(form.end)
		}
	}
	text := b.String()
	if rapid.Bool().Draw(t, "no last line end") {
		text = strings.TrimRight(text, "\r\n")
	}
	return text
}

// split cuts rows into up to three parts, none of them empty.
func split(t *rapid.T, rows []sample) (parts [][]sample) {
	for range 2 {
		if len(rows) < 2 {
			break
		}
		n := rapid.IntRange(1, len(rows)-1).Draw(t, "part")
		parts, rows = append(parts, rows[:n]), rows[n:]
	}
	return append(parts, rows)
}

// rows writes rows into files of all kinds, their order kept.
func (b *bundle) rows(t *rapid.T, rows []sample) {
	for i, part := range split(t, rows) {
		name := fmt.Sprintf("%d-%d", len(b.Files), i)
		switch rapid.IntRange(0, 3).Draw(t, "packing") {
		case 0:
			b.file(name+".csv", written(t, part))
		case 1:
			b.file(name+".csv.gz", gzipOf(written(t, part)))
		case 2:
			// One stream in several members of a gzip file.
			text := written(t, part)
			half := len(text) / 2
			b.file(name, gzipOf(text[:half], text[half:]))
		default:
			var members []string
			for j, rows := range split(t, part) {
				members = append(members, fmt.Sprintf("dir/%d.csv", j), written(t, rows))
			}
			b.file(name+".zip", zipOf(append(members, "dir/", "", "__MACOSX/x.bin", "\x00")...))
		}
	}
}

// What a registry holds decides every lookup and the bytes of its file: not the
// order of the rows of a full set, not how many goroutines read them, not the
// deltas that led there, with what files in between, nor how often one was applied.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		fold := rapid.SampledFrom([]int{-1, 5, 40, 1000}).Draw(rt, "fold limit")
		importOf := func(rows []sample, base *Snapshot) (*Snapshot, *Report) {
			b := setup(t)
			if base != nil {
				b.overlaid(base)
			}
			b.Override = "rows are drawn at random"
			b.workers, b.foldLimit = rapid.IntRange(1, 3).Draw(rt, "workers"), fold
			b.rows(rt, rows)
			s, r := b.build()
			if r.Total.Rows != int64(len(rows)) {
				rt.Fatalf("%d rows of %d", r.Total.Rows, len(rows))
			}
			if s.overlay != nil && s.Info().Overlay > int64(fold) {
				rt.Fatalf("an overlay has %d entries, the limit is %d", s.Info().Overlay, fold)
			}
			return s, r
		}
		many := rapid.IntRange(0, 5).Draw(rt, "many") == 0
		rows := drawRows(rt, many)
		model := full(rows)
		s, r := importOf(rows, nil)
		model.check(rt, s)
		model.checkDiff(rt, registry{}, nil, s)
		if rapid.Bool().Draw(rt, "shuffle") {
			if _, shuffled := importOf(rapid.Permutation(rows).Draw(rt, "order"), nil); shuffled.Result.SHA256 != r.Result.SHA256 {
				rt.Fatal("another order of the rows gives another file")
			}
		}
		for range rapid.IntRange(0, 4).Draw(rt, "deltas") {
			changes := drawRows(rt, many && rapid.Bool().Draw(rt, "many"))
			before, modelBefore := s, maps.Clone(model)
			model.apply(changes)
			s, r = importOf(changes, s)
			model.check(rt, s)
			model.checkDiff(rt, modelBefore, before, s)
			modelBefore.checkDiff(rt, model, s, before)
			if c := r.Changes; int64(len(model)-len(modelBefore)) != c.Added-c.Removed {
				rt.Fatalf("%d numbers became %d, and the report says %+v", len(modelBefore), len(model), c)
			}
			if !rapid.Bool().Draw(rt, "again") {
				continue
			}
			switch same, again := importOf(changes, s); {
			case s.overlay == nil && same.overlay != nil: // the first one has folded
				if n := same.Info().Overlay; n != 0 {
					rt.Fatalf("a delta applied to its own result makes an overlay of %d entries", n)
				}
			case again.Result.SHA256 != r.Result.SHA256:
				rt.Fatal("a delta applied to its own result changes it")
			}
		}
		if whole := model.rows(); len(whole) > 0 && rapid.Bool().Draw(rt, "whole") {
			model.checkWhole(rt, s, r, importOf)
		}
	})
}

// checkWhole makes the registry in one step, from nothing or from the base of s,
// and compares the files.
func (r registry) checkWhole(t *rapid.T, s *Snapshot, made *Report, importOf func([]sample, *Snapshot) (*Snapshot, *Report)) {
	var rows []sample
	if s.overlay != nil {
		for d, err := range Diff(t.Context(), s.Base(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, sample{phone: d.Phone, deletes: true})
		}
	}
	rows = append(rows, r.rows()...)
	if _, direct := importOf(rows, s.plain); direct.Result.SHA256 != made.Result.SHA256 {
		t.Fatal("the same numbers in one step give another file")
	}
}

// checkDiff compares the difference between two snapshots with that between the
// registries they hold, of which r is the second.
func (r registry) checkDiff(t *rapid.T, before registry, a, b *Snapshot) {
	want := map[saaf.Phone][2]string{}
	for _, reg := range []registry{before, r} {
		for p := range reg {
			if x, y := before.text(p), r.text(p); x != y {
				want[p] = [2]string{x, y}
			}
		}
	}
	got, last := map[saaf.Phone][2]string{}, saaf.Phone(0)
	for d, err := range Diff(t.Context(), a, b) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Phone <= last {
			t.Fatalf("%d after %d", d.Phone, last)
		}
		last = d.Phone
		got[d.Phone] = [2]string{d.Before.text(), d.After.text()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// text is the categories of a number, "" when it is not listed.
func (r registry) text(p saaf.Phone) string {
	categories, listed := r[p]
	e := Entry{Listed: listed}
	for c := range categories {
		e.Categories = e.Categories.with(c)
	}
	return e.text()
}

func (e Entry) text() string {
	if !e.Listed {
		return ""
	}
	return e.Categories.String()
}
