package dnd

import (
	"bytes"
	"errors"
	"io"
)

const (
	chunkSize = 1 << 18
	maxLine   = 4096 // bytes of a line before its "\n"; a longer one is malformed
)

// lineReader cuts a stream into chunks of whole lines. A chunk can be parsed
// without the ones around it.
type lineReader struct {
	r    io.Reader
	rest []byte // the unfinished line at the end of the last chunk, a part of its buffer
	skip bool   // that line is too long: what follows of it is dropped
	err  error  // why r ended
}

// next reads the next chunk into buf, which is longer than [maxLine]. Nothing may
// be written to the buffer of the call before until next returns. With the last
// chunk comes why the stream ended: io.EOF, or what broke it. The last line needs
// no line end when the stream is whole; when it broke, an unfinished line is
// dropped, because half a row can be a wrong row. Of a line over [maxLine] only
// so much arrives as shows that it is too long.
func (l *lineReader) next(buf []byte) (chunk []byte, err error) {
	have := copy(buf, l.rest)
	l.rest = nil
	for l.err == nil {
		var n int
		n, l.err = l.r.Read(buf[have:])
		have += l.drop(buf[have : have+n])
		if have < len(buf) && l.err == nil {
			continue
		}
		end := bytes.LastIndexByte(buf[:have], '\n') + 1
		switch {
		case end > 0 && l.err == nil:
			l.rest = buf[end:have]
			return buf[:end], nil
		case l.err == nil: // one line fills the whole chunk
			have, l.skip = maxLine+1, true
		case errors.Is(l.err, io.EOF):
			return buf[:have], io.EOF
		default:
			return buf[:end], l.err
		}
	}
	return nil, l.err
}

// drop removes from the piece that was read what belongs to a line that is too
// long, and returns how much is left.
func (l *lineReader) drop(piece []byte) int {
	if !l.skip {
		return len(piece)
	}
	end := bytes.IndexByte(piece, '\n')
	if end < 0 {
		return 0
	}
	l.skip = false
	return copy(piece, piece[end:])
}
