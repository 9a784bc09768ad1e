package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// tooDeep reports whether encoding/json may give a body up for its nesting alone.
func tooDeep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 10_000
}

// reading is what leadReader must find in a body.
type reading struct {
	code    saaf.Code // of the error, saaf.Internal for none
	field   string    // type of the field of a 422
	in      saaf.LeadInput
	wrong   []saaf.Reason
	rows    []intake.Row
	sent    []web.Value
	ignored []string // sorted
}

// leadByJSON reads a lead as encoding/json does: members by their exact names, the last
// of several. It adds the other names to ignored.
func leadByJSON(raw []byte, ignored map[string]bool) (in saaf.LeadInput, wrong []saaf.Reason, sent web.Value) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		panic(err)
	}
	for name := range members {
		ignored[name] = true
	}
	for _, name := range []string{"phone", "name", "email", "external_id", "metadata"} {
		delete(ignored, name)
	}
	text := func(name string, ifWrong saaf.Reason) *string {
		raw := members[name]
		if raw == nil || string(raw) == "null" {
			return nil
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			wrong = append(wrong, ifWrong)
			return nil
		}
		return &s
	}
	switch raw, ok := members["phone"]; {
	case !ok:
		wrong = append(wrong, saaf.ReasonPhoneMissing)
	case json.Unmarshal(raw, new(*string)) != nil || string(raw) == "null":
		wrong, sent = append(wrong, saaf.ReasonPhoneType), web.Value(raw)
	default:
		in.Phone, sent = *text("phone", ""), web.Value(raw)
	}
	in.Name = text("name", saaf.ReasonNameType)
	in.Email = text("email", saaf.ReasonEmailType)
	in.ExternalID = text("external_id", saaf.ReasonExternalIDType)
	if raw := members["metadata"]; raw != nil && raw[0] == '{' {
		in.Metadata = raw
	} else if raw != nil && string(raw) != "null" {
		wrong = append(wrong, saaf.ReasonMetadataType)
	}
	return in, wrong, sent
}

// objectByJSON is the code and the field type for a body that is not an object.
func objectByJSON(body []byte) (code saaf.Code, field string) {
	switch body = bytes.Trim(body, " \t\r\n"); {
	case !utf8.Valid(body) || !json.Valid(body):
		return saaf.Malformed, ""
	case body[0] != '{':
		return saaf.Invalid, "type_error.dict"
	}
	return saaf.Internal, ""
}

func singleByJSON(body []byte) (want reading) {
	if want.code, want.field = objectByJSON(body); want.code != saaf.Internal {
		return want
	}
	ignored := map[string]bool{}
	want.in, want.wrong, _ = leadByJSON(body, ignored)
	want.ignored = slices.Sorted(maps.Keys(ignored))
	return want
}

