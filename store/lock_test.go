package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// locked checks that LockServe is refused and names the holder.
func locked(t *testing.T, dir string, pid int) {
	t.Helper()
	l, err := LockServe(dir)
	refused, ok := errors.AsType[*LockedError](err)
	if l != nil || !ok {
		t.Fatalf("LockServe = %v, %v; want a LockedError", l, err)
	}
	if refused.PID != pid || refused.Dir != dir || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("refused with %q (%+v); want pid %d and %s", err, refused, pid, dir)
	}
}

func serving(t *testing.T, dir string, want bool) {
	t.Helper()
	got, err := Serving(dir)
	if err != nil || got != want {
		t.Errorf("Serving = %v, %v; want %v", got, err, want)
	}
}

func takeAndRelease(t *testing.T, dir string) {
	t.Helper()
	l, err := LockServe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	serving(t, dir, false)
	holder := holdsLock(t, dir)
	serving(t, dir, true)
	locked(t, dir, holder.cmd.Process.Pid)
	serving(t, filepath.Dir(dir), false)
	takeAndRelease(t, t.TempDir()) // another directory is free
	locked(t, dir, holder.cmd.Process.Pid)

	if err := holder.end.Close(); err != nil {
		t.Fatal(err)
	}
	if err := holder.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	serving(t, dir, false)
	takeAndRelease(t, dir)
	takeAndRelease(t, dir)
}

func TestKillFreesTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := holdsLock(t, dir)
	holder.kill(t)
	serving(t, dir, false)
	takeAndRelease(t, dir)
}

// The kernel does not tell two descriptors of one process apart. This process
// must not take its own lock twice, nor lose it by looking.
func TestLockOfThisProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := LockServe(dir)
	if err != nil {
		t.Fatal(err)
	}
	locked(t, dir, os.Getpid())
	serving(t, dir, true)
	link := filepath.Join(t.TempDir(), "link") // another name for the same directory
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	locked(t, link, os.Getpid())
	serving(t, link, true)

	want := fmt.Sprintf("(pid %d)", os.Getpid())
	if other := start(t, "lock", dir); !strings.Contains(other.said, want) {
		t.Errorf("another process says %q; want it refused by %s", other.said, want)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	serving(t, dir, false)
	holder := holdsLock(t, dir)
	locked(t, dir, holder.cmd.Process.Pid)
}

// Looking never gets in the way of a server that starts.
func TestServingDoesNotTakeTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	takeAndRelease(t, dir) // the file is there, nobody holds it
	stop, looked := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				looked <- n
				return
			default:
				n++
				if _, err := Serving(dir); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for range 3 {
		if p := start(t, "lock often", dir); p.said != "ok" {
			t.Errorf("a server that starts while others look: %s", p.said)
		}
	}
	close(stop)
	if n := <-looked; n < 100 {
		t.Errorf("looked only %d times", n)
	}
}

func TestLockIsNotABareError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockServe(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("LockServe on a file: %v", err)
	}
	unseen := &LockedError{Dir: "/data"}
	if strings.Contains(unseen.Error(), "pid") {
		t.Errorf("a holder that cannot be seen: %s", unseen)
	}
}
