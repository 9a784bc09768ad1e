package dnd

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"
)

// stream is rows in the form of text: a plain file, what a gzip file unpacks to,
// or a member of a zip archive.
type stream struct {
	member string // of an archive, "" otherwise
	open   func() (io.ReadCloser, error)
}

// streams lists what there is to read in a file. The member of an archive that
// cannot be taken is listed too, and fails when it is opened.
func (s *source) streams() ([]stream, error) {
	packing, err := s.packing()
	if err != nil {
		return nil, err
	}
	switch packing {
	case zipped:
		return s.members()
	case gzipped:
		return []stream{{open: func() (io.ReadCloser, error) {
			return gzip.NewReader(bufio.NewReaderSize(s, chunkSize/4))
		}}}, nil
	default:
		return []stream{{open: func() (io.ReadCloser, error) { return io.NopCloser(s), nil }}}, nil
	}
}

// members lists the members of a zip archive, without directories and what macOS
// adds.
func (s *source) members() (list []stream, err error) {
	archive, err := zip.NewReader(s, s.opened.Size())
	if err == nil {
		err = wholeArchive(s.file, s.opened.Size(), archive.File)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") {
			continue
		}
		list = append(list, stream{member: f.Name, open: func() (io.ReadCloser, error) { return openMember(f) }})
	}
	return list, nil
}

func openMember(f *zip.File) (io.ReadCloser, error) {
	const encrypted = 1 << 0
	switch ext := strings.ToLower(path.Ext(f.Name)); {
	case ext != ".csv" && ext != ".txt":
		return nil, errors.New("it is neither .csv nor .txt: take it out of the archive")
	case f.Flags&encrypted != 0:
		return nil, errors.New("it is encrypted: unpack it first")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return nil, errors.New("it is packed in a way that is not read here: pack it again as an ordinary zip file")
	}
	return f.Open()
}
