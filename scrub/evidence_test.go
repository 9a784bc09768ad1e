package scrub

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"saaf"
	"saaf/store"
)

func (b *bundle) evidence(req EvidenceRequest) *Evidence {
	b.t.Helper()
	if req.Tenant == 0 {
		req.Tenant = b.tenant
	}
	if req.Environment == "" {
		req.Environment = saaf.Live
	}
	ev, err := NewEvidence(b.t.Context(), b.store, req)
	if err != nil {
		b.t.Fatal(err)
	}
	return ev
}

func export(t testing.TB, ev *Evidence) []byte {
	t.Helper()
	text, err := json.MarshalIndent(ev, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func htmlOf(t testing.TB, ev *Evidence) string {
	t.Helper()
	var html strings.Builder
	if err := ev.WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	return html.String()
}

// line is what tests compare of a decision.
func line(d EvidenceDecision) string {
	row := "no row"
	if d.MatchedRow != nil {
		row = d.MatchedRow.Opstype + " " + d.MatchedRow.Preferences
	}
	return fmt.Sprintf("%s %s->%s found %s, %s, %s, %v %v %s", d.Stage, d.Had, d.Reason, d.Found, d.Status, row, d.Checked, d.Clean, d.Event)
}

func TestEvidenceOfOneNumber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	ev := b.evidence(EvidenceRequest{Phone: asha})
	var got []string
	for _, d := range ev.Decisions {
		got = append(got, line(d))
	}
	want := []string{
		"ingest ->not_registered found not_registered, pending, no row, true true ",
		"rescrub not_registered->suppressed found suppressed, dnd, no row, true false lead.dnd_changed",
		"rescrub suppressed->held_after_block found not_registered, held, no row, true false lead.dnd_changed",
		"manual held_after_block->not_registered found not_registered, pending, no row, true true lead.dnd_changed",
		"manual ->not_registered found not_registered, , no row, true true ",
		"rescrub not_registered->ncpr_full_block found ncpr_full_block, dnd, A 0, true false lead.dnd_changed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d := ev.Decisions[3]; d.Said != "asked again" || d.Actor != "key_0000000000001" || d.Request != "req_1" || d.RuleVersion != saaf.RuleVersion ||
		d.Source != saaf.SourceFile || d.Snapshot == nil || d.Snapshot.EffectiveDate != today() {
		t.Errorf("who, why and on what: %+v", d)
	}
	if d := ev.Decisions[1]; d.Suppression == 0 || d.Suppression != ev.OptOuts[0].Suppression || d.Source != "" || d.Snapshot != nil {
		t.Errorf("the opt-out: %+v", d)
	}
	if len(ev.Facts) != 2 || ev.Facts[0].What != "made" || ev.Facts[1].What != "lifted" || ev.Facts[1].Said != "said yes after all" {
		t.Errorf("facts: %+v", ev.Facts)
	}
	if o := ev.OptOuts; len(o) != 1 || o[0].EndReason != "said yes after all" || o[0].Reason != "said no" {
		t.Errorf("opt-outs: %+v", o)
	}
	if l := ev.Leads; len(l) != 1 || l[0].Status != "dnd" || l[0].Finding != "ncpr_full_block" || l[0].Campaign != b.campaign {
		t.Errorf("leads: %+v", l)
	}
	if s := ev.Snapshots; len(s) != 2 || len(s[0].Files) != 1 || s[0].RowsActive != 2 || s[0].Actor != "test" || len(s[1].Files) != 1 {
		t.Errorf("snapshots: %+v", s)
	}
	if err := VerifyEvidence(bytes.NewReader(export(t, ev)), b.store.PublicKey()); err != nil {
		t.Error(err)
	}
	at, err := time.Parse(time.RFC3339, ev.Decisions[0].DecidedAt)
	ist, err2 := time.Parse(time.RFC3339, ev.Decisions[0].DecidedAtIST)
	if err != nil || err2 != nil || !at.Truncate(time.Second).Equal(ist) || !strings.HasSuffix(ev.Decisions[0].DecidedAtIST, "+05:30") {
		t.Errorf("times %s and %s differ: %v, %v", ev.Decisions[0].DecidedAt, ev.Decisions[0].DecidedAtIST, err, err2)
	}
}

func TestEvidenceAfterErasure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	ev := b.evidence(EvidenceRequest{Phone: ravi})
	if len(ev.Leads) != 0 || len(ev.Decisions) != 2 || ev.Decisions[0].Stage != saaf.StageIngest || !strings.Contains(line(ev.Decisions[1]), "found ncpr_full_block") {
		t.Errorf("an erased person: %+v", ev.Decisions)
	}
	facts := 1
	if b.store.Shared() {
		facts++ // of the campaign, which has a transaction of its own
	}
	if len(ev.Erasures) != 1 || ev.Erasures[0].Leads != 1 || ev.Erasures[0].State != "running" || len(ev.Facts) != facts || ev.Facts[0].What != "erased" {
		t.Errorf("the erasure: %+v, %+v", ev.Erasures, ev.Facts)
	}
	if err := VerifyEvidence(bytes.NewReader(export(t, ev)), b.store.PublicKey()); err != nil {
		t.Error(err)
	}
}

// No number but the one that was asked for, in either form, however it is spelled.
func TestEvidenceHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history()
	for p, other := range map[saaf.Phone]saaf.Phone{asha: ravi, ravi: asha} {
		ev := b.evidence(EvidenceRequest{Phone: p})
		text := string(export(t, ev)) + htmlOf(t, ev)
		if !strings.Contains(text, p.National()) {
			t.Errorf("it does not name the number that it is about")
		}
		if strings.Contains(text, other.National()) {
			t.Errorf("it holds the number of somebody else")
		}
		for _, e := range ev.Proof.Entries {
			if strings.Contains(string(e.Body), p.National()) || strings.Contains(e.Head, p.National()) {
				t.Errorf("an entry of the ledger holds a number")
			}
		}
	}
}

func TestEvidenceBelongsToOneTenantAndEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	key := func(env saaf.Environment) saaf.By {
		k, err := b.store.CreateKey(ctx, store.NewKey{Hash: store.KeyHash{byte(len(env)), env[0]},
			Key: saaf.Key{TenantID: b.tenant, Environment: env, Prefix: "yt_", LastFour: "aaaa"}})
		if err != nil {
			t.Fatal(err)
		}
		return saaf.By{Actor: k.ID.String()}
	}
	settings := saaf.DefaultCampaignSettings()
	settings.Name, settings.DialMode = "Trial", "preview"
	trial, err := b.store.CreateCampaign(ctx, b.tenant, saaf.Test, settings)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[saaf.Environment]saaf.By{saaf.Live: key(saaf.Live), saaf.Test: key(saaf.Test)}
	campaigns := map[saaf.Environment]saaf.CampaignID{saaf.Live: b.campaign, saaf.Test: trial.ID}
	for env, by := range keys {
		if _, err := b.intake.Push(ctx, b.tenant, env, campaigns[env], saaf.LeadInput{Phone: asha.National()}, asha, by); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Check(ctx, b.tenant, env, []saaf.Phone{asha}, by); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Suppress(ctx, b.tenant, env, []store.NewSuppression{{Scope: saaf.TenantScope, Phone: asha, Reason: string(env)}}, by); err != nil {
			t.Fatal(err)
		}
	}
	for env, by := range keys {
		ev := b.evidence(EvidenceRequest{Phone: asha, Environment: env})
		if len(ev.Leads) != 1 || ev.Leads[0].Campaign != campaigns[env] || len(ev.OptOuts) != 1 || ev.OptOuts[0].Reason != string(env) || len(ev.Facts) != 1 {
			t.Errorf("%s: %+v, %+v, %+v", env, ev.Leads, ev.OptOuts, ev.Facts)
		}
		for _, d := range ev.Decisions {
			if d.Campaign != 0 && d.Campaign != campaigns[env] || d.Campaign == 0 && d.Actor != by.Actor {
				t.Errorf("%s: it holds a decision of the other environment: %+v", env, d)
			}
		}
		if len(ev.Decisions) < 2 {
			t.Errorf("%s: %d decisions", env, len(ev.Decisions))
		}
		if err := VerifyEvidence(bytes.NewReader(export(t, ev)), b.store.PublicKey()); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
	if _, err := b.store.Erase(ctx, b.tenant, saaf.Live, asha, keys[saaf.Live], "asked"); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[saaf.Environment]int{saaf.Live: 1, saaf.Test: 0} {
		if ev := b.evidence(EvidenceRequest{Phone: asha, Environment: env}); len(ev.Erasures) != want {
			t.Errorf("%s: %d erasures, want %d", env, len(ev.Erasures), want)
		}
	}
	other, err := b.store.CreateTenant(ctx, "Bela")
	if err != nil {
		t.Fatal(err)
	}
	ev := b.evidence(EvidenceRequest{Phone: asha, Tenant: other.ID})
	if len(ev.Leads)+len(ev.Decisions)+len(ev.Facts)+len(ev.OptOuts)+len(ev.Proof.Entries) != 0 {
		t.Errorf("another tenant sees %+v", ev)
	}
}

