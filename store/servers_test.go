package store

import (
	"testing"
	"time"
)

func TestServers(t *testing.T) {
	t.Parallel()
	timeless(t, func(t *testing.T) {
		b := setup(t)
		servers := func(when string, want ...Server) {
			t.Helper()
			got, err := b.Servers(t.Context())
			b.must(err)
			b.equal(when, want, got)
		}
		servers("none yet")

		dead := Server{PID: 7, Host: "h", Address: "127.0.0.1:1", Version: 3}
		var err error
		dead.ID, err = b.RegisterServer(t.Context(), dead)
		b.must(err)
		dead.StartedAt, dead.SeenAt = b.now(), b.now()
		servers("one", dead)

		b.pass(time.Second)
		mine := Server{PID: 8, Host: "h2", Address: "[::1]:2", Version: 4, Snapshot: 9, Problem: "file is missing"}
		mine.ID, err = b.RegisterServer(t.Context(), mine)
		b.must(err)
		mine.StartedAt, mine.SeenAt = b.now(), b.now()
		servers("the next forgets the one that died", mine)
		if mine.ID <= dead.ID {
			t.Errorf("id %v after %v", mine.ID, dead.ID)
		}

		b.pass(time.Second)
		mine.Version, mine.Snapshot, mine.Problem = 5, 0, ""
		b.must(b.Beat(t.Context(), mine))
		mine.SeenAt = b.now()
		servers("after a heartbeat", mine)

		b.must(b.Beat(t.Context(), dead))
		servers("a heartbeat of one that is forgotten does not bring it back", mine)
		b.must(b.RemoveServer(t.Context(), dead.ID))
		servers("removing one that is forgotten", mine)
		b.must(b.RemoveServer(t.Context(), mine.ID))
		servers("all gone")
	})
}

func TestVersionGrowsOverARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.activate(20_000)
	before, err := b.Version(t.Context())
	b.must(err)
	b = b.reopen()
	after, err := b.Version(t.Context())
	b.must(err)
	if before != 2 || after != before {
		t.Errorf("version %d, after opening again %d; want 2 and 2", before, after)
	}
	b.activate(20_001)
	if v, err := b.Version(t.Context()); err != nil || v <= after {
		t.Errorf("version %d, %v", v, err)
	}
}
