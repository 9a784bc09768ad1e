//go:build unix

package dnd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"saaf"
	"saaf/fileowner"
)

// ErrOtherContent is returned by [Save] for a content that is not what its name says.
var ErrOtherContent = errors.New("the content is another than its hash says")

// Save puts a snapshot file that was made elsewhere into dir, under its name. write
// hands its content over from front to back. Nothing is visible before all of it is
// durable and has the SHA-256 sum, and after an error nothing is left: of a process
// that was killed the next Save or [Import] in dir removes the rest. A file that has
// the name already is replaced; who has it mapped keeps what was there.
func Save(ctx context.Context, dir string, sum saaf.SHA256, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save registry snapshot %s: %w", sum, err)
		}
	}()
	if err := fileowner.Mkdir(dir); err != nil {
		return err
	}
	if err := removeLeftovers(dir); err != nil {
		return err
	}
	f, err := createTemp(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.discard()) }()
	h := sha256.New()
	if err := write(io.MultiWriter(&steadyWriter{file: f.File}, h)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if saaf.SHA256(h.Sum(nil)) != sum {
		return ErrOtherContent
	}
	_, err = f.publish(sum)
	return err
}
