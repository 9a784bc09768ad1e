package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"saaf"
	"saaf/auth"
	"saaf/client"
	"saaf/scrub"
	"saaf/store"
)

// BenchmarkIngest measures the two push endpoints over loopback against their
// limits in one run: bulk against a bare prepared-statement loop on the same
// schema with the same rows, singles against a handler that does nothing. The
// load generator shares the processors with the server.
func BenchmarkIngest(b *testing.B) {
	bulks, singles := 600, 20_000
	if os.Getenv("SAAF_BENCH_SMALL") != "" {
		bulks, singles = 8, 64
	}
	for range b.N {
		raw := benchRawLoop(b, bulks)
		empty := benchEmpty(b, singles)
		srv := newBenchServer(b)
		bulk := srv.post(b, 8, bulks, "leads:bulk", func(n int64) []byte { return bulkBody(n * saaf.MaxBulk) }) * saaf.MaxBulk
		single := srv.post(b, 64, singles, "leads", func(n int64) []byte { return leadBody(5_000_000 + n) })
		srv.stop(b)
		b.ReportMetric(raw, "raw-leads/s")
		b.ReportMetric(bulk, "bulk-leads/s")
		b.ReportMetric(bulk/raw, "bulk/raw")
		b.ReportMetric(empty, "empty-req/s")
		b.ReportMetric(single, "single-leads/s")
		b.ReportMetric(single/empty, "single/empty")
		b.ReportMetric(0, "ns/op")
	}
}

// scatter makes distinct numbers of distinct n that come in no order, as phones
// do.
func scatter(n int64) int64 { return 6_000_000_000 + n*2_654_435_761%4_000_000_000 }

func leadBody(n int64) []byte {
	phone := scatter(n)
	return fmt.Appendf(nil, `{"phone":"%d","name":"Lead %d","email":"lead%d@example.com","metadata":`+
		`{"plan":"enterprise","source":"website","city":"Pune","score":%d,"utm":"spring-campaign-2026","note":"called before, asked to call again in the evening"}}`,
		phone, n, n, n%100)
}

func bulkBody(from int64) []byte {
	body := []byte(`{"leads":[`)
	for i := range int64(saaf.MaxBulk) {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, leadBody(from+i)...)
	}
	return append(body, "]}"...)
}

func benchRawLoop(b *testing.B, batches int) float64 {
	b.Helper()
	name, email := "Lead 1234567", "lead1234567@example.com"
	metadata := bytes.Repeat([]byte("x"), 150)
	batch := make([]store.NewLead, saaf.MaxBulk)
	n := int64(0)
	took, err := store.RawLoop(b.Context(), b.TempDir(), func() []store.NewLead {
		if n >= int64(batches*saaf.MaxBulk) {
			return nil
		}
		for i := range batch {
			batch[i] = store.NewLead{Phone: saaf.Phone(scatter(n)), Input: saaf.LeadInput{Name: &name, Email: &email, Metadata: metadata}}
			n++
		}
		return batch
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(n) / took.Seconds()
}

func benchEmpty(b *testing.B, requests int) float64 {
	b.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	return load(b, 64, requests, srv.URL, "", leadBody)
}

// benchServer is a whole server in this process, with a registry of a million
// numbers.
type benchServer struct {
	*server
	key, campaign string
}

func newBenchServer(b *testing.B) *benchServer {
	b.Helper()
	data := dataFlags{DataDir: filepath.Join(b.TempDir(), "data")}
	file := filepath.Join(b.TempDir(), "registry.csv")
	var rows bytes.Buffer
	for range 1_000_000 {
		fmt.Fprintf(&rows, "10,%d,0,A,2\n", 6_000_000_000+rand.Int64N(4_000_000_000))
	}
	if err := os.WriteFile(file, rows.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	var secret saaf.Secret
	err := data.withStore(b.Context(), quiet, false, func(ctx context.Context, st *store.Store) error {
		tenant, err := st.CreateTenant(ctx, "bench")
		if err != nil {
			return err
		}
		key, s, err := auth.NewKey(auth.KeySpec{TenantID: tenant.ID, Environment: saaf.Live, RateLimit: saaf.MaxRateLimit})
		if err != nil {
			return err
		}
		secret = s
		if _, err := st.CreateKey(ctx, key); err != nil {
			return err
		}
		_, err = scrub.Import(ctx, st, data.registryDir(), scrub.ImportRequest{
			Files: []string{file}, Mode: saaf.FullSet, EffectiveDate: saaf.DateOf(time.Now()), By: saaf.By{Actor: "bench"}})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	srv, err := startServer(context.WithoutCancel(b.Context()), serverConfig{
		DataDir: data.DataDir, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s := &benchServer{server: srv, key: string(secret)}
	camp, err := client.New(srv.url(), s.key).CreateCampaign(b.Context(), client.NewCampaign{Name: "bench", DialMode: "preview"})
	if err != nil {
		b.Fatal(err)
	}
	s.campaign = camp.ID
	return s
}

func (s *benchServer) stop(b *testing.B) {
	b.Helper()
	s.server.stop()
	if err := s.wait(); err != nil {
		b.Fatal(err)
	}
}

func (s *benchServer) post(b *testing.B, clients, requests int, path string, body func(int64) []byte) float64 {
	b.Helper()
	return load(b, clients, requests, s.url()+"/api/v1/campaigns/"+s.campaign+"/"+path, s.key, body)
}

// load posts requests from so many clients and returns how many were answered
// in a second. Any answer that is not a success fails the benchmark.
func load(b *testing.B, clients, requests int, url, key string, body func(int64) []byte) float64 {
	b.Helper()
	bodies := make([][]byte, requests)
	for i := range bodies {
		bodies[i] = body(int64(i))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: clients, DialContext: (&net.Dialer{}).DialContext}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range clients {
		group.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(requests) {
					return
				}
				req, err := http.NewRequest("POST", url, bytes.NewReader(bodies[i]))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+key)
				req.Header.Set("Content-Type", "application/json")
				resp, err := c.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				answer, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode >= 300 {
					b.Errorf("status %d: %s", resp.StatusCode, answer)
					return
				}
			}
		})
	}
	group.Wait()
	return float64(requests) / time.Since(start).Seconds()
}
