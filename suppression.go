package saaf

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a suppression, in characters.
const (
	MaxReason = 500 // why something is done by hand
	MaxSource = 200 // where an opt-out came from
)

// SuppressionScope says whose leads a suppression blocks.
type SuppressionScope string

// The scopes of a suppression.
const (
	CampaignScope   SuppressionScope = "campaign" // one campaign
	TenantScope     SuppressionScope = "tenant"   // every campaign of the tenant, the default
	DeploymentScope SuppressionScope = "all"      // every campaign of everybody, for the operator
)

// ParseSuppressionScope reads the word of the API.
func ParseSuppressionScope(s string) (SuppressionScope, error) {
	switch scope := SuppressionScope(s); scope {
	case CampaignScope, TenantScope, DeploymentScope:
		return scope, nil
	}
	return "", fmt.Errorf("scope %q does not exist: use campaign, tenant or all", s)
}

// Suppression is an entry of an opt-out list. It blocks a number until it is
// lifted by hand or expires, whatever a registry says. Those made with a live key
// count for live and test campaigns, those made with a test key for test campaigns
// only.
type Suppression struct {
	ID          SuppressionID
	Scope       SuppressionScope
	TenantID    TenantID   // 0 with DeploymentScope
	CampaignID  CampaignID // with CampaignScope
	Environment Environment
	Phone       Phone // 0 once the person was erased: the hash goes on blocking
	Hash        PhoneHash
	Reason      string
	Source      string
	ExpiresAt   time.Time // zero: never
	Actor       string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	EndedAt     time.Time // zero while it blocks
	EndReason   string    // why it was lifted; "expired" when its time was over
	EndActor    string
}

// By names who asked for something and in which request, for the evidence.
type By struct {
	Request string // the request id; "" for commands and background work
	Actor   string // key_..., cli:user@host, or system
}

// System is who acts when nobody asked.
var System = By{Actor: "system"}

// CheckReason trims why something is done by hand, which must be said: it is part
// of the evidence. Numbers in it are masked.
func CheckReason(field, text string) (string, *FieldError) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", new(BodyField(field, "say why in a few words: the reason is part of the evidence", "value_error.missing"))
	case utf8.RuneCountInString(text) > MaxReason:
		return "", new(BodyField(field, fmt.Sprintf("ensure this value has at most %d characters", MaxReason), "value_error.any_str.max_length"))
	case strings.IndexByte(text, 0) >= 0:
		return "", new(BodyField(field, "must not hold the character U+0000", "value_error.nul"))
	}
	return MaskNumbers(text), nil
}
