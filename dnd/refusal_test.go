package dnd

import (
	"archive/zip"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"saaf"
)

// Every rule, what the refusal says, and whether an override lifts it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("base.csv", numbers(6000000000, 10_000, "A")).run()
	good := numbers(6200000000, 2000, "A")
	manySets := func(first saaf.Phone, count int) string {
		var b strings.Builder
		for i := range count {
			// As many different pairs and triples of categories.
			fmt.Fprintf(&b, "13,%d,%d#%d#%d,A,2\n", first+saaf.Phone(i), 1+i%90, 1+i/90%90, 91+i/8100)
		}
		return b.String()
	}

	for name, c := range map[string]struct {
		change   func(b *bundle)
		rule     Rule
		sentence string
		final    bool
	}{
		"date in the future": {
			func(b *bundle) { b.file("full.csv", good); b.EffectiveDate = today + 1 },
			RuleFutureDate, "the effective date 2024-10-05 is after today, 2024-10-04 in India", true},
		"delta without a base": {
			func(b *bundle) { b.file("delta.csv", good); b.Mode = saaf.Delta },
			RuleNoBase, "import a full set first", true},
		"too many category sets": {
			func(b *bundle) { b.file("full.csv", manySets(6200000000, 9000)) },
			RuleCategorySets, "more than 4,095 different lists of categories", true},
		"delta older than the base": {
			func(b *bundle) { b.delta(base).file("delta.csv", good); b.EffectiveDate = today - 1 },
			RuleOlder, "the delta is dated 2024-10-03 and the active snapshot is newer, 2024-10-04", false},
		"full set without an active number": {
			func(b *bundle) { b.file("full.csv", numbers(6200000000, 50, "D")) },
			RuleEmpty, "not one active number: an empty registry would show every number as clean", false},
		"empty file": {
			func(b *bundle) { b.file("full.csv", "") },
			RuleNoRows, "full.csv has no row that can be read", false},
		"one empty file of two": {
			func(b *bundle) { b.file("a.csv", good).file("b.csv", "\n\n") },
			RuleNoRows, "b.csv has no row that can be read", false},
		"malformed rows": {
			func(b *bundle) { b.file("full.csv", good+"13,1,0,A,2\n13,2,0,A,2\n13,3,0,A,2\n") },
			RuleMalformed, "3 of 2,003 rows have no number that can be read (0.150 %, the limit is 0.1 %)", false},
		"no number at all": {
			func(b *bundle) { b.file("full.csv", good).file("prose.txt", "Terms\nof use\n") },
			RuleNoRows, "prose.txt has no row that can be read", false},
		"truncated gzip": {
			func(b *bundle) { b.file("a.csv", good).file("full.csv.gz", truncated(gzipOf(good), 20)) },
			RuleUnreadable, "full.csv.gz cannot be read in full (unexpected EOF)", false},
		"gzip with a wrong checksum": {
			func(b *bundle) { b.file("full.gz", flipped(gzipOf(good), -5)) },
			RuleUnreadable, "full.gz cannot be read in full (gzip: invalid checksum); 2,000 rows of the file were read", false},
		"gzip with something behind it": {
			func(b *bundle) { b.file("full.csv.gz", gzipOf(good)+"13,6000000000,0,A,2") },
			RuleUnreadable, "gzip: invalid header", false},
		"gzip by name only": {
			func(b *bundle) { b.file("a.csv", good).file("full.csv.gz", numbers(6300000000, 1, "A")) },
			RuleUnreadable, "it does not begin like a .gz file", false},
		"zip by name only": {
			func(b *bundle) { b.file("a.csv", good).file("full.ZIP", "") },
			RuleUnreadable, "it does not begin like a .zip file", false},
		"truncated zip": {
			func(b *bundle) { b.file("a.csv", good).file("full.zip", truncated(zipOf("a.csv", good), 60)) },
			RuleUnreadable, "full.zip cannot be read in full (zip: not a valid zip file)", false},
		"zip with a wrong checksum": {
			func(b *bundle) { b.file("full.zip", storedZip(zip.Store, 0, good, true)) },
			RuleUnreadable, `"a.csv" in full.zip cannot be read in full (zip: checksum error); 2,000 rows`, false},
		"zip with a foreign member": {
			func(b *bundle) { b.file("full.zip", zipOf("a.csv", good, "notes.xlsx", "x")) },
			RuleUnreadable, `"notes.xlsx" in full.zip cannot be read in full (it is neither .csv nor .txt`, false},
		"encrypted zip": {
			func(b *bundle) { b.file("a.csv", good).file("full.zip", storedZip(zip.Store, 1, good, false)) },
			RuleUnreadable, "it is encrypted", false},
		"zip packed with bzip2": {
			func(b *bundle) { b.file("a.csv", good).file("full.zip", storedZip(12, 0, good, false)) },
			RuleUnreadable, "packed in a way that is not read here", false},
		"zstd": {
			func(b *bundle) { b.file("a.csv", good).file("full.csv", "\x28\xb5\x2f\xfd") },
			RuleUnreadable, "it is packed with zstd: unpack it first", false},
		"UTF-16": {
			func(b *bundle) { b.file("a.csv", good).file("full.csv", "\xff\xfe1\x003\x00") },
			RuleUnreadable, "it is text in UTF-16: save it as UTF-8", false},
		"header without the phone": {
			func(b *bundle) { b.file("a.csv", good).file("full.csv", "Opstype,Preferences\nA,0\n") },
			RuleUnreadable, "its header names no column Phone Numbers", false},
		"header with two phones": {
			func(b *bundle) {
				b.file("a.csv", good).file("full.csv", "phone,Phone Numbers\n6000000000,6000000001\n")
			},
			RuleUnreadable, "or names it twice", false},
		"shrunk": {
			func(b *bundle) { b.file("full.csv", good); b.LastFullActive = 2106 },
			RuleShrunk, "the full set has 2,000 active numbers where the last one had 2,106 (5.03 % fewer, the limit is 5 %)", false},
		"delta that removes much": {
			func(b *bundle) { b.delta(base).file("delta.csv", numbers(6000000000, 101, "D")) },
			RuleRemoves, "the delta would clear 101 of 10,000 active numbers (1.01 %, the limit is 1 %)", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.change(b)
			b.Override = " \t\n"
			r := b.refused(c.rule)
			if got := r.Refusals[0].Sentence; !strings.Contains(got, c.sentence) {
				t.Errorf("it says %q", got)
			}
			b.Override = " because \n"
			if c.final {
				b.refused(c.rule)
				return
			}
			_, r = b.run()
			if !r.Overridden || r.OverrideReason != "because" || len(r.Refusals) == 0 {
				t.Errorf("overridden %v for %q", r.Overridden, r.OverrideReason)
			}
		})
	}
}

