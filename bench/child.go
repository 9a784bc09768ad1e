package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// memoryEvery is how often the memory of a process is looked at.
const memoryEvery = 5 * time.Millisecond

// command runs a command about a store to its end and returns the most anonymous
// memory that it had, in bytes.
func (h *Host) command(ctx context.Context, at place, args ...string) (most int64, err error) {
	runtime.LockOSThread() // the kernel ends the process with the thread that started it
	defer runtime.UnlockOSThread()
	cmd := h.Program(ctx, at.url, append(args, "--data-dir", at.dir)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return most, fmt.Errorf("saaf %s: %w\n%s", strings.Join(args[:2], " "), err, said.String())
			}
			return most, nil
		case <-tick.C:
			if now, err := anonymousMemory(cmd.Process.Pid); err == nil {
				most = max(most, now)
			}
		}
	}
}

// anonymousMemory is the resident memory of a process that no file stands behind,
// in bytes.
func anonymousMemory(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoProc
	}
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		return 0, errNoProc
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	return kilobytes << 10, err
}

// servingChild is a saaf serve that was started.
type servingChild struct {
	URL   string `json:"url"`
	Key   string `json:"live_key"`
	pid   int
	stop  context.CancelFunc
	ended chan error // receives once
}

// serve starts a server and returns when it listens. Its log goes to a file.
func (h *Host) serve(ctx context.Context, at place, logFile string) (*servingChild, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, stop := context.WithCancel(ctx)
	s := &servingChild{stop: stop, ended: make(chan error, 1)}
	greeted := make(chan error, 1)
	go func() {
		// The kernel ends the process with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := h.Program(ctx, at.url, "--json", "serve", "--data-dir", at.dir, "--listen", "127.0.0.1:0", "--log-level", "warn")
		cmd.Stderr = log
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			greeted <- err
			s.ended <- nil
			return
		}
		s.pid = cmd.Process.Pid
		greeted <- json.NewDecoder(out).Decode(s)
		err = cmd.Wait()
		if ctx.Err() != nil && cmd.ProcessState.Success() {
			err = nil // it was asked to end
		}
		s.ended <- err
	}()
	if err := <-greeted; err != nil {
		stop()
		<-s.ended
		said, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("saaf serve did not start: %w\n%s", err, said)
	}
	return s, nil
}

// end ends the server.
func (s *servingChild) end() error {
	s.stop()
	if err := <-s.ended; err != nil {
		return fmt.Errorf("saaf serve: %w", err)
	}
	return nil
}

// kill ends the server as a power cut would end it for its clients: at once.
func (s *servingChild) kill() error {
	p, err := os.FindProcess(s.pid)
	if err == nil {
		err = p.Kill()
	}
	<-s.ended
	s.stop()
	return err
}
