package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

// echo answers with the body that it read.
func echo(b *Bodies) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, release, err := b.Read(r)
		if err != nil {
			return err
		}
		defer release()
		return WriteRaw(w, http.StatusOK, body)
	}
}

// free fails when the bodies that have been answered still count.
func free(t *testing.T, b *Bodies) {
	t.Helper()
	if n := b.inFlight.Load(); n != 0 {
		t.Errorf("%d bytes count as in flight", n)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1000, MaxInFlight: 10_000}
	s := setup(t).serve(echo(bodies))
	for n, status := range map[int]int{0: 200, 1: 200, 999: 200, 1000: 200, 1001: 413, 1513: 413, 50_000: 413} {
		for name, length := range map[string]int64{"length known": int64(n), "in chunks": -1} {
			text := strings.Repeat("x", n)
			a := send(t, s.URL, "application/json", io.MultiReader(strings.NewReader(text)), length)
			if a.status != status || status == 200 && a.body != text {
				t.Errorf("%d bytes, %s: %d %.60s", n, name, a.status, a.body)
			}
			if status == 413 && !strings.HasPrefix(a.body, `{"detail":"The body is larger than 1000 bytes; send fewer leads in one request","code":"too_large"`) {
				t.Errorf("%d bytes, %s: %s", n, name, a.body)
			}
		}
	}
	s.Close()
	free(t, bodies)
}

// A length over the limit is refused before anything is read or kept for it.
func TestBodyThatClaimsTooMuch(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1000, MaxInFlight: 10_000}
	r := httptest.NewRequest("POST", "/", failing{errors.New("must not be read")})
	r.ContentLength = 1 << 40
	if _, _, err := bodies.Read(r); saaf.ErrorCode(err) != saaf.TooLarge {
		t.Error(err)
	}
	free(t, bodies)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBodyThatEndsEarly(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1000, MaxInFlight: 10_000}
	s := setup(t).serve(echo(bodies))
	for name, tc := range map[string]struct{ request, detail string }{
		"length known":  {"Content-Length: 100\r\n\r\n{\"phone\":", "The body ended before its Content-Length; send it again"},
		"in a chunk":    {"Transfer-Encoding: chunked\r\n\r\n20\r\n{\"phone\":", "The body ended before its Content-Length; send it again"},
		"no last chunk": {"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "The body ended before its Content-Length; send it again"},
		"bad chunk":     {"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "The body could not be read to its end; send it again"},
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: r1\r\n%s", tc.request)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := io.ReadAll(resp.Body)
		if want := `{"detail":"` + tc.detail + `","code":"malformed","request_id":"r1"}` + "\n"; err != nil || resp.StatusCode != 400 || string(text) != want {
			t.Errorf("%s: %d %s, want %s", name, resp.StatusCode, text, want)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	free(t, bodies)
}

func TestContentType(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1000, MaxInFlight: 1000}
	for contentType, want := range map[string]bool{
		"":                                       true,
		"application/json":                       true,
		"Application/JSON":                       true,
		"application/json;charset=utf-8":         true,
		"application/json; charset=UTF-8":        true,
		`application/json; charset="utf-8"`:      true,
		"application/json; indent=2":             true,
		"application/vnd.api+json":               true,
		"application/problem+json;charset=UTF-8": true,

		"application/json; charset=latin1":               false,
		"application/json; charset=utf-16":               false,
		"application/vnd.api+json; charset=windows-1252": false,
		"text/plain":                        false,
		"text/json":                         false,
		"application/x-www-form-urlencoded": false,
		"multipart/form-data; boundary=x":   false,
		"application/jsonp":                 false,
		"application/json, text/plain":      false,
		"json":                              false,
		";":                                 false,
		"application/json; charset":         false,
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		body, release, err := bodies.Read(r)
		if !want {
			refused := &saaf.Error{Code: saaf.UnsupportedType, Word: "unsupported_type",
				Message: "Content-Type " + contentType + " is not read here; send application/json"}
			if diff := cmp.Diff(error(refused), err); diff != "" {
				t.Errorf("%q: %s", contentType, diff)
			}
			continue
		}
		if err != nil || string(body) != "{}" {
			t.Errorf("%q: %q, %v", contentType, body, err)
			continue
		}
		release()
	}
	free(t, bodies)
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1000, MaxInFlight: 1000}
	for encoding, want := range map[string]bool{"": true, "identity": true, "Identity": true, "gzip": false, "br": false, "gzip, identity": false} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		r.Header.Set("Content-Encoding", encoding)
		_, release, err := bodies.Read(r)
		if !want {
			refused := &saaf.Error{Code: saaf.UnsupportedType, Word: "unsupported_encoding",
				Message: "Content-Encoding " + encoding + " is not read here; send the body uncompressed"}
			if diff := cmp.Diff(error(refused), err); diff != "" {
				t.Errorf("%q: %s", encoding, diff)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", encoding, err)
			continue
		}
		release()
	}
	free(t, bodies)
}

// What is being worked on counts until it is released, a body of unknown length
// as the largest there may be.
func TestBodiesInFlight(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 400, MaxInFlight: 1000}
	request := func(n int, length int64) *http.Request {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", n))))
		r.ContentLength = length
		return r
	}
	read := func(n int, length int64) func() {
		t.Helper()
		_, release, err := bodies.Read(request(n, length))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	refused := func(n int, length int64) {
		t.Helper()
		_, _, err := bodies.Read(request(n, length))
		want := &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", RetryAfter: time.Second,
			Message: "Too many request bodies are being worked on; try again shortly"}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Error(diff)
		}
	}
	first, second := read(400, 400), read(5, -1)
	refused(201, 201)
	refused(1, -1)
	third := read(200, 200)
	refused(1, 1)
	read(0, 0)() // takes no room
	third()
	refused(1, -1)
	second()
	fourth := read(400, -1)
	first()
	fourth()
	free(t, bodies)
}