// What is just inside the limits passes.
func TestLimits(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("base.csv", numbers(6000000000, 10_000, "A")).run()
	for name, change := range map[string]func(b *bundle){
		"malformed 0.1 %":      func(b *bundle) { b.file("full.csv", numbers(6000000000, 999, "A")+"1\n") },
		"5 % fewer":            func(b *bundle) { b.file("full.csv", numbers(6000000000, 95, "A")); b.LastFullActive = 100 },
		"1 % removed":          func(b *bundle) { b.delta(base).file("delta.csv", numbers(6000000000, 100, "D")) },
		"delta of the day":     func(b *bundle) { b.delta(base).file("delta.csv", numbers(6000000000, 1, "D")) },
		"today":                func(b *bundle) { b.file("full.csv", numbers(6000000000, 1, "A")); b.Now = today.Start() },
		"D of unknown numbers": func(b *bundle) { b.delta(base).file("delta.csv", numbers(6900000000, 1000, "D")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Override = "not needed"
			change(b)
			if _, r := b.run(); len(r.Refusals) > 0 || r.Overridden || r.OverrideReason != "" || len(r.Warnings) > 0 {
				t.Errorf("refused by %v, warned by %v", r.Refusals, r.Warnings)
			}
		})
	}
}

func TestRefusalSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t).file("a.csv", "").file("b.csv", "x\n"+numbers(6000000000, 10, "A"))
	b.LastFullActive = 100
	_, err := b.Run(t.Context())
	const want = "The import is refused and the registry stays as it was: a.csv has no row that can be read; " +
		"1 of 11 rows have no number that can be read (9.09 %, the limit is 0.1 %); " +
		"the full set has 10 active numbers where the last one had 100 (90.0 % fewer, the limit is 5 %). " +
		"Correct the files and import again, or, if they are right, repeat the import with an override that says why."
	if err == nil || err.Error() != want {
		t.Errorf("it says %v", err)
	}
	if e, ok := err.(*saaf.Error); !ok || e.Code != saaf.Conflict || e.Word != "registry_refused" {
		t.Errorf("%#v", err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", "1,6000000000,0,U,2\n1,6000000001,x,A,2\n1,6000000002,,A,2\n1,6000000002,,D,2\n")
	b.file("copy.csv", "1,6000000000,0,U,2\n1,6000000001,x,A,2\n1,6000000002,,A,2\n1,6000000002,,D,2\n")
	b.EffectiveDate, b.BaseDate = today-7, today-6
	s, r := b.run()
	for _, want := range []string{
		"the effective date 2024-09-27 is 7 days ago: while this snapshot is active the registry is stale and answers unknown for every number",
		"copy.csv is there twice and is read once",
		"the full set is dated 2024-09-27 and replaces a newer one, dated 2024-09-28: who has registered in between is forgotten",
		"rows whose opstype is neither A nor D, which count as A: 1",
		"rows whose preferences cannot be read, which block fully: 1",
		"numbers with both A and D rows, which stay active: 1",
		"every answer is unknown from now on, until a newer registry with numbers in it is imported",
	} {
		if !slices.Contains(r.Warnings, want) {
			t.Errorf("no warning that %s", want)
		}
	}
	if len(r.Warnings) != 7 || s.Info().Numbers != 3 || r.Total.Rows != 4 {
		t.Errorf("%q, %+v", r.Warnings, r.Total)
	}
}

func TestInvalidImports(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bundle){
		"no mode":      func(b *bundle) { b.Mode = "" },
		"no file":      func(b *bundle) { b.Files = nil },
		"no date":      func(b *bundle) { b.EffectiveDate = 0 },
		"missing file": func(b *bundle) { b.Files = append(b.Files, b.files+"/missing.csv") },
		"directory":    func(b *bundle) { b.Files = append(b.Files, b.files) },
	} {
		b := setup(t).file("full.csv", numbers(6000000000, 1, "A"))
		change(b)
		if _, err := b.Run(t.Context()); saaf.ErrorCode(err) != saaf.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func truncated(s string, by int) string { return s[:len(s)-by] }

// flipped changes a byte; a negative at counts from the end.
func flipped(s string, at int) string {
	b := []byte(s)
	b[(at+len(b))%len(b)] ^= 1
	return string(b)
}

// storedZip is a zip archive with a member a.csv that holds rows as they are,
// under a method and flags that may not be true.
func storedZip(method, flags uint16, rows string, wrongSum bool) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "a.csv", Method: method, Flags: flags, CRC32: 1,
		CompressedSize64: uint64(len(rows)), UncompressedSize64: uint64(len(rows))}
	f, err := w.CreateRaw(h)
	if err != nil {
		panic(err)
	}
	if !wrongSum {
		h.CRC32 = 0
	}
	f.Write([]byte(rows))
	w.Close()
	return b.String()
}
