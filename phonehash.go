package saaf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"
)

// PhoneHash stands for a phone number in records that outlive the number: the
// first 16 bytes of HMAC-SHA-256 under the pepper of the tenant. Who has the
// pepper can ask whether a number is meant; nobody can read the number back.
type PhoneHash [16]byte

// String is the 32 hexadecimal digits.
func (h PhoneHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the 32 hexadecimal digits.
func (h PhoneHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the 32 hexadecimal digits.
func (h *PhoneHash) UnmarshalText(b []byte) error { return unmarshalHex(h[:], b) }

// unmarshalHex fills dst from exactly as many hexadecimal digits.
func unmarshalHex(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return hex.ErrLength
	}
	_, err := hex.Decode(dst, text)
	return err
}

// Pepper is the secret behind every [PhoneHash] of a deployment. It is kept in a
// file of its own and never in the database: with both, all numbers could be tried.
type Pepper [32]byte

// String hides the pepper.
func (Pepper) String() string { return "[redacted]" }

// Fingerprint tells peppers apart without giving anything away.
func (p Pepper) Fingerprint() SHA256 {
	return sha256.Sum256(append([]byte("saaf pepper fingerprint\x00"), p[:]...))
}

// Hasher makes the hashes of one tenant; tenant 0 stands for the deployment. It is
// safe for concurrent use.
func (p Pepper) Hasher(tenant TenantID) *PhoneHasher {
	m := hmac.New(sha256.New, p[:])
	m.Write(binary.BigEndian.AppendUint64([]byte("saaf tenant pepper\x00"), uint64(tenant)))
	key := m.Sum(nil)
	return &PhoneHasher{pool: sync.Pool{New: func() any {
		return &phoneMAC{Hash: hmac.New(sha256.New, key)}
	}}}
}

// PhoneHasher hashes the phones of one tenant.
type PhoneHasher struct{ pool sync.Pool }

type phoneMAC struct {
	hash.Hash
	in  [10]byte
	sum [sha256.Size]byte
}

// Hash is the keyed hash of p.
func (h *PhoneHasher) Hash(p Phone) (sum PhoneHash) {
	m := h.pool.Get().(*phoneMAC)
	defer h.pool.Put(m)
	m.Reset()
	m.Write(p.AppendNational(m.in[:0]))
	copy(sum[:], m.Sum(m.sum[:0]))
	return sum
}
