package scrub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"saaf"
	"saaf/internal/pgtest"
	"saaf/store"
)

// deployment is a PostgreSQL database of a test, on which any number of nodes work,
// each with a data directory of its own.
type deployment struct {
	t       testing.TB
	url     string
	secrets map[string][]byte
	nodes   int
}

// sharedSecrets are those of the template of all deployments.
var sharedSecrets struct {
	sync.Mutex
	files map[string][]byte
}

func deploy(t testing.TB) *deployment {
	t.Helper()
	url := pgtest.Database(t, "nodes", func(url string) error {
		dir, err := os.MkdirTemp("", "scrub")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		st, err := store.Open(context.Background(), store.Config{Dir: dir, URL: url})
		if err != nil {
			return err
		}
		if err := st.Close(); err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		sharedSecrets.Lock()
		defer sharedSecrets.Unlock()
		sharedSecrets.files = make(map[string][]byte)
		for _, e := range entries {
			if sharedSecrets.files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
		return nil
	})
	sharedSecrets.Lock()
	defer sharedSecrets.Unlock()
	return &deployment{t: t, url: url, secrets: sharedSecrets.files}
}

// machine is a process with an empty data directory that is no server.
func (d *deployment) machine() *bundle {
	d.t.Helper()
	data := d.t.TempDir()
	for name, content := range d.secrets {
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	return d.on(data)
}

// on is a process on a data directory.
func (d *deployment) on(data string) *bundle {
	d.t.Helper()
	return open(d.t, data, store.Config{URL: d.url})
}

// node is a server: it beats, takes what is active, and prepares for what is about to
// be.
type node struct {
	*bundle
	row  store.Server
	kill func() // ends it at once, and leaves its row behind
	ends func() // ends it in order
}

// node starts a server with an empty data directory.
func (d *deployment) node() *node {
	d.t.Helper()
	return d.machine().serves(d, true)
}

// serves makes a server of a process. One that is lame beats and prepares nothing.
func (b *bundle) serves(d *deployment, able bool) *node {
	b.t.Helper()
	d.nodes++
	n := &node{bundle: b, row: store.Server{PID: d.nodes, Host: fmt.Sprintf("node-%d", d.nodes), Address: "127.0.0.1:8080"}}
	var err error
	if n.row, err = b.store.RegisterServer(b.t.Context(), n.row); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	var work sync.WaitGroup
	if able {
		work.Go(func() {
			if err := b.RunPreparing(ctx); err != nil {
				b.t.Error(err)
			}
		})
	}
	work.Go(func() { n.watch(ctx) })
	rest := sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	n.kill = sync.OnceFunc(func() {
		rest()
		b.stop()
	})
	n.ends = sync.OnceFunc(func() {
		rest() // a heartbeat would bring it back
		if err := b.store.RemoveServer(b.t.Context(), n.row.ID); err != nil {
			b.t.Error(err)
		}
		n.kill()
	})
	b.t.Cleanup(n.kill)
	return n
}

// watch does what a server does four times a second, a little more often.
func (n *node) watch(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		serving, err := n.Load(ctx)
		if err == nil {
			n.row.Version, n.row.Snapshot, n.row.Problem = serving.Version, serving.Snapshot, serving.Problem
			n.row.Prepared, n.row.Fetched = n.Prepared(), n.Fetched()
			err = n.store.Beat(ctx, n.row)
		}
		if err != nil && ctx.Err() == nil {
			n.t.Error(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// answersFrom waits until the node answers from the snapshot.
func (n *node) answersFrom(id saaf.SnapshotID) {
	n.t.Helper()
	n.waits("it answers from "+id.String(), func() bool { return n.registry.View().Ref().ID == id })
}

// waits polls until something is so.
func (b *bundle) waits(what string, so func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.t.Fatalf("%s: not within a minute; problem %q", what, b.Status(time.Now()).Problem)
		}
	}
}

// holds reports whether the sound file of a snapshot is in the directory.
func (b *bundle) hasFile(sha saaf.SHA256) bool {
	b.t.Helper()
	content, err := os.ReadFile(snapshotPath(b.dir, sha))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return sha256.Sum256(content) == sha
}

// published is what the store says of the files in it.
func (b *bundle) published() map[saaf.SHA256]store.SnapshotUpload {
	b.t.Helper()
	list, err := b.store.Uploads(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	files := make(map[saaf.SHA256]store.SnapshotUpload, len(list))
	for _, u := range list {
		files[u.SHA256] = u
	}
	return files
}

// large is a request for a full set over many heads, so that its file has several
// blocks. salt makes it another one.
func (b *bundle) large(salt int) ImportRequest {
	b.t.Helper()
	var text []byte
	for head := range 24 {
		for i := range 40 {
			text = fmt.Appendf(text, "13,%d,0,A,2\n", 6_000_000_000+head*1_000_000+i*24_571+salt)
		}
	}
	req := b.full(string(text))
	req.Override = "numbers of a test"
	return req
}
