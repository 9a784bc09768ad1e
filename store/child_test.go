package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"saaf"
	"saaf/internal/pgtest"
)

// Some promises are about other processes. The test binary runs itself: with
// childEnv set it does one thing, prints what came of it, and waits until its
// standard input ends.
const (
	childEnv    = "SAAF_STORE_CHILD"
	childDirEnv = "SAAF_STORE_CHILD_DIR"
	childURLEnv = "SAAF_STORE_CHILD_URL"
)

var children = map[string]func(dir string) error{
	"lock": func(dir string) error {
		_, err := LockServe(dir)
		return err
	},
	"lock often": func(dir string) error {
		for range 500 {
			l, err := LockServe(dir)
			if err != nil {
				return err
			}
			if err := l.Release(); err != nil {
				return err
			}
		}
		return nil
	},
	"open": func(dir string) error {
		s, err := Open(context.Background(), childConfig(dir))
		if err != nil {
			return err
		}
		return s.Close()
	},
	"push for ever": pushForEver,
	"files-0":       func(dir string) error { return makeFiles(dir, 0) },
	"files-0077":    func(dir string) error { return makeFiles(dir, 0o077) },
}

// childConfig is that of the store of its parent.
func childConfig(dir string) Config {
	return Config{Dir: dir, URL: os.Getenv(childURLEnv), partitions: pgtest.Partitions()}
}

// pushForEver pushes leads from several goroutines and returns once each has been
// answered a few times.
func pushForEver(dir string) error {
	s, err := Open(context.Background(), childConfig(dir))
	if err != nil {
		return err
	}
	go func() { panic(s.Run(context.Background())) }()
	text, err := os.ReadFile(filepath.Join(dir, "campaign"))
	if err != nil {
		return err
	}
	owner, id, _ := strings.Cut(string(text), " ")
	tenant, _ := saaf.ParseID[saaf.TenantID](owner)
	campaign, _ := saaf.ParseID[saaf.CampaignID](id)
	answers := make(chan error)
	for range 4 {
		go func() {
			for {
				from := int(s.NewID() % 3_000_000_000)
				batch := &LeadBatch{Campaign: campaign, Leads: leads(from, from+1+from%20)}
				answers <- s.AddLeads(context.Background(), tenant, saaf.Live, batch)
			}
		}()
	}
	for range 20 {
		err = errors.Join(err, <-answers)
	}
	go func() {
		for range answers {
		}
	}()
	return err
}

func child(what, dir string) int {
	if err := children[what](dir); err != nil {
		fmt.Println("error:", err)
	} else {
		fmt.Println("ok")
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// makeFiles makes every file of a data directory under the given umask and looks
// at their modes.
func makeFiles(dir string, mask int) error {
	syscall.Umask(mask)
	lockDir := dir + "-lock"
	if _, err := LockServe(lockDir); err != nil {
		return err
	}
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	writer := make(chan error, 1)
	go func() { writer <- s.Run(ctx) }()
	_, err = s.CreateTenant(ctx, "Asha Finance")
	want := map[string]os.FileMode{dir: 0o700, lockDir: 0o700, filepath.Join(lockDir, lockName): 0o600}
	want[filepath.Join(dir, pepperName)] = 0o600
	want[filepath.Join(dir, signingKeyName)] = 0o600
	for _, suffix := range []string{"", "-wal", "-shm"} {
		want[filepath.Join(dir, fileName+suffix)] = 0o600
	}
	werr := filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Dir(dir) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode != want[path] {
			return fmt.Errorf("%q has mode %v, want %v", path, mode, want[path])
		}
		delete(want, path)
		return nil
	})
	if len(want) > 0 {
		werr = errors.Join(werr, fmt.Errorf("not there: %v", want))
	}
	cancel()
	return errors.Join(err, werr, <-writer, s.Close())
}

// process is a running child.
type process struct {
	cmd  *osexec.Cmd
	said string         // ok, or what went wrong
	end  io.WriteCloser // closing it ends the process
}

// start runs a child and waits for what it says.
func start(t *testing.T, what, dir string) *process {
	t.Helper()
	p := &process{cmd: osexec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+what, childDirEnv+"="+dir)
	if pgtest.Served() {
		p.cmd.Env = append(p.cmd.Env, childURLEnv+"="+databaseOf(t, dir))
	}
	p.cmd.Stderr = t.Output()
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.end, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err == nil {
		t.Cleanup(func() {
			_ = p.end.Close()
			_ = p.cmd.Wait()
		})
		p.said, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	p.said = strings.TrimSpace(p.said)
	return p
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *osexec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
}

// holdsLock holds the serve lock in another process.
func holdsLock(t *testing.T, dir string) *process {
	t.Helper()
	p := start(t, "lock", dir)
	if p.said != "ok" {
		t.Fatal(p.said)
	}
	return p
}
