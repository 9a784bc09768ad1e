package dnd

import (
	"context"
	"errors"
	"io"

	"saaf"
)

// maxWorkers is how many goroutines read rows at most: beyond that, reading the
// file is what takes the time.
const maxWorkers = 8

// chunk is some lines of a stream and what is in them.
type chunk struct {
	buf  []byte // its memory
	text []byte // the lines, in buf
	read int64  // bytes of the file that were read when it was complete

	rows      []row
	counts    Counts
	lines     int64
	malformed []badLine
	err       error
}

// badLine is a malformed row, its line counted from 1 in the chunk.
type badLine struct {
	line int64
	why  saaf.Reason
}

// parse reads the rows of the chunk. The parser goes on where it is.
func (c *chunk) parse(p *parser) {
	c.malformed = c.malformed[:0]
	before := p.line
	p.counts = Counts{}
	p.malformed = func(line int64, why saaf.Reason) {
		if len(c.malformed) < maxMalformedRows {
			c.malformed = append(c.malformed, badLine{line - before, why})
		}
	}
	c.rows, c.err = p.parse(c.text, c.rows[:0])
	c.counts, c.lines = p.counts, p.line-before
}

// streamJob is the reading of one stream.
type streamJob struct {
	*job
	source *source
	file   *FileReport
	member string
	reader lineReader
	ended  error // why the stream ended, once it has
	line   int64 // lines before the next chunk that is collected
}

// readStream reads the rows of one stream. broken is why it could not be read to
// its end; what was read before counts.
func (j *job) readStream(ctx context.Context, s *source, f *FileReport, stream stream) (broken, err error) {
	r, err := stream.open()
	if err != nil {
		return err, nil
	}
	defer func() {
		if e := r.Close(); broken == nil && err == nil {
			broken = e
		}
	}()
	t := &streamJob{job: j, source: s, file: f, member: stream.member, reader: lineReader{r: r}}
	p, err := t.begin(ctx)
	if err == nil && t.ended == nil {
		err = t.rest(ctx, p)
	}
	switch {
	case err != nil:
		return nil, err
	case errors.Is(t.ended, io.EOF):
		return nil, nil
	default:
		return t.ended, nil
	}
}

// fill reads the next chunk.
func (t *streamJob) fill(c *chunk) {
	c.text, t.ended = t.reader.next(c.buf)
	c.read = t.source.read
}

// begin reads chunk by chunk until a line has said what the columns are.
func (t *streamJob) begin(ctx context.Context) (*parser, error) {
	p := newParser(t.sets, nil)
	for c := t.chunks[0]; t.ended == nil && !p.begun; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.fill(c)
		c.parse(p)
		if c.err != nil {
			t.ended = c.err // a header that cannot be used
		}
		t.add(0, c)
		if err := t.collect(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// rest reads all that follows, several chunks at once.
func (t *streamJob) rest(ctx context.Context, p *parser) error {
	err := pipeline(t.crew, t.chunks, func(c *chunk) bool {
		if t.ended != nil || ctx.Err() != nil {
			return false
		}
		t.fill(c)
		return true
	}, func(worker int, c *chunk) {
		c.parse(p.following())
		t.add(worker, c)
	}, func(c *chunk) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return t.collect(c)
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// add adds the rows of a full set, whose order says nothing.
func (t *streamJob) add(worker int, c *chunk) {
	if t.Mode == saaf.FullSet {
		c.err = t.content.add(worker, c.rows)
	}
}

// collect counts what is in a chunk. The chunks come in the order of the stream,
// so here rows are added whose order matters.
func (t *streamJob) collect(c *chunk) error {
	if t.Mode == saaf.Delta {
		c.err = t.content.add(0, c.rows)
	}
	if c.err != nil {
		return c.err
	}
	t.file.add(c.counts)
	t.report.Total.add(c.counts)
	for _, m := range c.malformed {
		if len(t.report.MalformedRows) < maxMalformedRows {
			t.report.MalformedRows = append(t.report.MalformedRows, MalformedRow{t.file.Name, t.member, t.line + m.line, m.why})
		}
	}
	t.line += c.lines
	t.progress(Progress{Stage: Reading, File: t.source.name, BytesDone: t.done + c.read, BytesTotal: t.total})
	return nil
}
