package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"saaf"
)

// Defaults of the limits on bodies.
const (
	DefaultMaxBody     = 16 << 20  // bytes of one body: room for 500 full leads
	DefaultMaxInFlight = 256 << 20 // bytes of all bodies being worked on
)

// Bodies reads request bodies within a limit for each and one for all of them
// together.
type Bodies struct {
	Max         int64 // bytes of one body; over it is 413
	MaxInFlight int64 // bytes of all; over it is 503

	inFlight atomic.Int64
}

// Read returns the body of a request that must be JSON, and a release function
// to call once, when the bytes are no longer used: the next request gets their memory, so
// that whoever keeps some of them for longer must copy them. Any content type but
// JSON or none is 415.
func (b *Bodies) Read(r *http.Request) (body []byte, release func(), err error) {
	if err := requireJSON(r.Header.Get("Content-Type")); err != nil {
		return nil, nil, err
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, nil, &saaf.Error{Code: saaf.UnsupportedType, Word: "unsupported_encoding",
			Message: "Content-Encoding " + enc + " is not read here; send the body uncompressed"}
	}
	if r.ContentLength > b.Max {
		return nil, nil, b.tooLarge()
	}
	var reserved int64
	var buf *buffer
	release = func() {
		buf.release()
		b.inFlight.Add(-reserved)
	}
	expected := r.ContentLength
	if expected < 0 {
		expected = b.Max // it may become as large as any
	}
	// Memory is taken as bytes arrive: a caller that announces much and sends
	// nothing must not keep others out.
	body, buf, err = b.readAll(r.Body, expected, func(n int64) error {
		if b.inFlight.Add(n) > b.MaxInFlight {
			b.inFlight.Add(-n)
			return &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", RetryAfter: time.Second,
				Message: "Too many request bodies are being worked on; try again shortly"}
		}
		reserved += n
		return nil
	})
	if err != nil {
		release()
		return nil, nil, err
	}
	return body, release, nil
}

// firstRead is how much of a body is made room for before any of it is there.
const firstRead = 64 << 10

// readAll reads a body of at most the expected length, and asks reserve before it
// makes room for more of it. The buffer is what the body lies in, also after an error,
// nil for none.
func (b *Bodies) readAll(r io.Reader, expected int64, reserve func(int64) error) (body []byte, buf *buffer, err error) {
	var probe [1]byte
	room := int64(0) // that is reserved
	for {
		into := probe[:]
		if int64(len(body)) < room || room < expected {
			if int64(len(body)) == room {
				larger := min(expected, max(firstRead, 2*room))
				if err := reserve(larger - room); err != nil {
					return nil, buf, err
				}
				old := buf
				buf, room = newBuffer(int(larger)), larger
				body = buf.bytes[:copy(buf.bytes, body)]
				old.release()
			}
			into = body[len(body):room]
		}
		n, err := r.Read(into)
		if n > 0 && &into[0] == &probe[0] {
			return nil, buf, b.tooLarge() // what was expected is there, and more comes
		}
		body = body[:len(body)+n]
		switch {
		case err == io.EOF:
			return body, buf, nil
		case err != nil:
			return nil, buf, unreadable(err)
		}
	}
}

// unreadable is what a caller is told whose body did not come whole.
func unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("The body ended before its Content-Length; send it again")
	}
	return malformed("The body could not be read to its end; send it again")
}

func (b *Bodies) tooLarge() error {
	return &saaf.Error{Code: saaf.TooLarge, Word: "too_large",
		Message: fmt.Sprintf("The body is larger than %d bytes; send fewer leads in one request", b.Max)}
}

func requireJSON(contentType string) error {
	if contentType == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && (media == "application/json" || strings.HasSuffix(media, "+json")) {
		if cs := params["charset"]; cs == "" || strings.EqualFold(cs, "utf-8") {
			return nil
		}
	}
	return &saaf.Error{Code: saaf.UnsupportedType, Word: "unsupported_type",
		Message: "Content-Type " + contentType + " is not read here; send application/json"}
}
