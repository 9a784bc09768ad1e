package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"saaf"
)

// proxy stands between a store and its database, reads what is asked, and can lose it or
// its answer.
type proxy struct {
	url    string
	target string
	done   sync.WaitGroup

	mu    sync.Mutex
	on    func(transaction []string) fate // guarded by mu; see cut
	lost  func()                          // guarded by mu; called when an answer is lost, before the connection ends
	conns map[net.Conn]bool               // guarded by mu
	cuts  int                             // guarded by mu
}

// fate is what becomes of a statement.
type fate int

const (
	passes       fate = iota
	neverArrives      // the connection ends before
	answerIsLost      // the connection ends when the server has done it
)

// newProxy stands before the database of a URL until the test ends.
func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, conns: map[net.Conn]bool{}}
	u.Host, u.RawQuery = listener.Addr().String(), "sslmode=disable"
	p.url = u.String()
	p.done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.done.Wait()
	})
	return p
}

// cut asks about each statement: on is given those of its transaction so far, and it as
// the last. lost may be nil.
func (p *proxy) cut(on func(transaction []string) fate, lost func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on, p.lost = on, lost
}

// cutCommit loses, once, the commit of a transaction in which the word stands.
func (p *proxy) cutCommit(word string, how fate, lost func()) {
	var once sync.Once
	p.cut(func(transaction []string) (f fate) {
		last := len(transaction) - 1
		if transaction[last] == "COMMIT" && strings.Contains(strings.Join(transaction[:last], "\n"), word) {
			once.Do(func() { f = how })
		}
		return f
	}, lost)
}

// cutsMade is how many connections were cut.
func (p *proxy) cutsMade() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
}

func (p *proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// serve carries one connection.
func (p *proxy) serve(client net.Conn) {
	p.keep(client)
	defer p.drop(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.keep(server)
	defer p.drop(server)
	c := &proxied{p: p, client: client, server: server, statements: map[string]string{}}
	p.done.Go(c.answers)
	c.questions()
}

// proxied is a connection through the proxy.
type proxied struct {
	p              *proxy
	client, server net.Conn
	statements     map[string]string // prepared ones by name
	transaction    []string          // statements since BEGIN

	mu     sync.Mutex
	losing bool // the answers, guarded by mu
}

// questions carries what the client says, until the connection ends. What comes after the
// first message has a letter, a length and a content.
func (c *proxied) questions() {
	in := bufio.NewReader(c.client)
	header := make([]byte, 5)
	if _, err := io.ReadFull(in, header[:4]); err != nil {
		return
	}
	first := make([]byte, binary.BigEndian.Uint32(header)-4)
	if _, err := io.ReadFull(in, first); err != nil {
		return
	}
	if _, err := c.server.Write(append(header[:4:4], first...)); err != nil {
		return
	}
	for {
		message, err := readMessage(in, header)
		if err != nil {
			return
		}
		content := message[5:]
		sql := ""
		switch message[0] {
		case 'P': // prepares a statement
			name, rest := cutZero(content)
			c.statements[name], _ = cutZero(rest)
		case 'B': // runs it
			_, rest := cutZero(content)
			name, _ := cutZero(rest)
			sql = c.statements[name]
		case 'Q': // runs a text
			sql, _ = cutZero(content)
		}
		if sql != "" && !c.ask(sql) {
			return
		}
		if _, err := c.server.Write(message); err != nil {
			return
		}
	}
}

// ask finds out what becomes of a statement; it is false when the connection ends.
func (c *proxied) ask(sql string) bool {
	if strings.HasPrefix(sql, "BEGIN") {
		c.transaction = nil
	}
	c.transaction = append(c.transaction, sql)
	c.p.mu.Lock()
	on := c.p.on
	c.p.mu.Unlock()
	if on == nil {
		return true
	}
	what := on(c.transaction) // which may wait for something
	if what == passes {
		return true
	}
	c.p.mu.Lock()
	c.p.cuts++
	c.p.mu.Unlock()
	switch what {
	case neverArrives:
		return false
	case answerIsLost:
		c.mu.Lock()
		c.losing = true
		c.mu.Unlock()
	}
	return true
}

// answers carries what the server says.
func (c *proxied) answers() {
	defer c.client.Close()
	in := bufio.NewReader(c.server)
	header := make([]byte, 5)
	for {
		message, err := readMessage(in, header)
		if err != nil {
			return
		}
		c.mu.Lock()
		losing := c.losing
		c.mu.Unlock()
		if losing {
			if message[0] != 'Z' { // ready for the next question: all of this one is done
				continue
			}
			c.p.mu.Lock()
			lost := c.p.lost
			c.p.mu.Unlock()
			if lost != nil {
				lost()
			}
			return
		}
		if _, err := c.client.Write(message); err != nil {
			return
		}
	}
}

func readMessage(in io.Reader, header []byte) ([]byte, error) {
	if _, err := io.ReadFull(in, header); err != nil {
		return nil, err
	}
	message := make([]byte, 1+binary.BigEndian.Uint32(header[1:]))
	copy(message, header)
	_, err := io.ReadFull(in, message[5:])
	return message, err
}

// cutZero is the text before a zero byte, and what comes behind it.
func cutZero(b []byte) (string, []byte) {
	text, rest, _ := bytes.Cut(b, []byte{0})
	return string(text), rest
}

// setupBehind is setup with a store whose connections go through a proxy.
func setupBehind(t testing.TB, cfg Config) (*bundle, *proxy) {
	t.Helper()
	cfg.Dir = t.TempDir()
	cfg = configured(t, cfg)
	p := newProxy(t, cfg.URL)
	cfg.URL = p.url
	b := openIdleAt(t, cfg)
	b.run()
	b.tenant = b.newTenant("Asha Finance")
	b.campaign = b.newCampaign(b.tenant, saaf.Live)
	return b, p
}
