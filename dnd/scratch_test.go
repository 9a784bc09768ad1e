package dnd

import (
	"os"
	"path/filepath"
	"testing"
)

// Memory is zero, apart from every other, and leaves no name behind.
func TestScratch(t *testing.T) {
	t.Parallel()
	memory := &scratch{dir: filepath.Join(t.TempDir(), "new")}
	defer memory.close()
	var all [][]byte
	for i, n := range []int{1, 7, 8, 0, firstPiece, 3, 2*lastPiece + 1, 5} {
		b, err := memory.alloc(n)
		if err != nil || len(b) != n {
			t.Fatalf("%d bytes of %d, %v", len(b), n, err)
		}
		for j := range b {
			if b[j] != 0 {
				t.Fatalf("byte %d of %d is not zero", j, n)
			}
			b[j] = byte(i + 1)
		}
		all = append(all, b)
	}
	for i, b := range all {
		for j := range b {
			if b[j] != byte(i+1) {
				t.Fatalf("byte %d of allocation %d belongs to another", j, i)
			}
		}
	}
	if names, err := os.ReadDir(memory.dir); err != nil || len(names) > 0 {
		t.Errorf("there is %v, %v", names, err)
	}
}

// Without room to work in there is an error, from every kind of row.
func TestBrokenScratch(t *testing.T) {
	t.Parallel()
	file := setup(t).file("full.csv", "").Files[0] // not a directory
	full := newFullSet(today, newSetTable(), &scratch{dir: file}, crew{size: 1})
	for _, r := range []row{newRow(6000000000, false, 0), newRow(6000000000, false, 1), newRow(6000000000, true, 0)} {
		if err := full.add(0, []row{r}); err == nil {
			t.Errorf("%v is taken", r)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	memory := &scratch{dir: t.TempDir()}
	defer memory.close()
	var l list[placed]
	if !l.empty() {
		t.Error("it is not empty")
	}
	for i := range placed(3*lastPart + 5) {
		if err := l.append(memory, i); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range l.appendTo(nil) {
		if placed(i) != v {
			t.Fatalf("%d where %d was put", v, i)
		}
	}
	if n := len(l.appendTo(nil)); n != 3*lastPart+5 {
		t.Errorf("%d values", n)
	}
}

func TestImportWithoutRoom(t *testing.T) {
	t.Parallel()
	base, _ := setup(t).file("full.csv", numbers(6000000000, 10, "A")).run()
	for _, b := range []*bundle{setup(t), setup(t).overlaid(base)} {
		b.file("rows.csv", numbers(6000000000, 10, "A"))
		j := newJob(&b.Import)
		defer j.close()
		j.memory.dir = b.Files[0] // not a directory
		if _, err := j.build(t.Context()); err == nil {
			t.Errorf("%s: the rows have no place, and there is no error", b.Mode)
		}
	}
}
