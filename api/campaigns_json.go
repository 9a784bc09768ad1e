package api

import (
	"slices"

	"saaf"
	"saaf/web"
)

// campaignView is a campaign as the API shows it.
type campaignView struct {
	ID                      saaf.CampaignID     `json:"id"`
	Name                    string              `json:"name"`
	DialMode                string              `json:"dial_mode"`
	Status                  saaf.CampaignStatus `json:"status"`
	Environment             saaf.Environment    `json:"environment"`
	VoiceAgentID            *string             `json:"voice_agent_id"`
	PostAnswerAction        string              `json:"post_answer_action"`
	PredictiveTargetAbandon *float64            `json:"predictive_target_abandon"`
	PredictiveMaxWait       *float64            `json:"predictive_max_wait_s"`
	PredictiveMinRatio      *float64            `json:"predictive_min_ratio"`
	PredictiveMaxRatio      *float64            `json:"predictive_max_ratio"`
	MaxAttempts             int                 `json:"max_attempts"`
	RetryDelay              int                 `json:"retry_delay_s"`
	MaxConcurrent           *int                `json:"max_concurrent"`
	CallingWindow           *saaf.CallingWindow `json:"calling_window"`
	CallerID                *string             `json:"caller_id"`
	LeadCounts              map[string]int64    `json:"lead_counts"`
	CreatedAt               string              `json:"created_at"`
	UpdatedAt               string              `json:"updated_at"`
	Warnings                []string            `json:"warnings,omitempty"`
}

func showCampaign(c *saaf.Campaign, ignored *ignoredMembers) campaignView {
	v := campaignView{
		ID: c.ID, Name: c.Name, DialMode: c.DialMode, Status: c.Status, Environment: c.Environment,
		VoiceAgentID: c.VoiceAgentID, PostAnswerAction: c.PostAnswerAction,
		PredictiveTargetAbandon: c.PredictiveTargetAbandon, PredictiveMaxWait: c.PredictiveMaxWait,
		PredictiveMinRatio: c.PredictiveMinRatio, PredictiveMaxRatio: c.PredictiveMaxRatio,
		MaxAttempts: c.MaxAttempts, RetryDelay: c.RetryDelay, MaxConcurrent: c.MaxConcurrent,
		CallingWindow: c.CallingWindow, CallerID: c.CallerID, LeadCounts: make(map[string]int64, len(c.Leads)),
		CreatedAt: c.CreatedAt.Format(web.TimeLayout), UpdatedAt: c.UpdatedAt.Format(web.TimeLayout),
	}
	for status, n := range c.Leads {
		v.LeadCounts[saaf.LeadStatus(status).String()] = n
	}
	if ignored != nil {
		v.Warnings = ignored.list()
	}
	return v
}

// settingsChange is what a body says about the settings of a campaign. It is read
// before the store is asked: inside the transaction, where all other writes wait,
// is no place to walk through megabytes.
type settingsChange struct {
	set   map[string]func(*saaf.CampaignSettings) // by member
	wrong []saaf.FieldError
}

// readSettings reads the members of obj. A null puts an optional setting back to
// its default.
func readSettings(obj web.Value, ignored *ignoredMembers) *settingsChange {
	type settings = saaf.CampaignSettings
	c := &settingsChange{set: make(map[string]func(*settings))}
	def := saaf.DefaultCampaignSettings()
	for name, v := range obj.Members() {
		switch name {
		case "name":
			read(c, name, v, func(s *settings) *string { return &s.Name }, "type_error.str", "a string")
		case "dial_mode":
			read(c, name, v, func(s *settings) *string { return &s.DialMode }, "type_error.str", "a string")
		case "voice_agent_id":
			readOr(c, name, v, func(s *settings) **string { return &s.VoiceAgentID }, nil, "type_error.str", "a string or null")
		case "post_answer_action":
			readOr(c, name, v, func(s *settings) *string { return &s.PostAnswerAction }, def.PostAnswerAction, "type_error.str", "a string")
		case "predictive_target_abandon":
			readOr(c, name, v, func(s *settings) **float64 { return &s.PredictiveTargetAbandon }, nil, "type_error.float", "a number or null")
		case "predictive_max_wait_s":
			readOr(c, name, v, func(s *settings) **float64 { return &s.PredictiveMaxWait }, nil, "type_error.float", "a number or null")
		case "predictive_min_ratio":
			readOr(c, name, v, func(s *settings) **float64 { return &s.PredictiveMinRatio }, nil, "type_error.float", "a number or null")
		case "predictive_max_ratio":
			readOr(c, name, v, func(s *settings) **float64 { return &s.PredictiveMaxRatio }, nil, "type_error.float", "a number or null")
		case "max_attempts":
			readOr(c, name, v, func(s *settings) *int { return &s.MaxAttempts }, def.MaxAttempts, "type_error.integer", "a whole number")
		case "retry_delay_s":
			readOr(c, name, v, func(s *settings) *int { return &s.RetryDelay }, def.RetryDelay, "type_error.integer", "a whole number")
		case "max_concurrent":
			readOr(c, name, v, func(s *settings) **int { return &s.MaxConcurrent }, nil, "type_error.integer", "a whole number or null")
		case "calling_window":
			c.window(v, ignored)
		case "caller_id":
			readOr(c, name, v, func(s *settings) **string { return &s.CallerID }, nil, "type_error.str", "a string or null")
		default:
			ignored.add(name)
		}
	}
	return c
}

