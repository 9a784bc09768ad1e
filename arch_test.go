package saaf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// This file is the plan of the house and the inspector of it. The tables at the
// top are the rules, each with its reason; the tests below them walk the code.
// To add a package, put it in a layer here and in the picture of ARCHITECTURE.md.

// house is the layer table. A package imports only what its layer may; packages
// of one layer never import each other, they meet in the database. Names are
// import paths below the module, and "saaf" is the module's root.
var house = []layer{
	{
		packages: []string{"saaf"},
		why:      "the vocabulary: everything imports it, so it imports nothing",
	},
	{
		packages: []string{"fileowner"},
		why:      "whom files belong to: everything that makes some in a data directory needs it, and it knows of none",
	},
	{
		packages: []string{"phoneblock"},
		imports:  []string{"saaf"},
		why:      "how phones are kept once: bytes and memory, for the store alone, which it knows nothing of",
	},
	{
		packages: []string{"store"},
		imports:  []string{"saaf", "phoneblock", "fileowner"},
		why:      "as those below, and the only one that knows how blocks are packed",
	},
	{
		packages: []string{"dnd", "sip", "agent", "egress", "web", "scrubber"},
		imports:  []string{"saaf", "fileowner"},
		why:      "one outside technology each, so that each can be replaced alone",
	},
	{
		packages: []string{"auth", "intake", "scrub", "backup", "dial", "hook"},
		imports:  []string{"saaf", "fileowner", "store", "dnd", "scrubber"},
		why:      "behaviour: the same whether a request, a command or a timer asks for it",
	},
	{
		packages: []string{"api", "console"},
		imports:  []string{"saaf", "web", "store", "auth", "intake", "scrub", "dial", "hook"},
		why:      "transport: translates between HTTP and behaviour and decides nothing",
	},
	{
		packages: []string{"client"},
		imports:  []string{"saaf"},
		why:      "what a user of the API links: it must not pull in the server",
	},
	{
		packages: []string{"internal/pgtest"},
		why:      "PostgreSQL for tests: it knows nothing of saaf, so that the tests of every package may use it",
	},
	{
		packages: []string{"internal/apptest"},
		imports:  []string{"saaf", "store", "internal/pgtest"},
		why:      "the program and its store for tests: it starts them and knows no part of them",
	},
	{
		packages: []string{"bench"},
		imports:  []string{"saaf", "store", "dnd", "auth", "scrub", "api", "client"},
		why:      "the measuring: it works the program from outside, and takes each limit from the package whose work it bounds",
	},
	{
		packages: []string{"cmd/saaf"},
		imports: []string{"saaf", "store", "dnd", "sip", "agent", "egress", "web", "scrubber", "auth", "intake",
			"scrub", "backup", "dial", "hook", "api", "console", "client", "bench"},
		why: "wiring: the only places that know every part",
	},
}

// outside lists the modules of others that a package may use, tests included.
// Everything else makes do with the standard library.
var outside = []dependency{
	{"store", "zombiezen.com/go/sqlite", "SQLite without cgo: the embedded store"},
	{"store", "golang.org/x/sync", "errgroup, in the raw loops that ingest is compared with"},
	{"store", "github.com/jackc/pgx/v5", "PostgreSQL: arrays, batches in one round trip, a pool"},
	{"dnd", "golang.org/x/sys", "memory-mapped snapshots"},
	{"internal/pgtest", "github.com/jackc/pgx/v5", "makes databases, and asks servers whether they are up"},
	{"cmd/saaf", "github.com/alecthomas/kong", "one struct is flags, environment, defaults and help"},
	{"cmd/saaf", "github.com/prometheus/client_golang", "/metrics in the form that watchers read"},
	{"cmd/saaf", "github.com/schollz/progressbar/v3", "progress of long imports on a terminal"},
	{"cmd/saaf", "golang.org/x/sync", "errgroup: owns the goroutines that live as long as the process"},
	{"bench", "golang.org/x/sys", "how much room there is on a disk"},
	{"cmd/saaf", "golang.org/x/sys", "what the standard library does not ask of the system"},
	{"cmd/saaf", "golang.org/x/term", "is this a terminal, and how wide"},

	{anyTest, "zombiezen.com/go/sqlite", "tests look into the file of a store, and damage it"},
	{anyTest, "github.com/jackc/pgx/v5", "tests look into a database, and damage it"},
	{anyTest, "github.com/google/go-cmp", "differences between values that a person can read"},
	{anyTest, "pgregory.net/rapid", "properties checked with generated input"},
	{anyTest, "github.com/rogpeppe/go-internal", "testscript: the program tested by scripts"},
	{anyTest, "github.com/nyaruka/phonenumbers", "a second opinion on phone numbers; too slow to ship"},
}

