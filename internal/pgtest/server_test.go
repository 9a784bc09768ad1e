package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStopAndKill(t *testing.T) {
	t.Parallel()
	s := New(t, Options{Fsync: true, Settings: map[string]string{"application_name": "it's"}})
	url := s.Empty(t)
	if err := run(t.Context(), url, "CREATE TABLE acknowledged (n int)"); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func() error{s.Kill, s.Stop, s.Kill} {
		if err := run(t.Context(), url, "INSERT INTO acknowledged VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		conn := connect(t, url)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Error("a connection has outlived the server")
		}
		if err := run(t.Context(), url, "SELECT 1"); err == nil {
			t.Error("the server is not down")
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	conn := connect(t, url)
	if diff := cmp.Diff([]int{1, 1, 1}, column[int](t, conn, "SELECT n FROM acknowledged")); diff != "" {
		t.Error(diff)
	}
	for _, check := range []struct{ setting, want string }{{"fsync", "on"}, {"application_name", "it's"}, {"max_connections", "200"}} {
		if diff := cmp.Diff([]string{check.want}, column[string](t, conn, "SHOW "+check.setting)); diff != "" {
			t.Errorf("%s: %s", check.setting, diff)
		}
	}
}

func TestServerGoesWithItsTest(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*Server) error{(*Server).Stop, (*Server).Kill, func(*Server) error { return nil }} {
		var dir, segment string
		t.Run("inner", func(t *testing.T) {
			s := New(t, Options{})
			dir, segment = s.home.dir, sharedMemory(t, s)
			if err := end(s); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("directory of the server: %v, want that it does not exist", err)
		}
		segments, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(segments)) {
			if strings.Fields(line)[1] == segment {
				t.Errorf("shared memory %s has outlived the server", segment)
			}
		}
	}
}

// sharedMemory is the id of the System V segment of a server, which it writes
// into line 7 of its file.
func sharedMemory(t *testing.T, s *Server) (id string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(strings.Split(string(text), "\n")[6])
	if len(fields) != 2 {
		t.Fatalf("no shared memory in:\n%s", text)
	}
	return fields[1]
}
