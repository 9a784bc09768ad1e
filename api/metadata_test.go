package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// In all answers that show a lead its metadata is as it was sent, byte for byte.
func TestMetadataComesBackByteForByte(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign, bulk := b.campaign(), b.campaign()
	for i, metadata := range []string{
		`{}`,
		"{ \t\r\n }",
		`{"price":1.10,"zero":0.0,"neg":-0,"exp":1E+2,"tiny":1e-400,"huge":1e400}`,
		`{"id":123456789012345678901234567890,"max":9007199254740993,"over":18446744073709551616}`,
		`{"z":1,"a":2,"m":{"z":1,"a":2}}`,
		`{"a":1,"a":2,"A":3,"a":null}`,
		`{"नाम":"आशा शर्मा","शहर":"मुंबई"}`,
		`{"html":"<script>alert('x') && \"y\"</script>","slash":"a\/b/c"}`,
		`{"esc":"\u0041\u0905\ud83d\ude00\n\t\b\f\\","lone":"\ud800","nul":"\u0000"}`,
		"{\"raw\":\"\u2028\u2029\u007f\u00a0\ufeff😀\"}",
		"{\n  \"pretty\" : [ 1 , 2,\t3 ] ,\r\n  \"x\":{ }\n}",
		`{"":"","phone":"9999999999","metadata":{"metadata":{}},"status":"dnd","warnings":["x"]}`,
		`{"list":[null,true,false,"",[],{},[[]],0]}`,
		sized(16 << 10),
		nested(32),
	} {
		phone, want := fmt.Sprintf("98%08d", i), `,"metadata":`+metadata+`,"external_id":`
		pushed := b.do("POST", "/campaigns/"+campaign+"/leads", "\t{ \"metadata\" :\n"+metadata+" , \"phone\":\""+phone+"\"}").is(201)
		read := b.do("GET", "/campaigns/"+campaign+"/leads/"+pushed.text("id"), "").is(200)
		list := b.do("GET", "/campaigns/"+campaign+"/leads?limit=1", "").is(200)
		b.do("POST", "/campaigns/"+bulk+"/leads:bulk", `{"leads":[ {"phone":"`+phone+`","metadata":`+metadata+` } ]}`).is(200)
		fromBulk := b.do("GET", "/campaigns/"+bulk+"/leads?limit=1", "").is(200)
		for name, a := range map[string]answer{"pushed": pushed, "read": read, "listed": list, "pushed in bulk": fromBulk} {
			if !strings.Contains(a.body, want) || !json.Valid([]byte(a.body)) {
				t.Errorf("%s %s: %s", name, metadata, a.body)
			}
		}
	}
}

// The same for metadata that nobody thought of.
func TestMetadataProperty(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	phone := 0
	rapid.Check(t, func(r *rapid.T) {
		phone++
		metadata := metadataGen.Draw(r, "metadata")
		pushed := b.do("POST", "/campaigns/"+campaign+"/leads", fmt.Sprintf(`{"phone":"98%08d","metadata":%s}`, phone, metadata)).is(201)
		read := b.do("GET", "/campaigns/"+campaign+"/leads/"+pushed.text("id"), "").is(200)
		if !strings.Contains(read.body, `,"metadata":`+metadata+`,"external_id":`) || read.body != pushed.body {
			r.Errorf("%s came back as %s and %s", metadata, pushed.body, read.body)
		}
	})
}

// metadataGen makes objects in all the spellings that JSON has for one value.
var metadataGen = rapid.Custom(func(r *rapid.T) string { return object(r, 3) })

func object(r *rapid.T, depth int) string {
	var text strings.Builder
	text.WriteString("{" + space(r))
	for i := range rapid.IntRange(0, 3).Draw(r, "members") {
		if i > 0 {
			text.WriteString("," + space(r))
		}
		text.WriteString(str(r) + space(r) + ":" + space(r) + value(r, depth-1) + space(r))
	}
	return text.String() + "}"
}

func value(r *rapid.T, depth int) string {
	kinds := 6
	if depth <= 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(r, "kind") {
	case 0:
		return str(r)
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`).Draw(r, "number")
	case 2, 3:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(r, "word")
	case 4:
		return object(r, depth)
	default:
		return "[" + space(r) + value(r, depth-1) + space(r) + "," + value(r, depth-1) + "]"
	}
}

func str(r *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "phone", "आ", "😀", "<", "&", "{", "]", ",", ":", `\"`, `\\`, `\n`, `\/`, `\u0000`, `\ud83d`, "\u2028"}), 0, 4).Draw(r, "text")
	return `"` + strings.Join(parts, "") + `"`
}

func space(r *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", " ", "\n", "\t\r\n "}).Draw(r, "space")
}

// The other texts of a lead are values, not bytes: they come back as the same
// characters, with nothing escaped that need not be.
func TestTextsComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	for i, tc := range []struct{ sent, back string }{
		{`"Asha"`, `"Asha"`},
		{`"  आशा  शर्मा  "`, `"  आशा  शर्मा  "`},
		{`"\u0041\ud83d\ude00"`, `"A😀"`},
		{`"<b>Tom & Jerry</b>"`, `"<b>Tom & Jerry</b>"`},
		{`"\u003cb\u003e\u2028\/"`, "\"<b>\u2028/\""},
		{`"\"\\\n\t\r\b\u0001"`, `"\"\\\n\t\r\u0008\u0001"`},
		{`"\ud800"`, "\"\ufffd\""}, // half a surrogate pair is no character
		{`""`, `""`},
		{`null`, `null`},
	} {
		members := fmt.Sprintf(`{"phone":"98%08d","name":%s,"email":%s,"external_id":%s}`, i, tc.sent, tc.sent, tc.sent)
		pushed := b.do("POST", "/campaigns/"+campaign+"/leads", members).is(201)
		read := b.do("GET", "/campaigns/"+campaign+"/leads/"+pushed.text("id"), "").is(200)
		for _, a := range []answer{pushed, read} {
			for _, member := range []string{"name", "email", "external_id"} {
				if got := a.raw(member); got != tc.back {
					t.Errorf("%s came back as %s, want %s", tc.sent, got, tc.back)
				}
			}
		}
		if pushed.body != read.body {
			t.Errorf("pushed %s, read %s", pushed.body, read.body)
		}
	}
}
