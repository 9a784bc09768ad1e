package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"saaf/internal/apptest"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeShowsTheDemo compares the table of the README with what the demo
// prints today.
func TestReadmeShowsTheDemo(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(binary, "demo", "--exit", "--listen", "127.0.0.1:0")
	cmd.Env = apptest.Environ()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(out), "\n\n")
	if !found || !strings.Contains(table, "not_registered") {
		t.Fatalf("the demo prints no table:\n%s", out)
	}
	if !strings.Contains(readDoc(t, "README.md"), table) {
		t.Errorf("README.md does not show what the demo prints:\n%s", table)
	}
}

// serveFlags are the flags of serve and their variables.
func serveFlags(t *testing.T) map[string]string {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Vars{"today": today()}, kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	flags := make(map[string]string)
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, f := range node.Flags {
			flags["--"+f.Name] = strings.Join(f.Envs, "")
		}
	}
	if len(flags) == 0 {
		t.Fatal("serve has no flags")
	}
	return flags
}

// TestReadmeListsTheSettings holds the flags of serve, the variables that a start
// accepts, and the table of the README together.
func TestReadmeListsTheSettings(t *testing.T) {
	t.Parallel()
	readme := readDoc(t, "README.md")
	var envs []string
	for flag, env := range serveFlags(t) {
		if !strings.Contains(readme, "`"+flag+"`") || env == "" || !strings.Contains(readme, "`"+env+"`") {
			t.Errorf("README.md does not list %s with its variable %q", flag, env)
		}
		envs = append(envs, env)
	}
	slices.Sort(envs)
	known := slices.Sorted(slices.Values(settingNames))
	if !slices.Equal(envs, known) {
		t.Errorf("settingNames are %v, the flags of serve have %v", known, envs)
	}
}

// TestDocsSayWhatABodyIs: curl alone would send a form, which the API refuses.
func TestDocsSayWhatABodyIs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "docs/evidence.md"} {
		doc := strings.ReplaceAll(readDoc(t, name), "\\\n", " ")
		commands := regexp.MustCompile(`(?m)^curl .* -d .*$`).FindAllString(doc, -1)
		if len(commands) == 0 {
			t.Errorf("%s shows no request with a body", name)
		}
		for _, command := range commands {
			if !strings.Contains(command, `-H "Content-Type: application/json"`) {
				t.Errorf("%s shows a request that is refused: %s", name, command)
			}
		}
	}
}

// TestReadmeSetsItsVariables: a command that is pasted, in the order of the page, must not
// use a variable that nothing has set.
func TestReadmeSetsItsVariables(t *testing.T) {
	t.Parallel()
	set, used := map[string]bool{}, 0
	for i, block := range strings.Split(readDoc(t, "README.md"), "```") {
		if i%2 == 0 {
			continue // text between blocks
		}
		for line := range strings.Lines(block) {
			for _, name := range regexp.MustCompile(`\$\{?([A-Z_]+)`).FindAllStringSubmatch(line, -1) {
				if used++; !set[name[1]] {
					t.Errorf("README.md uses $%s, which nothing has set: %s", name[1], line)
				}
			}
			if name := regexp.MustCompile(`^export ([A-Z_]+)=`).FindStringSubmatch(line); name != nil {
				set[name[1]] = true
			}
		}
	}
	if used == 0 {
		t.Error("README.md uses no variable: the test has tested nothing")
	}
}

func TestUnknownSettings(t *testing.T) {
	t.Parallel()
	for env, known := range map[string]bool{
		"SAAF_DATA_DIR=x": true, "PATH=x": true, "SAAF_KEY=x": true,
		"SAAF_SERVICE_HOST=10.0.0.1": true, "SAAF_SERVICE_PORT_HTTP=80": true, "SAAF_PORT=tcp://10.0.0.1:80": true,
		"SAAF_PORT_80_TCP_ADDR=10.0.0.1":    true,
		"SAAF_DATABASE_URL=postgres://here": true,
		"SAAF_SKIP_DND=1":                   false,
		"saaf_skip_dnd=1":                   false,
		"SAAF_SERVICE_SKIP_DND=1":           false,
		"SAAF_PORT_DISABLE_CHECK=1":         false,
		"SAAF_REGISTRY_CHECK=":              false,
		"SAAF_DATABASE_NAME=saaf":           false,
	} {
		if err := knownSettings([]string{env}); (err == nil) != known {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// TestArchitectureNamesWhatExists fails when ARCHITECTURE.md speaks of a test, a
// file or a package that is not there.
func TestArchitectureNamesWhatExists(t *testing.T) {
	t.Parallel()
	doc := readDoc(t, "ARCHITECTURE.md")
	var code strings.Builder
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		code.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(code.String(), "func "+name[1]+"(") {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", name[1])
		}
	}
	for _, name := range regexp.MustCompile("`([\\w/]+\\.(?:go|txtar))`").FindAllStringSubmatch(doc, -1) {
		if _, err := os.Stat(filepath.Join("..", "..", name[1])); err != nil {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", name[1])
		}
	}
}

// TestGuideToPostgres parses the commands of docs/postgres.md, and looks for the
// settings that it names.
func TestGuideToPostgres(t *testing.T) {
	t.Parallel()
	doc := readDoc(t, "docs/postgres.md")
	parser, err := kong.New(&cli{}, kong.Vars{"today": today()}, kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^ *saaf (.*)$`).FindAllStringSubmatch(doc, -1)
	if len(commands) < 3 {
		t.Errorf("there are only %d commands", len(commands))
	}
	for _, command := range commands {
		if _, err := parser.Parse(strings.Fields(command[1])); err != nil {
			t.Errorf("saaf %s: %v", command[1], err)
		}
	}
	ours := slices.Concat(settingNames, []string{"SAAF_LONG", "SAAF_TEST_CITUS_URL"})
	for _, name := range regexp.MustCompile(`SAAF_\w+`).FindAllString(doc, -1) {
		if !slices.Contains(ours, name) {
			t.Errorf("%s is no setting", name)
		}
	}
	flags := serveFlags(t)
	for _, m := range regexp.MustCompile("`(--[a-z-]+)`").FindAllStringSubmatch(doc, -1) {
		if _, ok := flags[m[1]]; !ok {
			t.Errorf("serve has no flag %s", m[1])
		}
	}
}