// apply changes the settings that were named and checks the result as a whole.
func (c *settingsChange) apply(s *saaf.CampaignSettings) error {
	for _, set := range c.set {
		set(s)
	}
	wrong := slices.Clone(c.wrong)
	for _, e := range s.Validate() {
		switch name := e.Loc[1]; {
		case c.says(name): // what could not be read still has its old value
		case (name == "name" && s.Name == "" || name == "dial_mode" && s.DialMode == "") && c.set[name] == nil:
			wrong = append(wrong, saaf.BodyField(name, "field required", "value_error.missing"))
		default:
			wrong = append(wrong, e)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: wrong}
}

// read reads one member; one that is given twice counts as its last value.
func read[T any](c *settingsChange, name string, v web.Value, field func(*saaf.CampaignSettings) *T, typ, want string) {
	var x T
	if v.Kind() == web.Null || v.Decode(&x) != nil {
		c.refuse(name, name+" must be "+want, typ)
		return
	}
	c.accept(name, func(s *saaf.CampaignSettings) { *field(s) = x })
}

// readOr is read for members where null means the default.
func readOr[T any](c *settingsChange, name string, v web.Value, field func(*saaf.CampaignSettings) *T, def T, typ, want string) {
	if v.Kind() == web.Null {
		c.accept(name, func(s *saaf.CampaignSettings) { *field(s) = def })
		return
	}
	read(c, name, v, field, typ, want)
}

// window reads {"start": "10:00", "end": "18:00", "days": [1, 2, 3, 4, 5]}; days
// may be left out, which means every day.
func (c *settingsChange) window(v web.Value, ignored *ignoredMembers) {
	const name = "calling_window"
	if v.Kind() == web.Null {
		c.accept(name, func(s *saaf.CampaignSettings) { s.CallingWindow = nil })
		return
	}
	w := saaf.CallingWindow{Days: saaf.EveryDay()}
	var hasStart, hasEnd bool
	hasDays := true
	for member, v := range v.Members() {
		switch member {
		case "start":
			hasStart = v.Kind() == web.String && v.Decode(&w.Start) == nil
		case "end":
			hasEnd = v.Kind() == web.String && v.Decode(&w.End) == nil
		case "days":
			w.Days = nil
			hasDays = v.Kind() == web.Array && v.Decode(&w.Days) == nil
		default:
			ignored.add(name + "." + member)
		}
	}
	if !hasStart || !hasEnd || !hasDays { // a value that is no object has none
		c.refuse(name, `calling_window must be null or {"start": "10:00", "end": "18:00", "days": [1, 2, 3, 4, 5]}, times in IST, 1 is Monday`,
			"value_error.calling_window")
		return
	}
	c.accept(name, func(s *saaf.CampaignSettings) { s.CallingWindow = &w })
}

// accept and refuse replace what an earlier member of the same name came to.
func (c *settingsChange) accept(name string, set func(*saaf.CampaignSettings)) {
	c.wrong = slices.DeleteFunc(c.wrong, func(e saaf.FieldError) bool { return e.Loc[1] == name })
	c.set[name] = set
}

func (c *settingsChange) refuse(name, msg, typ string) {
	c.accept(name, nil)
	delete(c.set, name)
	c.wrong = append(c.wrong, saaf.BodyField(name, msg, typ))
}

// says reports whether the member is known to be wrong.
func (c *settingsChange) says(name string) bool {
	return slices.ContainsFunc(c.wrong, func(e saaf.FieldError) bool { return e.Loc[1] == name })
}
