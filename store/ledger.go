package store

import (
	"bytes"
	"encoding/json"
	"slices"

	"saaf"
)

// embeddedWriter is the chain of the embedded store. All processes that write to the
// file share it: SQLite lets one write at a time, and each reads the head inside
// its transaction.
const embeddedWriter = 1

// chain is the chain of entries that a writer adds to, with its last entry. The zero
// value is none yet.
type chain struct {
	head saaf.CheckpointHead
	left []int64 // chains that this writer has given up, for whoever opens the next one
}

// leave is none, in place of a chain of which it is not known whether its last entries
// are there: what follows must not hang on them.
func (c chain) leave() chain { return chain{left: append(slices.Clone(c.left), c.head.Writer)} }

// entryKey is what decisions must have in common to stand in one entry.
type entryKey struct {
	tenant   saaf.TenantID
	campaign saaf.CampaignID
	env      saaf.Environment // "": of both
	stage    saaf.Stage
	snapshot saaf.SnapshotID
	source   string
}

// openEntry is an entry that a transaction fills and writes at its end.
type openEntry struct {
	entryKey
	id       saaf.EntryID
	snapshot *saaf.EntrySnapshot
	requests []saaf.EntryRequest
	by       saaf.By // of the last request
	body     []byte
	last     saaf.LeadID
	n        int
	fact     any
}

// entry is the open entry for decisions with this key. It is written only when
// something is put into it.
func (t *tx) entry(key entryKey) (*openEntry, error) {
	if t.filling != nil && t.filling.entryKey == key { // nearly always, see addLeads
		return t.filling, nil
	}
	if e := t.fillable[key]; e != nil {
		t.filling = e
		return e, nil
	}
	e := &openEntry{entryKey: key}
	if key.snapshot != 0 {
		snap, err := t.snapshotOf(key.snapshot)
		if err != nil {
			return nil, err
		}
		e.snapshot = snap
	}
	if err := t.open(e); err != nil {
		return nil, err
	}
	if t.fillable == nil {
		t.fillable = make(map[entryKey]*openEntry)
	}
	t.fillable[key], t.filling = e, e
	return e, nil
}

// nextJob lets no entry take decisions of the job that comes which others have filled:
// what that decides about a lead must stand behind what was decided before. A lead that
// comes in has nothing before it, and pushes share theirs.
func (t *tx) nextJob() {
	for key := range t.fillable {
		if key.stage != saaf.StageIngest {
			delete(t.fillable, key)
		}
	}
	if t.filling != nil && t.filling.stage != saaf.StageIngest {
		t.filling = nil
	}
}

// open gives an entry its id. Ids of the ledger increase along the chain whatever
// the clocks of the processes say that write to it.
func (t *tx) open(e *openEntry) error {
	if t.lastEntry == 0 {
		if err := t.openChain(); err != nil {
			return err
		}
		t.lastEntry = t.chain.head.Entry
	}
	t.lastEntry = max(t.lastEntry+1, saaf.EntryID(t.ids.Next()))
	e.id = t.lastEntry
	t.entries = append(t.entries, e)
	return nil
}

// openChain finds the head of the chain. Where every writer has a chain of its own
// it is in memory; a new one begins after a start, and when it is not known whether
// the last transaction was committed.
func (t *tx) openChain() (err error) {
	if !t.shared {
		t.chain.head, err = readChainHead(t.conn, embeddedWriter)
		return err
	}
	if t.chain.head.Writer != 0 {
		return nil
	}
	const (
		sqlInsertChain = `INSERT INTO chains (writer_id, server_id, opened_at) VALUES ($1, $2, $3)`
		sqlLeaveChain  = `UPDATE chains SET server_id = 0 WHERE writer_id = $1`
	)
	for _, writer := range t.chain.left {
		if err := t.conn.later(sqlLeaveChain, writer); err != nil {
			return err
		}
	}
	t.chain = chain{head: saaf.CheckpointHead{Writer: t.ids.Next()}}
	return t.conn.later(sqlInsertChain, t.chain.head.Writer, t.server, t.now)
}

