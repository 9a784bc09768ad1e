package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// What happens when a test process ends in some way is seen by one that does: the
// test binary runs itself. With childEnv set, TestChild prints the directory of its
// server and the URL of a database, reads a line, and ends as it was told.
const childEnv = "SAAF_PGTEST_CHILD"

func TestChild(t *testing.T) {
	t.Parallel()
	how := os.Getenv(childEnv)
	if how == "" {
		return
	}
	url := Empty(t)
	fmt.Println(sharedServer(t).home.dir, url)
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
			said, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("the child has said %q: %v", said, err)
			}
			dir, url, _ := strings.Cut(strings.TrimSpace(said), " ")
			conn := connect(t, url)
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
			awaitEnd(t, conn, dir)
		})
	}
}

// awaitEnd waits until a server takes no connections, has ended the open one, and
// has left no directory.
func awaitEnd(t *testing.T, conn *pgx.Conn, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		_, left := os.Stat(dir)
		again, up := pgx.ConnectConfig(ctx, conn.Config())
		if up == nil {
			_ = again.Close(ctx)
		}
		if os.IsNotExist(left) && up != nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still there: directory %s (%v), server (%v)", dir, left, up)
		}
	}
	if _, err := conn.Exec(ctx, "SELECT 1"); err == nil {
		t.Error("a connection has outlived the server")
	}
	if ctx.Err() != nil {
		t.Error(ctx.Err())
	}
}
