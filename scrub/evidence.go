package scrub

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"saaf"
	"saaf/store"
)

// EvidenceRequest asks for everything that is known about one number.
type EvidenceRequest struct {
	Tenant      saaf.TenantID
	Environment saaf.Environment // what belongs to the other one is left out
	Phone       saaf.Phone
	From        time.Time // from this instant on; zero: from the beginning
	To          time.Time // before this instant; zero: until now
	MaxBytes    int       // of entries; more is [store.ErrMuchEvidence]. 0: no limit
}

// evidenceStatement is what the export claims, and what it does not.
const evidenceStatement = "Checked against the registry file you supplied, dated as stated with each decision. " +
	"This record says what was checked, when, and what the file said. The operator of the deployment must hold " +
	"telemarketer registration and lawful access to the registry; caller ids, templates and digital consent are outside of " +
	"what is recorded here, and for voice calls the DLT platform of the operator remains the authority."

// Evidence is the record of one number of one tenant. Its JSON is what is handed to
// somebody who asks; [Evidence.WriteHTML] is the same on paper, and [VerifyEvidence]
// checks it without the store.
//
// Decisions and Facts are what the entries of the ledger in Proof say, and can be
// held against them. Leads, OptOuts, Erasures and Snapshots are copied from the
// store as it stood at MadeAt, and nothing proves them. Nor does an export prove
// that no entry was left out, or that PhoneHash is that of Phone: for that ask the
// deployment, which has the key of the hashes.
//
// Times come twice: in UTC with milliseconds, and under the name that ends with
// _ist in Indian Standard Time.
type Evidence struct {
	Version        int               `json:"v"` // of this form: 1
	Statement      string            `json:"statement"`
	Deployment     saaf.DeploymentID `json:"deployment"`
	Tenant         saaf.TenantID     `json:"tenant_id"`
	Environment    saaf.Environment  `json:"environment"`
	Phone          string            `json:"phone"`           // in E.164
	PhoneHash      saaf.PhoneHash    `json:"phone_hash"`      // how the ledger of the tenant names it
	DeploymentHash saaf.PhoneHash    `json:"deployment_hash"` // how the opt-out list of the deployment names it
	From           string            `json:"from"`            // in IST, from this instant on; "" for no limit
	To             string            `json:"to"`              // in IST, before this instant; "" for no limit
	MadeAt         string            `json:"made_at"`
	MadeAtIST      string            `json:"made_at_ist"`

	Leads     []EvidenceLead     `json:"leads"`     // of the number, in campaigns that are not deleted; From and To do not narrow them
	Decisions []EvidenceDecision `json:"decisions"` // oldest first
	Facts     []EvidenceFact     `json:"facts"`     // changes of opt-out lists and erasures, oldest first
	OptOuts   []EvidenceOptOut   `json:"opt_outs"`  // of the tenant and of the deployment, those too that have ended, newest first
	Erasures  []EvidenceErasure  `json:"erasures"`  // oldest first
	Snapshots []EvidenceSnapshot `json:"snapshots"` // that decisions and leads rest on, with those they were made from
	Proof     EvidenceProof      `json:"proof"`
}

// EvidenceLead is a lead as it stands.
type EvidenceLead struct {
	Lead         saaf.LeadID     `json:"lead_id"`
	Campaign     saaf.CampaignID `json:"campaign_id"`
	Status       string          `json:"status"`
	Finding      string          `json:"finding"`        // of the check that decided last
	CheckedAt    string          `json:"checked_at"`     // "" while no registry has answered
	CheckedAtIST string          `json:"checked_at_ist"` // "" likewise
	Snapshot     saaf.SnapshotID `json:"snapshot,omitzero"`
	CreatedAt    string          `json:"created_at"`
	CreatedAtIST string          `json:"created_at_ist"`
}

