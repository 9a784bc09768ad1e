package dnd

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

func TestSave(t *testing.T) {
	t.Parallel()
	b := setup(t).file("full.csv", numbers(6000000000, 1000, "A"))
	_, r := b.run()
	content, err := os.ReadFile(r.Result.Path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(content []byte, pieces int) func(io.Writer) error {
		return func(w io.Writer) error {
			for size := max(len(content)/pieces, 1); len(content) > 0; {
				n, err := w.Write(content[:min(size, len(content))])
				if err != nil {
					return err
				}
				content = content[n:]
			}
			return nil
		}
	}
	there := setup(t)
	sum := r.Result.SHA256
	path := filepath.Join(there.Dir, sum.String()+Extension)
	for range 2 { // the second one replaces the first
		if err := Save(t.Context(), there.Dir, sum, in(content, 7)); err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), path, sum); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o400 {
			t.Error(info, err)
		}
	}
	want{6000000999: "0", 6000001000: ""}.check(t, open(t, path))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("the connection is lost")
	for name, c := range map[string]struct {
		ctx   context.Context
		write func(io.Writer) error
		want  error
	}{
		"shorter":   {t.Context(), in(content[:len(content)-1], 2), ErrOtherContent},
		"longer":    {t.Context(), in(append(content[:len(content):len(content)], 0), 2), ErrOtherContent},
		"nothing":   {t.Context(), in(nil, 1), ErrOtherContent},
		"cut short": {t.Context(), func(io.Writer) error { return broken }, broken},
		"cancelled": {ended, in(content, 2), context.Canceled},
	} {
		other := setup(t)
		if err := Save(c.ctx, other.Dir, sum, c.write); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if names := other.visible(); len(names) > 0 {
			t.Errorf("%s: it left %v", name, names)
		}
	}
}

// What a killed process left goes with the next file, and a flipped bit is seen
// wherever it is.
func TestSaveAfterOneWasKilled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := os.Mkdir(b.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	killed, err := createTemp(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	killed.Close() // what the system does for a process that is killed
	content := []byte("any content")
	sum := saaf.SHA256(sha256.Sum256(content))
	for bit := range 8 * len(content) {
		content[bit/8] ^= 1 << (bit % 8)
		err := Save(t.Context(), b.Dir, sum, func(w io.Writer) error { _, err := w.Write(content); return err })
		if !errors.Is(err, ErrOtherContent) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
		content[bit/8] ^= 1 << (bit % 8)
	}
	if err := Save(t.Context(), b.Dir, sum, func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{sum.String() + Extension}, b.visible()); diff != "" {
		t.Error(diff)
	}
}
