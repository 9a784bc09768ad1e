package saaf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLeadStatusNumbers: the numbers are in databases and the words in the API.
func TestLeadStatusNumbers(t *testing.T) {
	t.Parallel()
	statuses := []LeadStatus{LeadPending, LeadDialing, LeadDND, LeadHeld, LeadCompleted, LeadFailed, LeadNoAnswer}
	words := []string{"pending", "dialing", "dnd", "held", "completed", "failed", "no_answer"}
	if len(words) != NumLeadStatuses {
		t.Fatalf("%d words for %d statuses", len(words), NumLeadStatuses)
	}
	for i, s := range statuses {
		if int(s) != i || s.String() != words[i] || s.Finished() != (i >= 4) {
			t.Errorf("status %d is %d, %s, finished %v", i, uint8(s), s, s.Finished())
		}
		if back, err := ParseLeadStatus(words[i]); err != nil || back != s {
			t.Errorf("%s is %d, %v", words[i], back, err)
		}
	}
	if s := LeadStatus(NumLeadStatuses).String(); s != "LeadStatus(7)" {
		t.Errorf("a status that does not exist prints as %q", s)
	}
}

func TestParseLeadStatusRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "Pending", "pending ", "done", "no answer"} {
		_, err := ParseLeadStatus(s)
		if err == nil || !strings.Contains(err.Error(), "pending, dialing, dnd, held, completed, failed, no_answer") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// metadataOf is an object of exactly n bytes.
func metadataOf(n int) []byte { return fmt.Appendf(nil, `{"a":%q}`, strings.Repeat("x", n-8)) }

// nested is an object of n levels.
func nested(n int) []byte {
	return []byte(`{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}")
}

func TestLeadInputCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   LeadInput
		want Reason
	}{
		"nothing":            {LeadInput{}, ReasonNone},
		"empty texts":        {LeadInput{Name: new(""), Email: new(""), ExternalID: new("")}, ReasonNone},
		"longest name":       {LeadInput{Name: new(strings.Repeat("न", 200))}, ReasonNone},
		"name too long":      {LeadInput{Name: new(strings.Repeat("न", 201))}, ReasonNameLength},
		"longest email":      {LeadInput{Email: new(strings.Repeat("é", 320))}, ReasonNone},
		"email too long":     {LeadInput{Email: new(strings.Repeat("e", 321))}, ReasonEmailLength},
		"longest id":         {LeadInput{ExternalID: new(strings.Repeat("😀", 200))}, ReasonNone},
		"id too long":        {LeadInput{ExternalID: new(strings.Repeat("i", 201))}, ReasonExternalIDLength},
		"NUL in name":        {LeadInput{Name: new("a\x00b")}, ReasonNUL},
		"NUL in email":       {LeadInput{Email: new("\x00")}, ReasonNUL},
		"NUL in id":          {LeadInput{ExternalID: new("1\x00")}, ReasonNUL},
		"largest metadata":   {LeadInput{Metadata: metadataOf(16384)}, ReasonNone},
		"metadata too large": {LeadInput{Metadata: metadataOf(16385)}, ReasonMetadataSize},
		"deepest metadata":   {LeadInput{Metadata: nested(32)}, ReasonNone},
		"metadata too deep":  {LeadInput{Metadata: nested(33)}, ReasonMetadataDepth},
		"braces in a text":   {LeadInput{Metadata: []byte(`{"a":"` + strings.Repeat("{[", 99) + `"}`)}, ReasonNone},
		"deep after an escape": {LeadInput{Metadata: bytes.Replace(nested(33), []byte(`"a"`), []byte(`"\\\""`), 1)},
			ReasonMetadataDepth},
		"text that ends in a backslash": {LeadInput{Metadata: []byte(`{"a":"\\","b":"` + strings.Repeat("[", 40) + `"}`)}, ReasonNone},
		"the phone is not looked at":    {LeadInput{Phone: "invalid"}, ReasonNone},
	} {
		if got := tt.in.Check(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// decoderDepth is the depth as encoding/json sees it.
func decoderDepth(b []byte) (deepest int, err error) {
	depth := 0
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // 1e1000 is valid, and no float64
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return deepest, nil
		}
		if err != nil {
			return 0, err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// jsonValue draws JSON of up to depth levels, with texts that try to be mistaken
// for structure.
func jsonValue(depth int) *rapid.Generator[any] {
	text := rapid.StringOf(rapid.SampledFrom([]rune(`{}[]",:\ab` + "é\u2028\n")))
	leaf := rapid.OneOf(text.AsAny(), rapid.Int64().AsAny(), rapid.Just[any](nil))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.SliceOfN(jsonValue(depth-1), 0, 3).AsAny(),
		rapid.MapOfN(text, jsonValue(depth-1), 0, 3).AsAny())
}

func TestJSONDepth(t *testing.T) {
	t.Parallel()
	value := jsonValue(5)
	deepest := 0
	rapid.Check(t, func(t *rapid.T) {
		b, err := json.Marshal(value.Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := decoderDepth(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonDepth(b); got != want {
			t.Fatalf("%s: %d, want %d", b, got, want)
		}
		deepest = max(deepest, want)
	})
	if deepest < 2 {
		t.Errorf("nothing drawn was deeper than %d: the property proves nothing", deepest)
	}
}

// FuzzJSONDepth: whatever encoding/json reads, we count alike.
func FuzzJSONDepth(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[{"b":"}]"}]}`, `"\\"`, `{"\"{":"\\\\\""}`, `[[],[[]]]`, `{"a":"\u005b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		want, err := decoderDepth(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := jsonDepth(b); got != want {
			t.Fatalf("%s: %d, want %d", b, got, want)
		}
	})
}
