package scrub

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"saaf"
	"saaf/fileowner"
	"saaf/store"
)

// uploadSuffix ends the names of uploaded registry files.
const uploadSuffix = ".upload"

// UploadDir is where registry files wait that came over the API.
func UploadDir(dataDir string) string { return filepath.Join(dataDir, "uploads") }

// UploadRequest is a registry file that comes over the API.
type UploadRequest struct {
	Mode          saaf.ImportMode
	EffectiveDate saaf.Date
	Override      string // why refusals that can be lifted shall be lifted
	By            saaf.By
}

// Upload streams a registry file to the disk and queues its import, which begins by
// itself. It holds no more than a buffer of the file in memory, and leaves nothing
// behind when the file does not arrive whole.
func (s *Service) Upload(ctx context.Context, req UploadRequest, body io.Reader) (im store.RegistryImport, err error) {
	if err := fileowner.Mkdir(s.uploads); err != nil {
		return im, fmt.Errorf("upload: %w", err)
	}
	name := rand.Text() + uploadSuffix
	path := filepath.Join(s.uploads, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return im, fmt.Errorf("upload: %w", err)
	}
	s.uploading.Store(name, true)
	defer s.uploading.Delete(name)
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	err = errors.Join(err, f.Sync(), f.Close(), syncDir(s.uploads))
	if err == nil && n == 0 {
		err = &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: []saaf.FieldError{{Loc: []string{"body"},
			Msg: "the body is empty: send the registry file itself, .csv, .csv.gz or .zip", Type: "value_error.missing"}}}
	}
	if err == nil {
		im, err = s.store.QueueImport(ctx, store.RegistryImport{Mode: req.Mode, EffectiveDate: req.EffectiveDate,
			Override: req.Override, File: name, SHA256: saaf.SHA256(sum.Sum(nil)), By: req.By, ImportProgress: store.ImportProgress{BytesTotal: n}})
	}
	if err != nil {
		return im, errors.Join(err, os.Remove(path))
	}
	s.imports.ring()
	return im, nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bell wakes a worker; rings while it works are not lost and not counted.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// importsEvery is how often imports are looked for that nobody rang for.
const importsEvery = 10 * time.Second

// ImportsLease is had by the one process that does imports that came over the API.
const ImportsLease = "imports"

// RunImports does the imports whose files have come to this process over the API,
// one after the other and not beside those of other processes, until ctx ends. One
// that a crash cut short is done again; had it activated its snapshot before, it
// counts as done.
func (s *Service) RunImports(ctx context.Context) error {
	if err := s.removeUploads(ctx); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "uploads that nobody needs could not be removed", "error", err)
	}
	for {
		due, err := s.dueImports(ctx)
		if err == nil && len(due) > 0 {
			err = s.store.Leased(ctx, ImportsLease, s.importLeased)
		}
		again := importsEvery
		if err != nil && ctx.Err() == nil {
			again = recheckEvery
			s.log.ErrorContext(ctx, "imports are not done, will be tried again", "error", err)
		}
		select {
		case <-s.imports:
		case <-time.After(again): // what others left, and errors
		case <-ctx.Done():
			return nil
		}
	}
}

// importLeased does the imports that are due.
func (s *Service) importLeased(ctx context.Context, l store.Lease) error {
	due, err := s.dueImports(ctx) // while another process had the lease some were done
	if err != nil {
		return err
	}
	for _, d := range due {
		if ctx.Err() != nil {
			return nil
		}
		if d.givenUp != "" {
			err = GiveUpImport(ctx, s.store, s.uploads, l, d.ID, d.givenUp)
		} else {
			err = s.runImport(ctx, l, d.ID)
		}
		if errors.Is(err, store.ErrLeaseLost) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "import failed", "import", d.ID.String(), "error", err)
		}
		// What was activated is in force here before anybody can see that the
		// import is over for long; other servers see the version.
		if _, err := s.Load(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the snapshot that was imported is not loaded yet", "error", err)
		}
	}
	return nil
}

// removeUploads removes files of uploads that did not arrive whole, and of imports
// that have ended.
func (s *Service) removeUploads(ctx context.Context) error {
	entries, err := os.ReadDir(s.uploads)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := s.store.UnfinishedImports(ctx)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(list))
	for _, im := range list {
		wanted[im.File] = true
	}
	var errs []error
	for _, e := range entries {
		_, arriving := s.uploading.Load(e.Name())
		if strings.HasSuffix(e.Name(), uploadSuffix) && !wanted[e.Name()] && !arriving {
			errs = append(errs, os.Remove(filepath.Join(s.uploads, e.Name())))
		}
	}
	return errors.Join(errs...)
}
