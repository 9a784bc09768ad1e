package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What happens when a test process ends in some way is seen by one that does: the
// test binary runs itself. With childEnv set, TestChild prints the directory and the
// process of its server and the URL of a database, reads a line, and ends as it was told.
const childEnv = "SAAF_PGTEST_CHILD"

func TestChild(t *testing.T) {
	t.Parallel()
	how := os.Getenv(childEnv)
	if how == "" {
		return
	}
	url, s := Empty(t), sharedServer(t)
	fmt.Println(s.home.dir, s.proc.cmd.Process.Pid, url)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	switch how {
	case "panic":
		panic("as it was told")
	case "exit":
		os.Exit(3)
	}
}

func TestNothingOutlivesTheTestProcess(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "panic", "exit", "passed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), childEnv+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var dir, url string
			var postmaster int
			if _, err := fmt.Fscanln(out, &dir, &postmaster, &url); err != nil {
				t.Fatalf("the child does not say where its server is: %v", err)
			}
			backend := int(connect(t, url).PgConn().PID())
			if how == "killed" {
				err = cmd.Process.Kill()
			} else {
				err = in.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			var failed *exec.ExitError
			if err := cmd.Wait(); errors.As(err, &failed) == (how == "passed") {
				t.Errorf("the child has ended with %v", err)
			}
			awaitEnd(t, dir, postmaster, backend)
		})
	}
}

// awaitEnd waits until processes have ended and a directory is gone.
func awaitEnd(t *testing.T, dir string, pids ...int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		var left []string
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			left = append(left, dir)
		}
		for _, pid := range pids {
			// It is empty while nobody has collected how the process ended.
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(line) > 0 {
				left = append(left, fmt.Sprintf("process %d", pid))
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still there: %s", strings.Join(left, ", "))
		}
	}
}