// EvidenceOptOut is a row of an opt-out list.
type EvidenceOptOut struct {
	Suppression  saaf.SuppressionID    `json:"suppression_id"`
	Scope        saaf.SuppressionScope `json:"scope"`
	Campaign     saaf.CampaignID       `json:"campaign_id,omitzero"` // with scope campaign
	Reason       string                `json:"reason"`
	Source       string                `json:"source"`
	Actor        string                `json:"actor"` // who made it
	CreatedAt    string                `json:"created_at"`
	CreatedAtIST string                `json:"created_at_ist"`
	ExpiresAt    string                `json:"expires_at"` // "": never
	EndedAt      string                `json:"ended_at"`   // "": it blocks
	EndedAtIST   string                `json:"ended_at_ist"`
	EndReason    string                `json:"end_reason"`
	EndActor     string                `json:"end_actor"`
}

// EvidenceErasure is the erasure of the person behind the number.
type EvidenceErasure struct {
	Erasure      saaf.ErasureID `json:"erasure_id"`
	State        string         `json:"state"` // running or completed
	Reason       string         `json:"reason"`
	Actor        string         `json:"actor"`
	Leads        int            `json:"leads"`        // that were deleted
	OptOuts      int            `json:"suppressions"` // that go on blocking by the hash
	CreatedAt    string         `json:"created_at"`
	CreatedAtIST string         `json:"created_at_ist"`
	FinishedAt   string         `json:"finished_at"` // "" while it runs
}

// EvidenceSnapshot is a row of the register of snapshots.
type EvidenceSnapshot struct {
	Snapshot      saaf.SnapshotID `json:"id"`
	Parent        saaf.SnapshotID `json:"parent_id,omitzero"` // delta: what it was applied to
	Mode          saaf.ImportMode `json:"mode"`
	EffectiveDate saaf.Date       `json:"effective_date"`
	SHA256        saaf.SHA256     `json:"sha256"`
	BaseSHA256    saaf.SHA256     `json:"base_sha256,omitzero"`
	Numbers       int64           `json:"numbers"` // active
	Rows          int64           `json:"rows"`
	RowsActive    int64           `json:"rows_active"`
	RowsDeleted   int64           `json:"rows_deleted"`
	Malformed     int64           `json:"malformed"`
	Conflicts     int64           `json:"conflicts"`
	Overridden    []string        `json:"overridden"` // refusal rules
	Override      string          `json:"override_reason"`
	Actor         string          `json:"activated_by"`
	CreatedAt     string          `json:"activated_at"`
	CreatedAtIST  string          `json:"activated_at_ist"`
	Files         []EvidenceFile  `json:"files"`
}

// EvidenceFile is a registry file that a snapshot was made from.
type EvidenceFile struct {
	Name   string      `json:"name"`
	SHA256 saaf.SHA256 `json:"sha256"`
	Bytes  int64       `json:"bytes"`
	Rows   int64       `json:"rows"`
}

const (
	utcLayout = "2006-01-02T15:04:05.000Z"
	istLayout = "2006-01-02T15:04:05-07:00"
)

// inUTC is t as evidence writes it, "" for no time.
func inUTC(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(utcLayout)
}

// inIST is t in India, "" for no time.
func inIST(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(saaf.IST).Format(istLayout)
}

