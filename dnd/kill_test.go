package dnd

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

// childFiles names, in the environment, what a test process is to import instead
// of running tests: the directory, the file and the base, one on each line.
const childFiles = "SAAF_DND_IMPORT"

func TestMain(m *testing.M) {
	if os.Getenv(childFiles) != "" {
		importInChild()
	}
	code := m.Run()
	os.RemoveAll(snapshots.dir)
	os.Exit(code)
}

// importInChild imports, says what it is at, and goes on when it is told to.
func importInChild() {
	paths := strings.Split(os.Getenv(childFiles), "\n")
	im := Import{Files: paths[1:2], Mode: saaf.FullSet, EffectiveDate: today, Now: noon, Dir: paths[0]}
	if len(paths) > 2 {
		s, err := Open(paths[2])
		if err != nil {
			panic(err)
		}
		im.Mode, im.Base, im.BaseDate = saaf.Delta, s, today
		im.BaseSHA256 = sha256.Sum256(s.data)
	}
	in := bufio.NewReader(os.Stdin)
	im.Progress = func(p Progress) {
		fmt.Println(p.Stage)
		if _, err := in.ReadString('\n'); err != nil {
			panic(err)
		}
	}
	_, err := im.Run(context.Background())
	fmt.Println("end", err)
	os.Exit(0)
}

// An import that is killed, whatever it is at, leaves the old snapshot as it was,
// nothing that could be taken for a new one, and nothing at all after the next.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	for _, mode := range []saaf.ImportMode{saaf.FullSet, saaf.Delta} {
		for _, stage := range []Stage{Reading, Writing} {
			t.Run(fmt.Sprint(mode, " ", stage), func(t *testing.T) {
				t.Parallel()
				b := setup(t).file("full.csv", numbers(6000000000, 1000, "A"))
				s, r := b.run()
				next := setup(t).overlaid(s).file("next.csv", numbers(7000000000, 1000, "A"))
				next.Dir = b.Dir
				env := b.Dir + "\n" + next.Files[0]
				if next.Mode = mode; mode == saaf.Delta {
					env += "\n" + r.Result.Path
				}
				killAt(t, stage, env)
				for _, name := range b.visible() {
					if temp, _ := filepath.Match(tempPattern, name); !temp && name != filepath.Base(r.Result.Path) {
						t.Errorf("it left %s", name)
					}
				}
				if err := Verify(t.Context(), r.Result.Path, r.Result.SHA256); err != nil {
					t.Error(err)
				}
				want{6000000000: "0", 7000000000: ""}.check(t, open(t, r.Result.Path))
				after, made := next.run()
				want{7000000000: "0"}.check(t, after)
				left := map[string]bool{filepath.Base(r.Result.Path): true, filepath.Base(made.Result.Path): true}
				for _, name := range b.visible() {
					delete(left, name)
				}
				if diff := cmp.Diff(map[string]bool{}, left); diff != "" || len(b.visible()) != 2 {
					t.Errorf("there is %v", b.visible())
				}
			})
		}
	}
}

// killAt runs an import in a process of its own and kills it at a stage.
func killAt(t *testing.T, stage Stage, env string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childFiles+"="+env)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != string(stage) {
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
	}
	if lines.Text() != string(stage) {
		t.Errorf("it did not come to %s", stage)
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait() // it was killed, and says so
}
