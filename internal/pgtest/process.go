package pgtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// startLimit is how long a server may take to answer, and a database to be made.
const startLimit = time.Minute

// process is a running server that writes its log into the home.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file
	done chan struct{} // closed when it has ended
	err  error         // how it ended, once done is closed
}

// run starts cmd and returns when answers does so without an error.
func (h *home) run(name string, cmd *exec.Cmd, answers func() error) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(h.dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := p.await(answers); err != nil {
		_ = cmd.Process.Kill()
		<-p.done
		return nil, err
	}
	return p, nil
}

// await returns when answers does so without an error, or p has ended.
func (p *process) await(answers func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		err := answers()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s has ended: %w\n%s", p.name, errors.Join(p.err, err), p.tail())
		case <-limit.C:
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, p.tail())
		}
	}
}

// signal sends a signal and waits for the end of the process.
func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(startLimit):
		return fmt.Errorf("%s does not end on %s\n%s", p.name, s, p.tail())
	}
}

// tail is the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// freePort finds a port of the loopback that nobody listens on. It is outside the
// range from which the kernel takes those of connections, so that a server that
// is restarted finds it free again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 15_000 + rand.IntN(17_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
