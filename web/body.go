package web

import (
	"bytes"
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
// to call when the bytes are no longer used. Any content type but JSON or none
// is 415.
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
	// A body of unknown length may become as large as any.
	reserve := r.ContentLength
	if reserve < 0 {
		reserve = b.Max
	}
	if b.inFlight.Add(reserve) > b.MaxInFlight {
		b.inFlight.Add(-reserve)
		return nil, nil, &saaf.Error{Code: saaf.Unavailable, Word: "overloaded", RetryAfter: time.Second,
			Message: "Too many request bodies are being worked on; try again shortly"}
	}
	release = func() { b.inFlight.Add(-reserve) }

	buf := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(r.Body, b.Max+1))
	switch {
	case err == nil && n > b.Max:
		err = b.tooLarge()
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = malformed("The body ended before its Content-Length; send it again")
	case err != nil:
		err = malformed("The body could not be read to its end; send it again")
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return buf.Bytes(), release, nil
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
