package scrub

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"saaf"
	"saaf/store"
)

// sql runs statements behind the back of the store.
func (d *deployment) sql(statement string, args ...any) int64 {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(d.t.Context()))
	tag, err := conn.Exec(d.t.Context(), statement, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return tag.RowsAffected()
}

// rows reads a number and a text of each row.
func (d *deployment) rows(query string, scan func(n int64, text string), args ...any) {
	d.t.Helper()
	conn, err := pgx.Connect(d.t.Context(), d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(d.t.Context()))
	rows, err := conn.Query(d.t.Context(), query, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	var n int64
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&n, &text}, func() error { scan(n, text); return nil }); err != nil {
		d.t.Fatal(err)
	}
}

// flip damages a block so that it can still be read: another block of the same size.
func (d *deployment) flip(sha saaf.SHA256, seq int64) {
	d.t.Helper()
	raw := make([]byte, 1<<20)
	if n := d.sql(`UPDATE snapshot_blocks SET data = substr(CAST($1 AS BYTEA), 1, CAST(bytes AS INTEGER)) WHERE sha256 = $2 AND seq = $3`, raw, sha[:], seq); n != 1 {
		d.t.Fatalf("%d blocks damaged", n)
	}
}

// A block that is damaged between the importer and the nodes is refused by them, put
// right by the importer and fetched again: the import ends with all nodes prepared.
func TestDamageOnTheWay(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	for salt, damage := range []func(sha saaf.SHA256){
		func(sha saaf.SHA256) { d.flip(sha, 0) },
		func(sha saaf.SHA256) { d.flip(sha, 2) },
		func(sha saaf.SHA256) {
			d.sql(`UPDATE snapshot_blocks SET data = substr(data, 2) WHERE sha256 = $1 AND seq = 1`, sha[:])
		},
		func(sha saaf.SHA256) { d.sql(`DELETE FROM snapshot_blocks WHERE sha256 = $1 AND seq = 1`, sha[:]) },
	} {
		n := d.node()
		req := m.large(salt)
		hit := false
		req.Spread.Progress = func(p SpreadProgress) {
			if p.Stage == Publishing && p.BytesDone == p.BytesTotal && !hit {
				hit = true
				for sha, u := range m.published() {
					if !u.Ready {
						damage(sha)
					}
				}
			}
		}
		res := m.imports(req)
		if warnings := strings.Join(res.Report.Warnings, "\n"); strings.Contains(warnings, "server") {
			t.Errorf("damage %d: %s", salt, warnings)
		}
		// What is missing is seen before anybody is asked to prepare.
		if refused, want := n.events.count("snapshot files cannot be prepared"), min(1, 3-salt); refused < want {
			t.Errorf("damage %d: refused %d times", salt, refused)
		}
		n.answersFrom(res.Snapshot.ID)
		n.ends()
	}
}

// Blocks that are damaged later are found by the next node that needs them, and put
// right by one that has the file.
func TestDamageInTheStore(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	healthy := d.node()
	active := healthy.imports(healthy.large(0)).Snapshot
	healthy.answersFrom(active.ID)
	d.flip(active.SHA256, 1)
	late := d.node()
	late.waits("the damage is found", func() bool { return late.events.count("snapshot files cannot be prepared") > 0 })
	if id := late.registry.View().Ref().ID; id != 0 {
		t.Errorf("it answers from %v", id)
	}
	late.answersFrom(active.ID)
	if !late.hasFile(active.SHA256) || healthy.registry.View().Ref().ID != active.ID {
		t.Error("it answers from something else")
	}
	if n := healthy.events.count("a snapshot was not in the store and was published"); n != 1 {
		t.Errorf("it was published %d times", n)
	}
}

// A deployment that has just moved here has snapshots in its register and none in the
// store: the node that has the files publishes them.
func TestFilesComeWithTheFirstNode(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	m.imports(m.large(0))
	active := m.imports(m.delta(rows("A", 7_000_000_001))).Snapshot
	d.sql(`TRUNCATE snapshot_uploads, snapshot_blocks`)
	empty, full := d.node(), m.serves(d, true)
	full.answersFrom(active.ID)
	empty.answersFrom(active.ID)
	full.waits("all is published", func() bool { return len(full.published()) == 2 })
}

// A file that is no longer what was imported is not published for it.
func TestDamagedFileIsNotPublished(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	active := m.imports(m.large(0)).Snapshot
	content, err := os.ReadFile(snapshotPath(m.dir, active.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	d.sql(`TRUNCATE snapshot_uploads, snapshot_blocks`)
	content[rand.IntN(len(content))] ^= 8
	m.replace(active, content)
	if err := publish(t.Context(), m.store, m.dir, &active, func(_, _ int64) {}); !errors.Is(err, errOtherFile) {
		t.Errorf("it ended with %v", err)
	}
	if u := m.published()[active.SHA256]; u.Ready {
		t.Errorf("published is %+v", u)
	}
	if err := fetch(t.Context(), m.store, t.TempDir(), active.SHA256, nil); !errors.Is(err, store.ErrNotPublished) {
		t.Errorf("fetching it ended with %v", err)
	}
}
