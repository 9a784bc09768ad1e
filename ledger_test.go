package saaf

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// drawDecision draws any decision that can be stored.
func drawDecision(t *rapid.T) (d Decision) {
	d.Lead = LeadID(rapid.Int64Min(0).Draw(t, "lead"))
	copy(d.Phone[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "phone"))
	reason := rapid.Map(rapid.IntRange(0, len(verdictReasons)-1), func(n int) VerdictReason { return VerdictReason(n) })
	if d.New = rapid.Bool().Draw(t, "new"); !d.New {
		d.Had = reason.Draw(t, "had")
	}
	d.Found, d.Reason = reason.Draw(t, "found"), reason.Draw(t, "reason")
	d.Status = LeadStatus(rapid.IntRange(0, NumLeadStatuses-1).Draw(t, "status"))
	switch rapid.IntRange(0, 2).Draw(t, "matched") {
	case 0:
		d.Suppression = SuppressionID(rapid.Int64Min(1).Draw(t, "suppression"))
	case 1:
		d.Preferences = rapid.StringN(1, -1, 400).Draw(t, "preferences")
	}
	return d
}

// pack is an entry that holds the decisions.
func pack(list []Decision) *Entry {
	var e Entry
	var last LeadID
	for i := range list {
		e.Body = AppendDecision(e.Body, last, &list[i])
		last = list[i].Lead
	}
	return &e
}

// unpack reads decisions until one cannot be read.
func unpack(e *Entry) (list []Decision, err error) {
	for d, err := range e.Decisions() {
		if err != nil {
			return list, err
		}
		list = append(list, d)
	}
	return list, nil
}

func TestDecisionsComeBackAsTheyWerePacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawDecision), 0, 6).Draw(t, "decisions")
		e := pack(want)
		got, err := unpack(e)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		for i := range want {
			if !e.Names(want[i].Phone) {
				t.Fatalf("the phone of decision %d is not found", i)
			}
		}
		if len(want) == 0 {
			return
		}
		// Cut short it is never more than what was whole before the cut.
		cut := Entry{Body: e.Body[:rapid.IntRange(0, len(e.Body)-1).Draw(t, "cut")]}
		part, err := unpack(&cut)
		if len(part) >= len(want) || !slices.Equal(part, want[:len(part)]) ||
			(err == nil) != (len(pack(part).Body) == len(cut.Body)) {
			t.Fatalf("cut to %d of %d bytes: %d of %d decisions, %v", len(cut.Body), len(e.Body), len(part), len(want), err)
		}
	})
}

// A decision about one lead takes the 23 bytes that the sizing reckons with.
func TestDecisionsAreSmall(t *testing.T) {
	t.Parallel()
	list := make([]Decision, 500)
	for i := range list {
		list[i] = Decision{Lead: LeadID(1<<60 + i), New: true, Found: NotRegistered, Reason: NotRegistered}
	}
	if n := len(pack(list).Body); n > 500*23 {
		t.Errorf("500 decisions take %d bytes", n)
	}
}

func FuzzDecisions(f *testing.F) {
	f.Add([]byte{})
	f.Add(pack([]Decision{{Lead: 7, New: true, Found: NotRegistered, Reason: NotRegistered}}).Body)
	f.Add(pack([]Decision{{Lead: 9, Found: Suppressed, Reason: Suppressed, Suppression: 5}, {Lead: 3, Preferences: "1#2"}}).Body)
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Add(append(make([]byte, 21), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := Entry{Body: body}
		list, err := unpack(&e)
		if len(list) > len(body)/22 {
			t.Fatalf("%d decisions in %d bytes", len(list), len(body))
		}
		again, aerr := unpack(pack(list))
		if aerr != nil || len(again) != len(list) {
			t.Fatalf("packed again: %d of %d, %v", len(again), len(list), aerr)
		}
		for i := range list {
			if again[i] != list[i] {
				t.Fatalf("packed again: %+v, was %+v", again[i], list[i])
			}
		}
		if err != nil && !e.Names(PhoneHash{}) {
			t.Fatal("an entry that cannot be read is passed over")
		}
		head := EntryHead{Version: 1, Deployment: 1, Entry: 1, Decisions: len(list)}
		if e.Head, aerr = json.Marshal(head); aerr != nil {
			t.Fatal(aerr)
		}
		if _, herr := e.ParseHead(); (herr == nil) != (err == nil) {
			t.Fatalf("the head says %v, the body %v", herr, err)
		}
	})
}

