package saaf

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Environment separates live work from tests. A key has one, a campaign keeps
// the one of the key that made it, and nothing moves between the two.
type Environment string

// The environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// ParseEnvironment accepts "live" and "test".
func ParseEnvironment(s string) (Environment, error) {
	switch e := Environment(s); e {
	case Live, Test:
		return e, nil
	}
	return "", fmt.Errorf("environment %q does not exist: use live or test", s)
}

// Tenant is one business. Everything but the registry belongs to one.
type Tenant struct {
	ID        TenantID
	Name      string // 1 to 200 characters, unique in the deployment
	CreatedAt time.Time
}

// Scope is one permission of a key.
type Scope string

// The scopes of the public documentation and ours.
const (
	LeadsWrite        Scope = "leads:write"
	LeadsRead         Scope = "leads:read"
	CampaignsRead     Scope = "campaigns:read"
	CampaignsWrite    Scope = "campaigns:write"
	VoiceAgentsRead   Scope = "voice_agents:read"
	VoiceAgentsWrite  Scope = "voice_agents:write"
	WebhooksManage    Scope = "webhooks:manage"
	DNDRead           Scope = "dnd:read"
	DNDWrite          Scope = "dnd:write"
	AuditRead         Scope = "audit:read"
	CallsRead         Scope = "calls:read"
	APIKeysManage     Scope = "api_keys:manage"
	VoiceAgentsAdmin  Scope = "voice_agents:admin"
	AISessionsControl Scope = "ai_sessions:control_admin"
)

var (
	// ordinaryScopes are those that an empty list stands for.
	ordinaryScopes = []Scope{LeadsWrite, LeadsRead, CampaignsRead, CampaignsWrite, VoiceAgentsRead,
		VoiceAgentsWrite, WebhooksManage, DNDRead, DNDWrite, AuditRead, CallsRead}
	// explicitScopes are never implied: a key has them only when they are named.
	explicitScopes = []Scope{APIKeysManage, VoiceAgentsAdmin, AISessionsControl}
)

// AllScopes lists every scope there is, the ordinary ones first.
func AllScopes() []Scope { return slices.Concat(ordinaryScopes, explicitScopes) }

// ParseScope accepts a scope that exists.
func ParseScope(s string) (Scope, error) {
	if all := AllScopes(); !slices.Contains(all, Scope(s)) {
		return "", fmt.Errorf("scope %q does not exist: use one of %v", s, all)
	}
	return Scope(s), nil
}

// Rate limits of a key, in requests per minute.
const (
	DefaultRateLimit = 600
	MaxRateLimit     = 100_000
)

// Key is an API key as it is kept: everything but the secret.
type Key struct {
	ID          KeyID
	TenantID    TenantID
	Environment Environment
	Label       string  // up to 200 characters
	Scopes      []Scope // empty means all ordinary ones
	RateLimit   int     // requests per minute, 1 to MaxRateLimit
	Operator    bool    // also reaches the routes of the whole deployment
	Prefix      string  // "yt_live_" or "yt_test_"
	LastFour    string
	CreatedAt   time.Time
	RevokedAt   time.Time // zero while the key works
}

// Allows reports whether the key has scope s.
func (k *Key) Allows(s Scope) bool {
	if len(k.Scopes) == 0 {
		return slices.Contains(ordinaryScopes, s)
	}
	return slices.Contains(k.Scopes, s)
}

// Secret is a text that must not reach a log: it prints as [redacted] wherever
// it is formatted or logged. Convert it to a string to show it once.
type Secret string

// String returns [redacted].
func (Secret) String() string { return "[redacted]" }

// Format writes [redacted], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText writes [redacted], also into JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue logs [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }
