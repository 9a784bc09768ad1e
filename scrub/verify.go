package scrub

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"saaf"
	"saaf/store"
)

// VerifyOptions say what the ledger is held against.
type VerifyOptions struct {
	PublicKey ed25519.PublicKey       // that signed the checkpoints; nil: that of the store
	Lodged    []saaf.SignedCheckpoint // that were kept elsewhere; they must be in the store unchanged
	SkipLeads bool                    // do not look whether leads are what the entries say that they name
	Progress  func(VerifyProgress)    // called after each page; nil for nobody
}

// VerifyProgress is how far a verification has come.
type VerifyProgress struct {
	Entries, OfEntries int64
	Leads              int64
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Deployment  saaf.DeploymentID `json:"deployment"`
	PublicKey   string            `json:"public_key"`            // base64
	Entries     int64             `json:"entries"`               // that follow from each other, from the first on
	Decisions   int64             `json:"decisions"`             // in these
	Head        ChainHead         `json:"head"`                  // the last of these, of whichever chain
	Chains      []VerifiedChain   `json:"chains"`                // that may still grow, in the order of their writers
	Ended       int64             `json:"chains_ended"`          // those whose process is gone: the checkpoints name them no more
	Checkpoints int64             `json:"checkpoints"`           // that are signed, follow from each other and stand in the chain
	Signed      int64             `json:"entries_signed"`        // that the last of these covers; the others wait for the next
	Lodged      int               `json:"lodged"`                // checkpoints of the caller that were found unchanged
	Leads       int64             `json:"leads"`                 // that were held against the entries they name
	Unnamed     int64             `json:"leads_before_evidence"` // of these, came in before there was a ledger
	Problems    []Problem         `json:"problems"`              // empty: nothing is broken
}

// ChainHead is the last entry of a chain. Other than in the text of a checkpoint, which
// is signed as it is, the id of the writer is a string in JSON: it has more bits than a
// program may read that takes numbers for floating point.
type ChainHead struct {
	Writer int64        `json:"writer,string"`
	Seq    int64        `json:"seq"`
	Entry  saaf.EntryID `json:"entry"`
	Hash   saaf.SHA256  `json:"hash"`
}

// VerifiedChain is a chain of the ledger as far as it is good.
type VerifiedChain struct {
	ChainHead       // its last entry
	Signed    int64 `json:"signed"` // seq of the last one that a checkpoint names, 0 for none yet
}

// Problem is one thing that is broken. What it does not concern is zero.
type Problem struct {
	Entry      saaf.EntryID    `json:"entry,omitzero"`          // found at the broken place, or named and not there
	Writer     int64           `json:"writer,omitempty,string"` // of the chain, where the store has several
	Seq        int64           `json:"seq,omitempty"`           // of the broken place in the chain
	At         time.Time       `json:"at,omitzero"`             // when that was written, as far as it can be told
	Checkpoint int64           `json:"checkpoint,omitempty"`    // by its number
	Lead       saaf.LeadID     `json:"lead,omitzero"`
	Campaign   saaf.CampaignID `json:"campaign,omitzero"` // whose blocks are otherwise than its leads
	Block      int64           `json:"block,omitempty"`
	What       string          `json:"what"` // in words
}

// Error is the problem in one sentence.
func (p *Problem) Error() string {
	var place []string
	if p.Campaign != 0 {
		place = append(place, p.Campaign.String())
	}
	if p.Block != 0 {
		place = append(place, fmt.Sprintf("block %d", p.Block))
	}
	if p.Lead != 0 {
		place = append(place, "lead "+p.Lead.String())
	}
	if p.Entry != 0 {
		place = append(place, "entry "+p.Entry.String())
	}
	if p.Writer != 0 {
		place = append(place, fmt.Sprintf("chain %d", p.Writer))
	}
	if p.Seq != 0 {
		place = append(place, fmt.Sprintf("seq %d", p.Seq))
	}
	if p.Checkpoint != 0 {
		place = append(place, fmt.Sprintf("checkpoint %d", p.Checkpoint))
	}
	if len(place) == 0 {
		place = append(place, "its checkpoints")
	}
	if !p.At.IsZero() {
		place = append(place, p.At.UTC().Format(utcLayout))
	}
	if p.Campaign != 0 {
		return "the blocks are not what the leads are at " + strings.Join(place, ", ") + ": " + p.What
	}
	return "the ledger is broken at " + strings.Join(place, ", ") + ": " + p.What
}

// Verify reads the whole ledger in pages and checks that nothing in it was changed,
// added or removed: every entry follows from the one before in its chain and says what
// its columns say, every checkpoint is signed and names the one before, what it names
// stands in the chains, no chain ends before that or goes on behind its end, there is
// none that a checkpoint should have named, and each lead is what the entries say that
// it names. The first thing that is broken is the error, a *[Problem]; the report says
// how much was found good before.
//
// What a signature does not cover yet, the newest entries, may have been cut off
// without a trace, and who has the signing key can write everything anew: against
// both help checkpoints that were lodged elsewhere.
func Verify(ctx context.Context, st *store.Store, o VerifyOptions) (VerifyReport, error) {
	v := &verifier{opts: o, key: o.PublicKey, only: st.Chain(), chains: make(map[int64]*chain)}
	if v.key == nil {
		v.key = st.PublicKey()
	}
	v.report = VerifyReport{Deployment: st.Deployment(), PublicKey: saaf.EncodeKey(v.key), Chains: []VerifiedChain{}, Problems: []Problem{}}
	err := st.Frozen(ctx, func(st *store.Store) error {
		v.st = st
		return v.read(ctx)
	})
	v.listChains()
	if err != nil {
		return v.report, err
	}
	// Whoever looks for what was changed begins with the entries.
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int { return cmp.Compare(min(b.Seq, 1), min(a.Seq, 1)) })
	if len(v.report.Problems) > 0 {
		return v.report, &v.report.Problems[0]
	}
	return v.report, nil
}

// verifier is one verification under way.
type verifier struct {
	st       *store.Store
	opts     VerifyOptions
	key      ed25519.PublicKey
	report   VerifyReport
	progress VerifyProgress
	only     int64            // the one chain of this store, 0 where each writer has one
	chains   map[int64]*chain // by the writer
	signed   checkpointWalk
	lodged   []lodgedCheckpoint
}

// read reads everything.
func (v *verifier) read(ctx context.Context) (err error) {
	if v.progress.OfEntries, err = v.st.LedgerSize(ctx); err != nil {
		return err
	}
	v.openLodged()
	if err := v.walk(ctx); err != nil || v.opts.SkipLeads {
		return err
	}
	return v.leads(ctx)
}

func (v *verifier) problem(p Problem) { v.report.Problems = append(v.report.Problems, p) }

func (v *verifier) tell() {
	v.progress.Entries, v.progress.Leads = v.report.Entries, v.report.Leads
	if v.opts.Progress != nil {
		v.opts.Progress(v.progress)
	}
}

// writers are those of the chains that were found, in their order.
func (v *verifier) writers() []int64 { return slices.Sorted(maps.Keys(v.chains)) }

func (v *verifier) listChains() {
	for _, writer := range v.writers() {
		c := v.chains[writer]
		if c.sealed != 0 {
			v.report.Ended++
			continue
		}
		v.report.Chains = append(v.report.Chains, VerifiedChain{ChainHead(c.head), c.signed.Seq})
	}
}
