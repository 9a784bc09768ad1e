package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
)

// bulkAnswer is what a bulk push answers, phones as they came.
type bulkAnswer struct {
	Total, Valid, Invalid, Duplicates int
	Results                           []bulkRow
	Warnings                          []string
}

type bulkRow struct {
	Phone  json.RawMessage `json:"phone"`
	Status string          `json:"status"`
	ID     *string         `json:"id"`
	Reason string          `json:"reason"`
	LeadID string          `json:"lead_id"`
	DND    bool            `json:"dnd"`
}

// bulk pushes rows and returns the answer, whose totals must add up.
func (b *bundle) bulk(campaign string, rows []string) bulkAnswer {
	b.t.Helper()
	a := b.do("POST", "/campaigns/"+campaign+"/leads:bulk", `{"leads":[`+strings.Join(rows, ",")+`]}`).is(200)
	var got bulkAnswer
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		b.t.Fatalf("%v: %s", err, a.body)
	}
	if got.Total != len(rows) || got.Total != len(got.Results) || got.Total != got.Valid+got.Invalid+got.Duplicates {
		b.t.Errorf("%d rows: total %d, results %d, %d + %d + %d", len(rows), got.Total, len(got.Results), got.Valid, got.Invalid, got.Duplicates)
	}
	return got
}

// The answer of the public documentation, to the byte.
func TestBulkAnswerIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	a := b.do("POST", "/campaigns/"+campaign+"/leads:bulk", `{"leads":[{"phone":"9876543210"},{"phone":"9123456789"},{"phone":"invalid"}]}`).is(200)
	leads := b.do("GET", "/campaigns/"+campaign+"/leads", "").is(200)
	var page struct{ Items []struct{ ID, Phone string } }
	if err := json.Unmarshal([]byte(leads.body), &page); err != nil || len(page.Items) != 2 || page.Items[0].Phone != "9123456789" {
		t.Fatalf("%v: %s", err, leads.body)
	}
	want := `{"total":3,"valid":2,"invalid":1,"duplicates":0,"results":[{"phone":"9876543210","status":"added","id":"` + page.Items[1].ID +
		`"},{"phone":"9123456789","status":"added","id":"` + page.Items[0].ID + `"},{"phone":"invalid","status":"invalid","id":null,"reason":"invalid_character"}]}` + "\n"
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
	a = b.do("POST", "/campaigns/"+campaign+"/leads:bulk", `{"leads":[{"phone":"+91 98765-43210"}]}`).is(200)
	want = `{"total":1,"valid":0,"invalid":0,"duplicates":1,"results":[{"phone":"+91 98765-43210","status":"duplicate","id":null,"reason":"duplicate","lead_id":"` +
		page.Items[1].ID + `"}]}` + "\n"
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
}

