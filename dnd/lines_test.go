package dnd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAll is all that a line reader gives of r.
func readAll(r io.Reader, buf int) (text string, err error) {
	lines := &lineReader{r: r}
	bufs := [2][]byte{make([]byte, buf), make([]byte, buf)}
	var all strings.Builder
	for i := 0; ; i++ {
		chunk, end := lines.next(bufs[i/2%2]) // each twice, as it comes
		all.Write(chunk)
		if end != nil {
			return all.String(), end
		}
		if !bytes.HasSuffix(chunk, []byte("\n")) {
			return all.String(), errors.New("a chunk ends inside a line")
		}
	}
}

// However a stream arrives, its lines are the same, but for long ones, of which
// only the beginning arrives.
func TestLines(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	const small = 2 * maxLine
	rapid.Check(t, func(rt *rapid.T) {
		var text, want strings.Builder
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(0, 4*maxLine)), 0, 8).Draw(rt, "lines") {
			line := strings.Repeat("x", n)
			text.WriteString(line + "\n")
			want.WriteString(line + "\n")
		}
		last := rapid.SampledFrom([]string{"", "last"}).Draw(rt, "last")
		whole := text.String() + last
		for name, r := range map[string]io.Reader{
			"at once":      strings.NewReader(whole),
			"bytewise":     iotest.OneByteReader(strings.NewReader(whole)),
			"by halves":    iotest.HalfReader(strings.NewReader(whole)),
			"with its end": iotest.DataErrReader(strings.NewReader(whole)),
		} {
			got, err := readAll(r, small)
			if err != io.EOF || shorten(got) != shorten(want.String()+last) {
				rt.Fatalf("%s: %d bytes of %d, %v", name, len(got), len(whole), err)
			}
		}
		got, err := readAll(io.MultiReader(strings.NewReader(whole), iotest.ErrReader(broken)), small)
		if err != broken || shorten(got) != shorten(want.String()) {
			rt.Fatalf("broken: %d bytes of %d, %v", len(got), want.Len(), err)
		}
	})
}

// shorten cuts lines that are too long to the length at which they are.
func shorten(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = line[:min(len(line), maxLine+1)]
	}
	return strings.Join(lines, "\n")
}
