package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"saaf"
	"saaf/intake"
	"saaf/web"
)

// benchLead is a lead as a caller sends it, 150 bytes long. Its phone is the nth of
// numbers that come in no order.
func benchLead(n int64) []byte {
	return fmt.Appendf(nil, `{"phone":"%d","name":"Asha Rao %03d","email":"asha%03d@example.in","external_id":"crm-%06d","metadata":{"plan":"pro","city":"Pune","score":%2d}}`,
		6_000_000_000+n*2_654_435_761%4_000_000_000, n%1000, n%1000, n%1_000_000, 10+n%90)
}

// benchBulk is a body of 500 leads from the nth on.
func benchBulk(n int64) []byte {
	body := []byte(`{"leads":[`)
	for i := range int64(saaf.MaxBulk) {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, benchLead(n+i)...)
	}
	return append(body, "]}"...)
}

// sink is a connection that forgets what is written to it.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }
func (s *sink) Write(b []byte) (int, error) {
	s.bytes += len(b)
	return len(b), nil
}

// BenchmarkPush is the whole handler with a store: profile it to see what a push
// costs beside its transaction.
func BenchmarkPush(b *testing.B) {
	for _, bb := range []struct {
		name, path string
		leads      int64
		body       func(n int64) []byte
	}{{"bulk", "/leads:bulk", saaf.MaxBulk, benchBulk}, {"single", "/leads", 1, benchLead}} {
		b.Run(bb.name, func(b *testing.B) {
			a := setup(b)
			a.fresh()
			path := base + "/campaigns/" + a.campaign() + bb.path
			n := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r := httptest.NewRequestWithContext(b.Context(), "POST", path, io.NopCloser(bytes.NewReader(bb.body(n))))
				r.ContentLength = int64(len(bb.body(n)))
				r.Header.Set("Authorization", "Bearer "+a.key)
				r.Header.Set("Content-Type", "application/json")
				w := &sink{header: http.Header{}}
				n += bb.leads
				b.StartTimer()
				a.handler.ServeHTTP(w, r)
				if w.status/100 != 2 {
					b.Fatalf("status %d", w.status)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "leads/s")
		})
	}
}

// ratio is how many times as long theirs takes as ours. The two take turns, and of each
// the quickest of a hundred runs counts, so that it matters little what else the machine
// does.
func ratio(theirs, ours func()) float64 {
	best := [2]time.Duration{1 << 62, 1 << 62}
	for range 100 {
		for i, f := range []func(){theirs, ours} {
			start := time.Now()
			f()
			best[i] = min(best[i], time.Since(start))
		}
	}
	return float64(best[0]) / float64(best[1])
}

// BenchmarkReadLeads is the parsing of a bulk push. x-json is how many times as long
// encoding/json takes, into structs and in the same run.
func BenchmarkReadLeads(b *testing.B) {
	body := benchBulk(0)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	read := func() {
		if n, err := RawRead(body); err != nil || n != saaf.MaxBulk {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		read()
	}
	b.StopTimer()
	byJSON := func() {
		var push struct {
			Leads []struct {
				Phone      string          `json:"phone"`
				Name       *string         `json:"name"`
				Email      *string         `json:"email"`
				ExternalID *string         `json:"external_id"`
				Metadata   json.RawMessage `json:"metadata"`
			} `json:"leads"`
		}
		if err := json.Unmarshal(body, &push); err != nil || len(push.Leads) != saaf.MaxBulk {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ratio(byJSON, read), "x-json")
}

// BenchmarkAppendBulk is the writing of the answer to a bulk push. x-json is how many
// times as long encoding/json takes, in the same run.
func BenchmarkAppendBulk(b *testing.B) {
	type row struct {
		Phone  json.RawMessage `json:"phone"`
		Status string          `json:"status"`
		ID     string          `json:"id"`
	}
	var other struct {
		Total      int   `json:"total"`
		Valid      int   `json:"valid"`
		Invalid    int   `json:"invalid"`
		Duplicates int   `json:"duplicates"`
		Results    []row `json:"results"`
	}
	res := intake.Result{Valid: saaf.MaxBulk, Rows: make([]intake.Outcome, saaf.MaxBulk)}
	sent := make([]web.Value, saaf.MaxBulk)
	other.Total, other.Valid, other.Results = saaf.MaxBulk, saaf.MaxBulk, make([]row, saaf.MaxBulk)
	for i := range sent {
		id := saaf.LeadID(1<<60 + i)
		sent[i], res.Rows[i].ID = web.Value(`"9876543210"`), id
		other.Results[i] = row{json.RawMessage(sent[i]), "added", id.String()}
	}
	var answer []byte
	write := func() { answer = appendBulk(answer[:0], &res, sent, nil) }
	b.ReportAllocs()
	for b.Loop() {
		write()
	}
	b.SetBytes(int64(len(answer)))
	b.StopTimer()
	byJSON := func() {
		text, err := json.Marshal(&other)
		if err != nil || string(text)+"\n" != string(answer) {
			b.Fatalf("%v: %s, not %s", err, text, answer)
		}
	}
	b.ReportMetric(ratio(byJSON, write), "x-json")
}

// BenchmarkScrubShare is a bulk push over loopback without its transaction: HTTP, reading,
// normalising, checking, answering. scrub-% is the part of the registry in the request, and
// scrub-%-bare that in the handler alone; the snapshot is as large as that of the whole
// country, and the numbers are not in the cache of the processor.
func BenchmarkScrubShare(b *testing.B) {
	heads, bodies := 4000, 400
	if os.Getenv("SAAF_BENCH_SMALL") != "" {
		heads, bodies = 40, 2
	}
	a := setup(b)
	listed := make(map[saaf.Phone]string)
	for head := range saaf.Phone(heads) {
		for i := range saaf.Phone(20) {
			listed[(6000+head)*1_000_000+i*49_999] = "0"
		}
	}
	a.registry(saaf.DateOf(time.Now()), listed)
	sent := make([][]byte, bodies)
	for i := range sent {
		sent[i] = benchBulk(int64(i) * saaf.MaxBulk)
	}
	s, handler := NewRawPush(a.dnd.View().CheckAll, slog.New(slog.NewJSONHandler(io.Discard, nil)))
	server := httptest.NewServer(handler)
	defer server.Close()
	var requests []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		resp, err := server.Client().Post(server.URL, "application/json", bytes.NewReader(sent[len(requests)%bodies]))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || n < 60*saaf.MaxBulk {
			b.Fatalf("%d bytes, status %d: %v", n, resp.StatusCode, err)
		}
		resp.Body.Close()
		requests = append(requests, time.Since(start))
	}
	server.Close() // which waits for the end of the last handler
	scrub := float64(median(s.Checks))
	b.ReportMetric(100*scrub/float64(median(requests)), "scrub-%")
	b.ReportMetric(100*scrub/float64(median(s.Requests)), "scrub-%-bare")
	b.ReportMetric(scrub/1000, "scrub-µs")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
