package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"saaf/fileowner"
	"saaf/store"
)

// RestoreRequest says which backup is restored, and where.
type RestoreRequest struct {
	Dir      string // the backup
	DataDir  string // there must be no store in it
	Registry string // directory of snapshot files, in the data directory
	Keys     string // directory where the secrets are, or are to be put from the backup

	// Progress is told how many bytes of how many a stage has done. May be nil.
	Progress func(stage Stage, done, total int64)
}

// workName is the directory in which files wait until all of them are found good.
const workName = "restore.partial"

// ErrNoKeys is in the error of [Restore] when secrets are missing.
var ErrNoKeys = errors.New("without the keys of the store its ledger cannot be continued and no number be matched")

// Restore puts a store from a backup into a data directory that has none. Every file is
// held against its SHA-256 on the way, and none is in place before all are good; the
// database comes last, so that a restoration that was cut short can be done again. It
// returns a [*store.LockedError] when a server uses the data directory.
func Restore(ctx context.Context, req RestoreRequest) (m *Manifest, err error) {
	root, err := os.OpenRoot(req.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no backup in %s: name the directory that saaf backup has made", req.Dir)
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if m, err = read(root, req.Dir); err != nil {
		return nil, err
	}
	if err := vacant(req.DataDir); err != nil { // before a directory is made
		return nil, err
	}
	lock, err := store.LockServe(req.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := vacant(req.DataDir); err != nil {
		return nil, err
	}
	work := filepath.Join(req.DataDir, workName)
	if err := os.RemoveAll(work); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for _, dir := range []string{work, filepath.Join(work, registryDir), filepath.Join(work, keysDir)} {
		if err := fileowner.Mkdir(dir); err != nil {
			return nil, err
		}
	}
	if err := m.fetch(ctx, root, work, req); err != nil {
		return nil, err
	}
	keys, err := m.missingKeys(work, req.Keys)
	if err != nil {
		return nil, err
	}
	return m, m.place(work, keys, req)
}

// vacant refuses a directory with a store, or with what is left of one.
func vacant(dir string) error {
	for _, suffix := range []string{"", "-wal", "-journal"} {
		path := filepath.Join(dir, store.DatabaseName+suffix)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("there is a store in %s (%s), and a backup takes the place of none: name another data directory with --data-dir, or move that one away",
				dir, filepath.Base(path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// fetch copies the files of the backup and compares them.
func (m *Manifest) fetch(ctx context.Context, root *os.Root, work string, req RestoreRequest) error {
	p := &progress{total: m.Bytes(), show: func(done, total int64) {
		if req.Progress != nil {
			req.Progress(Placing, done, total)
		}
	}}
	for _, file := range m.Files {
		if path.Dir(file.Name) == keysDir && !there(root, file.Name) {
			continue // kept apart: see missingKeys
		}
		f, err := root.Open(file.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing: %w", file.Name, errDamaged)
		}
		if err != nil {
			return err
		}
		n, got, err := copyFile(ctx, f, filepath.Join(work, file.Name), p)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if n != file.Bytes || got != file.SHA256 {
			return fmt.Errorf("%s is not as it was when the backup was made (its SHA-256 is %s): %w", file.Name, got, errDamaged)
		}
	}
	return nil
}

func there(root *os.Root, name string) bool {
	_, err := root.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// missingKeys are the secrets that are to be put where the store will look for them.
// Those that are there must be the right ones.
func (m *Manifest) missingKeys(work, dir string) (missing []string, err error) {
	var paths []string
	for _, name := range store.SecretNames() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
			path = filepath.Join(work, keysDir, name)
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("the backup has no %s, and there is none in %s; %w. Fetch pepper and signing.pem from where the keys of this store are kept, and name their directory with --secrets-dir",
					name, dir, ErrNoKeys)
			}
		} else if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return missing, m.identity.Check(paths[0], paths[1])
}

// place moves the files to where the store has them.
func (m *Manifest) place(work string, keys []string, req RestoreRequest) error {
	for _, dir := range []string{req.Registry, req.Keys} {
		if err := fileowner.Mkdir(dir); err != nil {
			return err
		}
	}
	database := ""
	for _, file := range m.Files {
		from := filepath.Join(work, file.Name)
		switch dir, name := path.Split(file.Name); dir {
		case registryDir + "/":
			if err := os.Chmod(from, 0o400); err != nil { // it never changes
				return err
			}
			if err := os.Rename(from, filepath.Join(req.Registry, name)); err != nil {
				return err
			}
		case "":
			database = from
		}
	}
	for _, name := range keys {
		if err := placeKey(filepath.Join(work, keysDir, name), filepath.Join(req.Keys, name)); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(req.Registry), syncDir(req.Keys)); err != nil {
		return err
	}
	if err := os.Rename(database, filepath.Join(req.DataDir, store.DatabaseName)); err != nil {
		return err
	}
	return syncDir(req.DataDir)
}

// placeKey makes a new file of a secret, which may be on another disk, and in the place of
// none.
func placeKey(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	temp := to + ".partial"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(temp, content); err != nil {
		return err
	}
	return errors.Join(os.Link(temp, to), os.Remove(temp))
}
