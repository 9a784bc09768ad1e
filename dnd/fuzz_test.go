package dnd

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"saaf"

	"github.com/google/go-cmp/cmp"
)

func FuzzRows(f *testing.F) {
	for _, text := range []string{
		"\"Service Area Code\",\"Phone Numbers\",\"Preferences\",\"Opstype\",\"Phone Type\"\r\n\"13\",\"6000000000\",\"2#3\",\"A\",\"2\"\r\n",
		"13,6000000000,0,A,2\n3,6000000001,2#3#,D,2\n\n3,6000000002,,U",
		"\uFEFFphone,ops_type,x\n+91 60000 00000,a,\"a \"\"b\"\", c\"\n",
		"1,\"6000000000,0,A\n13,60000,0,A\n,,,,\n1,06000000000,0#99,d\n1, \"6000000000\" ,9,A\n",
		strings.Repeat("x", maxLine+1) + "\n1,6000000000,7,A,2\r",
		"phone,phone\n", "opstype\n", "\n \n\t\n", "1,6000000000,2#3,A\x00\n", "12,9999999999,#1,A,\n",
		"13,0876543210,0,A,2\n13,9876543210,0,A,x\n1x,9876543210,0,D,2\n13,9876543210,0,D,2\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := parse(string(text))
		c := got.Counts
		if c.Rows != c.Active+c.Deleted+c.Malformed || int64(len(got.Rows)) != c.Active+c.Deleted {
			t.Fatalf("%d rows: %+v", len(got.Rows), c)
		}
		lines := bytes.SplitAfter(text, []byte("\n"))
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1]
		}
		if total := c.Rows + c.Blank + c.Headers; got.Err == nil && total != int64(len(lines)) {
			t.Fatalf("%d lines of %d", total, len(lines))
		}
		if diff := cmp.Diff(got.Rows, parseInPieces(t, text, got.Err)); diff != "" {
			t.Fatalf("in pieces: %s", diff)
		}
		for _, line := range lines {
			checkOrdinary(t, bytes.TrimSuffix(line, []byte("\n")))
		}
		if want, plain := parseWithCSV(text); plain && got.Err == nil && c.Headers == 0 {
			if diff := cmp.Diff(want, got.Rows); diff != "" {
				t.Fatalf("encoding/csv reads it otherwise: %s", diff)
			}
		}
	})
}

// parseInPieces parses what a line reader gives of text.
func parseInPieces(t *testing.T, text []byte, want error) (rows []string) {
	sets := newSetTable()
	p := newParser(sets, func(int64, saaf.Reason) {})
	lines, buf := &lineReader{r: bytes.NewReader(text)}, make([]byte, maxLine+10)
	for {
		chunk, end := lines.next(buf)
		some, err := p.parse(chunk, nil)
		for _, r := range some {
			rows = append(rows, describe(r, sets))
		}
		if err != nil || end != nil {
			if err != want || err == nil && end != io.EOF {
				t.Fatalf("in pieces: %v, %v, want %v", err, end, want)
			}
			return rows
		}
	}
}

// checkOrdinary compares the quick reading of a line with the thorough one.
func checkOrdinary(t *testing.T, line []byte) {
	phone, categories, deletes, length := ordinaryRow(append(bytes.Clone(line), "\n1,6"...))
	p, c, d, alone := ordinaryRow(line)
	if (length > 0) != (alone > 0) || p != phone || c != categories || d != deletes {
		t.Fatalf("%q is read as %d bytes alone, as %d with a line behind it", line, alone, length)
	}
	if length == 0 {
		return
	}
	if length != len(line)+1 || alone != len(line) {
		t.Fatalf("%q has %d bytes alone, %d with a line behind it", line, alone, length)
	}
	quick := newParser(newSetTable(), nil)
	thorough := newParser(newSetTable(), func(_ int64, why saaf.Reason) { t.Fatalf("%q: %s", line, why) })
	want := quick.row(phone, deletes, Categories{low: categories})
	got, ok, err := thorough.anyLine(line)
	if got != want || !ok || err != nil || thorough.counts != quick.counts {
		t.Fatalf("%q is %s when read quickly, else %s (%v, %v)", line, describe(want, quick.sets), describe(got, thorough.sets), ok, err)
	}
	if thorough.sets.sets[got.set()] != quick.sets.sets[want.set()] {
		t.Fatalf("%q has other categories when read quickly", line)
	}
}

// parseWithCSV reads rows of the standard columns with encoding/csv. plain is false
// when the text has quotes that do not fit, lines inside quotes, or anything else
// that the two packages are meant to read differently.
func parseWithCSV(text []byte) (rows []string, plain bool) {
	for line := range bytes.Lines(text) {
		if len(line) > maxLine || bytes.ContainsAny(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), controls+"\uFEFF") {
			return nil, false
		}
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	for {
		record, err := r.Read()
		if err == io.EOF {
			return rows, true
		}
		if err != nil || strings.ContainsAny(strings.Join(record, ""), "\"\n") {
			return nil, false
		}
		field := func(i int) string {
			if i < len(record) {
				return strings.Trim(record[i], blanks)
			}
			return ""
		}
		if len(record) > 5 && strings.Trim(strings.Join(record[5:], ""), blanks) != "" {
			continue
		}
		phone, why := readPhone([]byte(field(1)))
		if why != saaf.ReasonNone {
			continue
		}
		if strings.EqualFold(field(3), "D") {
			rows = append(rows, phone.National()+" D 0")
			continue
		}
		c, _ := ParseCategories([]byte(field(2)))
		rows = append(rows, phone.National()+" A "+c.String())
	}
}