func TestBulkMarksWhatIsNotDialled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	campaign := b.campaign()
	got := b.bulk(campaign, []string{`{"phone":"9876543210"}`, `{"phone":"6000000001"}`, `{"phone":"6000000002"}`, `{"phone":"6000000003"}`})
	for i, dnd := range []bool{false, true, true, false} {
		if row := got.Results[i]; row.Status != "added" || row.DND != dnd || row.ID == nil || row.Reason != "" || row.LeadID != "" {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	if counts := b.do("GET", "/campaigns/"+campaign, "").is(200).raw("lead_counts"); !strings.Contains(counts, `"dnd":2`) || !strings.Contains(counts, `"pending":2`) {
		t.Error(counts)
	}
}

// refusals are rows that are never added, with the reason each one gets and the
// phone it is answered with.
var refusals = []struct{ row, reason, phone string }{
	{`7`, "not_an_object", "null"},
	{`null`, "not_an_object", "null"},
	{`"9876543210"`, "not_an_object", "null"},
	{`["9876543210"]`, "not_an_object", "null"},
	{`{}`, "phone_missing", "null"},
	{`{"Phone":"9876543210"}`, "phone_missing", "null"},
	{`{"phone":null}`, "phone_type", "null"},
	{`{"phone":9876543210}`, "phone_type", "9876543210"},
	{`{"phone":9876543210.10}`, "phone_type", "9876543210.10"},
	{`{"phone":true}`, "phone_type", "true"},
	{`{"phone":["9876543210", 1.10]}`, "phone_type", `["9876543210", 1.10]`},
	{`{"phone":{ "a" : "b" }}`, "phone_type", `{ "a" : "b" }`},
	{`{"phone":"9876"}`, "length", `"9876"`},
	{`{"phone":""}`, "length", `""`},
	{`{"phone":"<i>\u0905\/"}`, "invalid_character", `"<i>\u0905\/"`},
	{`{"phone":"+12025550123"}`, "international", `"+12025550123"`},
	{`{"phone":"1800123456"}`, "service_number", `"1800123456"`},
	{`{"phone":"98765432101"}`, "digit_count", `"98765432101"`},
	{`{"phone":"1234567890"}`, "not_mobile_range", `"1234567890"`},
	{`{"phone":"9876543210","phone":"9876"}`, "length", `"9876"`},
	{`{"phone":"9876543210","name":1}`, "name_type", `"9876543210"`},
	{`{"phone":"9876543210","name":` + quoted(201) + `}`, "name_length", `"9876543210"`},
	{`{"phone":"9876543210","email":{}}`, "email_type", `"9876543210"`},
	{`{"phone":"9876543210","email":` + quoted(321) + `}`, "email_length", `"9876543210"`},
	{`{"phone":"9876543210","external_id":1}`, "external_id_type", `"9876543210"`},
	{`{"phone":"9876543210","external_id":` + quoted(201) + `}`, "external_id_length", `"9876543210"`},
	{`{"phone":"9876543210","metadata":"{}"}`, "metadata_type", `"9876543210"`},
	{`{"phone":"9876543210","metadata":` + sized(16<<10+1) + `}`, "metadata_size", `"9876543210"`},
	{`{"phone":"9876543210","metadata":` + nested(33) + `}`, "metadata_depth", `"9876543210"`},
	{`{"phone":"9876543210","name":"\u0000"}`, "nul", `"9876543210"`},
	{`{"phone":"9876543210","email":"\u0000"}`, "nul", `"9876543210"`},
	{`{"phone":"9876543210","external_id":"\u0000"}`, "nul", `"9876543210"`},
}

func TestBulkReasons(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	rows := []string{`{"phone":"9876543210"}`}
	for _, tc := range refusals {
		rows = append(rows, tc.row)
	}
	rows = append(rows, `{"phone":"9876543210"}`)
	got := b.bulk(campaign, rows)
	if got.Valid != 1 || got.Duplicates != 1 {
		t.Errorf("%d valid, %d duplicates", got.Valid, got.Duplicates)
	}
	for i, tc := range refusals {
		want := bulkRow{Phone: json.RawMessage(tc.phone), Status: "invalid", Reason: tc.reason}
		if diff := cmp.Diff(want, got.Results[i+1]); diff != "" {
			t.Errorf("%.60s: %s", tc.row, diff)
		}
	}
	if last := got.Results[len(rows)-1]; last.Status != "duplicate" || last.LeadID != *got.Results[0].ID || last.ID != nil {
		t.Errorf("the last row: %+v", last)
	}
}

// Every reason of the contract has a row above or a case of its own.
func TestBulkReasonsAreAllOfTheContract(t *testing.T) {
	t.Parallel()
	all := []string{"length", "invalid_character", "international", "service_number", "digit_count", "not_mobile_range",
		"not_an_object", "phone_missing", "phone_type", "name_type", "name_length", "email_type", "email_length",
		"metadata_type", "metadata_size", "metadata_depth", "external_id_type", "external_id_length", "nul"}
	var covered []string
	for _, tc := range refusals {
		covered = append(covered, tc.reason)
	}
	slices.Sort(all)
	slices.Sort(covered)
	if diff := cmp.Diff(all, slices.Compact(covered)); diff != "" {
		t.Error(diff)
	}
}

func TestBulkSizes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	rows := make([]string, 501)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"phone":"98%08d","metadata":{"row":%d}}`, i, i)
	}
	a := b.do("POST", "/campaigns/"+campaign+"/leads:bulk", `{"leads":[`+strings.Join(rows, ",")+`]}`)
	a.wrong("body.leads", "value_error.list.max_items")
	if got := b.do("GET", "/campaigns/"+campaign+"/leads", "").is(200).body; got != "{\"items\":[],\"next\":null}\n" {
		t.Errorf("some of 501 were stored: %.200s", got)
	}
	got := b.bulk(campaign, rows[:500])
	if got.Valid != 500 {
		t.Errorf("%d valid", got.Valid)
	}
	for i, row := range got.Results {
		if want := fmt.Sprintf(`"98%08d"`, i); string(row.Phone) != want {
			t.Fatalf("row %d is %s, want %s", i, row.Phone, want)
		}
	}
	if got := b.bulk(campaign, rows[:500]); got.Duplicates != 500 || got.Valid != 0 {
		t.Errorf("the second time %+v", got)
	}
}

func TestBulkLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	const empty = `{"total":0,"valid":0,"invalid":0,"duplicates":0,"results":[]}` + "\n"
	for body, want := range map[string]string{
		`{"leads":[]}`:                        empty,
		`{"leads":[{"phone":7}],"leads":[ ]}`: empty,
		`{"leads":7,"\u006ceads":[]}`:         empty,
		`{}`:                                  "body.leads value_error.missing",
		`{"Leads":[]}`:                        "body.leads value_error.missing",
		`{"leads":null}`:                      "body.leads type_error.list",
		`{"leads":{}}`:                        "body.leads type_error.list",
		`{"leads":"[]"}`:                      "body.leads type_error.list",
		`{"leads":[],"leads":{"0":{}}}`:       "body.leads type_error.list",
		`[{"phone":"9876543210"}]`:            "body type_error.dict",
	} {
		a := b.do("POST", "/campaigns/"+campaign+"/leads:bulk", body)
		if want == empty {
			if a.status != 200 || a.body != want {
				t.Errorf("%s: %d %s", body, a.status, a.body)
			}
			continue
		}
		if got := a.fields(); a.status != 422 || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %d %q, want %s", body, a.status, got, want)
		}
	}
}

// A row that is nested beyond all measure costs itself alone.
func TestBulkNesting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	a := b.do("POST", "/campaigns/"+b.campaign()+"/leads:bulk",
		`{"leads":[{"phone":"9876543210"},{"phone":"9876543211","metadata":{"a":`+deep+`}},`+deep+`]}`).is(200)
	if a.raw("valid") != "1" || a.raw("invalid") != "2" {
		t.Errorf("%.200s", a.body)
	}
}

func TestBulkWarnings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.do("POST", "/campaigns/"+b.campaign()+"/leads:bulk",
		`{"leads":[{"phone":"9876543210","tag":1},{"tag":2},7,{"phone":"9876543210","Tag":3}],"dry_run":true}`).is(200)
	if got, want := a.raw("warnings"), `["unknown member \"dry_run\" was ignored","unknown member \"tag\" was ignored","unknown member \"Tag\" was ignored"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// One bad row never costs another: whatever stands beside it, each row fares as
// it does in a model that knows nothing of databases.
func TestBulkProperty(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fresh()
	spellings := []string{"%010d", "+91%010d", "0%010d", "91%010d", "+91 %010d", " %010d "}
	rapid.Check(t, func(r *rapid.T) {
		campaign := b.campaign()
		model := map[int]string{} // phone to lead id
		counts := map[string]int{}
		for range rapid.IntRange(1, 2).Draw(r, "requests") {
			type row struct {
				json, reason, echo string
				phone              int // 0 for a refusal
			}
			rowGen := rapid.Custom(func(r *rapid.T) row {
				if rapid.IntRange(0, 2).Draw(r, "bad") == 0 {
					bad := rapid.SampledFrom(refusals).Draw(r, "refusal")
					return row{bad.row, bad.reason, bad.phone, 0}
				}
				phone := 6000000000 + rapid.IntRange(1, 12).Draw(r, "phone") // 1 is blocked, and 2
				text := fmt.Sprintf(rapid.SampledFrom(spellings).Draw(r, "spelling"), phone)
				return row{fmt.Sprintf(`{"phone":%q}`, text), "", fmt.Sprintf("%q", text), phone}
			})
			rows := rapid.SliceOfN(rowGen, 0, 20).Draw(r, "rows")
			var sent []string
			var want bulkAnswer
			for _, row := range rows {
				sent = append(sent, row.json)
			}
			got := b.bulk(campaign, sent)
			want.Total = len(rows)
			for i, row := range rows {
				expect := bulkRow{Phone: json.RawMessage(row.echo)}
				switch known, there := model[row.phone]; {
				case row.phone == 0:
					expect.Status, expect.Reason = "invalid", row.reason
					want.Invalid++
				case there:
					expect.Status, expect.Reason, expect.LeadID = "duplicate", "duplicate", known
					want.Duplicates++
				default:
					if got.Results[i].ID == nil {
						r.Fatalf("row %d, %s, is not added: %+v", i, row.json, got.Results[i])
					}
					expect.Status, expect.ID = "added", got.Results[i].ID
					expect.DND = row.phone == int(blocked) || row.phone == int(partly)
					model[row.phone] = *expect.ID
					want.Valid++
					if counts["pending"]++; expect.DND {
						counts["pending"]--
						counts["dnd"]++
					}
				}
				want.Results = append(want.Results, expect)
			}
			got.Warnings = nil
			if len(got.Results) == 0 {
				got.Results = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Fatal(diff)
			}
		}
		stored := map[int]string{}
		var page struct{ Items []struct{ ID, Phone string } }
		if err := json.Unmarshal([]byte(b.do("GET", "/campaigns/"+campaign+"/leads?limit=200", "").is(200).body), &page); err != nil {
			r.Fatal(err)
		}
		for _, lead := range page.Items {
			var phone int
			fmt.Sscan(lead.Phone, &phone)
			stored[phone] = lead.ID
		}
		if diff := cmp.Diff(model, stored); diff != "" {
			r.Fatal(diff)
		}
		var shown struct {
			Counts map[string]int `json:"lead_counts"`
		}
		if err := json.Unmarshal([]byte(b.do("GET", "/campaigns/"+campaign, "").is(200).body), &shown); err != nil {
			r.Fatal(err)
		}
		for _, status := range []saaf.LeadStatus{saaf.LeadPending, saaf.LeadDND, saaf.LeadHeld, saaf.LeadDialing} {
			if shown.Counts[status.String()] != counts[status.String()] {
				r.Fatalf("%s: %d counted, want %d", status, shown.Counts[status.String()], counts[status.String()])
			}
		}
	})
}
