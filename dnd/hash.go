package dnd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"

	"saaf"
)

// verifyChunk takes a tenth of a millisecond to hash. Between two the processor is
// offered to whoever waits for it: a server hashes half a gigabyte while requests
// come in.
const verifyChunk = 256 << 10

// Verify reads the whole file at path and reports an error unless its SHA-256 is
// sum. It lets others run in between.
func Verify(ctx context.Context, path string, sum saaf.SHA256) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify registry snapshot: %w", err)
	}
	defer f.Close()
	got, err := hash(ctx, f, make([]byte, verifyChunk), func(int) { runtime.Gosched() })
	if err != nil {
		return fmt.Errorf("verify registry snapshot %s: %w", path, err)
	}
	if got != sum {
		return fmt.Errorf("registry snapshot %s has the SHA-256 %s where %s was expected: it %w", path, got, sum, errDamaged)
	}
	return nil
}

// hash reads r to its end by way of buf. It calls progress with the length of each
// piece read.
func hash(ctx context.Context, r io.Reader, buf []byte, progress func(n int)) (saaf.SHA256, error) {
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return saaf.SHA256{}, err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		progress(n)
		if err == io.EOF {
			return saaf.SHA256(h.Sum(nil)), nil
		}
		if err != nil {
			return saaf.SHA256{}, err
		}
	}
}
