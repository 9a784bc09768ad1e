package scrub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"saaf"
	"saaf/store"
)

// uploadLost is after which time an import is given up whose file lies on the disk of
// a server that is gone.
const uploadLost = time.Minute

// absences are the imports whose server is gone and whose file is not here, since
// when this process has seen that.
type absences map[saaf.RegistryImportID]time.Time

// dueImport is an import that this process can bring to its end.
type dueImport struct {
	store.RegistryImport
	givenUp string // why it cannot be done by anybody; empty for one that is to be done
}

// dueImports lists the unfinished imports whose files are here, and those whose files
// nobody has, oldest first.
func (s *Service) dueImports(ctx context.Context) (due []dueImport, err error) {
	list, err := s.store.UnfinishedImports(ctx)
	if err != nil {
		return nil, err
	}
	absent := make(absences)
	var alive map[saaf.ServerID]bool
	for _, im := range list {
		here, err := s.hasUpload(im.File)
		if err != nil {
			return nil, err
		}
		if here {
			due = append(due, dueImport{RegistryImport: im})
			continue
		}
		if !s.store.Shared() { // nobody else can have it
			due = append(due, dueImport{im, "The file of this import is not in the data directory, as where that was restored from a backup. " +
				"The registry stays as it was. Send the file again."})
			continue
		}
		if alive == nil {
			if alive, err = s.serversAlive(ctx); err != nil {
				return nil, err
			}
		}
		if alive[im.Server] {
			continue // its own
		}
		since, seen := s.awaited[im.ID]
		if !seen {
			since = time.Now()
		}
		absent[im.ID] = since
		if time.Since(since) >= uploadLost {
			due = append(due, dueImport{im, fmt.Sprintf("The file of this import lies on the disk of server %s, which stopped before it was imported "+
				"and has not come back. The registry stays as it was. Send the file again.", im.Server)})
		}
	}
	s.awaited = absent
	return due, nil
}

// hasUpload reports whether a file that was uploaded is here.
func (s *Service) hasUpload(name string) (bool, error) {
	_, err := os.Stat(filepath.Join(s.uploads, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) serversAlive(ctx context.Context) (map[saaf.ServerID]bool, error) {
	servers, _, err := s.store.Running(ctx)
	alive := make(map[saaf.ServerID]bool, len(servers))
	for _, sv := range servers {
		alive[sv.ID] = true
	}
	return alive, err
}
