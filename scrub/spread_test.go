package scrub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"saaf"
)

// An import on a machine that serves nobody: before its snapshot is the active one
// every node has it, and then all answer from it.
func TestImportReachesEveryNode(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, a, b := d.machine(), d.node(), d.node()
	var before saaf.SnapshotID
	for salt := range 3 {
		req := m.large(salt)
		published, waited := false, false
		req.Spread.Progress = func(p SpreadProgress) {
			switch p.Stage {
			case Publishing:
				published = true
			case Preparing:
				waited = waited || len(p.Waiting) > 0
				if len(p.Waiting) > 0 {
					break
				}
				// The last word before the activation.
				if a.registry.View().Ref().ID != before || b.registry.View().Ref().ID != before {
					t.Error("a node answers from what is not active yet")
				}
				if p.Servers != 2 || p.BytesDone != p.BytesTotal {
					t.Errorf("%+v", p)
				}
			}
		}
		res := m.imports(req)
		if len(res.Report.Warnings) > 0 && strings.Contains(strings.Join(res.Report.Warnings, " "), "server") {
			t.Errorf("%q", res.Report.Warnings)
		}
		if !published || !waited {
			t.Errorf("published %v, waited %v", published, waited)
		}
		sha := res.Snapshot.SHA256
		for _, n := range []*node{a, b} {
			if n.shelf.get(sha) == nil || !n.hasFile(sha) {
				t.Errorf("%s had not prepared for it", n.row.Host)
			}
			n.answersFrom(res.Snapshot.ID)
			if e, ok := n.registry.View().Lookup(saaf.Phone(6_000_000_000 + salt)); !ok || !e.Listed {
				t.Errorf("%s finds %v, %v", n.row.Host, e, ok)
			}
		}
		if u := m.published()[sha]; !u.Ready || u.Pending || u.Blocks() < 3 {
			t.Errorf("published is %+v", u)
		}
		before = res.Snapshot.ID
	}
	for _, n := range []*node{a, b} {
		if failed := n.events.count("the active snapshot cannot be used") + n.events.count("snapshot files cannot be prepared"); failed > 0 {
			t.Errorf("%s was without the active snapshot %d times", n.row.Host, failed)
		}
	}
}

// A delta travels as its overlay, over the base that is there.
func TestDeltasTravelAsDeltas(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, n := d.machine(), d.node()
	base := m.imports(m.large(0)).Snapshot
	was := m.published()[base.SHA256]
	other := d.machine() // which must fetch the base to build on it
	sent := int64(0)
	req := other.delta(rows("A", 7_000_000_001))
	req.Spread.Progress = func(p SpreadProgress) {
		if p.Stage == Publishing {
			sent = p.BytesTotal
		}
	}
	delta := other.imports(req).Snapshot
	if delta.BaseSHA256 != base.SHA256 {
		t.Fatalf("it is no overlay: %+v", delta)
	}
	n.answersFrom(delta.ID)
	got := m.published()
	if u := got[delta.SHA256]; !u.Ready || u.Bytes*100 > was.Bytes || u.Base != base.SHA256 || sent != u.Bytes {
		t.Errorf("published is %+v over %+v, sent were %d bytes", u, was, sent)
	}
	if len(got) != 2 || got[base.SHA256] != was {
		t.Errorf("the base was touched, or there is more: %+v", got)
	}
	if !n.hasFile(delta.SHA256) || !n.hasFile(base.SHA256) {
		t.Error("the node lacks a file")
	}
	late := d.node() // which takes both
	late.answersFrom(delta.ID)
	if e, ok := late.registry.View().Lookup(7_000_000_001); !ok || !e.Listed {
		t.Errorf("it finds %v, %v", e, ok)
	}
}

// A node that starts with an empty directory, or with an older snapshot, answers
// unknown until it has the active one, and never from another.
func TestNodeStartsBehind(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	old := m.imports(m.large(0)).Snapshot
	behind := d.node()
	behind.answersFrom(old.ID)
	behind.ends()
	active := m.imports(m.large(1)).Snapshot

	for name, b := range map[string]*bundle{"behind": d.on(behind.data), "empty": d.machine()} {
		got := b.loads()
		if got.Snapshot != 0 || !strings.Contains(got.Problem, "not here yet") {
			t.Errorf("%s: it answers from %+v", name, got)
		}
		if w := strings.Join(b.Status(time.Now()).Warnings, " "); !strings.Contains(w, "it is being fetched Until") || strings.Contains(w, "registry import") {
			t.Errorf("%s: it warns %q", name, w)
		}
		if l := b.registry.View().Check(6_000_000_000, time.Now()); l.Reason != saaf.RegistryUnavailable {
			t.Errorf("%s: it finds %v", name, l.Reason)
		}
		b.events.then(func(line string) {
			if strings.HasPrefix(line, "answering from snapshot") && !strings.Contains(line, active.ID.String()) {
				t.Errorf("%s: %s", name, line)
			}
		})
		n := b.serves(d, true)
		n.answersFrom(active.ID)
		if problem := n.Status(time.Now()).Problem; problem != "" {
			t.Errorf("%s: problem %q", name, problem)
		}
	}
}

// A node that lives and does not get ready is waited for, and then left behind with a
// warning that names it. One that dies meanwhile is not waited for any longer.
func TestNodesThatDoNotGetReady(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, able := d.machine(), d.node()
	lame := d.machine().serves(d, false)
	req := m.large(0)
	req.Spread.Limit = 5 * time.Second
	var waited bool
	req.Spread.Progress = func(p SpreadProgress) {
		waited = waited || p.Stage == Preparing && len(p.Waiting) == 1 && p.Waiting[0].ID == lame.row.ID && p.BytesDone < p.BytesTotal
	}
	res := m.imports(req)
	warning := strings.Join(res.Report.Warnings, "\n")
	if !waited || !strings.Contains(warning, lame.row.ID.String()) || !strings.Contains(warning, "node-2") || strings.Contains(warning, "node-1") {
		t.Errorf("waited for it %v, warnings %q", waited, warning)
	}
	able.answersFrom(res.Snapshot.ID)
	lame.waits("it says why not", func() bool { return strings.Contains(lame.Status(time.Now()).Problem, "not here yet") })

	req = m.large(1)
	begun := time.Now()
	req.Spread.Progress = func(p SpreadProgress) {
		if p.Stage == Preparing && len(p.Waiting) == 1 {
			lame.kill() // with its row left behind
		}
	}
	res = m.imports(req)
	if warning := strings.Join(res.Report.Warnings, "\n"); strings.Contains(warning, "node-2") {
		t.Errorf("it was waited for to the end: %q", warning)
	}
	if took := time.Since(begun); took > 40*time.Second {
		t.Errorf("a dead node was waited for %v", took)
	}
}

// A caller who goes while nodes are waited for has changed nothing, and leaves no
// mark.
func TestImportCancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m := d.machine()
	d.machine().serves(d, false)
	ctx, cancel := context.WithCancel(t.Context())
	marked := false
	req := m.large(0)
	req.Spread.Progress = func(p SpreadProgress) {
		if p.Stage == Preparing {
			for _, u := range m.published() {
				marked = marked || u.Pending
			}
			cancel()
		}
	}
	if _, err := Import(ctx, m.store, m.dir, req); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if m.state().Active != nil || !marked {
		t.Errorf("it is active, or was never marked (%v)", marked)
	}
	for _, u := range m.published() {
		if u.Pending {
			t.Error("it is still marked")
		}
	}
}