// Of many requests at once exactly those get in that fit under the bound, and when
// they have left there is room for as many again.
func TestBodiesInFlightTogether(t *testing.T) {
	t.Parallel()
	const callers, size, fit = 12, 400, 2
	bodies := &Bodies{Max: size, MaxInFlight: (fit+1)*size - 1}
	leave := make(chan chan struct{}, 1)
	s := setup(t).serve(func(w http.ResponseWriter, r *http.Request) error {
		body, release, err := bodies.Read(r)
		if err != nil {
			return err
		}
		defer release()
		gate := <-leave
		leave <- gate
		<-gate
		return WriteRaw(w, http.StatusOK, body)
	})
	for range 20 {
		gate := make(chan struct{})
		leave <- gate
		statuses := make(chan int, callers)
		for caller := range callers {
			go func() {
				length := int64(size)
				if caller%2 == 0 {
					length = -1
				}
				statuses <- send(t, s.URL, "", strings.NewReader(strings.Repeat("x", size)), length).status
			}()
		}
		for range callers - fit {
			if status := <-statuses; status != 503 {
				t.Errorf("%d, while nobody has left", status)
			}
		}
		close(gate)
		for range fit {
			if status := <-statuses; status != 200 {
				t.Errorf("%d for one that got in", status)
			}
		}
		<-leave
	}
	s.Close()
	free(t, bodies)
}

// A handler that fails or panics gives its room back.
func TestBodiesAreReleasedWhateverHappens(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 100, MaxInFlight: 100}
	b := setup(t)
	s := b.serve(func(_ http.ResponseWriter, r *http.Request) error {
		body, release, err := bodies.Read(r)
		if err != nil {
			return err
		}
		defer release()
		if string(body) == "panic" {
			panic("broken")
		}
		_, err = Parse(body)
		return err
	})
	for range 50 {
		for body, status := range map[string]int{"panic": 500, "{": 400, strings.Repeat("x", 101): 413, "{}": 200} {
			if a := send(t, s.URL, "", strings.NewReader(body), -1); a.status != status {
				t.Fatalf("%.10q: %d %s", body, a.status, a.body)
			}
		}
	}
	s.Close()
	free(t, bodies)
}

// Who announces a large body and sends nothing of it takes no room from others.
func TestAnnouncedBodyTakesNoRoom(t *testing.T) {
	t.Parallel()
	bodies := &Bodies{Max: 1 << 20, MaxInFlight: 1<<20 + firstRead}
	request := func(body io.Reader, length int64) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", body)
		r.ContentLength = length
		return r
	}
	slow, begin := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, _, err := bodies.Read(request(slow, 1<<20))
		ended <- err
	}()
	if _, err := begin.Write([]byte("{")); err != nil { // returns when it was read
		t.Fatal(err)
	}
	full := strings.Repeat(" ", 1<<20)
	body, release, err := bodies.Read(request(strings.NewReader(full), 1<<20))
	if err != nil || string(body) != full {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	if _, _, err := bodies.Read(request(strings.NewReader(full), 1<<20)); saaf.ErrorCode(err) != saaf.Unavailable {
		t.Errorf("a body over the bound: %v", err)
	}
	release()
	begin.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := bodies.inFlight.Load(); n != firstRead { // of the slow one, which nobody has released
		t.Errorf("%d bytes are in flight", n)
	}
}