func bulkByJSON(body []byte) (want reading) {
	if want.code, want.field = objectByJSON(body); want.code != saaf.Internal {
		return want
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		panic(err)
	}
	list, ok := members["leads"]
	switch {
	case !ok:
		return reading{code: saaf.Invalid, field: "value_error.missing"}
	case list[0] != '[':
		return reading{code: saaf.Invalid, field: "type_error.list"}
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(list, &rows); err != nil {
		panic(err)
	}
	if len(rows) > saaf.MaxBulk {
		return reading{code: saaf.Invalid, field: "value_error.list.max_items"}
	}
	ignored := map[string]bool{}
	for _, raw := range rows {
		row, sent := intake.Row{Refused: saaf.ReasonNotAnObject}, web.Value(nil)
		if raw[0] == '{' {
			own := map[string]bool{}
			var wrong []saaf.Reason
			row.Refused = saaf.ReasonNone
			if row.Input, wrong, sent = leadByJSON(raw, own); len(wrong) > 0 {
				row.Refused = wrong[0]
			}
			maps.Copy(ignored, own)
		}
		want.rows, want.sent = append(want.rows, row), append(want.sent, sent)
	}
	for name := range members {
		if name != "leads" {
			ignored[name] = true
		}
	}
	want.ignored = slices.Sorted(maps.Keys(ignored))
	return want
}

// found is what l has found with an error.
func (l *leadReader) found(err error) (got reading) {
	e, _ := err.(*saaf.Error)
	switch {
	case err != nil && e == nil:
		panic(err)
	case err != nil:
		got.code = e.Code
		if len(e.Fields) > 0 {
			got.field = e.Fields[0].Type
		}
		return got
	}
	got.in, got.rows, got.sent = l.in, l.rows, l.sent
	got.ignored = slices.Sorted(slices.Values(l.ignored))
	return got
}

// compare fails when a reading is not the one of encoding/json.
func compare(t *testing.T, body []byte, got, want reading) {
	t.Helper()
	if len(want.ignored) > 20 { // it keeps 20 of them, whichever came first
		if len(got.ignored) != 20 || slices.ContainsFunc(got.ignored, func(name string) bool { return !slices.Contains(want.ignored, name) }) {
			t.Fatalf("%s: ignored %q, of %q", body, got.ignored, want.ignored)
		}
		got.ignored, want.ignored = nil, nil
	}
	if len(got.wrong) == 0 && len(want.wrong) == 0 {
		got.wrong, want.wrong = nil, nil
	}
	if len(got.rows) == 0 && len(want.rows) == 0 {
		got.rows, got.sent = nil, nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s is\n%s, want\n%s", body, show(got), show(want))
	}
}

func show(r reading) string {
	text, err := json.Marshal(struct {
		Code, Field, In, Wrong, Rows, Sent, Ignored any
	}{r.code, r.field, r.in, r.wrong, r.rows, fmt.Sprintf("%q", r.sent), r.ignored})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// FuzzReadLead holds the reading of a single lead against that of encoding/json, on any
// bytes: the same bodies are accepted, and the same values found.
func FuzzReadLead(f *testing.F) {
	f.Add([]byte(`{"phone":"9876543210","name":null,"email":"x","external_id":"\u0000","metadata":{ "a":1.10 },"x":1}`))
	f.Add([]byte(`{"phone":"1","phone":2,"\u006eame":"x","name":7,"Name":"y","metadata":[],"metadata":{}}`))
	f.Add([]byte(` {"phone":"\ud83d\ude00\ud83d \udE00\/\b\f\n\r\t\"\\","name":"\u0928\u092e नम","email":"` + "\x7f" + `"}` + "\n"))
	f.Add([]byte("{\"phone\":\"\xff\"}"))
	for _, s := range []string{`{"phone":"1"}{`, `{"phone":"1";"name":"x"}`, `{"phone":"1" "name":"x"}`, `{"phone";"1"}`, `{"phone" "1"}`, `{phone:"1"}`, `{"phone":"1",}`,
		`{,"phone":"1"}`, `{"phone":}`, `{"phone":"1"]`, `{"phone":"1`, `{"phone":"1\`, `{"phone":"1\u12`, `{"phone":"\x"}`, "{\"phone\":\"1\t2\"}", "{\"pho\tne\":\"1\"}",
		"{\"phone\":\"1234567\x1f\"}", "{\"pho\xffne\":\"1\"}", `{"phone":"1","metadata":{"a":[{"b":"c"],"d":1}}`, `{"metadata":{"a":1;"b":2}}`, `{"metadata":{"a",1}}`,
		"{\"metadata\":{\"a\":\"\xe0\xa4\"}}", "\v{}", "{}\f"} {
		f.Add([]byte(s))
	}
	for _, tc := range refusals {
		if len(tc.row) < 1000 { // long ones keep the fuzzer busy with making them short
			f.Add([]byte(tc.row))
		}
	}
	var l leadReader
	f.Fuzz(func(t *testing.T, body []byte) {
		if tooDeep(body) {
			return
		}
		sent := bytes.Clone(body)
		got := l.found(l.read(body, (*leadReader).single))
		if got.code == saaf.Internal {
			got.wrong = slices.Clone(l.wrong)
		}
		compare(t, body, got, singleByJSON(body))
		if got.code == saaf.Internal {
			shown := appendLead(nil, &saaf.Lead{ID: 1, CampaignID: 1, Phone: 1, Name: got.in.Name, Email: got.in.Email,
				ExternalID: got.in.ExternalID, Metadata: got.in.Metadata}, saaf.Backing{Answers: true})
			if sentences := l.ignored.list(); len(sentences) > 0 {
				shown = append(appendWarnings(shown[:len(shown)-1], sentences), '}')
			}
			if !json.Valid(shown) {
				t.Fatalf("shown as %s", shown)
			}
		}
		if !bytes.Equal(body, sent) {
			t.Fatal("the body was changed")
		}
		l.reset()
	})
}

// FuzzReadLeads is the same for a bulk push.
func FuzzReadLeads(f *testing.F) {
	f.Add([]byte(`{"leads":[{"phone":"9876543210","metadata":{"a":[1,{}]}},7,[],{"x":1},null,{"phone":null}],"y":2}`))
	f.Add([]byte(`{"leads":[{"phone":"1","a":1}],"Leads":[],"leads":[{"phone":"2","phone":"3\u0031"}],"z":{}}`))
	f.Add([]byte(`{"leads":[{"phone":"1"}],"leads":{}}`))
	for _, s := range []string{`{"leads":[{"phone":"1"},]}`, `{"leads":[{"phone":"1"}]`, `{"leads":[{}{}]}`, `{"leads":[1 2]}`, `{"leads":[,]}`, `{"leads":[{};{}]}`,
		`{"leads":[{}}]`, `{"leads":[`, `{"leads":[{`, `{"leads":[{"phone"`, `{"leads":[1,2,true,false,nul]}`, `{"leads":[-]}`, `{"leads":[[[[]]]]}`, `{"leads":[[[]]}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{ "leads" : [ { "phone" : "1" , "name" : "a\\" } , { } ] } `))
	f.Add([]byte(`[{"phone":"1"}]`))
	var l leadReader
	f.Fuzz(func(t *testing.T, body []byte) {
		if tooDeep(body) {
			return
		}
		sent := bytes.Clone(body)
		got := l.found(l.read(body, (*leadReader).list))
		compare(t, body, got, bulkByJSON(body))
		if got.code == saaf.Internal {
			shown := appendBulk(nil, &intake.Result{Rows: make([]intake.Outcome, len(got.rows))}, got.sent, l.ignored.list())
			if !json.Valid(shown) {
				t.Fatalf("shown as %s", shown)
			}
		}
		if !bytes.Equal(body, sent) {
			t.Fatal("the body was changed")
		}
		l.reset()
	})
}

// FuzzAppendAnswers holds the answers of pushes against encoding/json: what that reads back
// is what was to be said.
func FuzzAppendAnswers(f *testing.F) {
	f.Add("9876543210", "Asha", `{"a":1.10}`, "x", int64(1), uint8(0))
	f.Add("\"\\\u2028\x00", "<b>&\xff", `{ }`, "आशा\n", int64(1<<62), uint8(0x57))
	f.Add("", "\ud7ff", `{"\u0000":[]}`, "", int64(-1), uint8(0xff))
	f.Fuzz(func(t *testing.T, phone, name, metadata, unknown string, id int64, flags uint8) {
		has := func(bit int) bool { return flags>>bit&1 != 0 }
		valid := func(s string) string { return string([]rune(s)) } // what is no UTF-8 becomes U+FFFD
		ignored := ignoredMembers{unknown}
		warnings := ignored.list()
		for i := range warnings {
			warnings[i] = valid(warnings[i])
		}

		sent, err := json.Marshal(phone)
		if err != nil {
			t.Fatal(err)
		}
		out := intake.Outcome{DND: has(0)}
		type row struct {
			Phone  *string      `json:"phone"`
			Status string       `json:"status"`
			ID     *saaf.LeadID `json:"id"`
			Reason saaf.Reason  `json:"reason"`
			LeadID saaf.LeadID  `json:"lead_id"`
			DND    bool         `json:"dnd"`
		}
		want := row{Phone: new(valid(phone))}
		if has(1) {
			sent, want.Phone = nil, nil
		}
		lead := saaf.LeadID(id & (1<<63 - 1))
		switch {
		case has(2):
			out.Reason, out.ID = saaf.ReasonDuplicate, lead
			want.Status, want.Reason, want.LeadID = "duplicate", saaf.ReasonDuplicate, lead
		case has(3):
			out.Reason = saaf.Reason(name)
			want.Status, want.Reason = "invalid", saaf.Reason(valid(name))
			if out.Reason == saaf.ReasonNone || out.Reason == saaf.ReasonDuplicate {
				return
			}
		default:
			out.ID, want.Status, want.ID, want.DND = lead, "added", &lead, out.DND
		}
		res := intake.Result{Valid: int(flags), Invalid: len(phone), Duplicates: len(name), Rows: []intake.Outcome{out, out}}
		var bulk struct {
			Total, Valid, Invalid, Duplicates int
			Results                           []row
			Warnings                          []string
		}
		text := appendBulk([]byte("x"), &res, []web.Value{sent, sent}, ignored.list())[1:]
		if err := json.Unmarshal(text, &bulk); err != nil || text[len(text)-1] != '\n' {
			t.Fatalf("%s: %v", text, err)
		}
		if bulk.Total != 2 || bulk.Valid != res.Valid || bulk.Invalid != res.Invalid || bulk.Duplicates != res.Duplicates ||
			!reflect.DeepEqual(bulk.Results, []row{want, want}) || !slices.Equal(bulk.Warnings, warnings) {
			t.Fatalf("%s is %+v, want %+v", text, bulk, want)
		}

		if !json.Valid([]byte(metadata)) {
			return
		}
		l := saaf.Lead{ID: lead, CampaignID: 7, Phone: 9876543210, Name: &name, Email: &phone, ExternalID: &unknown, Metadata: []byte(metadata), Attempts: int(flags)}
		if has(4) {
			l.Name, l.Metadata = nil, nil
		}
		var single struct {
			ID         saaf.LeadID     `json:"id"`
			Phone      string          `json:"phone"`
			Name       *string         `json:"name"`
			Email      *string         `json:"email"`
			ExternalID *string         `json:"external_id"`
			Metadata   json.RawMessage `json:"metadata"`
			Attempts   int             `json:"attempts"`
			Warnings   []string        `json:"warnings"`
		}
		text = appendLead(nil, &l, saaf.Backing{})
		text = append(appendWarnings(text[:len(text)-1], ignored.list()), '}')
		if err := json.Unmarshal(text, &single); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		same := func(got, want *string) bool { return got == want || got != nil && want != nil && *got == valid(*want) }
		wantMetadata := string(bytes.Trim(l.Metadata, " \t\r\n"))
		if l.Metadata == nil {
			wantMetadata = "null"
		}
		if single.ID != lead || single.Phone != "9876543210" || !same(single.Name, l.Name) || !same(single.Email, l.Email) || !same(single.ExternalID, l.ExternalID) ||
			string(single.Metadata) != wantMetadata || single.Attempts != l.Attempts || !slices.Equal(single.Warnings, warnings) {
			t.Fatalf("%s is %+v, want %+v", text, single, l)
		}
	})
}
