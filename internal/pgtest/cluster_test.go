package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Writers go on through the death of leaders, and what was acknowledged to them is
// there in the end. No leader dies in the short form.
func TestPatroni(t *testing.T) {
	t.Parallel()
	deaths := 0
	if os.Getenv("SAAF_LONG") != "" {
		deaths = 3
	}
	c := Patroni(t)
	url := c.URL("postgres")
	const table = "CREATE TABLE IF NOT EXISTS written (n int PRIMARY KEY)"
	if err := await(func() error { return run(t.Context(), url, table) }); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	const writers = 4
	acknowledged := make(chan int)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() { write(ctx, t, url, i, writers, acknowledged) })
	}
	want := map[int]bool{}
	more := func() {
		select {
		case n := <-acknowledged:
			want[n] = true
		case <-ctx.Done():
			t.Fatal("the writers do not get on")
		}
	}
	for range 100 {
		more()
	}
	for range deaths {
		begin := time.Now()
		over := make(chan error)
		go func() { over <- replaceLeader(c) }()
		for waiting := true; waiting; {
			select {
			case n := <-acknowledged:
				want[n] = true
			case err := <-over:
				if waiting = false; err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("a leader was replaced, and has come back, within %v", time.Since(begin))
		for range 100 {
			more()
		}
	}
	cancel()
	go func() {
		group.Wait()
		close(acknowledged)
	}()
	for n := range acknowledged {
		want[n] = true
	}

	stored := column[int](t, connect(t, url), "SELECT n FROM written")
	for _, n := range stored {
		delete(want, n)
	}
	if len(want) > 0 {
		t.Errorf("%d rows were acknowledged and are lost; %d are there", len(want), len(stored))
	}
}

// replaceLeader kills the leader, waits for the next, and has the old one join it.
func replaceLeader(c *Cluster) error {
	old, err := c.KillLeader()
	if err != nil {
		return err
	}
	if _, err := c.AwaitLeader(old); err != nil {
		return err
	}
	if err := c.Restart(old); err != nil {
		return err
	}
	return c.AwaitWhole()
}

// write inserts n, n+step and so on until ctx ends, each as often as it takes.
func write(ctx context.Context, t *testing.T, url string, n, step int, acknowledged chan<- int) {
	var conn *pgx.Conn
	insert := func() (err error) {
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.Connect(ctx, url); err != nil {
				return err
			}
		}
		_, err = conn.Exec(ctx, "INSERT INTO written VALUES ($1) ON CONFLICT DO NOTHING", n)
		if err != nil {
			_ = conn.Close(ctx) // it may be one to a leader of old
		}
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for ; ctx.Err() == nil; <-tick.C {
		if err := insert(); err != nil {
			if text := fmt.Sprint(err); text != last && ctx.Err() == nil {
				t.Logf("writer %d: %v", n%step, err)
				last = text
			}
			continue
		}
		select {
		case acknowledged <- n:
		case <-ctx.Done():
		}
		n += step
	}
	if conn != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
	}
}
