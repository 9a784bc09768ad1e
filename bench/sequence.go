package bench

import (
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"saaf"
	"saaf/dnd"
	"saaf/store"
)

// sequence is the leads of one campaign: each has a number, from which its phone and
// its verdict follow, and back. Phones come in no order, and every other one is on the
// registry.
type sequence struct {
	registry *dnd.Synthetic
	listed   scatter // among the numbers of the registry
	others   scatter // among the rest
}

func newSequence(registry *dnd.Synthetic, salt int64) sequence {
	return sequence{registry, newScatter(registry.Numbers, salt), newScatter(registry.Capacity()-registry.Numbers, salt)}
}

// room is how many leads a campaign can have.
func room(registry *dnd.Synthetic) int64 {
	return 2 * min(registry.Numbers, registry.Capacity()-registry.Numbers)
}

// lead is the phone of lead n, and whether it is on the registry.
func (s *sequence) lead(n int64) (saaf.Phone, bool) {
	if n%2 == 0 {
		return s.registry.Number(s.listed.at(n / 2)), true
	}
	return s.registry.Number(s.registry.Numbers + s.others.at(n/2)), false
}

// index is the number of the lead with a phone; ok is false when there is none.
func (s *sequence) index(p saaf.Phone) (n int64, ok bool) {
	i, ok := s.registry.Index(p)
	if !ok {
		return 0, false
	}
	if i < s.registry.Numbers {
		return 2 * s.listed.back(i), true
	}
	return 2*s.others.back(i-s.registry.Numbers) + 1, true
}

// scatter puts the numbers below size in another order.
type scatter struct{ size, by, back1, salt int64 }

// A prime: whatever the size below it, all numbers are met.
const scatterBy = 2_654_435_761

func newScatter(size, salt int64) scatter {
	by := int64(scatterBy % size)
	if size == 1 {
		return scatter{1, 0, 0, 0}
	}
	if by == 0 {
		by = 1
	}
	back := new(big.Int).ModInverse(big.NewInt(by), big.NewInt(size))
	return scatter{size, by, back.Int64(), salt * 7_919 % size}
}

func (s scatter) at(k int64) int64 { return s.times((k+s.salt)%s.size, s.by) }

func (s scatter) back(i int64) int64 { return (s.times(i, s.back1) + s.size - s.salt) % s.size }

func (s scatter) times(a, b int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	return int64(bits.Rem64(high, low, uint64(s.size)))
}

// What leads have besides their phone: about 140 bytes of metadata.
const (
	leadName     = "Asha Rao"
	leadEmail    = "asha.rao@example.in"
	metadataHead = `{"plan":"enterprise","source":"website","city":"Pune","note":"`
)

var leadMetadata = []byte(metadataHead + strings.Repeat("asked to call again ", 4)[:140-len(metadataHead)-2] + `"}`)

// appendLead appends a lead as a caller sends it.
func appendLead(body []byte, p saaf.Phone) []byte {
	body = append(body, `{"phone":"`...)
	body = strconv.AppendInt(body, int64(p), 10)
	body = append(body, `","name":"`+leadName+`","email":"`+leadEmail+`","metadata":`...)
	body = append(body, leadMetadata...)
	return append(body, '}')
}

// appendBulk appends the body of a push of n leads from the given one on, and how many of
// them are on the registry.
func (s *sequence) appendBulk(body []byte, from, n int64) (_ []byte, listed int) {
	body = append(body, `{"leads":[`...)
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		p, is := s.lead(from + i)
		if is {
			listed++
		}
		body = appendLead(body, p)
	}
	return append(body, "]}"...), listed
}

// stored is lead n as it is given to a store, for the bare loops.
func (s *sequence) stored(n int64) store.NewLead {
	p, _ := s.lead(n)
	name, email := leadName, leadEmail
	return store.NewLead{Phone: p, Input: saaf.LeadInput{Name: &name, Email: &email, Metadata: leadMetadata}}
}

// campaign is one that the benchmark pushes to, and what it knows of it.
type campaign struct {
	ID         string `json:"id"`
	Salt       int64  `json:"salt"`
	Leads      int64  `json:"leads"`      // 0 to Leads-1 were sent, and all were acknowledged
	Unanswered []span `json:"unanswered"` // but these, each in one request: all of it is stored, or nothing
	seq        sequence
}

// span is leads that were sent together.
type span struct {
	From int64 `json:"from"`
	N    int64 `json:"n"`
}

func (c *campaign) String() string { return fmt.Sprintf("campaign %s", c.ID) }
