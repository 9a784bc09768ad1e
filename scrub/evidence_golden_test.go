package scrub

import (
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
)

var update = flag.Bool("update", false, "rewrite golden files")

// fixedChain is a ledger of fixed values, of which the first, third and fourth
// entry are about one number.
func fixedChain(t testing.TB, key ed25519.PrivateKey, ev *Evidence) (entries []saaf.EntryRow, signed saaf.SignedCheckpoint) {
	t.Helper()
	at := time.Date(2026, 11, 25, 10, 0, 0, 123_000_000, time.UTC)
	snap := &saaf.EntrySnapshot{ID: 3 << 40, EffectiveDate: saaf.DateOf(at) - 1, SHA256: saaf.SHA256{1, 2, 3}}
	body := func(list ...saaf.Decision) (b []byte) {
		last := saaf.LeadID(0)
		for i := range list {
			b = saaf.AppendDecision(b, last, &list[i])
			last = list[i].Lead
		}
		return b
	}
	other := saaf.PhoneHash{9, 9, 9}
	var before saaf.SHA256
	add := func(head saaf.EntryHead, body []byte) {
		n := int64(len(entries) + 1)
		head.Version, head.Deployment, head.Writer, head.RuleVersion, head.Environment = 1, ev.Deployment, 1, 1, saaf.Live
		head.Entry, head.Seq, head.At = saaf.EntryID(5<<40+n), n, at.Add(time.Duration(n)*time.Hour)
		text, err := json.Marshal(head)
		if err != nil {
			t.Fatal(err)
		}
		e := saaf.EntryRow{ID: head.Entry, Campaign: head.Campaign, Tenant: head.Tenant, Writer: 1, Seq: n, Entry: saaf.Entry{Head: text, Body: body}}
		e.Hash = saaf.Link(before, e.Content())
		before = e.Hash
		entries = append(entries, e)
	}
	add(saaf.EntryHead{Tenant: ev.Tenant, Campaign: 2 << 40, Stage: saaf.StageIngest, Source: saaf.SourceFile, Snapshot: snap, Decisions: 2,
		Requests: []saaf.EntryRequest{{Request: "req_a", Actor: "key_0000000000001", Decisions: 1}, {Request: "req_b", Actor: "key_0000000000002", Decisions: 1}}},
		body(saaf.Decision{Lead: 71, Phone: other, New: true, Found: saaf.NotRegistered, Reason: saaf.NotRegistered},
			saaf.Decision{Lead: 72, Phone: ev.PhoneHash, New: true, Found: saaf.PartialBlock, Reason: saaf.PartialBlock, Status: saaf.LeadDND, Preferences: "2#3"}))
	add(saaf.EntryHead{Tenant: ev.Tenant, Campaign: 2 << 40, Stage: saaf.StageIngest, Snapshot: snap, Decisions: 1,
		Requests: []saaf.EntryRequest{{Actor: "system", Decisions: 1}}}, body(saaf.Decision{Lead: 73, Phone: other, New: true}))
	add(saaf.EntryHead{Tenant: ev.Tenant, Stage: saaf.StageSuppression, Requests: []saaf.EntryRequest{{Request: "req_c", Actor: "key_0000000000001", Reason: "said <b>no</b> & hung up"}},
		Fact: map[string]any{"what": "made", "suppression": saaf.SuppressionID(74), "scope": "tenant", "environment": "live", "phone": ev.PhoneHash, "source": "call"}}, nil)
	add(saaf.EntryHead{Tenant: ev.Tenant, Campaign: 2 << 40, Stage: saaf.StageRescrub, Decisions: 1,
		Requests: []saaf.EntryRequest{{Request: "req_c", Actor: "key_0000000000001", Decisions: 1, Reason: "said <b>no</b> & hung up"}}},
		body(saaf.Decision{Lead: 72, Phone: ev.PhoneHash, Had: saaf.PartialBlock, Found: saaf.Suppressed, Reason: saaf.Suppressed, Status: saaf.LeadDND, Suppression: 74}))
	add(saaf.EntryHead{Stage: saaf.StageKey, Requests: []saaf.EntryRequest{{Actor: "system"}}, Fact: map[string]string{"what": "made"}}, nil)
	last := entries[len(entries)-1]
	signed, err := saaf.Checkpoint{Version: 1, Deployment: ev.Deployment, Seq: 1, At: at.Add(6 * time.Hour),
		Heads: []saaf.CheckpointHead{{Writer: 1, Seq: last.Seq, Entry: last.ID, Hash: last.Hash}}}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return entries, signed
}