// The list of the deployment counts for everybody, and is in everybody's evidence.
func TestEvidenceOfTheDeploymentsList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(asha)
	_, err := b.store.Suppress(t.Context(), b.tenant, saaf.Live, []store.NewSuppression{{Scope: saaf.DeploymentScope, Phone: asha, Reason: "court order"}}, saaf.System)
	if err != nil {
		t.Fatal(err)
	}
	ev := b.evidence(EvidenceRequest{Phone: asha})
	if len(ev.OptOuts) != 1 || ev.OptOuts[0].Scope != saaf.DeploymentScope || len(ev.Facts) != 1 || ev.Facts[0].Said != "court order" || len(ev.Decisions) != 2 {
		t.Errorf("%+v, %+v, %+v", ev.OptOuts, ev.Facts, ev.Decisions)
	}
	if err := VerifyEvidence(bytes.NewReader(export(t, ev)), b.store.PublicKey()); err != nil {
		t.Error(err)
	}
}

func TestEvidenceOfATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(asha)
	whole := b.evidence(EvidenceRequest{Phone: asha})
	at, err := time.Parse(time.RFC3339, whole.Decisions[0].DecidedAt)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to time.Time
		want     int
	}{
		{at, time.Time{}, 1},
		{at.Add(time.Millisecond), time.Time{}, 0},
		{time.Time{}, at, 0},
		{time.Time{}, at.Add(time.Millisecond), 1},
		{saaf.DateOf(at).Start(), (saaf.DateOf(at) + 1).Start(), 1},
		{(saaf.DateOf(at) - 1).Start(), saaf.DateOf(at).Start(), 0},
	} {
		ev := b.evidence(EvidenceRequest{Phone: asha, From: tc.from, To: tc.to})
		if len(ev.Decisions) != tc.want || len(ev.Proof.Entries) != tc.want || len(ev.Leads) != 1 {
			t.Errorf("from %v to %v: %d decisions, want %d", tc.from, tc.to, len(ev.Decisions), tc.want)
		}
	}
}

func TestParseEvidenceRange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, from, to string }{
		{"", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"2026-11-25", "2026-11-24T18:30:00Z", "2026-11-25T18:30:00Z"},
		{"2026-11-25T15:30:00+05:30", "2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"},
		{"2026-11-25T10:00:00.5Z", "2026-11-25T10:00:00.5Z", "2026-11-25T10:00:00.5Z"},
	} {
		from, err := ParseEvidenceFrom(tc.in)
		to, err2 := ParseEvidenceTo(tc.in)
		if err != nil || err2 != nil || from.UTC().Format(time.RFC3339Nano) != tc.from || to.UTC().Format(time.RFC3339Nano) != tc.to {
			t.Errorf("%q: from %v (%v), to %v (%v)", tc.in, from.UTC(), err, to.UTC(), err2)
		}
	}
	for _, in := range []string{"2026-13-01", "25-11-2026", "2026-11-25 15:30", "2026-11-25T15:30:00", "yesterday", "0001-01-01T00:00:00Z", "9999999"} {
		if at, err := ParseEvidenceFrom(in); err == nil || !strings.Contains(err.Error(), "+05:30") {
			t.Errorf("%q: %v, %v", in, at, err)
		}
	}
}

