package api

import (
	"fmt"
	"testing"

	"saaf"
)

// Every action in every state, and what comes of it.
func TestCampaignStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for state, actions := range map[saaf.CampaignStatus]map[string]saaf.CampaignStatus{
		saaf.CampaignDraft:     {"start": saaf.CampaignRunning, "pause": "", "stop": "", "delete": "gone"},
		saaf.CampaignRunning:   {"start": "", "pause": saaf.CampaignPaused, "stop": saaf.CampaignCompleted, "delete": ""},
		saaf.CampaignPaused:    {"start": saaf.CampaignRunning, "pause": "", "stop": saaf.CampaignCompleted, "delete": "gone"},
		saaf.CampaignCompleted: {"start": "", "pause": "", "stop": "", "delete": "gone"},
	} {
		for action, next := range actions {
			id := b.in(state)
			path := "/campaigns/" + id
			before := b.do("GET", path, "").is(200)
			if before.text("status") != string(state) {
				t.Fatalf("%s, want %s", before.body, state)
			}
			var a answer
			detail := fmt.Sprintf(`"Cannot %s a campaign that is %s"`, action, state)
			if action == "delete" {
				a = b.do("DELETE", path, "")
				detail = `"Cannot delete a campaign that is running; stop it first"`
			} else {
				a = b.do("POST", path+"/"+action, "")
			}
			switch next {
			case "":
				a.fails(409, "invalid_campaign_state", detail)
				if after := b.do("GET", path, "").is(200); after.body != before.body {
					t.Errorf("%s of %s changed it to %s", action, state, after.body)
				}
			case "gone":
				if a.status != 204 || a.body != "" {
					t.Errorf("%s of %s: %d %q", action, state, a.status, a.body)
				}
				for _, rt := range routes() {
					if rt.namesCampaign() {
						b.do(rt.method, rt.at(things{campaign: id, lead: nothing.lead}), samples[rt.name()]).fails(404, "not_found", `"Campaign not found"`)
					}
				}
			default:
				if a.status != 200 || a.text("status") != string(next) || a.text("id") != id {
					t.Errorf("%s of %s: %d %s", action, state, a.status, a.body)
				}
				if after := b.do("GET", path, "").is(200); after.body != a.body {
					t.Errorf("%s of %s answered %s and left %s", action, state, a.body, after.body)
				}
			}
		}
	}
}

// A POST that needs no body accepts none, and any other one too.
func TestActionsNeedNoBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{"", "{}", `{"x":1}`, "not JSON"} {
		b.do("POST", "/campaigns/"+b.campaign()+"/start", body).is(200)
	}
}

func TestRunFlowIsNotSupported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const detail = `"A campaign with post_answer_action run_flow cannot be started here; set connect_agent or connect_voice_agent"`
	path := "/campaigns/" + b.campaign(`"post_answer_action":"run_flow"`)
	b.do("POST", path+"/start", "").fails(409, "not_supported", detail)
	if got := b.do("GET", path, "").is(200).text("status"); got != "draft" {
		t.Errorf("it is %s", got)
	}
	b.do("PATCH", path, `{"post_answer_action":"connect_agent"}`).is(200)
	b.do("POST", path+"/start", "").is(200)
	b.do("POST", path+"/pause", "").is(200)
	b.do("PATCH", path, `{"post_answer_action":"run_flow"}`).is(200)
	b.do("POST", path+"/start", "").fails(409, "not_supported", detail)
	b.do("POST", path+"/stop", "").is(200)
	// A move that does not exist is the first thing to say.
	b.do("POST", path+"/start", "").fails(409, "invalid_campaign_state", `"Cannot start a campaign that is completed"`)
}

// Of many who start a campaign at once one has started it.
func TestStartAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/campaigns/" + b.campaign() + "/start"
	done := make(chan answer, 10)
	for range cap(done) {
		go func() { done <- b.do("POST", path, "") }()
	}
	started := 0
	for range cap(done) {
		switch a := <-done; a.status {
		case 200:
			started++
		case 409:
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if started != 1 {
		t.Errorf("%d have started it", started)
	}
}