// fixedEvidence is an export of fixed values.
func fixedEvidence(t testing.TB) (*Evidence, ed25519.PublicKey) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	ev := &Evidence{
		Version: 1, Statement: evidenceStatement, Deployment: 1 << 40, Tenant: 1<<40 + 1, Environment: saaf.Live,
		Phone: asha.E164(), PhoneHash: saaf.PhoneHash{1, 2, 3}, DeploymentHash: saaf.PhoneHash{4, 5, 6},
		From: "2026-11-01T00:00:00+05:30", MadeAt: "2026-11-26T04:30:00.000Z", MadeAtIST: "2026-11-26T10:00:00+05:30",
		Leads: []EvidenceLead{{Lead: 72, Campaign: 2 << 40, Status: "dnd", Finding: "suppressed", CheckedAt: "2026-11-25T14:00:00.123Z",
			CheckedAtIST: "2026-11-25T19:30:00+05:30", CreatedAt: "2026-11-25T11:00:00.123Z", CreatedAtIST: "2026-11-25T16:30:00+05:30"}},
		OptOuts: []EvidenceOptOut{{Suppression: 74, Scope: saaf.TenantScope, Reason: "said <b>no</b> & hung up", Source: "call",
			Actor: "key_0000000000001", CreatedAt: "2026-11-25T13:00:00.123Z", CreatedAtIST: "2026-11-25T18:30:00+05:30"}},
		Erasures: []EvidenceErasure{},
		Snapshots: []EvidenceSnapshot{{Snapshot: 3 << 40, Mode: saaf.FullSet, EffectiveDate: 20781, SHA256: saaf.SHA256{1, 2, 3}, Numbers: 3, Rows: 5,
			RowsActive: 3, RowsDeleted: 1, Malformed: 1, Overridden: []string{"malformed"}, Override: "a test file", Actor: "cli:asha@office",
			CreatedAt: "2026-11-24T05:00:00.000Z", CreatedAtIST: "2026-11-24T10:30:00+05:30",
			Files: []EvidenceFile{{Name: "full.csv.gz", SHA256: saaf.SHA256{7}, Bytes: 120, Rows: 5}}}},
	}
	entries, signed := fixedChain(t, key, ev)
	ev.Proof = EvidenceProof{PublicKey: saaf.EncodeKey(public),
		Checkpoints: []EvidenceCheckpoint{{Seq: 1, Text: string(signed.Text), Signature: signed.Signature}}}
	var before saaf.SHA256
	for i := range entries {
		e := &entries[i]
		decisions, facts, err := ev.says(&e.Entry)
		if err != nil {
			t.Fatal(err)
		}
		ev.Decisions, ev.Facts = append(ev.Decisions, decisions...), append(ev.Facts, facts...)
		if list := ev.Proof.Entries; len(decisions)+len(facts) == 0 {
			last := &list[len(list)-1]
			last.Path = append(last.Path, e.Content())
		} else {
			ev.Proof.Entries = append(list, EvidenceEntry{ID: e.ID, Seq: e.Seq, Before: before, Hash: e.Hash, Head: string(e.Head),
				Body: append([]byte{}, e.Body...), Path: []saaf.SHA256{}, Checkpoint: 1})
		}
		before = e.Hash
	}
	return ev, public
}

func fixedExport(t testing.TB) ([]byte, ed25519.PublicKey) {
	t.Helper()
	ev, key := fixedEvidence(t)
	return export(t, ev), key
}

func TestEvidenceGolden(t *testing.T) {
	t.Parallel()
	ev, _ := fixedEvidence(t)
	for name, got := range map[string]string{"evidence.json": string(export(t, ev)) + "\n", "evidence.html": htmlOf(t, ev)} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; make it with go test ./scrub -update", err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is not as it was; if that is meant, go test ./scrub -update\n%s", name, diff)
		}
	}
}

