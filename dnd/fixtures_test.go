package dnd

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// The cases that section 7 of the registry rules lists, under its numbers. 14 is
// TestSwap, 15 is TestKilledImport.
func TestFixtures(t *testing.T) {
	t.Parallel()

	t.Run("1 header and quoted rows", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", `"Service Area Code","Phone Numbers","Preferences","Opstype","Phone Type"
"13","6000000001","0","A","2"
"3","6000000002","2#3#4#6#7","A","2"
`).run()
		want{6000000001: "0", 6000000002: "2#3#4#6#7", 6000000003: ""}.check(t, s)
		if diff := cmp.Diff(Counts{Rows: 2, Active: 2, Partial: 1, Headers: 1}, r.Total); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("2 no header, unquoted", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", "13,6000000001,0,A,2\n3,6000000002,2#3,A,2\n").run()
		want{6000000001: "0", 6000000002: "2#3"}.check(t, s)
		if diff := cmp.Diff(Counts{Rows: 2, Active: 2, Partial: 1}, r.Total); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("3 a D row in a full file is clean", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", "13,6000000001,0,D,2\n13,6000000002,0,A,2\n").run()
		want{6000000001: "", 6000000002: "0"}.check(t, s)
		if r.Total.Deleted != 1 || r.Conflicts != 0 {
			t.Errorf("%d D rows, %d conflicts", r.Total.Deleted, r.Conflicts)
		}
	})

	t.Run("4 A and D of one number in a full file block", func(t *testing.T) {
		t.Parallel()
		for _, rows := range []string{"13,6000000001,0,A,2\n13,6000000001,0,D,2\n", "13,6000000001,0,D,2\n13,6000000001,0,A,2\n"} {
			s, r := setup(t).file("full.csv", rows).run()
			want{6000000001: "0"}.check(t, s)
			if r.Conflicts != 1 {
				t.Errorf("%d conflicts", r.Conflicts)
			}
		}
	})

	t.Run("5 deltas A, D, A in and out of order", func(t *testing.T) {
		t.Parallel()
		// Beside the number, enough that clearing it is under 1 %.
		base, _ := setup(t).file("full.csv", numbers(6100000000, 1000, "A")).run()
		const add, remove, again = "13,6000000001,2,A,2\n", "13,6000000001,0,D,2\n", "13,6000000001,5#6,A,2\n"
		for name, c := range map[string]struct {
			files []string
			want  string
		}{
			"in order": {[]string{add, remove, again}, "5#6"},
			"D last":   {[]string{add, again, remove}, ""},
			"D first":  {[]string{remove, again, add}, "2"},
		} {
			b := setup(t).delta(base)
			for i, rows := range c.files {
				b.file(string(rune('a'+i))+".csv", rows)
			}
			together, _ := b.run()
			over, _ := setup(t).overlaid(base).file("all.csv", strings.Join(c.files, "")).run()
			for _, limit := range []int{-1, 0} { // whole files, and overlays
				apart := base
				for i, rows := range c.files {
					b := setup(t).delta(apart).file(string(rune('a'+i))+".csv", rows)
					b.foldLimit = limit
					if limit == 0 {
						b.BaseSHA256 = sha256.Sum256(base.data)
					}
					apart, _ = b.run()
				}
				t.Log(name, limit)
				want{6000000001: c.want}.check(t, apart)
				if limit == 0 && apart.Base() != base {
					t.Error("it has another base")
				}
				if got := differences(t, apart, over); len(got) > 0 {
					t.Errorf("one file by one and all at once differ: %v", got)
				}
			}
			want{6000000001: c.want}.check(t, together)
		}
	})

	t.Run("6 preferences", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", `13,6000000001,0,A,2
13,6000000002,,A,2
13,6000000003,2#3#,A,2
13,6000000004,#2,A,2
13,6000000005,8,A,2
13,6000000006,0#3,A,2
13,6000000007,99# 07 ##1,A,2
13,6000000008,100,A,2
13,6000000009,2;3,A,2
`).run()
		want{6000000001: "0", 6000000002: "0", 6000000003: "2#3", 6000000004: "2", 6000000005: "8", 6000000006: "0",
			6000000007: "1#7#99", 6000000008: "0", 6000000009: "0"}.check(t, s)
		if r.Total.Partial != 4 || r.Total.UnreadablePreferences != 2 {
			t.Errorf("%d partial, %d unreadable", r.Total.Partial, r.Total.UnreadablePreferences)
		}
	})

	t.Run("7 odd lines", func(t *testing.T) {
		t.Parallel()
		b := setup(t).file("full.csv", "\uFEFF13,6000000001,0,A,2\r\n"+
			"\r\n"+
			"13,600000002,0,A,2\r\n"+ // 9 digits
			"13,06000000003,0,A,2\n"+ // 11 digits, a trunk 0
			"13,60000000045,0,A,2\n"+ // 11 digits
			" \t\n"+
			"13,sixtimes,0,A,2\n"+
			"13,+91 60000 00006,0,A,2\n"+
			"13\n"+
			"13,6000000007,0,A,2")
		b.Override = "three bad rows of seven are on purpose"
		s, r := b.run()
		want{6000000001: "0", 6000000003: "0", 6000000006: "0", 6000000007: "0"}.check(t, s)
		if diff := cmp.Diff(Counts{Rows: 8, Active: 4, Malformed: 4, Blank: 2}, r.Total); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]MalformedRow{
			{File: "full.csv", Line: 3, Reason: saaf.ReasonDigitCount},
			{File: "full.csv", Line: 5, Reason: saaf.ReasonDigitCount},
			{File: "full.csv", Line: 7, Reason: saaf.ReasonInvalidCharacter},
			{File: "full.csv", Line: 9, Reason: saaf.ReasonPhoneMissing},
		}, r.MalformedRows); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("8 zip with two members, one truncated", func(t *testing.T) {
		t.Parallel()
		b := setup(t).file("full.zip", brokenZip())
		r := b.refused(RuleUnreadable)
		if got := r.Files[0]; got.Members != 1 {
			t.Errorf("%d members were read to their end", got.Members)
		}
		b.Override = "what there is"
		s, _ := b.run()
		want{6000000000: "0", 6000000001: "0", 6100000000: "0"}.check(t, s)
	})

	t.Run("9 empty file", func(t *testing.T) {
		t.Parallel()
		setup(t).file("full.csv", "").refused(RuleNoRows)
		setup(t).file("full.csv", "Phone Numbers,Opstype\n\n").refused(RuleNoRows)
		setup(t).file("good.csv", numbers(6000000000, 10, "A")).file("empty.csv", "").refused(RuleNoRows)
		setup(t).file("full.zip", zipOf()).refused(RuleNoRows)
	})

	t.Run("10 unknown opstype blocks", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", "13,6000000001,0,U,2\n13,6000000002,0,,2\n13,6000000003,0,AD,2\n13,6000000004,2,d,2\n13,6000000005,2,a,2\n13,6000000006,3\n").run()
		want{6000000001: "0", 6000000002: "0", 6000000003: "0", 6000000004: "", 6000000005: "2", 6000000006: "3"}.check(t, s)
		if r.Total.UnknownOpstype != 3 || r.Total.Active != 5 {
			t.Errorf("%d unknown, %d A rows", r.Total.UnknownOpstype, r.Total.Active)
		}
	})

	t.Run("11 delta that deletes half the registry", func(t *testing.T) {
		t.Parallel()
		base, _ := setup(t).file("full.csv", numbers(6000000000, 10_000, "A")).run()
		b := setup(t).delta(base).file("delta.csv", numbers(6000000000, 5_000, "D"))
		r := b.refused(RuleRemoves)
		const sentence = "the delta would clear 5,000 of 10,000 active numbers (50.0 %, the limit is 1 %)"
		if got := r.Refusals[0].Sentence; got != sentence {
			t.Errorf("it says %q", got)
		}
		b.Override = "the operator cleaned up"
		s, _ := b.run()
		if n := s.Info().Numbers; n != 5_000 {
			t.Errorf("%d numbers are left", n)
		}
	})

	t.Run("12 fixed lines and the 6 series", func(t *testing.T) {
		t.Parallel()
		s, _ := setup(t).file("full.csv", "5,1123456789,0,A,1\n5,01123456780,0,A,1\n5,6000012345,0,A,2\n5,5999999999,0,A,2\n").run()
		want{1123456789: "0", 1123456780: "0", 6000012345: "0", 5999999999: "0"}.check(t, s)
	})

	t.Run("13 a snapshot of 6.9, 7.0 and 7.1 days", func(t *testing.T) {
		t.Parallel()
		s, r := setup(t).file("full.csv", numbers(6000000000, 1, "A")).run()
		v := use(t, Config{}, s, r).View()
		for _, c := range []struct {
			days  float64
			state State
			found saaf.VerdictReason
		}{{6.9, Warn, saaf.FullBlock}, {7.0, Stale, saaf.RegistryStale}, {7.1, Stale, saaf.RegistryStale}} {
			now := today.Start().Add(time.Duration(c.days * float64(day)))
			if f := v.Freshness(now); f.State != c.state {
				t.Errorf("after %v days it is %v", c.days, f.State)
			}
			if got := v.Check(6000000000, now); got.Reason != c.found {
				t.Errorf("after %v days it finds %v", c.days, got.Reason)
			}
		}
	})
}

// brokenZip is a zip archive whose second member stops short, with a directory
// that is complete.
func brokenZip() string {
	whole := zipOf("a.csv", numbers(6000000000, 2, "A"), "b.csv", numbers(6100000000, 50_000, "A"))
	half := []byte(whole)
	clear(half[len(half)/2 : len(half)-200])
	return string(half)
}

// refused runs an import that is to be refused by one rule, and looks that it
// leaves nothing behind.
func (b *bundle) refused(rule Rule) *Report {
	b.t.Helper()
	r, err := b.Run(b.t.Context())
	var rules []Rule
	for _, refusal := range r.Refusals {
		rules = append(rules, refusal.Rule)
	}
	if len(rules) == 0 || rules[0] != rule {
		b.t.Errorf("refused by %v, want %s", rules, rule)
	}
	if code := saaf.ErrorCode(err); code != saaf.Conflict && code != saaf.Invalid {
		b.t.Errorf("the error has the code %v: %v", code, err)
	}
	if r.Result != nil || r.Overridden {
		b.t.Error("and yet there is a result")
	}
	if names := b.visible(); len(names) > 0 {
		b.t.Errorf("it left %v", names)
	}
	return r
}

// use returns a registry that answers from s.
func use(t testing.TB, c Config, s *Snapshot, r *Report) *Registry {
	t.Helper()
	reg, err := NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	reg.Use(s, saaf.SnapshotRef{ID: 7, EffectiveDate: r.EffectiveDate})
	return reg
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 1, "A"))
	_, r := b.run()
	for path, want := range map[string]os.FileMode{b.Dir: os.ModeDir | 0o700, r.Result.Path: 0o400} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}