// An entry that is too far from its checkpoint stands in the export without a path,
// and says so when it is verified; the others have theirs.
func TestEvidencePathLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.push(asha)
	for n := range saaf.Phone(4) {
		b.push(ravi + n)
	}
	if _, err := b.Check(t.Context(), b.tenant, saaf.Live, []saaf.Phone{asha}, saaf.System); err != nil {
		t.Fatal(err)
	}
	ev := b.evidence(EvidenceRequest{Phone: asha})
	verify := func() error {
		return VerifyEvidence(bytes.NewReader(export(t, ev)), b.store.PublicKey())
	}
	if n := len(ev.Proof.Entries[0].Path); n != 4 || verify() != nil {
		t.Errorf("a path of %d, %v", n, verify())
	}
	entries := b.entries()
	mine := []saaf.EntryRow{entries[0], entries[5]}
	for limits, want := range map[pathLimits][]int64{
		{5, 5}: {1, 1}, {4, 5}: {0, 1}, {5, 4}: {0, 1}, {0, 0}: {0, 1}, {5, 0}: {0, 1},
	} {
		if err := ev.prove(t.Context(), b.store, mine, limits); err != nil {
			t.Fatal(err)
		}
		got := []int64{ev.Proof.Entries[0].Checkpoint, ev.Proof.Entries[1].Checkpoint}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limits %v: %s", limits, diff)
		}
		if err := verify(); (err == nil) != (want[0] == 1) {
			t.Errorf("limits %v: %v", limits, err)
		}
	}
}

// Every byte of an export is either proved, and then a flip of it is found, or it
// is none of what an export can prove.
func TestEvidenceEveryByte(t *testing.T) {
	t.Parallel()
	text, key := fixedExport(t)
	good, err := ReadEvidence(bytes.NewReader(text), key)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for k := 0; k < len(text); k += stride() {
		flipped := bytes.Clone(text)
		flipped[k] ^= 1
		ev, err := ReadEvidence(bytes.NewReader(flipped), key)
		if err != nil {
			found++
			continue
		}
		if !reflect.DeepEqual(proved(ev), proved(good)) {
			t.Errorf("a flip of byte %d is not found: %q", k, text[max(0, k-30):min(len(text), k+30)])
		}
	}
	if found*stride() < len(text)/2 {
		t.Errorf("%d of %d flips are found", found, len(text))
	}
}

// proved is what verification proves of an export.
func proved(ev *Evidence) any {
	return []any{ev.Version, ev.Deployment, ev.Tenant, ev.Decisions, ev.Facts, ev.Proof}
}

