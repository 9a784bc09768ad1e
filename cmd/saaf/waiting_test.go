package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"saaf/internal/apptest"
)

// A command says what it waits for where a database takes the connection and does not
// answer, and until when.
func TestWaitingForADatabaseIsSaid(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	url := "postgres://saaf:geheim@" + l.Addr().String() + "/saaf?sslmode=disable&connect_timeout=2"
	for name, c := range map[string]struct {
		args []string
		say  string
	}{
		"a command": {[]string{"tenant", "list"}, "Waiting for the database; one that does not answer is given up after 2s\n"},
		"a server":  {[]string{"serve", "--listen", "127.0.0.1:0"}, "waiting for the store to open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, c.args...)
			cmd.Env = append(apptest.Environ(), "SAAF_DATABASE_URL="+url, "SAAF_DATA_DIR="+filepath.Join(t.TempDir(), "data"))
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.say) || !strings.Contains(string(out), "cannot be reached") || strings.Contains(string(out), "geheim") {
				t.Errorf("%v, want %q:\n%s", err, c.say, out)
			}
		})
	}
}
