package api

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"

	"saaf"
	"saaf/web"
)

// asObject reads body as encoding/json does: members by their exact names, the
// last of several.
func asObject(body []byte) (web.Value, map[string]json.RawMessage) {
	v, err := web.Parse(body)
	if err != nil || v.Kind() != web.Object {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil, nil
	}
	return v, members
}

// FuzzReadSettings runs what the writer of the store runs: it must not panic, and
// what it lets through is right.
func FuzzReadSettings(f *testing.F) {
	f.Add([]byte(`{"name":"Diwali","dial_mode":"predictive","predictive_min_ratio":1,"predictive_max_ratio":1.5,"x":1}`))
	for _, tc := range settings {
		f.Add([]byte(`{"name":"Diwali","dial_mode":"preview","` + tc.member + `":` + tc.sent + `}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, members := asObject(body)
		if v == nil {
			return
		}
		s := saaf.DefaultCampaignSettings()
		var ignored ignoredMembers
		if err := readSettings(v, &ignored).apply(&s); err != nil {
			e, ok := err.(*saaf.Error)
			if !ok || e.Code != saaf.Invalid || len(e.Fields) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			for _, field := range e.Fields {
				if len(field.Loc) < 2 || field.Loc[0] != "body" || field.Msg == "" || field.Type == "" {
					t.Fatalf("%+v", field)
				}
			}
			return
		}
		if wrong := s.Validate(); len(wrong) > 0 {
			t.Fatalf("%s was let through: %v", body, wrong)
		}
		if name := ""; json.Unmarshal(members["name"], &name) != nil || s.Name != name {
			t.Fatalf("the name is %q, want %q", s.Name, name)
		}
		shown, err := json.Marshal(showCampaign(&saaf.Campaign{ID: 1, CampaignSettings: s}, &ignored))
		if err != nil {
			t.Fatal(err)
		}
		again := saaf.DefaultCampaignSettings()
		if back, _ := web.Parse(shown); readSettings(back, new(ignoredMembers)).apply(&again) != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%s comes back as %+v, was %+v", shown, again, s)
		}
	})
}

// FuzzListQuery reads parameters that nobody percent-encoded.
func FuzzListQuery(f *testing.F) {
	for _, s := range []string{"", "limit=25&cursor=c1_0000000000001", "limit=0&limit=1", "created_after=2026-11-20T09:00:00+05:30", "created_after=0001-01-01T00:00:00Z",
		"x=1", "%", ";", "limit=%31", "=", "&&", "created_after=9999-12-31T23:59:60Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		q := queryOf(r, "limit", "cursor", "created_after")
		var at *time.Time
		q.parse("created_after", func(s string) error { return setParsed(&at, s, parseTime) })
		_, limit := q.page()
		if limit < 1 || limit > saaf.MaxPageSize {
			t.Fatalf("limit %d", limit)
		}
		if at != nil && (at.Before(time.Unix(0, 0)) || at.Nanosecond()%int(time.Millisecond) != 0 || at.IsZero()) {
			t.Fatalf("created_after is %v", at)
		}
		values, err := url.ParseQuery(raw)
		unknown := slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(name string) bool { return name != "limit" && name != "cursor" && name != "created_after" })
		if (err != nil || unknown) && q.err() == nil {
			t.Fatalf("%q was let through", raw)
		}
	})
}
