package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"saaf"
	"saaf/fileowner"
)

// step is how much is copied before it is synced, a few milliseconds of a disk: whoever
// shares the disk does not wait for more than that.
const step = 4 << 20

// progress adds to what is done of a total.
type progress struct {
	done, total int64
	show        func(done, total int64)
}

func (p *progress) add(n int64) {
	if p.done += n; p.show != nil {
		p.show(p.done, max(p.done, p.total))
	}
}

// sum reads r to its end, and writes it to the file unless that is nil, on the disk when
// it returns.
func sum(ctx context.Context, r io.Reader, to *os.File, p *progress) (n int64, got saaf.SHA256, err error) {
	h := sha256.New()
	buf := make([]byte, step)
	for {
		if err := ctx.Err(); err != nil {
			return n, got, err
		}
		k, err := io.ReadFull(r, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return n, got, err
		}
		h.Write(buf[:k])
		if to != nil {
			start := time.Now()
			if _, err := to.Write(buf[:k]); err != nil {
				return n, got, err
			}
			if err := to.Sync(); err != nil {
				return n, got, err
			}
			if !end {
				time.Sleep(time.Since(start)) // half of the time the disk is for others
			}
		}
		n += int64(k)
		p.add(int64(k))
		if end {
			return n, saaf.SHA256(h.Sum(nil)), nil
		}
	}
}

// sumFile is sum of a file that stays where it is.
func sumFile(ctx context.Context, path string, p *progress) (n int64, got saaf.SHA256, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, got, err
	}
	defer f.Close()
	return sum(ctx, f, nil, p)
}

// copyFile writes a new file that only its owner can read.
func copyFile(ctx context.Context, r io.Reader, to string, p *progress) (n int64, got saaf.SHA256, err error) {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, got, err
	}
	if err := fileowner.Settle(f, filepath.Dir(to)); err != nil {
		return 0, got, errors.Join(err, f.Close())
	}
	n, got, err = sum(ctx, r, f, p)
	return n, got, errors.Join(err, f.Close())
}

// duplicate writes a new file that holds what another one does, and returns what is in the new
// one. Where the file system can share blocks between files, or copy them by itself, it does:
// blocks that are shared are separated as soon as one of them is written to.
func duplicate(ctx context.Context, from, to string, p *progress) (n int64, got saaf.SHA256, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, got, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, got, err
	}
	if err := errors.Join(fileowner.Settle(out, filepath.Dir(to)), transfer(ctx, out, in, p), out.Close()); err != nil {
		return 0, got, err
	}
	return sumFile(ctx, to, p)
}

// transfer copies in to its end, on the disk when it returns.
func transfer(ctx context.Context, out, in *os.File, p *progress) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		k, err := io.CopyN(out, in, step)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := out.Sync(); err != nil {
			return err
		}
		p.add(k)
		if err != nil {
			return nil
		}
		time.Sleep(time.Since(start)) // half of the time the disk is for others
	}
}

// writeFile writes a new file that only its owner can read.
func writeFile(to string, content []byte) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, fileowner.Settle(f, filepath.Dir(to)), f.Sync(), f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
