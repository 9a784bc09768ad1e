package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// ids are the ids in a page of a list, in its order.
func (a answer) ids() []string {
	a.t.Helper()
	var page struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(a.is(200).body), &page); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	ids := []string{}
	for _, item := range page.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// Each filter alone and with others, on leads that came a minute apart.
func TestLeadFilters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.fresh()
		campaign := b.campaign()
		var lead [4]string
		lead[0] = b.push(campaign, "9876543210", `"external_id":"a b&c"`) // at 00:00:00
		time.Sleep(time.Minute)
		lead[1] = b.push(campaign, "6000000001", `"external_id":"आ"`)
		time.Sleep(time.Minute)
		lead[2] = b.push(campaign, "6000000002")
		time.Sleep(time.Minute + time.Millisecond)
		lead[3] = b.push(campaign, "9876543211", `"external_id":""`) // at 00:03:00.001
		b.push(b.campaign(), "9876543210")
		list := "/campaigns/" + campaign + "/leads"

		for query, want := range map[string][]int{
			"":                 {3, 2, 1, 0},
			"status=pending":   {3, 0},
			"status=dnd":       {2, 1},
			"status=held":      {},
			"status=dialing":   {},
			"status=completed": {},
			"status=failed":    {},
			"status=no_answer": {},
			"dnd_clean=true":   {3, 0},
			"dnd_clean=false":  {2, 1},

			"phone=9876543210":          {0},
			"phone=%2B91%2098765-43210": {0},
			"phone=09876543210":         {0},
			"phone=" + url.QueryEscape("९८७६५४३२१०"): {0},
			"phone=9999999999": {},

			"external_id=a+b%26c":                 {0},
			"external_id=" + url.QueryEscape("आ"): {1},
			"external_id=":                        {3},
			"external_id=A":                       {},
			"external_id=%00":                     {},

			"created_after=2000-01-01T00:01:00Z":        {3, 2, 1},
			"created_after=2000-01-01T00:01:00.001Z":    {3, 2},
			"created_after=2000-01-01T00:01:00.0001Z":   {3, 2},
			"created_after=2000-01-01T05:31:00%2B05:30": {3, 2, 1},
			"created_after=2000-01-01T05:31:00+05:30":   {3, 2, 1}, // as it is often sent
			"created_before=2000-01-01T00:01:00Z":       {0},
			"created_before=2000-01-01T00:03:00.001Z":   {2, 1, 0},
			"created_before=2000-01-01T00:03:00.0011Z":  {3, 2, 1, 0},
			"created_before=2000-01-01T00:00:00Z":       {},
			"created_after=0001-01-01T00:00:00Z":        {3, 2, 1, 0},
			"created_before=0001-01-01T00:00:00Z":       {},
			"created_after=9999-12-31T23:59:59.9999Z":   {},
			"created_before=9999-12-31T23:59:59.9999Z":  {3, 2, 1, 0},

			"created_after=2000-01-01T00:01:00Z&created_before=2000-01-01T00:03:00Z": {2, 1},
			"status=dnd&phone=6000000001&dnd_clean=false":                            {1},
			"status=pending&phone=6000000001":                                        {},
			"status=dnd&status=pending":                                              {3, 0}, // the last counts
			"limit=2":                                                                {3, 2},
			"limit=200":                                                              {3, 2, 1, 0},
		} {
			ids := []string{}
			for _, i := range want {
				ids = append(ids, lead[i])
			}
			if diff := cmp.Diff(ids, b.do("GET", list+"?"+query, "").ids()); diff != "" {
				t.Errorf("%s: %s", query, diff)
			}
		}
	})
}

func TestLeadParametersThatAreWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := "/campaigns/" + b.campaign() + "/leads"
	for query, want := range map[string][]string{
		"status=PENDING":               {"query.status value_error.status"},
		"status=":                      {"query.status value_error.status"},
		"dnd_clean=1":                  {"query.dnd_clean value_error.dnd_clean"},
		"dnd_clean=True":               {"query.dnd_clean value_error.dnd_clean"},
		"phone=9876":                   {"query.phone value_error.phone.length"},
		"phone=%2B12025550123":         {"query.phone value_error.phone.international"},
		"created_after=today":          {"query.created_after value_error.created_after"},
		"created_after=2000-01-01":     {"query.created_after value_error.created_after"},
		"created_before=946684800":     {"query.created_before value_error.created_before"},
		"limit=0":                      {"query.limit value_error.limit"},
		"limit=201":                    {"query.limit value_error.limit"},
		"limit=-1":                     {"query.limit value_error.limit"},
		"limit=2.5":                    {"query.limit value_error.limit"},
		"limit=":                       {"query.limit value_error.limit"},
		"limit=99999999999999999999":   {"query.limit value_error.limit"},
		"cursor=":                      {"query.cursor value_error.cursor"},
		"cursor=abc":                   {"query.cursor value_error.cursor"},
		"cursor=c1_0000000000000":      {"query.cursor value_error.cursor"},
		"cursor=lead_0000000000001":    {"query.cursor value_error.cursor"},
		"cursor=c1_000000000000A":      {"query.cursor value_error.cursor"},
		"Status=pending":               {"query.Status value_error.unknown_parameter"},
		"dnd=true":                     {"query.dnd value_error.unknown_parameter"},
		"offset=10":                    {"query.offset value_error.unknown_parameter"},
		"z=1&a=1&limit=0":              {"query.a value_error.unknown_parameter", "query.z value_error.unknown_parameter", "query.limit value_error.limit"},
		"status=x&phone=1&dnd_clean=x": {"query.status value_error.status", "query.dnd_clean value_error.dnd_clean", "query.phone value_error.phone.length"},
		"phone=%zz":                    {"query value_error.query"},
		"status=pending;limit=1":       {"query value_error.query"},
	} {
		a := b.do("GET", list+"?"+query, "")
		if diff := cmp.Diff(want, a.fields()); a.status != 422 || diff != "" {
			t.Errorf("%s: %d %s", query, a.status, diff)
		}
	}
	b.do("GET", "/campaigns?limit=201", "").wrong("query.limit", "value_error.limit")
	b.do("GET", "/campaigns?cursor=x", "").wrong("query.cursor", "value_error.cursor")
}

// pushMany pushes n leads in bulk and returns their ids in the order of the list.
func (b *bundle) pushMany(campaign string, first, n int) (ids []string) {
	b.t.Helper()
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"phone":"98%08d"}`, first+i)
	}
	for _, row := range b.bulk(campaign, rows).Results {
		ids = append(ids, *row.ID)
	}
	slices.Reverse(ids)
	return ids
}

func TestLeadPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	b.pushMany(b.campaign(), 0, 50) // nobody's business here
	want := b.pushMany(campaign, 0, 210)
	list := "/campaigns/" + campaign + "/leads"
	for query, size := range map[string]int{"": 25, "?limit=200": 200, "?limit=42": 42, "?limit=205&limit=105": 105} {
		if diff := cmp.Diff(want, b.pages(list+query, size)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	few := b.campaign()
	want = b.pushMany(few, 0, 3)
	for _, size := range []int{1, 2, 3, 4} {
		if diff := cmp.Diff(want, b.pages(fmt.Sprintf("/campaigns/%s/leads?limit=%d", few, size), size)); diff != "" {
			t.Errorf("limit %d: %s", size, diff)
		}
	}
}

// Somebody who reads page by page sees every lead that was there when he began,
// once, while others arrive.
func TestLeadPagesWhileLeadsArrive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.campaign()
	there := b.pushMany(campaign, 0, 60)
	stop := make(chan struct{})
	stopped := make(chan error, 1)
	go func() {
		for i := 1000; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if a := b.do("POST", "/campaigns/"+campaign+"/leads", fmt.Sprintf(`{"phone":"98%08d"}`, i)); a.status != 201 {
				stopped <- fmt.Errorf("%d %s", a.status, a.body)
				return
			}
		}
	}()
	for range 3 {
		got := b.pages("/campaigns/"+campaign+"/leads?limit=7", 7)
		if seen := slices.Compact(slices.Sorted(slices.Values(got))); len(seen) != len(got) || !slices.IsSortedFunc(got, func(x, y string) int { return strings.Compare(y, x) }) {
			t.Errorf("%d leads, %d of them different, or not newest first", len(got), len(seen))
		}
		if len(got) < 60 || !slices.Equal(got[len(got)-60:], there) {
			t.Error("some of those that were there are missing")
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Filters hold on every page.
func TestLeadPagesOfAFilter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listed := map[saaf.Phone]string{}
	for i := range 20 {
		listed[saaf.Phone(9800000000+i*3)] = "0"
	}
	b.registry(saaf.DateOf(time.Now()), listed)
	campaign := b.campaign()
	all := b.pushMany(campaign, 0, 60)
	var dnd, clean []string
	for i, id := range all {
		if (59-i)%3 == 0 {
			dnd = append(dnd, id)
		} else {
			clean = append(clean, id)
		}
	}
	for query, want := range map[string][]string{"status=dnd": dnd, "dnd_clean=false": dnd, "dnd_clean=true": clean, "status=pending": clean} {
		if diff := cmp.Diff(want, b.pages("/campaigns/"+campaign+"/leads?limit=3&"+query, 3)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}
