package apptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the program, statically as it is shipped, into dir and returns
// its path. flags are more of go build.
func Build(dir string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "saaf")
	args := append([]string{"build", "-trimpath", "-o", bin}, flags...)
	cmd := exec.Command("go", append(args, "saaf/cmd/saaf")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build saaf: %w\n%s", err, out)
	}
	return bin, nil
}

// Server is one running saaf serve.
type Server struct {
	URL      string `json:"url"`
	TenantID string `json:"tenant_id"` // of the first start of a data directory
	LiveKey  string `json:"live_key"`  // likewise
	TestKey  string `json:"test_key"`  // likewise

	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan error // receives once
}

// startLimit is how long a server may take to say that it listens.
const startLimit = 30 * time.Second

// Start runs saaf serve with a free port on the data directory and returns when
// it listens. The environment is that of the test without settings of saaf.
func Start(bin, dataDir string, args ...string) (*Server, error) {
	return StartAs(nil, bin, dataDir, args...)
}

// StartAs is [Start] of a server that runs as another user; nil is this one.
func StartAs(user *syscall.Credential, bin, dataDir string, args ...string) (*Server, error) {
	s := &Server{log: new(lockedBuffer), exited: make(chan error, 1)}
	s.cmd = exec.Command(bin, append([]string{"--json", "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Env = Environ()
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	greeted := make(chan error, 1)
	go func() {
		greeted <- json.NewDecoder(out).Decode(s)
		_, _ = io.Copy(io.Discard, out)
		s.exited <- s.cmd.Wait()
	}()
	timeout := time.NewTimer(startLimit)
	defer timeout.Stop()
	select {
	case err = <-greeted:
	case <-timeout.C:
		err = errors.New("no sign of life")
	}
	if err != nil {
		_ = s.Kill()
		return nil, fmt.Errorf("saaf serve did not start: %w\n%s", err, s.log)
	}
	return s, nil
}

// Environ is the environment of the test without SAAF_ settings.
func Environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SAAF_") {
			env = append(env, kv)
		}
	}
	return env
}

// PID is the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited
	s.exited <- nil
	return nil
}

// Stop asks the process to end and returns an error unless it ended well.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-s.exited
	s.exited <- nil
	if err != nil {
		return fmt.Errorf("saaf serve ended badly: %w\n%s", err, s.log)
	}
	return nil
}

// Log is what the process has written to standard error.
func (s *Server) Log() string { return s.log.String() }

// lockedBuffer may be written and read at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
