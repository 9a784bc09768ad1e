package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"saaf"
	"saaf/internal/apptest"
	"saaf/internal/pgtest"
	"saaf/store"
)

// binary is the program as it is shipped, built once for all tests of the
// package.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "saaf-test-")
	if err == nil {
		binary, err = apptest.Build(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestScripts runs the scripts of testdata against the built program, on each engine.
// They read like documentation: each is one story. Lines that begin with [embedded] or
// [postgres] are about that engine alone; whole scripts about PostgreSQL are in
// testdata/postgres.
func TestScripts(t *testing.T) {
	t.Parallel()
	engines := []pgtest.Engine{pgtest.Embedded, pgtest.Postgres}
	if pgtest.HasCitus() {
		engines = append(engines, pgtest.Citus)
	}
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			runScripts(t, "testdata", engine)
		})
	}
}

func TestScriptsOfPostgres(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/postgres", pgtest.Postgres)
}

func runScripts(t *testing.T, dir string, engine pgtest.Engine) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			now := time.Now()
			for name, days := range map[string]int{"TODAY": 0, "YESTERDAY": 1, "DAYS5": 5, "DAYS6": 6, "DAYS7": 7, "DAYS8": 8, "TOMORROW": -1} {
				env.Setenv(name, saaf.DateOf(now.AddDate(0, 0, -days)).String())
			}
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("SAAF_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			s := &script{t: env.T().(testing.TB)}
			switch engine {
			case pgtest.Postgres:
				env.Setenv("SAAF_DATABASE_URL", pgtest.Empty(s.t))
			case pgtest.Citus:
				env.Setenv("SAAF_DATABASE_URL", pgtest.OnCitus(s.t, "script", func(url string) error {
					_, err := store.Distribute(s.t.Context(), store.Config{URL: url})
					return err
				}))
			}
			env.Values[scriptKey{}] = s
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != string(pgtest.Embedded) && name != string(pgtest.Postgres) {
				return false, fmt.Errorf("there is no engine %q", name)
			}
			return (name == string(pgtest.Embedded)) == (engine == pgtest.Embedded), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe,
			"halt":  cmdHalt,
			"api":   cmdAPI,
			"json":  cmdJSON,
			"until": cmdUntil,
			"gzip":  cmdGzip,
			"zip":   cmdZip,
			"cut":   cmdCut,
			"rows":  cmdRows,
			"sql":   cmdSQL,

			"logged": cmdLogged,

			"database": cmdDatabase,
		},
	})
}

type scriptKey struct{}

// script is the state of one script: its server and the last answer.
type script struct {
	t      testing.TB
	server *apptest.Server
	answer []byte
}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// cmdServe: serve [flags] starts a server on the script's data directory and
// sets URL, and on the first start TENANT, LIVE and TEST, and KEY to the live
// key. ! serve expects that it does not start and leaves the words on stderr.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	for flag, name := range map[string]string{"--database-url": "SAAF_DATABASE_URL", "--secrets-dir": "SAAF_SECRETS_DIR"} {
		if value := ts.Getenv(name); value != "" {
			args = append([]string{flag, value}, args...)
		}
	}
	s, err := apptest.Start(binary, ts.Getenv("SAAF_DATA_DIR"), args...)
	if neg {
		if err == nil {
			_ = s.Kill()
			ts.Fatalf("the server started")
		}
		fmt.Fprint(ts.Stderr(), err)
		return
	}
	ts.Check(err)
	ts.Defer(func() {
		_ = s.Kill()
		ts.Logf("server log:\n%s", s.Log())
	})
	scriptOf(ts).server = s
	ts.Setenv("URL", s.URL)
	ts.Setenv("SAAF_URL", s.URL)
	if s.LiveKey != "" {
		ts.Setenv("TENANT", s.TenantID)
		ts.Setenv("LIVE", s.LiveKey)
		ts.Setenv("TEST", s.TestKey)
		ts.Setenv("KEY", s.LiveKey)
		ts.Setenv("SAAF_KEY", s.LiveKey)
	}
}

// cmdHalt: halt ends the server in order, halt -9 kills it. "stop" is a word of
// testscript itself, which ends the script there.
func cmdHalt(ts *testscript.TestScript, _ bool, args []string) {
	s := scriptOf(ts).server
	if len(args) == 1 && args[0] == "-9" {
		ts.Check(s.Kill())
		return
	}
	ts.Check(s.Stop())
}

// cmdLogged: logged PATTERN expects a line in the log of the server, which may have ended;
// ! logged PATTERN expects none.
func cmdLogged(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: logged PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if pattern.MatchString(scriptOf(ts).server.Log()) == neg {
		ts.Fatalf("the log has it: %v", !neg)
	}
}

// cmdAPI: api METHOD PATH [BODY] STATUS calls the server with $KEY, expects the
// status and keeps the answer for json. A path without a slash in front is below
// /api/v1. A body that begins with @ is read from a file.
func cmdAPI(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 && len(args) != 4 {
		ts.Fatalf("usage: api METHOD PATH [BODY] STATUS")
	}
	method, path, want, body := args[0], args[1], args[len(args)-1], ""
	if len(args) == 4 {
		if body = args[2]; strings.HasPrefix(body, "@") {
			body = ts.ReadFile(body[1:])
		}
	}
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/" + path
	}
	req, err := http.NewRequest(method, ts.Getenv("URL")+path, strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("KEY"))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	scriptOf(ts).answer = answer
	fmt.Fprintf(ts.Stdout(), "%s", answer)
	if got := strconv.Itoa(resp.StatusCode); got != want {
		ts.Fatalf("%s %s: status %s, want %s\n%s", method, path, got, want, answer)
	}
}

// cmdJSON: json PATH VALUE compares a value of the last answer, written as JSON;
// json PATH =NAME puts it into the environment. PATH is like results.0.status.
// With file:NAME first, the JSON is read from that file.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	answer := scriptOf(ts).answer
	if len(args) == 3 {
		answer, args = []byte(ts.ReadFile(strings.TrimPrefix(args[0], "file:"))), args[1:]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: json [file:NAME] PATH VALUE|=NAME")
	}
	got, err := lookup(answer, args[0])
	ts.Check(err)
	if name, ok := strings.CutPrefix(args[1], "="); ok {
		var text string
		if json.Unmarshal([]byte(got), &text) != nil {
			text = got
		}
		ts.Setenv(name, text)
		return
	}
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

// lookup finds a value by its path, exactly as it was written.
func lookup(doc []byte, path string) (string, error) {
	v := json.RawMessage(doc)
	for step := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch i, err := strconv.Atoi(step); {
		case step == "":
		case step == "length" && json.Unmarshal(v, &list) == nil:
			v = json.RawMessage(strconv.Itoa(len(list)))
		case err == nil && json.Unmarshal(v, &list) == nil && i < len(list):
			v = list[i]
		case json.Unmarshal(v, &object) == nil && object[step] != nil:
			v = object[step]
		default:
			return "", fmt.Errorf("there is no %s in %s", path, doc)
		}
	}
	return string(bytes.TrimSpace(v)), nil
}

// cmdUntil: until PATH JSONPATH VALUE asks until the value is there.
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: until PATH JSONPATH VALUE")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	got, err := "", errors.New("never asked")
	for range 500 {
		cmdAPI(ts, false, []string{"GET", args[0], "200"})
		if got, err = lookup(scriptOf(ts).answer, args[1]); err == nil && got == args[2] {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s of %s stays %s (%v), want %s", args[1], args[0], got, err, args[2])
}

// cmdGzip: gzip FILE... makes FILE.gz.
func cmdGzip(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, err := io.WriteString(w, ts.ReadFile(name))
		ts.Check(err)
		ts.Check(w.Close())
		ts.Check(os.WriteFile(ts.MkAbs(name+".gz"), buf.Bytes(), 0o600))
	}
}

// cmdZip: zip OUT FILE... makes an archive.
func cmdZip(ts *testscript.TestScript, _ bool, args []string) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range args[1:] {
		member, err := w.Create(name)
		ts.Check(err)
		_, err = io.WriteString(member, ts.ReadFile(name))
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), buf.Bytes(), 0o600))
}

// cmdCut: cut FILE N removes the last N bytes.
func cmdCut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-n))
}

// cmdRows: rows FILE FROM COUNT OP [PREFERENCES] appends registry rows for
// COUNT numbers from FROM on.
func cmdRows(ts *testscript.TestScript, _ bool, args []string) {
	from, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	count, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	preferences := "0"
	if len(args) > 4 {
		preferences = args[4]
	}
	var buf bytes.Buffer
	for n := from; n < from+count; n++ {
		fmt.Fprintf(&buf, "%q,\"%d\",%q,%q,\"2\"\r\n", "10", n, preferences, args[3])
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.Write(buf.Bytes())
	ts.Check(errors.Join(err, f.Close()))
}
