package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"saaf/client"
	"saaf/internal/apptest"
)

// BenchmarkBackup makes backups of a million leads while leads are pushed at a steady
// rate, and reports what a push waits with and without one, each from when it was due, and
// how long the log of the database gets.
func BenchmarkBackup(b *testing.B) {
	leads := int64(1_000_000)
	if os.Getenv("SAAF_BENCH_SMALL") != "" {
		leads = 5_000
	}
	dataDir := filepath.Join(b.TempDir(), "data")
	srv, err := apptest.Start(binary, dataDir)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { srv.Kill() }()
	var key struct{ Key string }
	out := command(b, dataDir, "--json", "key", "create", "--tenant", srv.TenantID, "--rate-limit", "100000")
	if err := json.Unmarshal(out, &key); err != nil {
		b.Fatal(err)
	}
	api := client.New(srv.URL, key.Key)
	camp, err := api.CreateCampaign(b.Context(), client.NewCampaign{Name: "backup", DialMode: "preview"})
	if err != nil {
		b.Fatal(err)
	}
	next := int64(crashFrom)
	batch := func(n int) []client.NewLead {
		list := make([]client.NewLead, n)
		for i := range list {
			list[i] = client.NewLead{Phone: fmt.Sprint(next), Name: fmt.Sprint("Lead ", next), Metadata: json.RawMessage(`{"plan":"enterprise","city":"Pune"}`)}
			next++
		}
		return list
	}
	for next < crashFrom+leads {
		if _, err := api.PushLeads(b.Context(), camp.ID, batch(500)); err != nil {
			b.Fatal(err)
		}
	}
	var made, alone, during []time.Duration
	logBytes := int64(0)
	for b.Loop() {
		alone = append(alone, pushSteadily(b, api, camp.ID, batch, func(ctx context.Context) { <-time.After(5 * time.Second) })...)
		dir := filepath.Join(b.TempDir(), fmt.Sprint("backup", len(made)))
		during = append(during, pushSteadily(b, api, camp.ID, batch, func(ctx context.Context) {
			start := time.Now()
			command(b, dataDir, "backup", dir)
			made = append(made, time.Since(start))
			<-time.After(3 * time.Second) // in which the log is written back
		})...)
		if info, err := os.Stat(filepath.Join(dataDir, "saaf.db-wal")); err == nil {
			logBytes = max(logBytes, info.Size())
		}
	}
	info, err := os.Stat(filepath.Join(dataDir, "saaf.db"))
	if err != nil {
		b.Fatal(err)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	part := func(list []time.Duration, share float64) float64 {
		slices.Sort(list)
		return ms(list[min(len(list)-1, int(float64(len(list))*share))])
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")
	b.ReportMetric(float64(logBytes)/1e6, "MB-log")
	b.ReportMetric(part(made, 0.5), "ms/backup")
	b.ReportMetric(part(alone, 0.99), "ms-p99-alone")
	b.ReportMetric(part(alone, 1), "ms-max-alone")
	b.ReportMetric(part(during, 0.99), "ms-p99-during")
	b.ReportMetric(part(during, 1), "ms-max-during")
	b.ReportMetric(0, "ns/op")
}

// pushSteadily pushes a lead every 10 ms and 500 of them every 100 ms while work goes on,
// whether or not earlier ones are answered.
func pushSteadily(tb testing.TB, api *client.Client, campaign string, batch func(int) []client.NewLead, work func(context.Context)) []time.Duration {
	ctx, stop := context.WithCancel(tb.Context())
	defer stop()
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	group.Go(func() {
		due := time.Now()
		for i := 0; ctx.Err() == nil; i++ {
			due = due.Add(10 * time.Millisecond)
			<-time.After(time.Until(due))
			list, at := batch(map[bool]int{true: 500, false: 1}[i%10 == 0]), due
			group.Go(func() {
				_, err := api.PushLeads(context.WithoutCancel(ctx), campaign, list)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(at))
				if err != nil {
					tb.Error(err)
				}
			})
		}
	})
	work(ctx)
	stop()
	group.Wait()
	return took
}
