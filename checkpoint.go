package saaf

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Checkpoint says how far every chain of the ledger had come at one moment, and
// names the checkpoint before. Signed, it is what finds a tail that was cut off or
// a chain that is missing; printed and lodged with somebody else, it is what finds
// that everything was written anew.
type Checkpoint struct {
	Version    int              `json:"v"` // 1
	Deployment DeploymentID     `json:"deployment"`
	Seq        int64            `json:"seq"` // 1, 2, 3, ...
	At         time.Time        `json:"at"`
	Heads      []CheckpointHead `json:"heads"`
	Before     SHA256           `json:"before"` // hash of the checkpoint before, zero for the first
	Key        string           `json:"key"`    // the public Ed25519 key in base64
}

// CheckpointHead is the last entry of one chain.
type CheckpointHead struct {
	Writer int64   `json:"writer"`
	Seq    int64   `json:"seq"`
	Entry  EntryID `json:"entry"`
	Hash   SHA256  `json:"hash"`
}

// SignedCheckpoint is a checkpoint as it is stored: its JSON on one line, and the
// signature over that.
type SignedCheckpoint struct {
	Text      []byte
	Signature []byte
}

// Sign makes the checkpoint final. It sets the key.
func (c Checkpoint) Sign(key ed25519.PrivateKey) (SignedCheckpoint, error) {
	c.Key = EncodeKey(key.Public().(ed25519.PublicKey))
	text, err := json.Marshal(c)
	if err != nil {
		return SignedCheckpoint{}, err
	}
	return SignedCheckpoint{Text: text, Signature: ed25519.Sign(key, text)}, nil
}

// EncodeKey is a public key as text.
func EncodeKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// DecodeKey reads a public key.
func DecodeKey(s string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("this is not a public key: it has 44 characters of base64, as saaf audit checkpoint prints it")
	}
	return key, nil
}

// Hash names the checkpoint in the one after.
func (s *SignedCheckpoint) Hash() SHA256 {
	return sha256.Sum256(append(append([]byte("saaf checkpoint 1\x00"), s.Text...), s.Signature...))
}

// Open checks the signature by key and reads the checkpoint.
func (s *SignedCheckpoint) Open(key ed25519.PublicKey) (c Checkpoint, err error) {
	if !ed25519.Verify(key, s.Text, s.Signature) {
		return c, errors.New("its signature is not by the key of this deployment")
	}
	if err := json.Unmarshal(s.Text, &c); err != nil {
		return c, fmt.Errorf("it cannot be read: %w", err)
	}
	if c.Version != 1 {
		return c, fmt.Errorf("it has the version %d, which this program does not know", c.Version)
	}
	return c, nil
}

// The printed form of a signed checkpoint.
const (
	checkpointBegin = "-----BEGIN SAAF CHECKPOINT-----"
	checkpointEnd   = "-----END SAAF CHECKPOINT-----"
)

// String is the printed form: three lines between two others.
func (s *SignedCheckpoint) String() string {
	return fmt.Sprintf("%s\n%s\nhash %s\nsignature %s\n%s\n", checkpointBegin, s.Text, s.Hash(),
		base64.StdEncoding.EncodeToString(s.Signature), checkpointEnd)
}

// ParseCheckpoint reads the printed form, wherever it stands in a text.
func ParseCheckpoint(text string) (s SignedCheckpoint, err error) {
	bad := errors.New("there is no whole checkpoint in it: it begins with the line " + checkpointBegin)
	_, rest, ok := strings.Cut(text, checkpointBegin)
	rest, _, ok2 := strings.Cut(rest, checkpointEnd)
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(rest, "\r", "")), "\n")
	if !ok || !ok2 || len(lines) != 3 {
		return s, bad
	}
	s.Text = []byte(lines[0])
	sum, ok := strings.CutPrefix(lines[1], "hash ")
	signature, ok2 := strings.CutPrefix(lines[2], "signature ")
	if !ok || !ok2 {
		return s, bad
	}
	if s.Signature, err = base64.StdEncoding.DecodeString(signature); err != nil {
		return s, bad
	}
	if got := s.Hash().String(); got != sum {
		return s, fmt.Errorf("the printed checkpoint was damaged: its hash is %s and the line says %s", got, sum)
	}
	return s, nil
}
