package saaf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"saaf"
)

// A secret comes out of no format, no log and no JSON, alone or inside something.
func TestSecretIsRedacted(t *testing.T) {
	t.Parallel()
	type holder struct{ Key saaf.Secret }
	const secret = saaf.Secret("yt_live_TELLNOBODY")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, secret, holder{secret})
	}
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("made", "key", secret, "holder", holder{secret})
	}
	if err := json.NewEncoder(&out).Encode(holder{secret}); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Contains(text, "TELLNOBODY") || strings.Contains(text, fmt.Sprintf("%x", string(secret))) || !strings.Contains(text, "[redacted]") {
		t.Error(text)
	}
	if string(secret) != "yt_live_TELLNOBODY" {
		t.Error("a secret cannot be shown once")
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	everything := saaf.Key{}
	for _, s := range saaf.AllScopes() {
		explicit := s == saaf.APIKeysManage || s == saaf.VoiceAgentsAdmin || s == saaf.AISessionsControl
		if everything.Allows(s) == explicit {
			t.Errorf("an empty list allows %s: %v", s, everything.Allows(s))
		}
		if only := (saaf.Key{Scopes: []saaf.Scope{s}}); !only.Allows(s) || only.Allows(saaf.LeadsRead) != (s == saaf.LeadsRead) {
			t.Errorf("a list of %s is not enforced", s)
		}
		if got, err := saaf.ParseScope(string(s)); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	if _, err := saaf.ParseScope("everything"); err == nil {
		t.Error("a scope that does not exist is accepted")
	}
}
