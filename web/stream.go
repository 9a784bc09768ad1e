package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"saaf"
)

// DefaultIdle is how long a caller who streams a body may send nothing.
const DefaultIdle = 60 * time.Second

// Stream is the body of a request as it comes, of any type and without a limit to
// its size. It may take as long as it likes while bytes keep coming: the time
// limits of the server give way to one on silence.
type Stream struct {
	body io.Reader
	conn *http.ResponseController
	idle time.Duration
}

// NewStream returns the body of r, which is given up when nothing comes of it for
// idle.
func NewStream(w http.ResponseWriter, r *http.Request, idle time.Duration) *Stream {
	return &Stream{body: r.Body, conn: http.NewResponseController(w), idle: idle}
}

// Read reads on. A body that does not come to its end is a [saaf.Error] that says
// so, whatever the connection died of.
func (s *Stream) Read(p []byte) (int, error) {
	// A connection that knows no deadlines has none.
	_ = s.conn.SetReadDeadline(time.Now().Add(s.idle))
	s.Answering()
	n, err := s.body.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		// The server goes on reading, to see whether the caller goes away, and would take
		// a deadline that passes for that.
		_ = s.conn.SetReadDeadline(time.Time{})
		return n, err
	}
	s.Answering()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, &saaf.Error{Code: saaf.Malformed, Word: "upload_idle",
			Message: fmt.Sprintf("Nothing of the body came for %v, and it was given up; send it again", s.idle)}
	}
	return n, unreadable(err)
}

// Answering gives the answer its time from now on. Call it before the answer when
// the body took time to work on.
func (s *Stream) Answering() { _ = s.conn.SetWriteDeadline(time.Now().Add(s.idle)) }
