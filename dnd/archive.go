package dnd

import (
	"archive/zip"
	"cmp"
	"errors"
	"io"
	"slices"
)

var errHiddenMembers = errors.New("it holds more than its directory lists, as when archives were joined or one is cut short: download it again")

// wholeArchive reports an error when there is anything in a zip archive between
// its beginning and its directory that the directory does not list. A reader of
// archives passes over that in silence: of two archives in one file it sees the
// members of the last alone.
func wholeArchive(r io.ReaderAt, size int64, members []*zip.File) error {
	type span struct{ data, end int64 }
	spans := make([]span, len(members))
	for i, f := range members {
		data, err := f.DataOffset()
		if err != nil {
			return err
		}
		spans[i] = span{data, data + int64(f.CompressedSize64)}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.data, b.data) })
	at := int64(0)
	for i, s := range spans {
		if !slices.ContainsFunc(descriptors(i > 0), func(n int64) bool { return localData(r, at+n) == s.data }) {
			return errHiddenMembers
		}
		at = s.end
	}
	if !slices.ContainsFunc(descriptors(len(spans) > 0), func(n int64) bool { return directoryEnds(r, at+n, size) }) {
		return errHiddenMembers
	}
	return nil
}

// descriptors are the lengths that what may follow the data of a member can have:
// nothing, or sizes and checksum of 4 or 8 bytes each, with a signature or none.
func descriptors(afterMember bool) []int64 {
	if !afterMember {
		return []int64{0}
	}
	return []int64{0, 12, 16, 20, 24}
}

// localData is where the data begins of the member whose own header is at the
// offset, -1 when there is none.
func localData(r io.ReaderAt, at int64) int64 {
	const size = 30
	var h [size]byte
	if _, err := r.ReadAt(h[:], at); err != nil || string(h[:4]) != "PK\x03\x04" {
		return -1
	}
	return at + size + int64(le.Uint16(h[26:])) + int64(le.Uint16(h[28:]))
}

// directoryEnds reports whether the directory that begins at the offset goes on to
// the end of the file: entries, the records of large archives, the end record with
// its comment.
func directoryEnds(r io.ReaderAt, at, size int64) bool {
	const entry, large, locator, end = 46, 12, 20, 22
	var h [entry]byte
	for at < size {
		n, err := r.ReadAt(h[:min(entry, size-at)], at)
		if err != nil && n < end {
			return false
		}
		switch string(h[:4]) {
		case "PK\x01\x02":
			at += entry + int64(le.Uint16(h[28:])) + int64(le.Uint16(h[30:])) + int64(le.Uint16(h[32:]))
		case "PK\x06\x06":
			more := le.Uint64(h[4:])
			if more > uint64(size) {
				return false
			}
			at += large + int64(more)
		case "PK\x06\x07":
			at += locator
		case "PK\x05\x06":
			return at+end+int64(le.Uint16(h[20:])) == size
		default:
			return false
		}
	}
	return false
}
