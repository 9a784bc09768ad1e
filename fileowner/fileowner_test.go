package fileowner

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMadeByTheOwner: for whoever works in a directory of their own nothing changes.
func TestMadeByTheOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	f := create(t, dir)
	if err := Settle(f, dir); err != nil {
		t.Error(err)
	}
	if uid := ownerOf(t, f); uid != os.Geteuid() {
		t.Errorf("the file belongs to %d", uid)
	}
}

// TestOfAnotherOwner: root gives what it makes to the owner of the directory. Another user
// cannot work in a directory of somebody else, and is told so where the system lets them
// begin.
func TestOfAnotherOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const other = 65534
	if os.Geteuid() != 0 {
		f := create(t, dir)
		if err := Settle(f, "/"); err != nil {
			t.Errorf("in a directory of root: %v", err)
		}
		return
	}
	if err := os.Chown(dir, other, other); err != nil {
		t.Fatal(err)
	}
	f := create(t, dir)
	if err := Settle(f, dir); err != nil {
		t.Error(err)
	}
	if uid := ownerOf(t, f); uid != other {
		t.Errorf("the file belongs to %d", uid)
	}
	below := filepath.Join(dir, "registry")
	if err := Mkdir(below); err != nil {
		t.Error(err)
	}
	d, err := os.Open(below)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if uid := ownerOf(t, d); uid != other {
		t.Errorf("the directory belongs to %d", uid)
	}
}

func create(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func ownerOf(t *testing.T, f *os.File) int {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	uid, _, ok := owner(info)
	if !ok {
		t.Fatal("the system does not say whom it belongs to")
	}
	return uid
}
