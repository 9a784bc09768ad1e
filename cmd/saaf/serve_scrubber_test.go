package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"saaf/client"
	"saaf/internal/apptest"
)

// get reads a JSON object that needs no key.
func get(t *testing.T, url string) (answer map[string]any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// A server whose checker answers instead of the registry: no file is needed, what
// it does not answer for is stored unchecked and checked when it is back.
func TestServeWithAChecker(t *testing.T) {
	t.Parallel()
	checker := apptest.NewChecker()
	t.Cleanup(checker.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "scrubber.key"), []byte("swordfish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := checker.Config(dir, "instead", map[string]any{
		"timeout": "300ms", "breaker": map[string]any{"failures": 2, "cool_down": "1s"},
		"headers": map[string]any{"Authorization": map[string]string{"file": "scrubber.key"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := apptest.Start(binary, filepath.Join(dir, "data"), "--scrubber-config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Kill(); err != nil {
			t.Error(err)
		}
	})
	c := client.New(srv.URL, srv.LiveKey)
	campaign, err := c.CreateCampaign(t.Context(), client.NewCampaign{Name: "Diwali", DialMode: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	push := func(phone string) client.Lead {
		t.Helper()
		l, err := c.PushLead(t.Context(), campaign.ID, client.NewLead{Phone: phone})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	checker.Say("9000000002", "full")
	if l := push("9000000001"); !l.DNDClean || l.DNDReason != "not_registered" {
		t.Errorf("a clean number: %+v", l)
	}
	if l := push("9000000002"); l.Status != "dnd" || l.DNDReason != "ncpr_full_block" {
		t.Errorf("a blocked number: %+v", l)
	}
	command := exec.Command(binary, "lead", "push", "9000000005", "--campaign", campaign.ID, "--url", srv.URL, "--key", srv.LiveKey)
	command.Env = apptest.Environ()
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "(not_registered, checked)") {
		t.Errorf("%v: a lead that the checker found clean is shown as %s", err, out)
	}

	checker.Fail(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, phone := range []string{"9000000003", "9000000004"} {
		if l := push(phone); l.DNDChecked || l.DNDClean {
			t.Errorf("without an answer: %+v", l)
		}
	}
	ready := get(t, srv.URL+"/readyz")
	source, _ := ready["source"].(map[string]any)
	warnings, _ := json.Marshal(ready["warnings"])
	if ready["status"] != "ready" || source["name"] != "dlt" || !strings.Contains(source["role"].(string), "instead of the registry file") ||
		!bytes.Contains(warnings, []byte("outside checker dlt")) {
		t.Errorf("%v", ready)
	}
	checker.Fail(nil)
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		page, err := c.Leads(t.Context(), campaign.ID, url.Values{"dnd_clean": {"true"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) == 4 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d leads are clean", len(page.Items))
		}
	}
	log := srv.Log()
	if !strings.Contains(log, "source=dlt mode=instead host=127.0.0.1") {
		t.Errorf("the log does not name the checker:\n%s", log)
	}
	for _, leak := range []string{"swordfish", "90000000"} {
		if strings.Contains(log, leak) {
			t.Errorf("%s is in the log:\n%s", leak, log)
		}
	}
}

// All mistakes of a configuration are told, and the server does not start.
func TestServeRefusesBadCheckers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "scrubber.json")
	if err := os.WriteFile(file, []byte(`{"name": "Two words", "mode": "off", "batch": 900}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := exec.Command(binary, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"))
	cmd.Env = append(apptest.Environ(), "SAAF_SCRUBBER_CONFIG="+file)
	cmd.Stderr = &errs
	if err, ok := errors.AsType[*exec.ExitError](cmd.Run()); !ok || err.ExitCode() != exitUsage {
		t.Errorf("it ends with %v", err)
	}
	for _, member := range []string{"--scrubber-config", "name: ", "mode: ", "url: ", "batch: ", "response.clean: "} {
		if !strings.Contains(errs.String(), member) {
			t.Errorf("%q is not in %s", member, errs.String())
		}
	}
}