// testRow is an entry as it should be, behind one with the given hash.
func testRow(t *testing.T, before SHA256) EntryRow {
	t.Helper()
	r := EntryRow{ID: 7, Campaign: 5, Tenant: 3, Writer: 1, Seq: 2}
	r.Body = pack([]Decision{{Lead: 9, New: true, Found: NotRegistered, Reason: NotRegistered}}).Body
	setHead(t, &r, before, func(*EntryHead) {})
	return r
}

func setHead(t *testing.T, r *EntryRow, before SHA256, change func(*EntryHead)) {
	t.Helper()
	head := EntryHead{
		Version: 1, Deployment: 4, Tenant: r.Tenant, Campaign: r.Campaign, Entry: r.ID, Writer: r.Writer, Seq: r.Seq,
		At: time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC), Stage: StageIngest, RuleVersion: RuleVersion, Decisions: 1,
	}
	change(&head)
	var err error
	if r.Head, err = json.Marshal(head); err != nil {
		t.Fatal(err)
	}
	r.Hash = Link(before, r.Content())
}

// Somebody who can write to the ledger and make the hashes again is still found
// where the parts of a row contradict each other.
func TestEntryRowCheck(t *testing.T) {
	t.Parallel()
	before := SHA256{1}
	if r := testRow(t, before); r.Check(4, before) != nil {
		t.Fatal(r.Check(4, before))
	}
	for name, c := range map[string]struct {
		change func(*EntryRow)
		says   string
	}{
		"behind another":      {func(r *EntryRow) { r.Hash = Link(SHA256{2}, r.Content()) }, "does not follow"},
		"another hash":        {func(r *EntryRow) { r.Hash[31]++ }, "does not follow"},
		"the body":            {func(r *EntryRow) { r.Body[5]++ }, "does not follow"},
		"head to body":        {func(r *EntryRow) { r.Body, r.Head = append(r.Head[len(r.Head)-1:], r.Body...), r.Head[:len(r.Head)-1] }, "does not follow"},
		"another id":          {func(r *EntryRow) { r.ID++ }, "columns"},
		"another campaign":    {func(r *EntryRow) { r.Campaign = 0 }, "columns"},
		"another tenant":      {func(r *EntryRow) { r.Tenant++ }, "columns"},
		"another writer":      {func(r *EntryRow) { r.Writer++ }, "columns"},
		"another number":      {func(r *EntryRow) { r.Seq++ }, "columns"},
		"one decision less":   {func(r *EntryRow) { r.Body = nil; r.Hash = Link(before, r.Content()) }, "0 decisions"},
		"half a decision":     {func(r *EntryRow) { r.Body = r.Body[:9]; r.Hash = Link(before, r.Content()) }, "packed decisions"},
		"no JSON":             {func(r *EntryRow) { r.Head = []byte("{"); r.Hash = Link(before, r.Content()) }, "head cannot be read"},
		"another form":        {func(r *EntryRow) { setHead(t, r, before, func(h *EntryHead) { h.Version = 2 }) }, "version 2"},
		"another deployment":  {func(r *EntryRow) { setHead(t, r, before, func(h *EntryHead) { h.Deployment = 9 }) }, "deployment dep_"},
		"one decision more":   {func(r *EntryRow) { setHead(t, r, before, func(h *EntryHead) { h.Decisions = 2 }) }, "1 decisions where the head says 2"},
		"a head of another":   {func(r *EntryRow) { setHead(t, r, before, func(h *EntryHead) { h.Entry = 8 }) }, "columns"},
		"a tenant of another": {func(r *EntryRow) { setHead(t, r, before, func(h *EntryHead) { h.Tenant = 8 }) }, "columns"},
	} {
		r := testRow(t, before)
		c.change(&r)
		if err := r.Check(4, before); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want it to say %q", name, err, c.says)
		}
	}
}
