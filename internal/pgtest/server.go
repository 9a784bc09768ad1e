package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Options say how a server differs from the usual one.
type Options struct {
	Fsync    bool              // on a disk, to survive a power cut; what kill -9 can do is survived without
	Settings map[string]string // of postgresql.conf, over those of usual
}

// usual is what every server is set to. Texts sort as people want them, dates are
// those of India: a statement that relies on the defaults of some machine is found.
var usual = map[string]string{
	"max_connections":            "200",
	"shared_buffers":             "32MB",
	"dynamic_shared_memory_type": "mmap", // in the directory, and gone with it
	"listen_addresses":           "127.0.0.1",
	"unix_socket_directories":    "", // their paths may be only 107 bytes long
	"timezone":                   "Asia/Kolkata",
	"log_line_prefix":            "%m [%p] %d ",
	"wal_level":                  "minimal",
	"max_wal_senders":            "0",
	"max_wal_size":               "256MB",
}

// Server is a PostgreSQL with the superuser saaf, who needs no password.
type Server struct {
	home *home
	data string
	port int
	proc *process // nil: not running

	private bool // it lives no longer than one test

	mu        sync.Mutex
	templates map[string]func() error // by kind, guarded by mu
	made      int                     // databases so far, guarded by mu
}

// shared is the server of this test process, started by the first test that
// wants a database. Its guard ends it.
var shared = sync.OnceValues(func() (*Server, error) { return newServer(Options{}) })

// New starts a server for one test alone, which may stop it. It is gone when the
// test ends.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := newServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.private = true
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of PostgreSQL:\n%s", s.Log())
		}
		if err := s.home.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newServer(o Options) (*Server, error) {
	h, err := newHome(o.Fsync)
	if err != nil {
		return nil, err
	}
	s := &Server{home: h, data: filepath.Join(h.dir, "data"), templates: map[string]func() error{}}
	if err := s.init(o); err != nil {
		return nil, errors.Join(err, h.close())
	}
	for range 3 { // somebody else may take the port first
		if s.port, err = freePort(); err == nil {
			err = s.Start()
		}
		if err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, h.close())
}

// init makes the files of a server.
func (s *Server) init(o Options) error {
	initdb, err := program("initdb")
	if err != nil {
		return err
	}
	cmd := s.home.command(initdb, "-D", s.data, "-U", "saaf", "--auth=trust", "--no-sync", "--encoding=UTF8",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-IN")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	settings := maps.Clone(usual)
	if !o.Fsync {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, o.Settings)
	conf, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := strings.ReplaceAll(settings[name], "'", "''")
		if _, err := fmt.Fprintf(conf, "%s = '%s'\n", name, value); err != nil {
			return errors.Join(err, conf.Close())
		}
	}
	return conf.Close()
}

// Start starts a server that was stopped or killed, on the port it had, and
// returns when it takes connections.
func (s *Server) Start() error {
	postgres, err := program("postgres")
	if err != nil {
		return err
	}
	cmd := s.home.command(postgres, "-D", s.data, "-p", fmt.Sprint(s.port))
	s.proc, err = s.home.run("postgres", cmd, func() error { return s.exec("SELECT 1") })
	return err
}

// Stop has the server end transactions, write everything down and go.
func (s *Server) Stop() error {
	if s.proc == nil {
		return nil
	}
	err := s.proc.signal(syscall.SIGINT)
	s.proc = nil
	return err
}

// Kill ends every process of the server with SIGKILL.
func (s *Server) Kill() error {
	if s.proc == nil {
		return nil
	}
	err := s.proc.signal(syscall.SIGKILL)
	s.proc = nil
	return errors.Join(err, s.home.kill(s.data))
}

// URL is that of a database of the server, whether it exists or not.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("saaf"), Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: database}
	return u.String()
}

// Log is the end of what the server has logged.
func (s *Server) Log() string {
	p := process{log: filepath.Join(s.home.dir, "postgres.log")}
	return p.tail()
}

// exec runs one statement in the database postgres.
func (s *Server) exec(statement string) error { return execute(s.URL("postgres"), statement) }

// execute runs one statement that has no parameters.
func execute(url, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	_, err := Exec(ctx, url, statement)
	return err
}