// NewEvidence gathers everything about one number. When the newest entries about it
// are not signed yet, it has a checkpoint made, for which the writer of the store
// must run. It reads the ledger of the tenant in the time that is asked for, which
// takes as long as there is of it.
func NewEvidence(ctx context.Context, st *store.Store, req EvidenceRequest) (*Evidence, error) {
	now := time.Now()
	ev := &Evidence{
		Version: 1, Statement: evidenceStatement, Deployment: st.Deployment(), Tenant: req.Tenant, Environment: req.Environment,
		Phone: req.Phone.E164(), PhoneHash: st.Hasher(req.Tenant).Hash(req.Phone), DeploymentHash: st.Hasher(0).Hash(req.Phone),
		From: inIST(req.From), To: inIST(req.To), MadeAt: inUTC(now), MadeAtIST: inIST(now),
		Leads: []EvidenceLead{}, Decisions: []EvidenceDecision{}, Facts: []EvidenceFact{},
		OptOuts: []EvidenceOptOut{}, Erasures: []EvidenceErasure{}, Snapshots: []EvidenceSnapshot{},
	}
	entries, err := ev.readLedger(ctx, st, req)
	if err != nil {
		return nil, err
	}
	if err := ev.prove(ctx, st, entries, pathLimits{maxPath, maxPaths}); err != nil {
		return nil, err
	}
	if err := ev.copyLeads(ctx, st, req); err != nil {
		return nil, err
	}
	if err := ev.copyLists(ctx, st, req); err != nil {
		return nil, err
	}
	return ev, ev.copySnapshots(ctx, st)
}

// readLedger finds the entries about the number and takes out of them what concerns
// it and the environment.
func (ev *Evidence) readLedger(ctx context.Context, st *store.Store, req EvidenceRequest) (kept []saaf.EntryRow, err error) {
	// Entries are found by the time in their ids, which is later than the one they
	// were decided at: a little, and more where the clock was put back.
	const idsLater = time.Hour
	before := req.To
	if !before.IsZero() {
		before = before.Add(idsLater)
	}
	limit := req.MaxBytes
	if limit == 0 {
		limit = math.MaxInt
	}
	rows, err := st.EvidenceUpTo(ctx, req.Tenant, req.Phone, req.From, before, limit)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(e saaf.EntryRow) bool {
		at := writtenAt(&e)
		return at.Before(req.From) || !req.To.IsZero() && !at.Before(req.To)
	})
	slices.SortFunc(rows, func(a, b saaf.EntryRow) int { return cmp.Compare(a.ID, b.ID) })
	for i := range rows {
		decisions, facts, err := ev.says(&rows[i].Entry)
		if err != nil {
			return nil, errors.Join(&Problem{Entry: rows[i].ID, Seq: rows[i].Seq, At: writtenAt(&rows[i]), What: "it cannot be read; saaf audit verify says more"}, err)
		}
		if len(decisions)+len(facts) > 0 {
			kept = append(kept, rows[i])
		}
		ev.Decisions, ev.Facts = append(ev.Decisions, decisions...), append(ev.Facts, facts...)
	}
	return kept, nil
}

func (ev *Evidence) copyLeads(ctx context.Context, st *store.Store, req EvidenceRequest) error {
	leads, err := st.LeadsByPhone(ctx, req.Tenant, req.Environment, req.Phone)
	for _, l := range leads {
		ev.Leads = append(ev.Leads, EvidenceLead{
			Lead: l.ID, Campaign: l.CampaignID, Status: l.Status.String(), Finding: l.Verdict.Reason.String(),
			CheckedAt: inUTC(l.Verdict.CheckedAt), CheckedAtIST: inIST(l.Verdict.CheckedAt), Snapshot: l.Verdict.Snapshot.ID,
			CreatedAt: inUTC(l.CreatedAt), CreatedAtIST: inIST(l.CreatedAt),
		})
	}
	return err
}