// FuzzOpen changes bytes of a good file, five bytes of input for each: where, and
// what to. Checksums are made to fit, so that the checks behind them are reached.
func FuzzOpen(f *testing.F) {
	_, good := snapshotFile(f)
	edit := func(at int, to byte) []byte { return append(le.AppendUint32(nil, uint32(at)), to) }
	f.Add([]byte{})
	f.Add(edit(atBytes, 1))
	f.Add(edit(atSets+1, 1))
	f.Add(edit(headerSize+6000*headSize+4, 0))
	f.Add(edit(headerSize+6100*headSize+8, 1))
	f.Add(edit(minFile, 7))
	f.Add(edit(minFile+setSize+8, 1))
	f.Add(append(edit(minFile+setSize+bitmapSize+1, 0xff), edit(minFile+setSize+bitmapSize+ranksSize, 0xff)...))
	f.Fuzz(func(t *testing.T, edits []byte) {
		data := bytes.Clone(good)
		for ; len(edits) >= 5; edits = edits[5:] {
			data[int(le.Uint32(edits))%len(data)] = edits[4]
		}
		data = data[:len(data)-len(edits)] // what is left cuts the file
		le.PutUint64(data[atBytes:], uint64(len(data)))
		if end := minFile + int(le.Uint32(data[atSets:]))*setSize; end <= len(data) {
			le.PutUint32(data[atTables:], checksum(data[headerSize:end]))
		}
		le.PutUint32(data[atCheck:], checksum(data[:atCheck]))
		s, err := newSnapshot(data)
		if err != nil {
			return
		}
		for head := range saaf.Phone(numHeads) {
			for _, n := range []saaf.Phone{0, 1, 2, 1024, 4096, headSpan - 1} {
				s.Lookup(head*headSpan + n)
			}
		}
		for _, err := range Diff(t.Context(), nil, s) {
			if err != nil {
				t.Fatal(err)
			}
		}
		// A delta on it comes to an end, too.
		memory := &scratch{dir: t.TempDir()}
		defer memory.close()
		d, err := newDeltaSet(today, s, newSetTable(), memory)
		if err != nil {
			return
		}
		_ = d.add(0, []row{newRow(6000000000, true, 0), newRow(6000000001, false, d.sets.id(Categories{low: 8})), newRow(6100000000, false, 0)})
		o, err := d.resolve(t.Context(), &Report{})
		if err != nil {
			return
		}
		_, _ = write(t.Context(), io.Discard, d, o, crew{size: 1}, func(int64, int64) {})
	})
}

// FuzzOpenOverlay changes bytes of a good overlay as [FuzzOpen] does those of a
// snapshot file. With raw the input is the file itself.
func FuzzOpenOverlay(f *testing.F) {
	basePath, _, good := overlayFile(f)
	base := open(f, basePath)
	sum := saaf.SHA256(sha256.Sum256(base.data))
	edit := func(at int, to byte) []byte { return append(le.AppendUint32(nil, uint32(at)), to) }
	f.Add([]byte{}, false)
	f.Add(good, true)
	f.Add(good[:headerSize], true)
	f.Add(edit(atOverlayEntries, 3), false)
	f.Add(edit(atOverlayEntries+2, 0xff), false)
	f.Add(edit(atOverlayDict, 1), false)
	f.Add(edit(atOverlayDict+1, 0x0f), false)
	f.Add(edit(atOverlayBase, 1), false)
	f.Add(edit(headerSize+16, 0), false)
	f.Add(edit(headerSize+7, 1), false)
	f.Add(edit(len(good)-1, 0xff), false)
	for at := headerSize + 2*setSize; at < len(good); at += cellSize {
		f.Add(edit(at, 1), false)
		f.Add(edit(at+1, 0x11), false)
	}
	f.Fuzz(func(t *testing.T, input []byte, raw bool) {
		data := input
		if !raw {
			data = bytes.Clone(good)
			for ; len(input) >= 5; input = input[5:] {
				data[int(le.Uint32(input))%len(data)] = input[4]
			}
			data = data[:len(data)-len(input)] // what is left cuts the file
			le.PutUint64(data[atBytes:], uint64(len(data)))
			le.PutUint32(data[atOverlayRest:], checksum(data[headerSize:]))
			le.PutUint32(data[atCheck:], checksum(data[:atCheck]))
		}
		s, err := newOverlay(data[:len(data):len(data)], base, sum)
		if err != nil {
			return
		}
		entries := s.overlay.sorted()
		if len(entries) != int(s.Info().Overlay) {
			t.Fatalf("%d entries of %d", len(entries), s.Info().Overlay)
		}
		for _, r := range entries {
			if got := s.Lookup(r.phone()); got != s.overlay.entry(r) {
				t.Fatalf("%d: %v", r.phone(), got)
			}
			s.Lookup(r.phone() + 1)
		}
		for _, err := range Diff(t.Context(), base, s) {
			if err != nil {
				t.Fatal(err)
			}
		}
		// A delta on it comes to an end, as an overlay and as a whole file.
		for _, whole := range []bool{false, true} {
			b := setup(t).delta(s).file("delta.csv", "13,6000000001,0,A,2\n13,6000000002,5,A,2\n13,9000000000,2#3,A,2\n")
			b.Override, b.whole = "whatever it comes to", whole
			j := newJob(&b.Import)
			if o, err := j.build(t.Context()); err == nil {
				if r, err := j.writeTo(t.Context(), io.Discard, o); err == nil && (r.Overlay == 0) != whole {
					t.Fatalf("%+v", r)
				}
			}
			j.close()
		}
	})
}
