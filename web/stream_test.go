package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"saaf"
)

// pipes is a listener whose connections stay inside the bubble of a test.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// timed serves h with 5 s for a whole request and as much for its answer, and
// returns a connection to it.
func (b *bundle) timed(h Handler) net.Conn {
	b.t.Helper()
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: b.Wrap(b.Handle(h)), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p) }()
	here, there := net.Pipe()
	p.conns <- there
	b.t.Cleanup(func() {
		_ = here.Close()
		_ = server.Close()
		<-served
	})
	return here
}

// begin sends the head of a request with a body of so many bytes.
func begin(t *testing.T, conn net.Conn, length int) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length); err != nil {
		t.Fatal(err)
	}
}

// answered reads the answer.
func answered(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// count answers with how many bytes came.
func count(w http.ResponseWriter, r *http.Request) error {
	n, err := io.Copy(io.Discard, NewStream(w, r, 10*time.Second))
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, n)
}

// A body may take many times what the server gives to others, while it comes.
func TestStreamOutlivesTheServersLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := setup(t).timed(count)
		begin(t, conn, 20)
		for range 20 {
			time.Sleep(9 * time.Second)
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if status, body := answered(t, conn); status != 200 || body != "20\n" {
			t.Errorf("%d %s", status, body)
		}
	})
}

// Without a stream the same server cuts such a body: what the tests here measure
// is there.
func TestTheServersLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := setup(t).timed(func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return unreadable(err)
		})
		begin(t, conn, 20)
		time.Sleep(6 * time.Second)
		if text, _ := io.ReadAll(conn); strings.Contains(string(text), " 200 ") {
			t.Errorf("%s", text)
		}
	})
}

func TestStreamEndsWithSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := setup(t).timed(func(w http.ResponseWriter, r *http.Request) error {
			err := count(w, r)
			time.Sleep(time.Second) // removing what came
			return err
		})
		begin(t, conn, 20)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		status, body := answered(t, conn)
		if status != 400 || !strings.HasPrefix(body, `{"detail":"Nothing of the body came for 10s, and it was given up; send it again","code":"upload_idle",`) {
			t.Errorf("%d %s", status, body)
		}
		if took := time.Since(start); took != 11*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// What is done with a body may take longer than silence in it.
func TestStreamIsWorkedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := setup(t).timed(func(w http.ResponseWriter, r *http.Request) error {
			body := NewStream(w, r, 10*time.Second)
			for range 2 { // and who reads on behind the end does no harm
				if _, err := io.Copy(io.Discard, body); err != nil {
					return err
				}
			}
			time.Sleep(time.Hour)
			body.Answering()
			return WriteJSON(w, http.StatusOK, fmt.Sprint(r.Context().Err()))
		})
		begin(t, conn, 1)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if status, body := answered(t, conn); status != 200 || body != "\"<nil>\"\n" {
			t.Errorf("%d %s", status, body)
		}
	})
}

// A body that does not come whole is nobody's fault here and no end of a body.
func TestStreamThatIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := setup(t).timed(func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, NewStream(w, r, 10*time.Second))
			ended <- err
			return err
		})
		begin(t, conn, 20)
		if _, err := conn.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; saaf.ErrorCode(err) != saaf.Malformed {
			t.Errorf("%v", err)
		}
	})
}

// A writer that knows no deadlines, as in other tests, is none the worse.
func TestStreamWithoutAConnection(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	if err := count(rec, httptest.NewRequest("POST", "/", strings.NewReader("four"))); err != nil || rec.Body.String() != "4\n" {
		t.Errorf("%s, %v", rec.Body, err)
	}
}
