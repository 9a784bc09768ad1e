package saaf

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Ids are 63-bit integers that grow with time: 42 bits of Unix milliseconds,
// 10 bits of node, 11 bits of sequence. They are made here and never by the
// database, so that every engine and every node can make them without asking.
// Outside they are written as a prefix and 13 Crockford base32 digits, which
// sort as the integers do.
const (
	idNodeBits = 10
	idSeqBits  = 11
	idDigits   = 13

	// MaxNode is the largest node number an [IDSource] accepts.
	MaxNode = 1<<idNodeBits - 1
)

// crockford is the lower-case Crockford alphabet: no i, l, o or u.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// crockfordValue maps a byte to its digit, 0xff for bytes outside the alphabet.
var crockfordValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(crockford) {
		t[crockford[i]] = byte(i)
	}
	return t
}()

// kind tells the ids of different things apart at compile time and knows the
// prefix each is shown with.
type kind interface{ prefix() string }

type (
	tenantKind   struct{}
	keyKind      struct{}
	campaignKind struct{}
	leadKind     struct{}
	snapshotKind struct{}
	serverKind   struct{}

	deploymentKind     struct{}
	entryKind          struct{}
	suppressionKind    struct{}
	registryImportKind struct{}
	erasureKind        struct{}
)

func (tenantKind) prefix() string   { return "ten_" }
func (keyKind) prefix() string      { return "key_" }
func (campaignKind) prefix() string { return "camp_" }
func (leadKind) prefix() string     { return "lead_" }
func (snapshotKind) prefix() string { return "snap_" }
func (serverKind) prefix() string   { return "srv_" }

func (deploymentKind) prefix() string     { return "dep_" }
func (entryKind) prefix() string          { return "ev_" }
func (suppressionKind) prefix() string    { return "sup_" }
func (registryImportKind) prefix() string { return "rimp_" }
func (erasureKind) prefix() string        { return "era_" }

// ID is the identity of one thing of kind K. Zero means "none".
type ID[K kind] int64

type (
	// TenantID is shown as ten_...
	TenantID = ID[tenantKind]
	// KeyID is shown as key_... and is not the secret.
	KeyID = ID[keyKind]
	// CampaignID is shown as camp_...
	CampaignID = ID[campaignKind]
	// LeadID is shown as lead_...
	LeadID = ID[leadKind]
	// SnapshotID is shown as snap_...
	SnapshotID = ID[snapshotKind]
	// ServerID is shown as srv_... and names one run of one server process.
	ServerID = ID[serverKind]
	// DeploymentID is shown as dep_... and names one store for life.
	DeploymentID = ID[deploymentKind]
	// EntryID is shown as ev_... and names one entry of the ledger.
	EntryID = ID[entryKind]
	// SuppressionID is shown as sup_...
	SuppressionID = ID[suppressionKind]
	// RegistryImportID is shown as rimp_... and names one import over the API.
	RegistryImportID = ID[registryImportKind]
	// ErasureID is shown as era_...
	ErasureID = ID[erasureKind]
)

// String is the public spelling, the only one [ParseID] accepts.
func (id ID[K]) String() string { return string(id.AppendTo(nil)) }

// AppendTo appends the public spelling to dst.
func (id ID[K]) AppendTo(dst []byte) []byte {
	var k K
	dst = append(dst, k.prefix()...)
	var digits [idDigits]byte
	n := uint64(id)
	for i := idDigits - 1; i >= 0; i-- {
		digits[i] = crockford[n&31]
		n >>= 5
	}
	return append(dst, digits[:]...)
}

// MarshalText writes the public spelling.
func (id ID[K]) MarshalText() ([]byte, error) { return id.AppendTo(nil), nil }

// UnmarshalText reads the public spelling.
func (id *ID[K]) UnmarshalText(b []byte) error {
	v, ok := ParseID[ID[K]](string(b))
	if !ok {
		var k K
		return fmt.Errorf("not an id of the form %s%s", k.prefix(), "0123456789abc")
	}
	*id = v
	return nil
}

// parse reads the public spelling of an id of kind K.
func (ID[K]) parse(s string) (int64, bool) {
	var k K
	p := k.prefix()
	if len(s) != len(p)+idDigits || s[:len(p)] != p {
		return 0, false
	}
	var v uint64
	for i := len(p); i < len(s); i++ {
		d := crockfordValue[s[i]]
		if d == 0xff {
			return 0, false
		}
		// 13 digits hold 65 bits and an id has 63: a first digit above 7 does not fit.
		if i == len(p) && d > 7 {
			return 0, false
		}
		v = v<<5 | uint64(d)
	}
	return int64(v), v != 0
}

// ParseID reads the public spelling of an id, for instance
// ParseID[LeadID]("lead_01jd..."). Only the canonical spelling is accepted: no
// upper case, no other prefix, no padding; ok is false for anything else.
func ParseID[T interface {
	~int64
	parse(string) (int64, bool)
}](s string) (id T, ok bool) {
	v, ok := id.parse(s)
	return T(v), ok
}

// IDSource makes ids that strictly increase, also when the clock stands still
// or goes back. It is safe for concurrent use.
type IDSource struct {
	node int64

	mu   sync.Mutex
	last int64 // the newest id made or seen
}

// NewIDSource returns a source for the given node (0 to [MaxNode]) whose ids are
// all above floor, the highest id that earlier runs are known to have made.
func NewIDSource(node int, floor int64) (*IDSource, error) {
	if node < 0 || node > MaxNode {
		return nil, fmt.Errorf("node %d is outside 0 to %d", node, MaxNode)
	}
	if floor < 0 {
		return nil, errors.New("the highest id seen cannot be negative")
	}
	return &IDSource{node: int64(node), last: floor}, nil
}

// Next returns one new id.
func (s *IDSource) Next() int64 {
	now := time.Now().UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := max(now, s.last>>(idNodeBits+idSeqBits))
	id := ms<<(idNodeBits+idSeqBits) | s.node<<idSeqBits
	if id <= s.last {
		id = s.last + 1
		// The sequence ran over into the node bits, or the last id came from
		// another node: go on in the next millisecond rather than in its range.
		if id>>idSeqBits&MaxNode != s.node {
			id = (ms+1)<<(idNodeBits+idSeqBits) | s.node<<idSeqBits
		}
	}
	s.last = id
	return id
}

// Above has the ids that follow be above one that somebody else has made.
func (s *IDSource) Above(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, id)
}

// Last returns the newest id made or seen, the floor of a later source.
func (s *IDSource) Last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}
