package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"saaf"
	"saaf/internal/apptest"
)

// TestRootBesideAServer: what root does beside a server of another user leaves nothing that
// the server cannot read, and a file that it cannot read is named with what to do. Without
// root server and command are of one user.
func TestRootBesideAServer(t *testing.T) {
	t.Parallel()
	var other *syscall.Credential
	uid := uint32(os.Geteuid())
	base := t.TempDir()
	bin := binary
	if uid == 0 {
		uid = 65534
		other = &syscall.Credential{Uid: uid, Gid: uid}
		content, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		bin = filepath.Join(base, "saaf")
		if err := os.WriteFile(bin, content, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(base), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(base, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(uid), int(uid)); other != nil && err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(base, "full.csv")
	if err := os.WriteFile(list, []byte("10,9876543210,0,A,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, dir, "tenant", "create", "Asha") // makes the store
	s, err := apptest.StartAs(other, bin, dir)
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "registry", "import", list, "--full", "--effective-date", saaf.DateOf(time.Now()).String())
	if ready := get(t, s.URL+"/readyz"); len(ready["warnings"].([]any)) > 0 {
		t.Errorf("after the import: %v", ready)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != uid {
			t.Errorf("%s belongs to another user than the directory", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if other == nil {
		return
	}

	files, err := filepath.Glob(filepath.Join(dir, "registry", "*.dnd"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Chown(files[0], 0, 0); err != nil {
		t.Fatal(err)
	}
	if s, err = apptest.StartAs(other, bin, dir); err != nil {
		t.Fatal(err)
	}
	ready := fmt.Sprint(get(t, s.URL+"/readyz")["warnings"])
	for _, want := range []string{files[0], "permission denied", "runs as the user 65534", "chown"} {
		if !strings.Contains(ready, want) {
			t.Errorf("/readyz does not say %q: %s", want, ready)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
