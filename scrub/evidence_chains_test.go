package scrub

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"saaf"
	"saaf/store"
)

// followed is what whoever has the public key finds of the paths of an export.
func (h *history) followed(ev *Evidence) error {
	signed, err := ev.openCheckpoints(h.public())
	if err != nil {
		return err
	}
	return ev.followChains(signed)
}

// Whatever entries of whatever chains stand in an export, each is proved by the first
// checkpoint that covers it, and nothing can be changed of that.
func TestEvidenceOfSeveralChains(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	ended, several := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := b.drawHistory(t)
		b.put(h)
		var asked []saaf.EntryRow
		for _, e := range h.entries {
			if rapid.IntRange(0, 2).Draw(t, "asked for") == 0 {
				asked = append(asked, e)
			}
		}
		slices.SortFunc(asked, func(a, b saaf.EntryRow) int { return int(a.ID - b.ID) })
		ev := &Evidence{Deployment: h.deployment}
		if err := ev.prove(b.t.Context(), b.store, asked, pathLimits{maxPath, maxPaths}); err != nil {
			t.Fatal(err)
		}
		if err := h.followed(ev); err != nil {
			t.Fatal(err)
		}
		want, used := map[saaf.EntryID]int64{}, map[int64]bool{}
		for _, e := range asked {
			by, _ := h.covers(e.Writer, e.Seq)
			if by == 0 {
				by = int64(len(h.checkpoints) + 1) // that was made for it
			}
			want[e.ID], used[by] = by, true
			if _, last := h.named(e.Writer); last != 0 && last < int64(len(h.checkpoints)) {
				ended++
			}
		}
		got := map[saaf.EntryID]int64{}
		for i := range ev.Proof.Entries {
			e := &ev.Proof.Entries[i]
			got[e.ID] = e.Checkpoint
			if e.ID != asked[i].ID {
				t.Fatalf("entry %s stands in the place of %s", e.ID, asked[i].ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(ev.Proof.Checkpoints) != len(used) {
			t.Fatalf("proved by other checkpoints, %d in all: %s", len(ev.Proof.Checkpoints), diff)
		}
		if rep, err := b.verify(VerifyOptions{SkipLeads: true}); err != nil || rep.Entries != int64(len(h.entries)) {
			t.Fatalf("behind an export: %v", err)
		}
		several += len(used)
		for what, change := range h.tellLies(t, ev) {
			lie := *ev
			lie.Proof.Entries, lie.Proof.Checkpoints = slices.Clone(ev.Proof.Entries), slices.Clone(ev.Proof.Checkpoints)
			change(&lie.Proof)
			if h.followed(&lie) == nil {
				t.Fatalf("%s: not found", what)
			}
		}
	})
	if ended == 0 || several == 0 {
		t.Errorf("%d entries of chains that have ended, %d checkpoints: this test says nothing", ended, several)
	}
}

// tellLies are changes of a proof that must be found.
func (h *history) tellLies(t *rapid.T, ev *Evidence) map[string]func(*EvidenceProof) {
	lies := map[string]func(*EvidenceProof){}
	if len(ev.Proof.Entries) == 0 {
		return lies
	}
	n := rapid.IntRange(0, len(ev.Proof.Entries)-1).Draw(t, "lie about")
	e := ev.Proof.Entries[n]
	entry := func(change func(e *EvidenceEntry)) func(*EvidenceProof) {
		return func(p *EvidenceProof) { change(&p.Entries[n]) }
	}
	lies["no checkpoint"] = entry(func(e *EvidenceEntry) { e.Checkpoint = 0 })
	lies["a hash of the path more"] = entry(func(e *EvidenceEntry) { e.Path = append(slices.Clone(e.Path), saaf.SHA256{1}) })
	lies["another hash before"] = entry(func(e *EvidenceEntry) { e.Before[5]++ })
	lies["another seq"] = entry(func(e *EvidenceEntry) { e.Seq++ })
	lies["another chain"] = entry(func(e *EvidenceEntry) {
		e.Head = string(bytes.Replace([]byte(e.Head), []byte(`"writer":`), []byte(`"writer":1`), 1))
	})
	lies["an entry twice"] = func(p *EvidenceProof) { p.Entries = slices.Insert(p.Entries, n, e) }
	lies["its checkpoint is not there"] = func(p *EvidenceProof) {
		p.Checkpoints = slices.DeleteFunc(p.Checkpoints, func(c EvidenceCheckpoint) bool { return c.Seq == e.Checkpoint })
	}
	lies["a checkpoint twice"] = func(p *EvidenceProof) { p.Checkpoints = append(p.Checkpoints, p.Checkpoints[0]) }
	if len(e.Path) > 0 {
		lies["a hash of the path less"] = entry(func(e *EvidenceEntry) { e.Path = e.Path[1:] })
	}
	writer := h.writerOf(e.ID)
	goal := map[int64]saaf.CheckpointHead{}
	for _, c := range ev.Proof.Checkpoints {
		signed := saaf.SignedCheckpoint{Text: []byte(c.Text), Signature: c.Signature}
		if is, err := signed.Open(h.public()); err == nil {
			goal[c.Seq] = headOfChain(&is, writer)
		}
	}
	for _, c := range ev.Proof.Checkpoints {
		m := h.nextOf(ev, n) // may stand right behind what the checkpoint of this one names
		onward := m >= 0 && ev.Proof.Entries[m].Checkpoint == c.Seq && ev.Proof.Entries[m].Before == goal[e.Checkpoint].Hash
		if goal[c.Seq] != goal[e.Checkpoint] && !onward { // else that proves it as well
			lies["another checkpoint"] = entry(func(e *EvidenceEntry) { e.Checkpoint = c.Seq })
		}
	}
	if m := h.nextOf(ev, n); m >= 0 && ev.Proof.Entries[m].Checkpoint == e.Checkpoint {
		lies["a path that goes on over the next"] = entry(func(e *EvidenceEntry) {
			next := &ev.Proof.Entries[m]
			is := saaf.Entry{Head: []byte(next.Head), Body: next.Body}
			e.Path = append(append(slices.Clone(e.Path), is.Content()), next.Path...)
		})
	}
	if m := rapid.IntRange(0, len(ev.Proof.Entries)-1).Draw(t, "and"); m != n {
		lies["two in another order"] = func(p *EvidenceProof) { p.Entries[n], p.Entries[m] = p.Entries[m], p.Entries[n] }
		if !slices.Equal(e.Path, ev.Proof.Entries[m].Path) {
			lies["the path of another"] = entry(func(e *EvidenceEntry) { e.Path = ev.Proof.Entries[m].Path })
		}
	}
	return lies
}

// writerOf is the chain of an entry.
func (h *history) writerOf(id saaf.EntryID) int64 {
	return h.entries[slices.IndexFunc(h.entries, func(e saaf.EntryRow) bool { return e.ID == id })].Writer
}

// nextOf is the place of the entry in an export that is in the same chain behind the nth,
// -1 for none.
func (h *history) nextOf(ev *Evidence, n int) int {
	for m := n + 1; m < len(ev.Proof.Entries); m++ {
		if h.writerOf(ev.Proof.Entries[m].ID) == h.writerOf(ev.Proof.Entries[n].ID) {
			return m
		}
	}
	return -1
}

// Paths of several chains share the limits of an export.
func TestPathLimitsOfSeveralChains(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	h := b.newHistory(t)
	for range 3 {
		c := h.begin()
		for range 4 { // to the head are 3
			h.enter(c, 0)
		}
	}
	h.sign()
	b.put(h)
	asked := []saaf.EntryRow{h.entries[0], h.entries[4], h.entries[8]}
	for limits, want := range map[pathLimits]int{{3, 9}: 3, {3, 8}: 2, {3, 6}: 2, {3, 2}: 0, {2, 9}: 0} {
		ev := &Evidence{Deployment: h.deployment}
		if err := ev.prove(t.Context(), b.store, asked, limits); err != nil {
			t.Fatal(err)
		}
		proved := 0
		for i := range ev.Proof.Entries {
			if ev.Proof.Entries[i].Checkpoint == 1 {
				proved++
			}
		}
		if proved != want || (h.followed(ev) == nil) != (want == 3) {
			t.Errorf("limits %v: %d are proved, want %d", limits, proved, want)
		}
	}
	h.entries = slices.DeleteFunc(h.entries, func(e saaf.EntryRow) bool { return e.Seq == 4 })
	b.put(h)
	p, ok := errors.AsType[*Problem](new(Evidence).prove(t.Context(), b.store, asked, pathLimits{maxPath, maxPaths}))
	if !ok || p.Seq != 4 || p.Writer == 0 || p.Checkpoint != 1 {
		t.Errorf("entries that were signed are gone: %v", p)
	}
}

// What several processes did with one number is one record.
func TestEvidenceOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	one := share(t)
	two := one.another(store.Config{})
	by := saaf.By{Request: "req_1", Actor: "key_0000000000001"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	one.push(asha)
	two.push(ravi)
	made, err := two.store.Suppress(t.Context(), two.tenant, saaf.Live, []store.NewSuppression{{Scope: saaf.TenantScope, Phone: asha, Reason: "said no"}}, by)
	must(err)
	_, err = one.store.Checkpoint(t.Context())
	must(err)
	_, err = one.Lift(t.Context(), one.tenant, made[0].ID, by, "said yes after all")
	must(err)
	_, err = two.Check(t.Context(), one.tenant, saaf.Live, []saaf.Phone{asha, ravi}, by)
	must(err)
	ev := one.evidence(EvidenceRequest{Phone: asha})
	var got []string
	for _, d := range ev.Decisions {
		got = append(got, line(d))
	}
	want := []string{
		"ingest ->registry_unavailable found registry_unavailable, pending, no row, false false ",
		"rescrub registry_unavailable->suppressed found suppressed, dnd, no row, true false lead.dnd_changed",
		"rescrub suppressed->registry_unavailable found registry_unavailable, dnd, no row, false false lead.dnd_changed",
		"manual ->registry_unavailable found registry_unavailable, , no row, false false ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(ev.Facts) != 2 || ev.Facts[0].What != "made" || ev.Facts[1].What != "lifted" {
		t.Errorf("facts: %+v", ev.Facts)
	}
	writers := map[int64]bool{}
	for _, e := range ev.Proof.Entries {
		head, err := (&saaf.Entry{Head: []byte(e.Head), Body: e.Body}).ParseHead()
		must(err)
		writers[head.Writer] = true
	}
	if len(writers) < 2 {
		t.Errorf("%d chains", len(writers))
	}
	must(VerifyEvidence(bytes.NewReader(export(t, ev)), one.store.PublicKey()))
	rep, err := two.verify(VerifyOptions{})
	if err != nil || rep.Leads != 2 || rep.Entries != rep.Signed {
		t.Errorf("%+v, %v", rep, err)
	}
}

// What is committed between two pages is in none of them, though its ids are.
func TestVerifySeesOneState(t *testing.T) {
	t.Parallel()
	b := share(t).burgle()
	h := b.newHistory(t)
	one, two := h.begin(), h.begin()
	for range 600 {
		h.enter(one, 0)
	}
	h.sign()
	b.put(h)
	h.enter(two, time.Minute)
	h.now = h.now.Add(time.Minute)
	h.enter(two, 0)
	h.sign()
	pages := 0
	rep, err := b.verify(VerifyOptions{SkipLeads: true, Progress: func(VerifyProgress) {
		if pages++; pages == 1 {
			b.put(h)
		}
	}})
	if err != nil || rep.Entries != 600 || pages < 2 {
		t.Errorf("%d entries in %d pages, %v", rep.Entries, pages, err)
	}
	if rep, err := b.verify(VerifyOptions{SkipLeads: true}); err != nil || rep.Entries != 602 || rep.Checkpoints != 2 {
		t.Errorf("afterwards %d entries, %v", rep.Entries, err)
	}
}

// A verification is not disturbed by processes that come, write, sign and go.
func TestVerifyWhileProcessesWrite(t *testing.T) {
	t.Parallel()
	b := share(t)
	write := func(b *bundle, from, n saaf.Phone) {
		for p := from; p < from+n; p++ {
			_, err := b.intake.Push(t.Context(), b.tenant, saaf.Live, b.campaign, saaf.LeadInput{Phone: p.National()}, p, saaf.System)
			if err == nil && p%8 == 0 {
				_, err = b.store.Checkpoint(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}
	second := b.another(store.Config{})
	pushed := 0
	for round := range 8 {
		third := b.another(store.Config{})
		var writers sync.WaitGroup
		for n, p := range []*bundle{b, b, second, second, third} {
			writers.Go(func() { write(p, saaf.Phone(9_000_000_000+1000*n+100*round), 40) })
			pushed += 40
		}
		for range 4 { // while they write
			if _, err := b.verify(VerifyOptions{}); err != nil {
				t.Error(err)
			}
		}
		writers.Wait()
		if round%2 == 0 {
			third.stop()
		}
	}
	rep, err := b.verify(VerifyOptions{})
	if err != nil || rep.Leads != int64(pushed) || rep.Decisions != rep.Leads || len(rep.Chains) < 10 {
		t.Errorf("%d leads, %d decisions in %d chains, want %d: %v", rep.Leads, rep.Decisions, len(rep.Chains), pushed, err)
	}
}