// copyLists copies the rows of opt-out lists and erasures.
func (ev *Evidence) copyLists(ctx context.Context, st *store.Store, req EvidenceRequest) error {
	for _, owner := range []saaf.TenantID{0, req.Tenant} {
		filter := store.SuppressionFilter{Phone: &req.Phone, Ended: true}
		for below := saaf.Cursor(0); ; {
			list, err := st.Suppressions(ctx, owner, req.Environment, filter, below, saaf.MaxPageSize)
			if err != nil {
				return err
			}
			for _, s := range list {
				ev.OptOuts = append(ev.OptOuts, optOutRow(&s))
			}
			if len(list) < saaf.MaxPageSize {
				break
			}
			below = saaf.Cursor(list[len(list)-1].ID)
		}
	}
	slices.SortFunc(ev.OptOuts, func(a, b EvidenceOptOut) int { return int(b.Suppression - a.Suppression) })
	erasures, err := st.ErasuresByPhone(ctx, req.Tenant, req.Phone)
	for _, e := range erasures {
		if req.Environment != saaf.Live && !slices.ContainsFunc(ev.Facts, func(f EvidenceFact) bool { return f.Erasure == e.ID }) {
			continue // rows do not say to which environment they belong
		}
		state := "running"
		if e.Done {
			state = "completed"
		}
		ev.Erasures = append(ev.Erasures, EvidenceErasure{Erasure: e.ID, State: state, Reason: e.Reason, Actor: e.Actor, Leads: e.Leads,
			OptOuts: e.Suppressions, CreatedAt: inUTC(e.CreatedAt), CreatedAtIST: inIST(e.CreatedAt), FinishedAt: inUTC(e.FinishedAt)})
	}
	return err
}

func optOutRow(s *saaf.Suppression) EvidenceOptOut {
	return EvidenceOptOut{
		Suppression: s.ID, Scope: s.Scope, Campaign: s.CampaignID, Reason: s.Reason, Source: s.Source, Actor: s.Actor,
		CreatedAt: inUTC(s.CreatedAt), CreatedAtIST: inIST(s.CreatedAt), ExpiresAt: inUTC(s.ExpiresAt),
		EndedAt: inUTC(s.EndedAt), EndedAtIST: inIST(s.EndedAt), EndReason: s.EndReason, EndActor: s.EndActor,
	}
}

// copySnapshots copies from the register the snapshots that something rests on, and
// those they were made from, back to a full set.
func (ev *Evidence) copySnapshots(ctx context.Context, st *store.Store) error {
	var ids []saaf.SnapshotID
	for i := range ev.Decisions {
		if s := ev.Decisions[i].Snapshot; s != nil {
			ids = append(ids, s.ID)
		}
	}
	for i := range ev.Leads {
		ids = append(ids, ev.Leads[i].Snapshot)
	}
	seen := map[saaf.SnapshotID]bool{0: true}
	for len(ids) > 0 {
		id := ids[0]
		ids = ids[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		snap, err := st.Snapshot(ctx, id)
		if saaf.ErrorCode(err) == saaf.NotFound {
			continue // the entries still say its date and hash
		}
		if err != nil {
			return err
		}
		ev.Snapshots = append(ev.Snapshots, registered(&snap))
		ids = append(ids, snap.ParentID)
	}
	slices.SortFunc(ev.Snapshots, func(a, b EvidenceSnapshot) int { return int(a.Snapshot - b.Snapshot) })
	return nil
}

func registered(s *saaf.Snapshot) EvidenceSnapshot {
	e := EvidenceSnapshot{
		Snapshot: s.ID, Parent: s.ParentID, Mode: s.Mode, EffectiveDate: s.EffectiveDate, SHA256: s.SHA256, BaseSHA256: s.BaseSHA256,
		Numbers: s.Numbers, Rows: s.Rows, RowsActive: s.RowsActive, RowsDeleted: s.RowsDeleted, Malformed: s.Malformed, Conflicts: s.Conflicts,
		Overridden: append([]string{}, s.Overridden...), Override: s.OverrideReason, Actor: s.Actor,
		CreatedAt: inUTC(s.CreatedAt), CreatedAtIST: inIST(s.CreatedAt), Files: []EvidenceFile{},
	}
	for _, f := range s.Files {
		// Nobody knows what the name of a file holds.
		e.Files = append(e.Files, EvidenceFile{Name: saaf.MaskNumbers(f.Name), SHA256: f.SHA256, Bytes: f.Bytes, Rows: f.Rows})
	}
	return e
}
