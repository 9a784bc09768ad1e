package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// Request says of what a backup is made, and where.
type Request struct {
	DataDir  string // of the embedded store
	Registry string // directory of its snapshot files, none of which is removed meanwhile
	Keep     int    // how many snapshots are kept, the active one included
	Keys     string // directory of pepper and signing key, to be in the backup too; "": they are not
	Dir      string // where the backup is to be: empty, or not there; its parent is
	Program  string // version of this program

	// Begin is told about how many bytes the backup takes, before the first is written. May be nil.
	Begin func(bytes int64)

	// Aside is called when the work begins to be slow and hurts nobody by that. May be nil.
	Aside func()

	// Progress is told how many bytes of how many a stage has done. May be nil.
	Progress func(stage Stage, done, total int64)
}

// Stage is what a backup or its restoration is at.
type Stage string

// The stages, in their order.
const (
	Copying  Stage = "copying"  // the database
	Checking Stage = "checking" // reading what was written, and the registry
	Placing  Stage = "restoring"
)

// Make makes a backup beside a server that goes on. Everything that was answered before it
// began is in it. After an error nothing is left; of a process that was killed a directory
// stays whose name ends in .partial, and which the next backup of that name removes.
func Make(ctx context.Context, req Request) (m *Manifest, err error) {
	if there, err := store.Exists(ctx, store.Config{Dir: req.DataDir}); err != nil || !there {
		return nil, errors.Join(err, noStore(there))
	}
	t, err := newTarget(req.Dir, req.DataDir)
	if err != nil {
		return nil, err
	}
	if req.Begin != nil {
		req.Begin(needed(req))
	}
	published := false
	defer func() { err = errors.Join(err, t.close(published)) }()
	copied, err := store.CopyDatabase(ctx, store.CopyRequest{
		Dir: req.DataDir, To: filepath.Join(t.partial, store.DatabaseName), Keep: req.Keep, Aside: req.Aside,
		Progress: func(done, total int64) {
			if req.Progress != nil {
				req.Progress(Copying, done, total)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	m = &Manifest{
		Format: format, Program: req.Program, Deployment: copied.Deployment, At: copied.At, Schema: copied.Schema,
		PublicKey: saaf.EncodeKey(copied.PublicKey), Pepper: copied.Pepper, Keys: req.Keys != "",
		Ledger: LedgerHead{copied.Head.Seq, copied.Head.Hash},
	}
	if len(copied.Snapshots) > 0 {
		active := &copied.Snapshots[0]
		m.Snapshot = &Snapshot{active.ID, active.EffectiveDate, active.SHA256}
	}
	if err := m.fill(ctx, t.partial, req, copied); err != nil {
		return nil, err
	}
	manifest, sums, err := m.encode()
	if err != nil {
		return nil, err
	}
	err = errors.Join(writeFile(filepath.Join(t.partial, manifestName), manifest), writeFile(filepath.Join(t.partial, sumsName), sums))
	if err == nil {
		err = t.publish()
	}
	published = err == nil
	return m, err
}

// needed is about how many bytes a backup takes: what is in the log of the database, and files
// of the registry that are not kept, make a difference.
func needed(req Request) (bytes int64) {
	paths, _ := filepath.Glob(filepath.Join(req.Registry, "*"+dnd.Extension)) // the pattern is well formed but for odd names
	for _, path := range append(paths, filepath.Join(req.DataDir, store.DatabaseName)) {
		if info, err := os.Stat(path); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

func noStore(there bool) error {
	if there {
		return nil
	}
	return store.ErrNoStore
}

// fill puts keys and registry files beside the database, and reads what it lists.
func (m *Manifest) fill(ctx context.Context, dir string, req Request, copied store.Copied) error {
	info, err := os.Stat(filepath.Join(dir, store.DatabaseName))
	if err != nil {
		return err
	}
	p := &progress{total: info.Size(), show: func(done, total int64) {
		if req.Progress != nil {
			req.Progress(Checking, done, total)
		}
	}}
	list := registryFiles(copied.Snapshots)
	for _, sha := range list {
		if info, err := os.Stat(filepath.Join(req.Registry, sha.String()+dnd.Extension)); err == nil {
			p.total += 2 * info.Size() // written and read
		}
	}
	if m.Keys {
		if err := m.addKeys(ctx, dir, req.Keys, copied.Identity); err != nil {
			return err
		}
	}
	n, got, err := sumFile(ctx, filepath.Join(dir, store.DatabaseName), p)
	if err != nil {
		return err
	}
	m.Files = append(m.Files, File{store.DatabaseName, n, got})
	if len(list) == 0 {
		return nil
	}
	if err := os.Mkdir(filepath.Join(dir, registryDir), 0o700); err != nil {
		return err
	}
	for _, sha := range list {
		if err := m.addSnapshot(ctx, dir, req.Registry, sha, p); err != nil {
			return err
		}
	}
	return syncDir(filepath.Join(dir, registryDir))
}

// registryFiles are the files of snapshots, each once.
func registryFiles(list []saaf.Snapshot) (files []saaf.SHA256) {
	seen := map[saaf.SHA256]bool{{}: true}
	for i := range list {
		for _, sha := range []saaf.SHA256{list[i].BaseSHA256, list[i].SHA256} {
			if !seen[sha] {
				seen[sha] = true
				files = append(files, sha)
			}
		}
	}
	return files
}

// addSnapshot adds a copy of a registry file: damage to one, or another owner, must not reach
// the other. One that is not whole is left out: the leads are worth more than a file that can
// be imported again.
func (m *Manifest) addSnapshot(ctx context.Context, dir, registry string, sha saaf.SHA256, p *progress) error {
	name := sha.String() + dnd.Extension
	from, to := filepath.Join(registry, name), filepath.Join(dir, registryDir, name)
	n, got, err := duplicate(ctx, from, to, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.Warnings = append(m.Warnings, fmt.Sprintf("the registry file %s is missing, and not in the backup: import the registry again", from))
		return nil
	case err != nil:
		return err
	case got != sha:
		m.Warnings = append(m.Warnings, fmt.Sprintf("the registry file %s is damaged, and not in the backup: import the registry again", from))
		return os.Remove(to)
	}
	m.Files = append(m.Files, File{path.Join(registryDir, name), n, sha})
	return nil
}

// addKeys adds the secrets, in a directory of their own that can be kept elsewhere.
func (m *Manifest) addKeys(ctx context.Context, dir, keys string, id store.Identity) error {
	to := filepath.Join(dir, keysDir)
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	var paths []string
	for _, name := range store.SecretNames() {
		if err := func() error {
			f, err := os.Open(filepath.Join(keys, name))
			if err != nil {
				return fmt.Errorf("%w: name the directory of %s with --secrets-dir", err, name)
			}
			defer f.Close()
			n, got, err := copyFile(ctx, f, filepath.Join(to, name), &progress{})
			m.Files = append(m.Files, File{path.Join(keysDir, name), n, got})
			return err
		}(); err != nil {
			return err
		}
		paths = append(paths, filepath.Join(to, name))
	}
	if err := id.Check(paths[0], paths[1]); err != nil {
		return err
	}
	return syncDir(to)
}
