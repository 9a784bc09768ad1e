package dnd

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"context"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"saaf"
)

// madeUp is left where an archive has room for a remark.
const madeUp = "Made-up numbers. This is not the do-not-call registry."

// generation is a Generate at work: what takes the pieces, in their order, and
// writes them.
type generation struct {
	*Generate
	*pieceMakers
	report *GenerateReport
	out    *countingWriter // of the file at work
	total  int64           // rows of all files
}

func startGeneration(ctx context.Context, g *Generate, files []plannedFile) *generation {
	return &generation{
		Generate:    g,
		pieceMakers: startPieceMakers(ctx, newRowText(g.Registry, g.Delta, g.Bare, g.Ascending), files),
		report:      &GenerateReport{},
		total:       files[len(files)-1].span.to,
	}
}

// countingWriter counts what goes through it.
type countingWriter struct {
	io.Writer
	bytes int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.bytes += int64(n)
	return n, err
}

// file writes one file and reports it.
func (r *generation) file(f *os.File, p *plannedFile) (err error) {
	sum := sha256.New()
	r.out = &countingWriter{Writer: io.MultiWriter(f, sum)}
	buffered := bufio.NewWriterSize(r.out, chunkSize/4)
	switch p.packing {
	case zipped:
		err = r.zip(buffered, p)
	case gzipped:
		err = r.gzip(buffered, p)
	default:
		_, err = r.member(buffered, p, p.span)
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return err
	}
	r.report.Files = append(r.report.Files, GeneratedFile{
		Path: p.path, SHA256: saaf.SHA256(sum.Sum(nil)), Bytes: r.out.bytes, Rows: p.span.rows(),
	})
	r.report.Bytes += r.out.bytes
	return nil
}

// memberSums is what the frame of a packed stream says about it.
type memberSums struct {
	crc            uint32 // of the text
	text, deflated int64  // bytes
}

// member writes the pieces of a span, packed when the file is.
func (r *generation) member(w io.Writer, f *plannedFile, s span) (sums memberSums, err error) {
	for at := s.from; at < s.to; {
		p, err := r.next()
		if err != nil {
			return sums, err
		}
		bytes := p.text
		if f.packing != plainText {
			sums.crc = crc32.Update(sums.crc, crc32.IEEETable, p.text)
			bytes = p.deflated.Bytes()
		}
		sums.text += int64(len(p.text))
		sums.deflated += int64(len(bytes))
		if _, err := w.Write(bytes); err != nil {
			return sums, err
		}
		at = p.span.to
		r.count(f, p)
		r.recycle(p)
	}
	if f.packing != plainText {
		sums.deflated += int64(len(deflateEnd))
		_, err = io.WriteString(w, deflateEnd)
	}
	return sums, err
}

func (r *generation) count(f *plannedFile, p *piece) {
	t := r.report
	t.Rows += p.span.rows()
	t.Deleted += p.counts.deleted
	t.Active = t.Rows - t.Deleted
	t.Partial += p.counts.partial
	t.NotListed += p.counts.notListed
	if r.Progress != nil {
		r.Progress(GenerateProgress{File: filepath.Base(f.path), Rows: t.Rows, RowsTotal: r.total, Bytes: t.Bytes + r.out.bytes})
	}
}

// gzip writes the frame of RFC 1952 round the pieces, since compress/gzip packs on
// one processor.
func (r *generation) gzip(w io.Writer, f *plannedFile) error {
	const hasComment, anySystem = 1 << 4, 255
	header := []byte{0x1f, 0x8b, 8, hasComment, 0, 0, 0, 0, 0, anySystem}
	if _, err := w.Write(append(append(header, madeUp...), 0)); err != nil {
		return err
	}
	sums, err := r.member(w, f, f.span)
	if err != nil {
		return err
	}
	trailer := le.AppendUint32(nil, sums.crc)
	_, err = w.Write(le.AppendUint32(trailer, uint32(sums.text)))
	return err
}

func (r *generation) zip(w io.Writer, f *plannedFile) error {
	archive := zip.NewWriter(w)
	if err := archive.SetComment(madeUp); err != nil {
		return err
	}
	stem := strings.TrimSuffix(filepath.Base(f.path), ".zip")
	for i, s := range f.members {
		const sizesFollow = 1 << 3
		h := &zip.FileHeader{Name: stem + "_" + numbered(i, len(f.members)) + ".csv", Method: zip.Deflate, Flags: sizesFollow}
		h.SetMode(0o600)
		member, err := archive.CreateRaw(h)
		if err != nil {
			return err
		}
		sums, err := r.member(member, f, s)
		if err != nil {
			return err
		}
		h.CRC32, h.CompressedSize64, h.UncompressedSize64 = sums.crc, uint64(sums.deflated), uint64(sums.text)
		//lint:ignore SA1019 archive/zip derives them from the others when a member begins, and ours are known when it ends
		h.CompressedSize, h.UncompressedSize = uint32(min(sums.deflated, math.MaxUint32)), uint32(min(sums.text, math.MaxUint32))
	}
	return archive.Close()
}

const (
	// deflateLevel is 10 bytes a row. The default level makes it 8, in over four
	// times the time.
	deflateLevel = flate.BestSpeed
	// deflateEnd is the last block of a deflated stream, with nothing in it.
	deflateEnd = "\x03\x00"
)