func TestVerifyEvidenceRefuses(t *testing.T) {
	t.Parallel()
	text, key := fixedExport(t)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyEvidence(bytes.NewReader(text), other.Public().(ed25519.PublicKey)); err == nil {
		t.Error("another key is taken")
	}
	for what, change := range map[string]func(*Evidence){
		"another decision":                 func(ev *Evidence) { ev.Decisions[0].Reason = "not_registered" },
		"a decision more":                  func(ev *Evidence) { ev.Decisions = append(ev.Decisions, ev.Decisions[0]) },
		"a decision less":                  func(ev *Evidence) { ev.Decisions = ev.Decisions[1:] },
		"entries of the other environment": func(ev *Evidence) { ev.Environment = saaf.Test },
		"another fact":                     func(ev *Evidence) { ev.Facts[0].Said = "" },
		"another person":                   func(ev *Evidence) { ev.PhoneHash[0]++ },
		"another tenant":                   func(ev *Evidence) { ev.Tenant++ },
		"an entry twice": func(ev *Evidence) {
			ev.Proof.Entries = append(ev.Proof.Entries, ev.Proof.Entries[len(ev.Proof.Entries)-1])
		},
		"entries about nobody":       func(ev *Evidence) { ev.PhoneHash[0], ev.Decisions, ev.Facts = 99, nil, nil },
		"an entry less":              func(ev *Evidence) { ev.Proof.Entries = ev.Proof.Entries[1:] },
		"no checkpoint":              func(ev *Evidence) { ev.Proof.Checkpoints = nil },
		"not covered":                func(ev *Evidence) { ev.Proof.Entries[0].Checkpoint = 0 },
		"a path too short":           func(ev *Evidence) { e := &ev.Proof.Entries[0]; e.Path = e.Path[:len(e.Path)-1] },
		"a path too long":            func(ev *Evidence) { e := &ev.Proof.Entries[0]; e.Path = append(e.Path, saaf.SHA256{}) },
		"the last path too short":    func(ev *Evidence) { e := &ev.Proof.Entries[2]; e.Path = e.Path[:len(e.Path)-1] },
		"a version of later":         func(ev *Evidence) { ev.Version = 2 },
		"the seq of another":         func(ev *Evidence) { ev.Proof.Entries[2].Seq++ },
		"the id of another":          func(ev *Evidence) { ev.Proof.Entries[0].ID++ },
		"signed as another":          func(ev *Evidence) { ev.Proof.Checkpoints[0].Seq++ },
		"an entry from another time": func(ev *Evidence) { ev.Proof.Entries[1].Before[3]++ },
	} {
		ev := new(Evidence)
		if err := json.Unmarshal(text, ev); err != nil {
			t.Fatal(err)
		}
		change(ev)
		if err := VerifyEvidence(bytes.NewReader(export(t, ev)), key); err == nil {
			t.Errorf("%s: not found", what)
		}
	}
	// Who reads them with another program than this one is told something else.
	for what, change := range map[string][2]string{
		"decisions before the decisions": {`"decisions":`, `"decisions": [], "decisions":`},
		"the decisions in another case":  {`"decisions":`, `"decisions": [], "Decisions":`},
		"a verdict before the verdict":   {`"dnd_clean": false`, `"dnd_clean": true, "dnd_clean": false`},
		"the verdict in another case":    {`"dnd_clean": false`, `"dnd_clean": true, "dnd_cLean": false`},
		"a name that only looks like it": {`"decisions":`, `"decisions": [], "deci\u017fions":`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: the export has no %s", what, change[0])
		}
		if err := VerifyEvidence(strings.NewReader(changed), key); err == nil {
			t.Errorf("%s: not found", what)
		}
	}
	for _, bad := range []string{"", "{}", "null", string(text) + "{}", strings.Replace(string(text), `"v": 1`, `"v": 1, "certified": true`, 1)} {
		if err := VerifyEvidence(strings.NewReader(bad), key); err == nil {
			t.Errorf("%.40q: taken", bad)
		}
	}
}

func FuzzVerifyEvidence(f *testing.F) {
	text, key := fixedExport(f)
	good, err := ReadEvidence(bytes.NewReader(text), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v": 1}`))
	known := map[saaf.SHA256]bool{}
	for _, e := range good.Proof.Entries {
		known[e.Hash] = true
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ev, err := ReadEvidence(bytes.NewReader(text), key)
		if err != nil {
			return
		}
		// Nobody has the key: what passes says nothing that was not signed.
		for _, e := range ev.Proof.Entries {
			if !known[e.Hash] {
				t.Errorf("an entry passes that was never signed: %s", e.Head)
			}
		}
		for _, d := range ev.Decisions {
			if d.Reason != "suppressed" && d.Reason != "ncpr_partial_block" {
				t.Errorf("a decision passes that was never made: %+v", d)
			}
		}
		var html bytes.Buffer
		if err := ev.WriteHTML(&html); err != nil {
			t.Error(err)
		}
	})
}
