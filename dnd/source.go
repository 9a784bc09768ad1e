package dnd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"saaf"
)

// source is one file of an import, kept open from its hash to its last row so
// that both are of the same bytes.
type source struct {
	name   string // without directories
	file   *os.File
	opened os.FileInfo
	sha    saaf.SHA256
	hashed bool  // sha is known
	read   int64 // bytes read by the present pass over the file
}

func openSource(path string) (*source, error) {
	// A pipe would be waited for, without end, before it could be looked at.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "read", Path: path, Err: errors.New("not a file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &source{name: filepath.Base(path), file: f, opened: info}, nil
}

// hash reads the whole file and keeps its SHA-256. It calls progress with the
// length of each piece. Rows may be read at the same time.
func (s *source) hash(ctx context.Context, progress func(n int)) (err error) {
	s.sha, err = hash(ctx, io.NewSectionReader(s.file, 0, s.opened.Size()), make([]byte, chunkSize), progress)
	s.hashed = err == nil
	return err
}

// unchanged reports an error when the file was written to since it was opened.
func (s *source) unchanged() error {
	now, err := s.file.Stat()
	if err == nil && (now.Size() != s.opened.Size() || !now.ModTime().Equal(s.opened.ModTime())) {
		err = errors.New("it was changed while it was read; import it again when nothing writes to it")
	}
	return err
}

// Read reads on from where the last call ended.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.file.ReadAt(p[:min(int64(len(p)), max(0, s.opened.Size()-s.read))], s.read)
	s.read += int64(n)
	if s.read == s.opened.Size() {
		err = io.EOF
	}
	return n, err
}

// ReadAt serves archives, which are read by place.
func (s *source) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.file.ReadAt(p, at)
	s.read = min(s.read+int64(n), s.opened.Size())
	return n, err
}

// packing is how the rows are packed in a file. Its first bytes decide.
type packing uint8

const (
	plainText packing = iota
	gzipped
	zipped
	foreign // something that is not read here
)

// signatures are the first bytes of what may be handed in as a registry file.
var signatures = []struct {
	bytes   string
	packing packing
	what    string // a foreign file, as the end of "it is"
}{
	{"\x1f\x8b", gzipped, ""},
	{"PK\x03\x04", zipped, ""},
	{"PK\x05\x06", zipped, ""}, // without members
	{"\x28\xb5\x2f\xfd", foreign, "packed with zstd: unpack it first"},
	{"\xfd7zXZ\x00", foreign, "packed with xz: unpack it first"},
	{"BZh", foreign, "packed with bzip2: unpack it first"},
	{"7z\xbc\xaf\x27\x1c", foreign, "a 7z archive: unpack it first"},
	{"Rar!\x1a\x07", foreign, "a RAR archive: unpack it first"},
	{"\xff\xfe", foreign, "text in UTF-16: save it as UTF-8"},
	{"\xfe\xff", foreign, "text in UTF-16: save it as UTF-8"},
	{"%PDF-", foreign, "a PDF document: ask for the CSV file"},
}

// packing looks at the first bytes of the file. A name that promises an archive
// must be kept, since a damaged archive is not text.
func (s *source) packing() (packing, error) {
	start := make([]byte, 16)
	n, err := s.file.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return foreign, err
	}
	for _, sig := range signatures {
		switch {
		case !bytes.HasPrefix(start[:n], []byte(sig.bytes)):
		case sig.packing == foreign:
			return foreign, errors.New("it is " + sig.what)
		default:
			return sig.packing, nil
		}
	}
	if ext := strings.ToLower(filepath.Ext(s.name)); ext == ".gz" || ext == ".zip" {
		return foreign, fmt.Errorf("it does not begin like a %s file: download it again", ext)
	}
	return plainText, nil
}