// decide puts a decision into the entry.
func (e *openEntry) decide(by saaf.By, reason string, d *saaf.Decision) {
	e.body = saaf.AppendDecision(e.body, e.last, d)
	e.last = d.Lead
	e.n++
	if i := len(e.requests) - 1; i < 0 || e.by != by || e.requests[i].Reason != reason {
		e.by = by
		e.requests = append(e.requests, entryRequest(by, reason))
	}
	e.requests[len(e.requests)-1].Decisions++
}

// entryRequest is how the evidence names who asked. Callers choose their request
// ids: a phone in one would stay for years.
func entryRequest(by saaf.By, reason string) saaf.EntryRequest {
	return saaf.EntryRequest{Request: saaf.MaskNumbers(by.Request), Actor: by.Actor, Reason: reason}
}

// record writes an entry that holds a fact.
func (t *tx) record(tenant saaf.TenantID, campaign saaf.CampaignID, env saaf.Environment, stage saaf.Stage, by saaf.By, reason string, fact any) error {
	t.wrote = true
	return t.open(&openEntry{
		entryKey: entryKey{tenant: tenant, campaign: campaign, env: env, stage: stage},
		requests: []saaf.EntryRequest{entryRequest(by, reason)},
		fact:     fact,
	})
}

// flushLedger writes the entries of the transaction behind the head of the chain. Where
// chains are sealed nothing can be added to one that is: a process whose clocks stood
// still together with it, as those of a virtual machine do, believes to have its lease.
func (t *tx) flushLedger() error {
	const (
		sqlInsertEntry = `
			INSERT INTO ledger (campaign_id, id, tenant_id, writer_id, seq, head, body, hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
		sqlInsertOpenEntry = `
			INSERT INTO ledger (campaign_id, id, tenant_id, writer_id, seq, head, body, hash)
			VALUES ($1, $2, $3, $4, (SELECT CAST($5 AS BIGINT) FROM chains WHERE writer_id = $4 AND sealed = 0), $6, $7, $8)`
	)
	insert := sqlInsertEntry
	if t.shared {
		insert = sqlInsertOpenEntry // no seq is no entry
	}
	for _, e := range t.entries {
		if e.n == 0 && e.fact == nil {
			continue
		}
		last := &t.chain.head
		last.Seq++
		t.entered++
		head, err := json.Marshal(saaf.EntryHead{
			Version: 1, Deployment: t.deployment, Tenant: e.tenant, Campaign: e.campaign, Environment: e.env, Entry: e.id,
			Writer: last.Writer, Seq: last.Seq, At: t.now, Stage: e.stage, RuleVersion: saaf.RuleVersion,
			Source: e.source, Snapshot: e.snapshot, Requests: e.requests, Decisions: e.n, Fact: e.fact,
		})
		if err != nil {
			return err
		}
		entry := saaf.Entry{Head: head, Body: e.body}
		last.Entry, last.Hash = e.id, saaf.Link(last.Hash, entry.Content())
		err = t.conn.later(insert, e.campaign, e.id, e.tenant, last.Writer, last.Seq,
			head, append([]byte{}, e.body...), bytes.Clone(last.Hash[:]))
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshotOf is how the evidence names a snapshot. One that has no record is named
// by its id alone.
func (t *tx) snapshotOf(id saaf.SnapshotID) (*saaf.EntrySnapshot, error) {
	if snap := t.snapshots[id]; snap != nil {
		return snap, nil
	}
	snap := &saaf.EntrySnapshot{ID: id}
	const sqlSnapshotOf = `SELECT effective_date, sha256 FROM snapshots WHERE id = $1`
	err := t.conn.query(sqlSnapshotOf, func(r row) error {
		snap.EffectiveDate = saaf.Date(r.int64())
		copy(snap.SHA256[:], r.bytes())
		return nil
	}, id)
	if err == nil {
		t.snapshots[id] = snap
	}
	return snap, err
}
