package store

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"saaf"
	"saaf/fileowner"
)

// The secrets of a deployment are files of their own beside the database, readable
// by their owner alone. The database holds only what tells the right ones from
// others.
const (
	pepperName     = "pepper"      // 64 hexadecimal digits
	signingKeyName = "signing.pem" // Ed25519, PKCS #8
)

// secrets are what the store needs to write evidence.
type secrets struct {
	deployment saaf.DeploymentID
	pepper     saaf.Pepper
	signing    ed25519.PrivateKey
}

// loadSecrets reads the secrets of the store, and makes them when it has none yet.
// Files that are missing, or belong to another store, are refused: with another
// pepper no number would match its evidence or its suppression any more.
func (s *Store) loadSecrets(ctx context.Context) error {
	err := s.engine.setUp(ctx, s.readSecrets)
	if err != nil && s.engine.shared() && errors.Is(err, errSecrets) {
		if _, serr := os.Stat(s.cfg.Secrets); errors.Is(serr, fs.ErrNotExist) {
			err = fmt.Errorf("there is no directory %s, and so %w", s.cfg.Secrets, err)
		}
		err = fmt.Errorf("%w. All processes on one database need the same: copy %s and %s from where the first one keeps them into %s, or name their directory with --secrets-dir",
			err, pepperName, signingKeyName, s.cfg.Secrets)
	}
	return err
}

// errSecrets is in every error about secrets that are missing or of another store.
var errSecrets = errors.New("restore it from where the keys of this store are kept: without it no evidence can be matched or signed")

func (s *Store) readSecrets(conn session) error {
	var fingerprint, public []byte
	halfMoved := false
	const sqlSecrets = `SELECT id, pepper_fingerprint, public_key, moving FROM deployment`
	err := conn.query(sqlSecrets, func(r row) error {
		s.secrets.deployment, fingerprint, public = saaf.DeploymentID(r.int64()), r.bytes(), r.bytes()
		halfMoved = r.optionalText() != nil
		return nil
	})
	if err != nil {
		return err
	}
	if halfMoved && !s.cfg.halfMoved {
		return errHalfMoved
	}
	moved, err := readMoved(conn, s.cfg.Dir)
	if err != nil {
		return err
	}
	if moved != nil && !s.cfg.Moved {
		return moved
	}
	fresh := fingerprint == nil
	if fresh && s.cfg.MustExist && s.engine.shared() {
		return ErrNoStore // there are its tables, and nothing is in them
	}
	if s.secrets.pepper, err = readPepper(filepath.Join(s.cfg.Secrets, pepperName), fresh); err != nil {
		return err
	}
	if s.secrets.signing, err = readSigningKey(filepath.Join(s.cfg.Secrets, signingKeyName), fresh); err != nil {
		return err
	}
	if fresh {
		return s.adoptSecrets(conn)
	}
	return s.secrets.match(fingerprint, public)
}

// adoptSecrets records which secrets belong to the store. Of two processes that
// make a store at once, both find the same files and the first names it.
func (s *Store) adoptSecrets(conn session) error {
	print := s.secrets.pepper.Fingerprint()
	public := s.secrets.signing.Public().(ed25519.PublicKey)
	const sqlAdopt = `
		UPDATE deployment SET id = $1, pepper_fingerprint = $2, public_key = $3
		 WHERE pepper_fingerprint IS NULL AND moving IS NULL`
	n, err := conn.exec(sqlAdopt, s.ids.Next(), print[:], []byte(public))
	if err != nil {
		return err
	}
	s.fresh = n > 0
	var was, key []byte
	const sqlAdopted = `SELECT id, pepper_fingerprint, public_key FROM deployment`
	err = conn.query(sqlAdopted, func(r row) error {
		s.secrets.deployment, was, key = saaf.DeploymentID(r.int64()), r.bytes(), r.bytes()
		return nil
	})
	if err != nil {
		return err
	}
	return s.secrets.match(was, key)
}

func (c *secrets) match(fingerprint, public []byte) error {
	if got := c.pepper.Fingerprint(); string(got[:]) != string(fingerprint) {
		return fmt.Errorf("the file %s is not the one of this store: %w", pepperName, errSecrets)
	}
	if string(c.signing.Public().(ed25519.PublicKey)) != string(public) {
		return fmt.Errorf("the file %s is not the one of this store: %w", signingKeyName, errSecrets)
	}
	return nil
}

func readPepper(path string, create bool) (p saaf.Pepper, err error) {
	text, err := readSecret(path, create, func() ([]byte, error) {
		var fresh saaf.Pepper
		_, err := rand.Read(fresh[:])
		return []byte(hex.EncodeToString(fresh[:]) + "\n"), err
	})
	if err != nil {
		return p, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(p) {
		return p, fmt.Errorf("the file %s must hold 64 hexadecimal digits: restore it", path)
	}
	return saaf.Pepper(raw), nil
}

func readSigningKey(path string, create bool) (ed25519.PrivateKey, error) {
	text, err := readSecret(path, create, func() ([]byte, error) {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	})
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("the file %s must hold an Ed25519 key in PEM: restore it", path)
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, bad
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signing, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, bad
	}
	return signing, nil
}

// readSecret reads a file of secrets. With create, one that is missing is made;
// of two processes that make it at once, one does.
func readSecret(path string, create bool, fresh func() ([]byte, error)) ([]byte, error) {
	text, err := readPrivate(path)
	switch {
	case err == nil:
		return text, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !create:
		return nil, fmt.Errorf("the file %s is missing: %w", path, errSecrets)
	}
	if text, err = fresh(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	err = errors.Join(err, fileowner.Settle(f, filepath.Dir(path)), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // fails where another process was quicker
	}
	if err = errors.Join(ignore(err, fs.ErrExist), os.Remove(f.Name())); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return readPrivate(path)
}

// readPrivate reads a file that only its owner can change, and only the owner and the
// group can read: a group is how secrets come into a container.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o027 != 0 {
		return nil, fmt.Errorf("the file %s may be read or changed by others on this machine (mode %04o), who could then match or sign evidence: chmod 600 %s. "+
			"The group may read it (mode 0440), as in a container, but not change it", path, mode.Perm(), path)
	}
	return io.ReadAll(f)
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Deployment names the store for life.
func (s *Store) Deployment() saaf.DeploymentID { return s.secrets.deployment }

// PublicKey checks the signatures of the checkpoints made here.
func (s *Store) PublicKey() ed25519.PublicKey { return s.secrets.signing.Public().(ed25519.PublicKey) }

// Hasher makes the hashes by which the evidence of a tenant knows phones; tenant 0
// stands for the deployment.
func (s *Store) Hasher(tenant saaf.TenantID) *saaf.PhoneHasher {
	if h, ok := s.hashers.Load(tenant); ok {
		return h.(*saaf.PhoneHasher)
	}
	h, _ := s.hashers.LoadOrStore(tenant, s.secrets.pepper.Hasher(tenant))
	return h.(*saaf.PhoneHasher)
}
