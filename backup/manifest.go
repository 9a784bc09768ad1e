package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// The files of a backup; those of the store are [store.DatabaseName], and the secrets
// and snapshots in these directories.
const (
	manifestName = "manifest.json"
	sumsName     = "SHA256SUMS"
	registryDir  = "registry"
	keysDir      = "keys"
)

// format is the form of a backup. One of a higher number is refused.
const format = 1

// Manifest says what a backup holds.
type Manifest struct {
	Format     int               `json:"format"`
	Program    string            `json:"saaf"` // version that made it
	Deployment saaf.DeploymentID `json:"deployment"`
	At         time.Time         `json:"at"`     // everything answered before is in it
	Schema     string            `json:"schema"` // the last migration
	PublicKey  string            `json:"public_key"`
	Pepper     saaf.SHA256       `json:"pepper_fingerprint"`
	Keys       bool              `json:"keys"`   // pepper and signing key are in it
	Ledger     LedgerHead        `json:"ledger"` // its last entry
	Snapshot   *Snapshot         `json:"snapshot"`
	Files      []File            `json:"files"`
	Warnings   []string          `json:"warnings,omitempty"` // registry files that were not whole, and are left out
	identity   store.Identity
}

// LedgerHead is the last entry of the ledger, with Seq 0 for an empty one.
type LedgerHead struct {
	Seq  int64       `json:"seq"`
	Hash saaf.SHA256 `json:"hash"`
}

// Snapshot is the registry snapshot that was active.
type Snapshot struct {
	ID            saaf.SnapshotID `json:"id"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	SHA256        saaf.SHA256     `json:"sha256"`
}

// File is a file of a backup.
type File struct {
	Name   string      `json:"name"` // with slashes, below the directory
	Bytes  int64       `json:"bytes"`
	SHA256 saaf.SHA256 `json:"sha256"`
}

// Bytes is how many bytes the files have together.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// encode is the manifest as it stands in its file, and the sums of all files.
func (m *Manifest) encode() (manifest, sums []byte, err error) {
	manifest, err = json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	manifest = append(manifest, '\n')
	return manifest, m.sums(manifest), nil
}

// sums is the content of SHA256SUMS.
func (m *Manifest) sums(manifest []byte) []byte {
	var out bytes.Buffer
	for _, f := range m.Files {
		fmt.Fprintf(&out, "%s  %s\n", f.SHA256, f.Name)
	}
	fmt.Fprintf(&out, "%s  %s\n", saaf.SHA256(sha256.Sum256(manifest)), manifestName)
	return out.Bytes()
}

// errDamaged is in every error about a backup that is not as it was made.
var errDamaged = errors.New("the backup is damaged: restore another one, or fetch this one anew from where its copies are")

// read reads the manifest of the backup in dir.
func read(root *os.Root, dir string) (m *Manifest, err error) {
	text, err := root.ReadFile(manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s, so it is no backup, or one that was cut short: name a directory that saaf backup has finished", dir, manifestName)
	}
	if err != nil {
		return nil, err
	}
	sums, err := root.ReadFile(sumsName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m = new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", manifestName, err, errDamaged)
	}
	if !bytes.Equal(sums, m.sums(text)) {
		return nil, fmt.Errorf("%s and %s do not fit together: %w", manifestName, sumsName, errDamaged)
	}
	if m.Format != format {
		return nil, fmt.Errorf("the backup has format %d, made by saaf %s, and this program reads format %d: use that version", m.Format, m.Program, format)
	}
	m.identity = store.Identity{Deployment: m.Deployment, Pepper: m.Pepper}
	if m.identity.PublicKey, err = saaf.DecodeKey(m.PublicKey); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", manifestName, err, errDamaged)
	}
	return m, m.check()
}

// check refuses names that a backup does not have: they would be written to.
func (m *Manifest) check() error {
	database := false
	for _, f := range m.Files {
		switch dir, name := path.Split(f.Name); {
		case f.Name == store.DatabaseName:
			database = true
		case dir == registryDir+"/" && name == f.SHA256.String()+dnd.Extension:
		case dir == keysDir+"/" && m.Keys && isSecret(name):
		default:
			return fmt.Errorf("%s names %q, which no backup has: %w", manifestName, f.Name, errDamaged)
		}
	}
	if !database {
		return fmt.Errorf("%s names no %s: %w", manifestName, store.DatabaseName, errDamaged)
	}
	known, err := store.KnowsSchema(m.Schema)
	if err == nil && !known {
		err = fmt.Errorf("the backup was made by saaf %s, whose store this program does not know (%s): use that version or a newer one", m.Program, m.Schema)
	}
	return err
}

func isSecret(name string) bool {
	return slices.Contains(store.SecretNames(), name)
}

// known reports whether a name is one that a backup has in its directory, whole or not.
func known(name string) bool {
	return name == manifestName || name == sumsName || name == registryDir || name == keysDir || strings.HasPrefix(name, store.DatabaseName)
}
