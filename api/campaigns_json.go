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

// decodeSettings changes the settings that the object names and checks the
// result as a whole. A null puts an optional setting back to its default.
func decodeSettings(obj web.Value, s *saaf.CampaignSettings, ignored *ignoredMembers) error {
	var d settingsDecoder
	def := saaf.DefaultCampaignSettings()
	for name, v := range obj.Members() {
		switch name {
		case "name":
			decode(&d, name, v, &s.Name, "type_error.str", "a string")
		case "dial_mode":
			decode(&d, name, v, &s.DialMode, "type_error.str", "a string")
		case "voice_agent_id":
			decodeOr(&d, name, v, &s.VoiceAgentID, nil, "type_error.str", "a string or null")
		case "post_answer_action":
			decodeOr(&d, name, v, &s.PostAnswerAction, def.PostAnswerAction, "type_error.str", "a string")
		case "predictive_target_abandon":
			decodeOr(&d, name, v, &s.PredictiveTargetAbandon, nil, "type_error.float", "a number or null")
		case "predictive_max_wait_s":
			decodeOr(&d, name, v, &s.PredictiveMaxWait, nil, "type_error.float", "a number or null")
		case "predictive_min_ratio":
			decodeOr(&d, name, v, &s.PredictiveMinRatio, nil, "type_error.float", "a number or null")
		case "predictive_max_ratio":
			decodeOr(&d, name, v, &s.PredictiveMaxRatio, nil, "type_error.float", "a number or null")
		case "max_attempts":
			decodeOr(&d, name, v, &s.MaxAttempts, def.MaxAttempts, "type_error.integer", "a whole number")
		case "retry_delay_s":
			decodeOr(&d, name, v, &s.RetryDelay, def.RetryDelay, "type_error.integer", "a whole number")
		case "max_concurrent":
			decodeOr(&d, name, v, &s.MaxConcurrent, nil, "type_error.integer", "a whole number or null")
		case "calling_window":
			d.window(v, &s.CallingWindow, ignored)
		case "caller_id":
			decodeOr(&d, name, v, &s.CallerID, nil, "type_error.str", "a string or null")
		default:
			ignored.add(name)
		}
	}
	// What could not be read still has its old value: nothing is to be said of that.
	d.wrong = append(d.wrong, slices.DeleteFunc(s.Validate(), d.reported)...)
	if s.Name == "" && member(obj, "name") == nil {
		d.missing("name")
	}
	if s.DialMode == "" && member(obj, "dial_mode") == nil {
		d.missing("dial_mode")
	}
	if len(d.wrong) == 0 {
		return nil
	}
	return &saaf.Error{Code: saaf.Invalid, Word: "invalid", Fields: d.wrong}
}

// settingsDecoder collects what is wrong with the members of a campaign.
type settingsDecoder struct{ wrong []saaf.FieldError }

// decode sets *into; a member given twice counts as its last value, so that an
// earlier error of the same member is forgotten.
func decode[T any](d *settingsDecoder, name string, v web.Value, into *T, typ, want string) {
	d.forget(name)
	var x T
	if v.Kind() == web.Null || v.Decode(&x) != nil {
		d.wrong = append(d.wrong, saaf.BodyField(name, name+" must be "+want, typ))
		return
	}
	*into = x
}

// decodeOr is decode for members where null means the default.
func decodeOr[T any](d *settingsDecoder, name string, v web.Value, into *T, def T, typ, want string) {
	if v.Kind() == web.Null {
		d.forget(name)
		*into = def
		return
	}
	decode(d, name, v, into, typ, want)
}

// window reads {"start": "10:00", "end": "18:00", "days": [1, 2, 3, 4, 5]}; days
// may be left out, which means every day.
func (d *settingsDecoder) window(v web.Value, into **saaf.CallingWindow, ignored *ignoredMembers) {
	d.forget("calling_window")
	if v.Kind() == web.Null {
		*into = nil
		return
	}
	w := &saaf.CallingWindow{Days: saaf.EveryDay()}
	var hasStart, hasEnd bool
	hasDays := true
	for name, v := range v.Members() {
		switch name {
		case "start":
			hasStart = v.Kind() == web.String && v.Decode(&w.Start) == nil
		case "end":
			hasEnd = v.Kind() == web.String && v.Decode(&w.End) == nil
		case "days":
			w.Days = nil
			hasDays = v.Kind() == web.Array && v.Decode(&w.Days) == nil
		default:
			ignored.add("calling_window." + name)
		}
	}
	if !hasStart || !hasEnd || !hasDays { // a value that is no object has none
		d.wrong = append(d.wrong, saaf.BodyField("calling_window",
			`calling_window must be null or {"start": "10:00", "end": "18:00", "days": [1, 2, 3, 4, 5]}, times in IST, 1 is Monday`, "value_error.calling_window"))
		return
	}
	*into = w
}

// forget drops what was found wrong with a member.
func (d *settingsDecoder) forget(name string) {
	kept := d.wrong[:0]
	for _, e := range d.wrong {
		if e.Loc[1] != name {
			kept = append(kept, e)
		}
	}
	d.wrong = kept
}

// reported tells whether the member of e is known to be wrong already.
func (d *settingsDecoder) reported(e saaf.FieldError) bool {
	for _, w := range d.wrong {
		if w.Loc[1] == e.Loc[1] {
			return true
		}
	}
	return false
}

// missing replaces what was found wrong with a required member that is not there.
func (d *settingsDecoder) missing(name string) {
	d.forget(name)
	d.wrong = append(d.wrong, saaf.BodyField(name, "field required", "value_error.missing"))
}
