package scrubber

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

func TestRead(t *testing.T) {
	t.Parallel()
	nested := listed()
	nested.Results, nested.Phone, nested.Verdict = "", "who.msisdn", "what.0.is"
	members := keyed()
	members.Results, members.Verdict = "data", "status"
	for name, c := range map[string]struct {
		mapping Response
		body    string
		want    []finding
	}{
		"list": {listed(), `{"data": {"results": [
			{"number": "6000000003", "status": "some", "since": null}, {"number": 6000000001, "status": false}, {"status": 1, "number": "+916000000002"}
		], "more": []}, "ok": true}`, []finding{{clean, answered}, {full, answered}, {partial, answered}}},
		"keyed by number": {keyed(), ` {"6000000001": "ok", "916000000002": true, "+91 60000 00003": "some"} `,
			[]finding{{clean, answered}, {full, answered}, {partial, answered}}},
		"keyed with members": {members, `{"data": {"6000000001": {"status": 0}, "6000000002": "ok", "6000000003": {}}}`,
			[]finding{{clean, answered}, {unknown, unlisted}, {unknown, unlisted}}},
		"nested": {nested, `[{"who": {"msisdn": "6000000001"}, "what": {"0": {"is": "ok"}}}, {"who": {"msisdn": "6000000002"}, "what": [{"is": "ok"}]}]`,
			[]finding{{clean, answered}, {unknown, unlisted}, {unknown, unmentioned}}},
		"twice and the same": {keyed(), `{"6000000001": "ok", "6000000001": "ok", "6000000002": 1, "06000000002": "dnd"}`,
			[]finding{{clean, answered}, {full, answered}, {unknown, unmentioned}}},
		"twice and differently": {keyed(), `{"6000000001": "ok", "6000000002": "dnd", "6000000003": "?", "916000000001": "dnd", "916000000002": "some", "916000000003": "ok"}`,
			[]finding{{unknown, contradicted}, {unknown, contradicted}, {unknown, unlisted}}},
		"an escape in a name": {keyed(), `{"\u0036000000001": "\u006fk"}`, []finding{{clean, answered}, {}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newMapping(c.mapping).read([]byte(c.body), []saaf.Phone{ann, bob, cyd})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(finding{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	if err := explain([]finding{{clean, answered}, {full, answered}}); err != nil {
		t.Error(err)
	}
	err := explain([]finding{{}, {clean, answered}, {why: contradicted}, {why: unlisted}, {why: unlisted}})
	want := "of 5 numbers 1 missing from the answer, 2 with a verdict that is in none of the lists clean, blocked and partial, 1 answered twice and differently"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestReadProperty compares what is found in answers of every kind with a model,
// in both shapes.
func TestReadProperty(t *testing.T) {
	t.Parallel()
	verdicts := map[string]saaf.VerdictReason{`"ok"`: clean, `false`: clean, `0`: clean, `"dnd"`: full, `true`: full, `1`: full, `"some"`: partial}
	var spellings []string
	for _, p := range []saaf.Phone{ann, bob, cyd} {
		spellings = append(spellings, p.National(), p.E164(), "91"+p.National(), "0"+p.National())
	}
	rapid.Check(t, func(t *rapid.T) {
		phones := rapid.SliceOfN(rapid.SampledFrom(spellings), 0, 6).Draw(t, "phones")
		want := map[saaf.Phone]saaf.VerdictReason{}
		var list, object []string
		for _, p := range phones {
			v := rapid.SampledFrom([]string{`"ok"`, `false`, `0`, `"dnd"`, `true`, `1`, `"some"`, `null`, `""`, `"OK"`, `0.0`, `[]`, `{}`, `["ok"]`}).Draw(t, "verdict")
			list = append(list, fmt.Sprintf(`{"x": "ok", "number": %q, "status": %s}`, p, v))
			object = append(object, fmt.Sprintf(`%q: %s`, p, v))
			number, _ := saaf.PhonePolicy{}.Parse(p)
			if had, ok := want[number]; ok && had != verdicts[v] {
				want[number] = unknown
			} else if !ok {
				want[number] = verdicts[v]
			}
			// Two nonsenses are as unknown as one; a later sense does not repair them.
		}
		for _, c := range []struct {
			mapping Response
			body    string
		}{
			{listed(), `{"data": {"results": [` + strings.Join(list, ",") + `]}}`},
			{keyed(), `{` + strings.Join(object, ",") + `}`},
		} {
			found, err := newMapping(c.mapping).read([]byte(c.body), []saaf.Phone{ann, bob, cyd})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range []saaf.Phone{ann, bob, cyd} {
				if found[i].reason != want[p] {
					t.Fatalf("%s: %v is %s, want %s", c.body, p, found[i].reason, want[p])
				}
			}
		}
	})
}

// FuzzAnswer holds the reading of any bytes against encoding/json: a number is
// clean only when the body names it with a clean value and with nothing else.
func FuzzAnswer(f *testing.F) {
	for _, body := range hostileBodies {
		if len(body) < 1000 {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte(good))
	f.Add([]byte(`{"6000000001": "ok", "+916000000002": 0, "6000000003": false}`))
	phones := []saaf.Phone{ann, bob, cyd}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, r := range []Response{listed(), keyed()} {
			found, err := newMapping(r).read(body, phones)
			if err != nil {
				checkQuiet(t, err.Error())
				if found != nil {
					t.Fatalf("%v with findings %v", err, found)
				}
				continue
			}
			named := namedIn(t, body, r.Phone == "")
			for i, p := range phones {
				got := found[i]
				if (got.why == answered) != got.reason.Checked() {
					t.Fatalf("%v: %+v", p, got)
				}
				said, ok := named[p]
				if ok == (got.why == unmentioned) {
					t.Fatalf("%v: %+v, named: %v", p, got, ok)
				}
				if got.reason.Clean() && said != clean {
					t.Fatalf("%v is clean, the body says %s", p, said)
				}
				if got.reason.Checked() && said != got.reason {
					t.Fatalf("%v is %s, the body says %s", p, got.reason, said)
				}
			}
		}
	})
}

// namedIn reads a body with encoding/json: what it says of each number it names,
// the last word counts.
func namedIn(t *testing.T, body []byte, keyed bool) map[saaf.Phone]saaf.VerdictReason {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	var root any
	if err := dec.Decode(&root); err != nil {
		t.Fatal(err)
	}
	named := map[saaf.Phone]saaf.VerdictReason{}
	note := func(phone, verdict any) {
		p, _ := saaf.PhonePolicy{FixedLines: true}.Parse(fmt.Sprint(phone))
		switch verdict {
		case "ok", false, json.Number("0"):
			named[p] = clean
		case "dnd", true, json.Number("1"):
			named[p] = full
		case "some":
			named[p] = partial
		default:
			named[p] = unknown
		}
	}
	if keyed {
		for phone, verdict := range root.(map[string]any) {
			note(phone, verdict)
		}
		return named
	}
	for _, e := range root.(map[string]any)["data"].(map[string]any)["results"].([]any) {
		entry := e.(map[string]any)
		note(entry["number"], entry["status"])
	}
	return named
}

// BenchmarkRead reads the answer about a batch of the largest size.
func BenchmarkRead(b *testing.B) {
	phones := span(500)
	var texts []string
	for _, p := range phones {
		texts = append(texts, p.National())
	}
	body := answer(texts)
	m := newMapping(listed())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.read(body, phones); err != nil {
			b.Fatal(err)
		}
	}
}
