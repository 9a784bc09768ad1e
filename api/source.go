package api

import (
	"saaf/scrub"
	"saaf/web"
)

// sourceView is an outside checker in the answers of GET /readyz and GET
// /dnd/registry.
type sourceView struct {
	Name         string `json:"name"`
	Mode         string `json:"mode"` // beside or instead
	Role         string `json:"role"` // a sentence
	Circuit      string `json:"circuit"`
	OpenUntil    any    `json:"open_until"`
	LastAnswerAt any    `json:"last_answer_at"`
}

// showSource is nil for nil.
func showSource(s *scrub.SourceStatus) *sourceView {
	if s == nil {
		return nil
	}
	v := &sourceView{Name: s.Name, Mode: string(s.Mode), Role: s.Role, Circuit: s.State.Circuit.String()}
	if at := s.State.OpenUntil; !at.IsZero() {
		v.OpenUntil = at.UTC().Format(web.TimeLayout)
	}
	if at := s.State.LastAnswerAt; !at.IsZero() {
		v.LastAnswerAt = at.UTC().Format(web.TimeLayout)
	}
	return v
}
