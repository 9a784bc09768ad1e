package api

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"saaf"
	"saaf/store"
)

// memoryLead is a lead in which everything says which one it is, with and without escapes,
// and how it must be stored.
func memoryLead(phone saaf.Phone) (body, stored string) {
	n := phone.National()
	metadata := fmt.Sprintf(`{"of": "%s", "again":["%s",{"\u006eमस्ते":%s}]}`, n, n, n)
	body = fmt.Sprintf(`{"phone":"%s","name":"Name %s","email":"esc\u0061ped\/%s","metadata":%s,"external_id":"\"%s\""}`, n, n, n, metadata, n)
	return body, fmt.Sprintf("Name %s escaped/%s \"%s\" %s", n, n, n, metadata)
}

// The memory of a body, and what was read of it, serve the next push: what was stored and
// answered of one must be its own, however many come together. Under the race detector
// the memory is overwritten as soon as it is given back.
func TestPushesShareNoMemory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.campaign()
	const clients, pushes, rows = 8, 12, 20
	var group sync.WaitGroup
	for client := range saaf.Phone(clients) {
		group.Go(func() {
			for push := range saaf.Phone(pushes) {
				first := 7_000_000_000 + client*1_000_000 + push*1000
				body, _ := memoryLead(first)
				rec := httptest.NewRecorder()
				b.handler.ServeHTTP(rec, b.request("/campaigns/"+id+"/leads", body))
				_, metadata, _ := strings.Cut(body, `"metadata":`)
				metadata, _, _ = strings.Cut(metadata, `,"external_id"`)
				for _, part := range []string{`"name":"Name ` + first.National() + `"`, `"email":"escaped/` + first.National() + `"`, `"metadata":` + metadata} {
					if !strings.Contains(rec.Body.String(), part) {
						t.Errorf("%s is answered with %s", body, rec.Body)
					}
				}
				list, sent := make([]string, rows), make([]string, rows)
				for row := range saaf.Phone(rows) {
					phone := first + 1 + row
					list[row], _ = memoryLead(phone)
					sent[row] = `{"phone":"` + phone.National() + `","status":"added"`
				}
				rec = httptest.NewRecorder()
				b.handler.ServeHTTP(rec, b.request("/campaigns/"+id+"/leads:bulk", `{"leads":[`+strings.Join(list, ",")+`]}`))
				for _, row := range sent {
					if !strings.Contains(rec.Body.String(), row) {
						t.Errorf("%s… is not in %s", row, rec.Body)
					}
				}
			}
		})
	}
	group.Wait()
	campaign, _ := saaf.ParseID[saaf.CampaignID](id)
	leads, err := b.store.Leads(t.Context(), b.tenant, campaign, store.LeadFilter{}, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if len(leads) != clients*pushes*(rows+1) {
		t.Errorf("%d leads are stored", len(leads))
	}
	for _, l := range leads {
		_, want := memoryLead(l.Phone)
		if got := fmt.Sprintf("%s %s %s %s", *l.Name, *l.Email, *l.ExternalID, l.Metadata); got != want {
			t.Errorf("stored is %s, want %s", got, want)
		}
	}
}

func (b *bundle) request(path, body string) *http.Request {
	r := httptest.NewRequestWithContext(b.t.Context(), "POST", base+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+b.key)
	return r
}

// A push that was answered has left nothing in the memory that the next one gets.
func TestReaderForgets(t *testing.T) {
	t.Parallel()
	var l leadReader
	text := []byte(`{"leads":[{"phone":"1","name":"a","metadata":{}},{"phone":"2","email":"\u0062","x":1}],"y":2}`)
	if err := l.read(bytes.Clone(text), (*leadReader).list); err != nil {
		t.Fatal(err)
	}
	l.reset()
	for i, row := range l.rows[:cap(l.rows)] {
		if row.Input.Phone != "" || row.Input.Name != nil || row.Input.Email != nil || row.Input.Metadata != nil || row.Refused != "" {
			t.Errorf("row %d is %+v", i, row)
		}
	}
	for i, v := range l.sent[:cap(l.sent)] {
		if v != nil {
			t.Errorf("phone %d is %s", i, v)
		}
	}
	for i, s := range l.texts[:cap(l.texts)] {
		if s != "" {
			t.Errorf("text %d is %s", i, s)
		}
	}
	if err := l.read([]byte(`{"leads":[]}`), (*leadReader).list); err != nil || len(l.rows)+len(l.sent)+len(l.ignored.list()) != 0 {
		t.Errorf("%v: %+v", err, l)
	}
}
