package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"saaf"
)

// ago moves the last sign of a server into the past.
func (b *bundle) ago(id saaf.ServerID, d time.Duration) {
	b.t.Helper()
	b.must(b.write(b.ctx, beside, 0, func(t *tx) error {
		_, err := t.exec(`UPDATE servers SET seen_at = seen_at - $1 WHERE id = $2`, d.Milliseconds(), id)
		return err
	}))
}

// servers compares the servers that are listed; the time counts to a minute.
func (b *bundle) servers(when string, want ...Server) {
	b.t.Helper()
	got, err := b.Servers(b.ctx)
	b.must(err)
	b.equal(when, want, got, cmpopts.EquateApproxTime(time.Minute))
}

// In an embedded store there is one server, and those before it are dead.
func TestServers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.servers("none yet")
	dead := Server{PID: 7, Host: "h", Address: "127.0.0.1:1", Version: 3}
	registered, err := b.RegisterServer(t.Context(), dead)
	b.must(err)
	dead.ID, dead.StartedAt, dead.SeenAt, dead.Alive = registered.ID, time.Now().UTC(), time.Now().UTC(), true
	b.equal("as it was registered", dead, registered, cmpopts.EquateApproxTime(time.Minute))
	b.servers("one", dead)
	b.ago(dead.ID, serverSilent)
	dead.Alive = false
	b.servers("it is silent", dead)

	b = b.reopen()
	mine, err := b.RegisterServer(t.Context(), Server{PID: 8, Host: "h2", Address: "[::1]:2", Version: 4, Snapshot: 9, Problem: "file is missing"})
	b.must(err)
	b.servers("the next forgets the one that died", mine)
	if mine.ID <= dead.ID {
		t.Errorf("id %v after %v", mine.ID, dead.ID)
	}
	b.ago(mine.ID, time.Hour)
	mine.Version, mine.Snapshot, mine.Problem = 5, 0, ""
	b.must(b.Beat(t.Context(), mine))
	b.servers("after a heartbeat", mine)

	b.must(b.Beat(t.Context(), dead))
	b.servers("a heartbeat of one that is forgotten does not bring it back", mine)
	b.must(b.RemoveServer(t.Context(), dead.ID))
	b.servers("removing one that is forgotten", mine)
	b.must(b.RemoveServer(t.Context(), mine.ID))
	b.servers("all gone")
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
