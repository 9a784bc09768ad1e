package saaf

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// CampaignStatus is where a campaign stands.
type CampaignStatus string

// The states of a campaign. Completed is terminal.
//
//	draft --start--> running <--pause/start--> paused
//	running, paused --stop--> completed
const (
	CampaignDraft     CampaignStatus = "draft"
	CampaignRunning   CampaignStatus = "running"
	CampaignPaused    CampaignStatus = "paused"
	CampaignCompleted CampaignStatus = "completed"
)

// CampaignAction moves a campaign from one state to the next.
type CampaignAction string

// The actions of the API.
const (
	StartCampaign CampaignAction = "start"
	PauseCampaign CampaignAction = "pause"
	StopCampaign  CampaignAction = "stop"
)

var campaignMoves = map[CampaignAction]map[CampaignStatus]CampaignStatus{
	StartCampaign: {CampaignDraft: CampaignRunning, CampaignPaused: CampaignRunning},
	PauseCampaign: {CampaignRunning: CampaignPaused},
	StopCampaign:  {CampaignRunning: CampaignCompleted, CampaignPaused: CampaignCompleted},
}

// After is the state that action a leads to; a move that is not in the picture
// above is a Conflict.
func (s CampaignStatus) After(a CampaignAction) (CampaignStatus, error) {
	next, ok := campaignMoves[a][s]
	if !ok {
		return s, &Error{Code: Conflict, Word: "invalid_campaign_state",
			Message: fmt.Sprintf("Cannot %s a campaign that is %s", a, s)}
	}
	return next, nil
}

// The values that dial_mode and post_answer_action take.
var (
	DialModes         = []string{"preview", "progressive", "predictive"}
	PostAnswerActions = []string{ConnectAgent, ConnectVoiceAgent, RunFlow}
)

// What happens to an answered call.
const (
	ConnectAgent      = "connect_agent" // the default
	ConnectVoiceAgent = "connect_voice_agent"
	RunFlow           = "run_flow" // may be stored, cannot be started
)

// Limits and defaults of a campaign.
const (
	MaxCampaignName    = 200
	MaxVoiceAgentID    = 64
	MaxCallerID        = 32
	MaxAbandon         = 0.03 // share of answered calls nobody took, TRAI cap
	DefaultMaxAttempts = 3
	MaxMaxAttempts     = 20
	DefaultRetryDelay  = 3600 // seconds
	MaxRetryDelay      = 604_800
	MaxMaxConcurrent   = 10_000
)

// CampaignSettings is what the owner of a campaign may change.
type CampaignSettings struct {
	Name                    string
	DialMode                string
	VoiceAgentID            *string
	PostAnswerAction        string
	PredictiveTargetAbandon *float64 // 0 to 0.03
	PredictiveMaxWait       *float64 // seconds
	PredictiveMinRatio      *float64
	PredictiveMaxRatio      *float64 // not below PredictiveMinRatio
	MaxAttempts             int      // 1 to 20
	RetryDelay              int      // seconds, 1 to 604800
	MaxConcurrent           *int     // 1 to 10000, nil means no cap
	CallingWindow           *CallingWindow
	CallerID                *string
}

// DefaultCampaignSettings are those of a campaign that names nothing but what it
// must.
func DefaultCampaignSettings() CampaignSettings {
	return CampaignSettings{
		PostAnswerAction: ConnectAgent,
		MaxAttempts:      DefaultMaxAttempts,
		RetryDelay:       DefaultRetryDelay,
	}
}

// Campaign is a list of leads and how to call them.
type Campaign struct {
	ID          CampaignID
	TenantID    TenantID
	Environment Environment
	CampaignSettings
	Status    CampaignStatus
	Leads     LeadCounts
	CreatedAt time.Time
	UpdatedAt time.Time
}

// LeadCounts is how many leads of a campaign have each status.
type LeadCounts [NumLeadStatuses]int64

// Total is how many leads there are.
func (c LeadCounts) Total() (n int64) {
	for _, of := range c {
		n += of
	}
	return n
}

// Validate returns every setting that is wrong, none when all are right.
func (s *CampaignSettings) Validate() []FieldError {
	var v fieldChecks
	v.text("name", s.Name, MaxCampaignName)
	v.oneOf("dial_mode", s.DialMode, DialModes)
	v.oneOf("post_answer_action", s.PostAnswerAction, PostAnswerActions)
	v.optionalText("voice_agent_id", s.VoiceAgentID, MaxVoiceAgentID)
	v.optionalText("caller_id", s.CallerID, MaxCallerID)
	v.optionalRange("predictive_target_abandon", s.PredictiveTargetAbandon, 0, MaxAbandon)
	v.optionalRange("predictive_max_wait_s", s.PredictiveMaxWait, 0, 3600)
	v.optionalRange("predictive_min_ratio", s.PredictiveMinRatio, 0, 1000)
	v.optionalRange("predictive_max_ratio", s.PredictiveMaxRatio, 0, 1000)
	if lo, hi := s.PredictiveMinRatio, s.PredictiveMaxRatio; lo != nil && hi != nil && *hi < *lo {
		v.add("predictive_max_ratio", "ensure this value is not below predictive_min_ratio", "value_error.number.not_ge")
	}
	v.intRange("max_attempts", s.MaxAttempts, 1, MaxMaxAttempts)
	v.intRange("retry_delay_s", s.RetryDelay, 1, MaxRetryDelay)
	if s.MaxConcurrent != nil {
		v.intRange("max_concurrent", *s.MaxConcurrent, 1, MaxMaxConcurrent)
	}
	if s.CallingWindow != nil {
		v = append(v, s.CallingWindow.validate()...)
	}
	return v
}

// fieldChecks collects what is wrong, in the words of the public API.
type fieldChecks []FieldError

func (v *fieldChecks) add(field, msg, typ string) { *v = append(*v, BodyField(field, msg, typ)) }

func (v *fieldChecks) text(field, s string, limit int) {
	switch {
	case strings.TrimSpace(s) == "":
		v.add(field, "ensure this value has at least 1 character", "value_error.any_str.min_length")
	default:
		v.optionalText(field, &s, limit)
	}
}

func (v *fieldChecks) optionalText(field string, s *string, limit int) {
	switch {
	case s == nil:
	case utf8.RuneCountInString(*s) > limit:
		v.add(field, fmt.Sprintf("ensure this value has at most %d characters", limit), "value_error.any_str.max_length")
	case hasNUL(s):
		v.add(field, "must not hold the character U+0000", "value_error.nul")
	}
}

func (v *fieldChecks) oneOf(field, s string, allowed []string) {
	if !slices.Contains(allowed, s) {
		v.add(field, "value is not one of: "+strings.Join(allowed, ", "), "type_error.enum")
	}
}

func (v *fieldChecks) optionalRange(field string, x *float64, lo, hi float64) {
	switch {
	case x == nil:
	case *x > hi:
		v.add(field, fmt.Sprintf("ensure this value is less than or equal to %v", hi), "value_error.number.not_le")
	case !(*x >= lo):
		v.add(field, fmt.Sprintf("ensure this value is greater than or equal to %v", lo), "value_error.number.not_ge")
	}
}

func (v *fieldChecks) intRange(field string, n, lo, hi int) {
	x := float64(n)
	v.optionalRange(field, &x, float64(lo), float64(hi))
}
