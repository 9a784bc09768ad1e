package scrub

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"saaf"
)

// A server that has the file of the active snapshot and has not read it yet says
// unknown while it does: others answer from it already.
func TestUnknownWhileItIsVerified(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	m, n := d.machine(), d.machine()
	old := m.imports(m.large(0)).Snapshot
	if err := provide(t.Context(), n.store, n.dir, old.SHA256); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Load(t.Context()); err != nil || got.Snapshot != old.ID {
		t.Fatalf("it answers from %+v, %v", got, err)
	}
	current := m.imports(m.large(1)).Snapshot // nobody is registered, so nobody is waited for
	path := snapshotPath(n.dir, current.SHA256)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { _, err := n.Load(t.Context()); loaded <- err }()
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0) // returns when the file is being read
	if err != nil {
		t.Fatal(err)
	}
	if ref := n.registry.View().Ref(); ref != (saaf.SnapshotRef{}) {
		t.Errorf("it answers from %v while it reads the active snapshot", ref.ID)
	}
	if problem := n.Status(time.Now()).Problem; problem == "" {
		t.Error("it does not say why it answers unknown")
	}
	if err := errors.Join(pipe.Close(), <-loaded, os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	if err := provide(t.Context(), n.store, n.dir, current.SHA256); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Load(t.Context()); err != nil || got.Snapshot != current.ID || got.Problem != "" {
		t.Errorf("then it answers from %+v, %v", got, err)
	}
}
