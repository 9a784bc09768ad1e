package web

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzAppendString holds AppendString against encoding/json, which must read back
// what was written, and against the shortest spelling there is: what is longer
// has been escaped without need.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{
		"", "Asha", "आशा", `"quoted" \ and / slashed`, "<script>&amp;'</script>", "\x00\x01\b\f\n\r\t\x1f\x7f", "\u2028\u2029",
		"\xff", "a\xe0\xa4b", "\xed\xa0\x80", "\ufffd", "😀\xf0\x9f", "\xc0\xaf",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const before = `{"name":`
		out := AppendString([]byte(before), s)
		if string(out[:len(before)]) != before {
			t.Fatalf("what was there before became %q", out)
		}
		out = out[len(before):]
		if !utf8.Valid(out) || !json.Valid(out) {
			t.Fatalf("%q is not JSON", out)
		}
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); back != want {
			t.Fatalf("%q comes back as %q, want %q", out, back, want)
		}
		shortest := len(`""`)
		for _, r := range s {
			switch {
			case r == '"' || r == '\\' || r == '\n' || r == '\r' || r == '\t':
				shortest += 2
			case r < ' ':
				shortest += 6
			default:
				shortest += utf8.RuneLen(r)
			}
		}
		if len(out) != shortest {
			t.Fatalf("%q has %d bytes, want %d", out, len(out), shortest)
		}
	})
}

func TestAppendOptional(t *testing.T) {
	t.Parallel()
	if got := AppendOptional([]byte("x"), nil); string(got) != "xnull" {
		t.Errorf("%s", got)
	}
	if got := AppendOptional([]byte("x"), new("")); string(got) != `x""` {
		t.Errorf("%s", got)
	}
}

func TestAppendTime(t *testing.T) {
	t.Parallel()
	ist := time.FixedZone("IST", 5*3600+1800)
	for want, at := range map[string]time.Time{
		"null":                       {},
		`"2026-11-20T09:30:00.000Z"`: time.Date(2026, 11, 20, 15, 0, 0, 0, ist),
		`"2026-11-20T09:30:00.070Z"`: time.Date(2026, 11, 20, 9, 30, 0, 70_999_999, time.UTC),
	} {
		if got := AppendTime([]byte("x"), at); string(got) != "x"+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAppendInt(t *testing.T) {
	t.Parallel()
	if got := AppendInt([]byte("x"), -9223372036854775808); string(got) != "x-9223372036854775808" {
		t.Errorf("%s", got)
	}
}