// Whatever people write into the record, the page is only the page.
func TestEvidencePageEscapes(t *testing.T) {
	t.Parallel()
	ev, _ := fixedEvidence(t)
	const attack = `</td></table><script>alert(1)</script><img src=x onerror="alert(1)">'"{{.}}<!--`
	ev.Decisions[0].Actor, ev.Decisions[0].Request, ev.Decisions[0].Said, ev.Decisions[0].Source = attack, attack, attack, attack
	ev.Decisions[0].MatchedRow.Preferences, ev.Decisions[0].Found, ev.Decisions[0].Status = attack, attack, attack
	ev.Facts[0].Said, ev.Facts[0].What, ev.Facts[0].Actor = attack, attack, attack
	ev.OptOuts[0].Reason, ev.OptOuts[0].Source, ev.OptOuts[0].EndReason, ev.OptOuts[0].EndedAtIST = attack, attack, attack, attack
	ev.Erasures = []EvidenceErasure{{Reason: attack, Actor: attack, State: attack}}
	ev.Snapshots[0].Files[0].Name, ev.Snapshots[0].Override, ev.Snapshots[0].Overridden, ev.Snapshots[0].Actor = attack, attack, []string{attack}, attack
	ev.Leads[0].Status, ev.Leads[0].Finding = attack, attack
	ev.Phone, ev.Statement, ev.From, ev.Proof.PublicKey = attack, attack, attack, attack
	html := htmlOf(t, ev)
	for _, bad := range []string{"<script", "<img", "<!--", "{{"} {
		if strings.Contains(strings.ReplaceAll(html, "{{.}}", ""), bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if n := strings.Count(html, "&lt;script&gt;alert(1)"); n < 20 {
		t.Errorf("the text is there %d times", n)
	}
	if quotes := strings.Count(html, `"alert(1)"`); quotes > 0 {
		t.Errorf("%d quotes are not escaped", quotes)
	}
}

// The page says what is known and promises nothing.
func TestEvidenceWords(t *testing.T) {
	t.Parallel()
	ev, _ := fixedEvidence(t)
	html := htmlOf(t, ev)
	text := html + string(export(t, ev))
	for _, never := range []string{"certified", "compliant", "legal to", "TRAI", "fine of", "Rs "} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(never)) {
			t.Errorf("it says %q", never)
		}
	}
	for _, must := range []string{"Checked against the registry file you supplied, dated 2026-11-24", "telemarketer registration",
		"remains the authority", "2026-11-25T16:30:00&#43;05:30"} {
		if !strings.Contains(html, must) {
			t.Errorf("it does not say %q", must)
		}
	}
	for _, active := range []string{"http:", "https:", "src=", "url(", "javascript", "onload"} {
		if strings.Contains(html, active) {
			t.Errorf("the page holds %q, which leads out of it", active)
		}
	}
}

// A page must not say of the registry file what the outside checker has said.
func TestEvidencePageSaysWhoAnswered(t *testing.T) {
	t.Parallel()
	full, partial, clean := saaf.FullBlock.String(), saaf.PartialBlock.String(), saaf.NotRegistered.String()
	const file = "Checked against the registry file you supplied, dated 2026-11-24"
	const row = "<td>opstype A, preferences 0</td>"
	for _, c := range []struct {
		source, found string
		matched       bool
		must, never   []string
	}{
		{"file", full, true, []string{"in the registry file, fully blocked", file + ", when", row}, []string{"outside checker"}},
		{"file", clean, false, []string{"not in the registry file, and on no opt-out list"}, []string{"outside checker"}},
		{"file+dlt", full, true, []string{"in the registry file, fully blocked", file + ", when", row}, []string{"outside checker"}},
		{"file+dlt", full, false, []string{"<td>fully blocked, as the outside checker dlt said</td>", file + ", and by the outside checker dlt"}, []string{"in the registry file, fully"}},
		{"file+dlt", clean, false, []string{"not in the registry file nor with the outside checker dlt, and on no opt-out list"}, nil},
		{"dlt", partial, false, []string{"all the same, as the outside checker dlt said", "Checked by the outside checker dlt, against no registry file"}, []string{"in the registry file, blocked", "Not checked"}},
		{"dlt", clean, false, []string{"not registered, as the outside checker dlt said"}, []string{"not in the registry file"}},
	} {
		ev, _ := fixedEvidence(t)
		d := ev.Decisions[0]
		d.Source, d.Found, d.Reason, d.MatchedRow = c.source, c.found, c.found, nil
		d.Checked, d.Clean = true, c.found == clean
		if c.matched {
			d.MatchedRow = &EvidenceRow{Opstype: "A", Preferences: "0"}
		}
		if c.source == "dlt" {
			d.Snapshot = nil
		}
		ev.Decisions = []EvidenceDecision{d}
		html := htmlOf(t, ev)
		for _, must := range c.must {
			if !strings.Contains(html, must) {
				t.Errorf("%s, %s: it does not say %q", c.source, c.found, must)
			}
		}
		for _, never := range c.never {
			if strings.Contains(html, never) {
				t.Errorf("%s, %s: it says %q", c.source, c.found, never)
			}
		}
	}
}

// A release by hand and a check of a number that is no lead are told apart.
func TestEvidencePageOfWhatWasAskedByHand(t *testing.T) {
	t.Parallel()
	for lead, must := range map[saaf.LeadID]string{72: "when somebody asked for its release</td>", 0: "when somebody asked</td>"} {
		ev, _ := fixedEvidence(t)
		d := ev.Decisions[0]
		d.Stage, d.Lead = saaf.StageManual, lead
		ev.Decisions = []EvidenceDecision{d}
		html := htmlOf(t, ev)
		if !strings.Contains(html, must) || strings.Contains(html, "<th>Before</th>") != (lead != 0) {
			t.Errorf("lead %d: it does not say %q, or what was before a check of no lead", lead, must)
		}
	}
}
