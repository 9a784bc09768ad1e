package store

import (
	"crypto/ed25519"

	"saaf"
)

// Identity tells the secrets of a store from those of others.
type Identity struct {
	Deployment saaf.DeploymentID
	Pepper     saaf.SHA256 // its fingerprint
	PublicKey  ed25519.PublicKey
}

// SecretNames are the files of secrets, in their directory.
func SecretNames() []string { return []string{pepperName, signingKeyName} }

// Check reports an error unless two files are the secrets of the store, which only
// their owner may read and change.
func (id Identity) Check(pepper, signing string) error {
	var c secrets
	var err error
	if c.pepper, err = readPepper(pepper, false); err != nil {
		return err
	}
	if c.signing, err = readSigningKey(signing, false); err != nil {
		return err
	}
	return c.match(id.Pepper[:], id.PublicKey)
}
