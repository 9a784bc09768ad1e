package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zombiezen.com/go/sqlite"
)

func TestExplainedDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir  string
		err  error
		want string // "" for none but the error
	}{
		{dir, nil, ""},
		{dir, errors.New("anything"), ""},
		{dir, fmt.Errorf("open: %w", sqlite.ResultFull.ToError()), "is full: make room there"},
		{dir, &os.PathError{Op: "open", Path: dir, Err: syscall.ENOSPC}, "is full: make room there"},
		{dir, &os.PathError{Op: "open", Path: dir, Err: syscall.EROFS}, "mounted read-only"},
		{dir, &os.PathError{Op: "open", Path: dir, Err: syscall.EACCES}, "run it as the user who owns"},
		{path, sqlite.ResultCantOpen.ToError(), "a file and not a directory"},
		{filepath.Join(path, "x"), &os.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}, "a file and not a directory"},
		{dir, sqlite.ResultIOErr.ToError(), ""}, // the disk is well
	} {
		got := explainedDisk(c.dir, c.err)
		if !errors.Is(got, c.err) || c.want == "" && got != c.err || c.want != "" && !strings.Contains(got.Error(), c.want) {
			t.Errorf("of %v it says %v, want %q", c.err, got, c.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "probe*")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}