const anyTest = "*_test.go"

// vagueNames say nothing about what is inside, so everything ends up there.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "type", "types", "model", "models"}

// Longer files are read by nobody. Split by subject.
const (
	maxLines     = 600
	maxTestLines = 1000
)

// confined lists functions that only some files may mention.
var confined = []confinement{
	{
		pkg: "context", names: []string{"Background", "TODO"},
		allowed: func(f *file, _ bool) bool { return f.test || f.pkg.in("cmd", "internal") },
		why:     "take ctx from the caller, and context.WithoutCancel for work that must outlive it",
	},
	{
		pkg: "os", names: []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
		allowed: func(f *file, _ bool) bool { return f.test || f.pkg.in("cmd", "internal") },
		why:     "settings come in a Config, so that help, reference and behaviour have one source",
	},
	{
		pkg: "time", names: []string{"Sleep"},
		allowed: func(f *file, bubble bool) bool { return !f.test || bubble },
		why:     "wait for the event itself, or call synctest.Test, where the clock jumps",
	},
}

// foreign is text that makes sense on one machine only, or that ties the
// project to one place to download from.
var foreign = []struct {
	text *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\.\./shared\b`), "a file outside the repository"},
	{regexp.MustCompile(`(^|[^\w.$}-])/(work|farm|root|home)/`), "a path of one machine"},
	{regexp.MustCompile(`\b(proxy|sum)\.golang\.org|\bpypi\.org|\bregistry\.npmjs\.org|\bdeb\.debian\.org`), "a package registry: leave the choice to the reader's tools"},
}

type layer struct {
	packages []string
	imports  []string
	why      string
}

type dependency struct{ pkg, module, why string }

type confinement struct {
	pkg     string
	names   []string
	allowed func(f *file, bubble bool) bool // bubble: inside a call of synctest.Test
	why     string
}

func TestEveryPackageIsInTheTable(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if p.layer() == nil {
			t.Errorf("package %s is in no layer: add it to house in arch_test.go and to ARCHITECTURE.md", p.name)
		}
	}
}

func TestTableIsLayered(t *testing.T) {
	t.Parallel()
	above := map[string]bool{}
	for _, l := range house {
		for _, name := range l.imports {
			if !above[name] {
				t.Errorf("layer of %s imports %s, which is not in a layer before it", l.packages[0], name)
			}
		}
		for _, name := range l.packages {
			above[name] = true
		}
	}
}

// Tests may import any package of ours: Go itself refuses the cycles.
func TestImports(t *testing.T) {
	t.Parallel()
	for f := range allFiles(t) {
		p, l := f.pkg, f.pkg.layer()
		if l == nil {
			continue // reported by TestEveryPackageIsInTheTable
		}
		for _, spec := range f.syntax.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			name, ours := cutModule(imp)
			switch {
			case ours && !f.test && !slices.Contains(l.imports, name):
				t.Errorf("%s: package %s must not import %s (its layer: %s)", f.at(spec), p.name, name, l.why)
			case !ours && !isStandard(imp) && !f.mayUse(imp):
				t.Errorf("%s: package %s must not import %s: do without, or add it to outside in arch_test.go with the reason", f.at(spec), p.name, imp)
			}
		}
	}
}

func TestNamesOfPackages(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, name := range append(strings.Split(p.name, "/"), p.files[0].syntax.Name.Name) {
			if slices.Contains(vagueNames, name) {
				t.Errorf("package %s: %q does not say what it does: name the subject", p.name, name)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for f := range allFiles(t) {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if n := f.fset.File(f.syntax.FileStart).LineCount(); n > limit {
			t.Errorf("%s has %d lines, over %d: split it by subject", f.name, n, limit)
		}
	}
}

func TestPackagesAreDocumentedAndTested(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		var documented, tested bool
		for _, f := range p.files {
			documented = documented || !f.test && f.syntax.Doc != nil
			tested = tested || f.test && f.name != "arch_test.go"
		}
		if !documented {
			t.Errorf("package %s has no doc comment: say what it is for and what it must not do", p.name)
		}
		if !tested && p.name != "internal/apptest" { // which the tests of others run
			t.Errorf("package %s has no tests", p.name)
		}
	}
}

func TestConfinedFunctions(t *testing.T) {
	t.Parallel()
	for f := range allFiles(t) {
		for sel, bubble := range f.selectors() {
			name := sel.Sel.Name
			for _, c := range confined {
				if slices.Contains(c.names, name) && f.isPackage(sel.X, c.pkg) && !c.allowed(f, bubble) {
					t.Errorf("%s: %s.%s does not belong here: %s", f.at(sel), c.pkg, name, c.why)
				}
			}
		}
	}
}

// A skipped test looks like one that passed. This also covers rapid, where
// Filter does what Skip would.
func TestNoTestSkips(t *testing.T) {
	t.Parallel()
	for f := range allFiles(t) {
		for sel := range f.selectors() {
			if f.test && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				t.Errorf("%s: %s: make the test run everywhere, or fail and say what is missing", f.at(sel), sel.Sel.Name)
			}
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	for f := range allFiles(t) {
		if f.test || f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s is exported and has no comment", f.at(name), name)
			}
		}
	}
}

func TestTextMakesSenseAnywhere(t *testing.T) {
	t.Parallel()
	for name, text := range texts(t) {
		for _, s := range foreign {
			for _, at := range s.text.FindAllIndex(text, -1) {
				line := 1 + bytes.Count(text[:at[1]], []byte("\n"))
				t.Errorf("%s:%d: %q is %s", name, line, text[at[0]:at[1]], s.why)
			}
		}
	}
}

// pkg is a package of this module with all its files, those for other systems too.
type pkg struct {
	name  string // as in house
	files []*file
}

type file struct {
	pkg    *pkg
	name   string // path below the root of the module
	test   bool
	fset   *token.FileSet
	syntax *ast.File
}

// load reads every package once for all tests.
func load(t *testing.T) []*pkg {
	t.Helper()
	pkgs, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

var loadOnce = sync.OnceValues(func() ([]*pkg, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-e", "-json=Dir,ImportPath,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []*pkg
	fset := token.NewFileSet()
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			Dir, ImportPath                   string
			GoFiles, CgoFiles, IgnoredGoFiles []string
			TestGoFiles, XTestGoFiles         []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		dir, err := filepath.Rel(root, l.Dir)
		if err != nil {
			return nil, err
		}
		name, _ := cutModule(l.ImportPath)
		p := &pkg{name: name}
		for _, base := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles) {
			f := &file{pkg: p, name: filepath.Join(dir, base), test: strings.HasSuffix(base, "_test.go"), fset: fset}
			if f.syntax, err = parser.ParseFile(fset, f.name, nil, parser.ParseComments); err != nil {
				return nil, err
			}
			p.files = append(p.files, f)
		}
		if len(p.files) > 0 {
			pkgs = append(pkgs, p)
		}
	}
})

func allFiles(t *testing.T) iter.Seq[*file] {
	t.Helper()
	pkgs := load(t)
	return func(yield func(*file) bool) {
		for _, p := range pkgs {
			for _, f := range p.files {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// layer is the layer of p, nil if there is none.
func (p *pkg) layer() *layer {
	for i := range house {
		if slices.Contains(house[i].packages, p.name) {
			return &house[i]
		}
	}
	return nil
}

// in reports whether p is one of the directories or below one.
func (p *pkg) in(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return covers(dir, p.name) })
}

func (f *file) at(n ast.Node) string {
	pos := f.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", f.name, pos.Line)
}

// mayUse reports whether outside lets f import imp.
func (f *file) mayUse(imp string) bool {
	return slices.ContainsFunc(outside, func(d dependency) bool {
		return covers(d.module, imp) && (d.pkg == f.pkg.name || d.pkg == anyTest && f.test)
	})
}

// selectors yields every x.y in f, and whether it is inside a call of synctest.Test.
func (f *file) selectors() iter.Seq2[*ast.SelectorExpr, bool] {
	return func(yield func(*ast.SelectorExpr, bool) bool) {
		var bubble token.Pos // where the last bubble ends
		for n := range ast.Preorder(f.syntax) {
			switch n := n.(type) {
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.SelectorExpr); ok && fun.Sel.Name == "Test" && f.isPackage(fun.X, "testing/synctest") {
					bubble = n.End()
				}
				// That of store's tests, which run on engines without such a clock too.
				if fun, ok := n.Fun.(*ast.Ident); ok && fun.Name == "timeless" && f.pkg.name == "store" {
					bubble = n.End()
				}
			case *ast.SelectorExpr:
				if !yield(n, n.Pos() < bubble) {
					return
				}
			}
		}
	}
}

// isPackage reports whether x is the name under which f imports imp.
func (f *file) isPackage(x ast.Expr, imp string) bool {
	id, ok := x.(*ast.Ident)
	return ok && slices.ContainsFunc(f.syntax.Imports, func(s *ast.ImportSpec) bool {
		name := path.Base(imp)
		if s.Name != nil {
			name = s.Name.Name
		}
		return s.Path.Value == strconv.Quote(imp) && name == id.Name
	})
}

// usual are methods that say all they have to say by their name.
var usual = []string{"Error", "Unwrap", "String", "LogValue", "MarshalJSON", "UnmarshalJSON", "MarshalText",
	"UnmarshalText", "Len", "Less", "Swap", "Close", "ServeHTTP"}

// undocumented lists the exported names of a declaration that have no comment.
// A group of constants or variables may share one; a type has its own.
func undocumented(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil ||
			receiver(d).IsExported() && !slices.Contains(usual, d.Name.Name)) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				alone := !d.Lparen.IsValid() && d.Doc != nil
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !alone {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				if d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, slices.DeleteFunc(slices.Clone(s.Names), func(n *ast.Ident) bool { return !n.IsExported() })...)
				}
			}
		}
	}
	return names
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) *ast.Ident {
	for x := d.Recv.List[0].Type; ; {
		switch t := x.(type) {
		case *ast.Ident:
			return t
		case *ast.StarExpr:
			x = t.X
		case *ast.ParenExpr:
			x = t.X
		case *ast.IndexExpr: // T[K]
			x = t.X
		case *ast.IndexListExpr: // T[K, V]
			x = t.X
		default:
			return ast.NewIdent("_")
		}
	}
}

// texts yields the text files of the repository. It leaves out what is built,
// served or kept there by tools, and large files.
func texts(t *testing.T) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // gone since its directory was read
			case err != nil:
				return err
			case d.IsDir():
				if d.Name() == "bin" || d.Name() == "saaf-data" || len(d.Name()) > 1 && d.Name()[0] == '.' && d.Name() != ".ci" {
					return fs.SkipDir
				}
				return nil
			case !d.Type().IsRegular() || d.Name() == ".git": // which is a file in a worktree
				return nil
			}
			if info, err := d.Info(); err != nil || info.Size() > 4<<20 {
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if bytes.IndexByte(text, 0) < 0 && !yield(name, text) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// cutModule shortens an import path of ours to its name in house.
func cutModule(imp string) (name string, ours bool) {
	if imp == "saaf" {
		return imp, true
	}
	return strings.CutPrefix(imp, "saaf/")
}

// isStandard reports whether imp is in the standard library. "C" is not: the
// binary is built without cgo.
func isStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return imp != "C" && !strings.Contains(first, ".")
}

// covers reports whether name is dir or something below it.
func covers(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}
