package scrub

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"saaf"
)

// EvidenceDecision is one decision about the number.
type EvidenceDecision struct {
	Entry        saaf.EntryID        `json:"entry"` // of the ledger, that holds it
	Event        string              `json:"event"` // lead.dnd_changed where a re-check or somebody by hand changed a lead, else ""
	Campaign     saaf.CampaignID     `json:"campaign_id,omitzero"`
	Lead         saaf.LeadID         `json:"lead_id,omitzero"` // absent: a check of a number that was no lead
	Stage        saaf.Stage          `json:"stage"`            // ingest, rescrub, dial or manual
	DecidedAt    string              `json:"decided_at"`
	DecidedAtIST string              `json:"decided_at_ist"`
	Source       string              `json:"source"`                  // what was asked: file, or the name of an outside checker; "" for nothing but an opt-out list
	Snapshot     *saaf.EntrySnapshot `json:"snapshot"`                // that answered, null when none did
	MatchedRow   *EvidenceRow        `json:"matched_row"`             // of the registry, null for none
	Suppression  saaf.SuppressionID  `json:"suppression_id,omitzero"` // the opt-out that was matched
	Checked      bool                `json:"dnd_checked"`
	Clean        bool                `json:"dnd_clean"`
	Had          string              `json:"had"`    // the reason before, "" for a lead that came in
	Found        string              `json:"found"`  // what this check found
	Reason       string              `json:"reason"` // what stands since; it also decides dnd_checked and dnd_clean
	Status       string              `json:"status"` // of the lead since; "" for a check
	RuleVersion  int                 `json:"rule_version"`
	Request      string              `json:"request_id"` // "" for commands and background work
	Actor        string              `json:"actor"`
	Said         string              `json:"said"` // why, where somebody decided by hand
}

// EvidenceRow is the row of the registry that was matched.
type EvidenceRow struct {
	Opstype     string `json:"opstype"`     // A: no other row blocks
	Preferences string `json:"preferences"` // 0 for a full block, else a list like 2#3
}

// EvidenceFact is a change of an opt-out list, or an erasure, as the ledger has it.
type EvidenceFact struct {
	Entry       saaf.EntryID          `json:"entry"`
	Stage       saaf.Stage            `json:"stage"` // suppression or erasure
	At          string                `json:"at"`
	AtIST       string                `json:"at_ist"`
	What        string                `json:"what"` // made, prolonged, lifted, expired or erased
	Suppression saaf.SuppressionID    `json:"suppression_id,omitzero"`
	Scope       saaf.SuppressionScope `json:"scope,omitempty"`
	Campaign    saaf.CampaignID       `json:"campaign_id,omitzero"`
	Environment saaf.Environment      `json:"environment,omitempty"` // absent: both
	Source      string                `json:"source,omitempty"`
	ExpiresAt   string                `json:"expires_at,omitempty"`
	Erasure     saaf.ErasureID        `json:"erasure_id,omitzero"`
	Leads       int                   `json:"leads,omitempty"`        // erasure: that were deleted
	OptOuts     int                   `json:"suppressions,omitempty"` // erasure: that go on blocking by the hash
	Request     string                `json:"request_id"`
	Actor       string                `json:"actor"`
	Said        string                `json:"said"` // why
}

// says is what an entry says about the number, nothing when it belongs to the other
// environment.
func (ev *Evidence) says(e *saaf.Entry) (decisions []EvidenceDecision, facts []EvidenceFact, err error) {
	head, err := e.ParseHead()
	if err != nil {
		return nil, nil, err
	}
	hash := ev.PhoneHash
	switch head.Tenant {
	case ev.Tenant:
	case 0:
		hash = ev.DeploymentHash
	default:
		return nil, nil, errors.New("it is of another tenant")
	}
	if head.Environment != "" && head.Environment != ev.Environment {
		return nil, nil, nil
	}
	if head.Fact != nil {
		facts, err := factOf(e, &head, hash)
		return nil, facts, err
	}
	r, left := 0, 0 // the request that a decision belongs to, and how many more do
	if len(head.Requests) > 0 {
		left = head.Requests[0].Decisions
	}
	for d, err := range e.Decisions() {
		if err != nil {
			return nil, nil, err
		}
		for left == 0 {
			if r++; r >= len(head.Requests) {
				return nil, nil, errors.New("it does not say who asked for all of its decisions")
			}
			left = head.Requests[r].Decisions
		}
		left--
		if d.Phone == hash {
			decisions = append(decisions, decisionOf(&head, &head.Requests[r], &d))
		}
	}
	return decisions, nil, nil
}

func decisionOf(head *saaf.EntryHead, r *saaf.EntryRequest, d *saaf.Decision) EvidenceDecision {
	e := EvidenceDecision{
		Entry: head.Entry, Campaign: head.Campaign, Lead: d.Lead, Stage: head.Stage,
		DecidedAt: inUTC(head.At), DecidedAtIST: inIST(head.At), Source: head.Source, Snapshot: head.Snapshot,
		Suppression: d.Suppression, Checked: d.Reason.Checked(), Clean: d.Reason.Clean(),
		Found: d.Found.String(), Reason: d.Reason.String(), RuleVersion: head.RuleVersion,
		Request: r.Request, Actor: r.Actor, Said: r.Reason,
	}
	if !d.New {
		e.Had = d.Had.String()
	}
	if d.Lead != 0 {
		e.Status = d.Status.String()
	}
	if d.Lead != 0 && (head.Stage == saaf.StageRescrub || head.Stage == saaf.StageManual) {
		e.Event = "lead.dnd_changed"
	}
	if d.Preferences != "" {
		e.MatchedRow = &EvidenceRow{Opstype: "A", Preferences: d.Preferences}
	}
	return e
}

// factOf reads the fact of an entry if it names the number.
func factOf(e *saaf.Entry, head *saaf.EntryHead, hash saaf.PhoneHash) ([]EvidenceFact, error) {
	if head.Stage != saaf.StageSuppression && head.Stage != saaf.StageErasure {
		return nil, nil
	}
	var text struct {
		Fact struct {
			What         string                `json:"what"`
			Suppression  saaf.SuppressionID    `json:"suppression"`
			Scope        saaf.SuppressionScope `json:"scope"`
			Campaign     saaf.CampaignID       `json:"campaign"`
			Phone        saaf.PhoneHash        `json:"phone"`
			Source       string                `json:"source"`
			Expires      time.Time             `json:"expires_at"`
			Erasure      saaf.ErasureID        `json:"erasure"`
			Leads        int                   `json:"leads"`
			Suppressions int                   `json:"suppressions"`
		} `json:"fact"`
	}
	if err := json.Unmarshal(e.Head, &text); err != nil {
		return nil, fmt.Errorf("the fact cannot be read: %w", err)
	}
	f := &text.Fact
	if f.Phone != hash {
		return nil, nil
	}
	fact := EvidenceFact{
		Entry: head.Entry, Stage: head.Stage, At: inUTC(head.At), AtIST: inIST(head.At), What: f.What,
		Suppression: f.Suppression, Scope: f.Scope, Campaign: f.Campaign, Environment: head.Environment, Source: f.Source,
		ExpiresAt: inUTC(f.Expires), Erasure: f.Erasure, Leads: f.Leads, OptOuts: f.Suppressions,
	}
	if head.Stage == saaf.StageErasure {
		fact.What = "erased"
	}
	if len(head.Requests) > 0 {
		r := head.Requests[0]
		fact.Request, fact.Actor, fact.Said = r.Request, r.Actor, r.Reason
	}
	return []EvidenceFact{fact}, nil
}
