package store

import (
	"zombiezen.com/go/sqlite"

	"saaf"
	"saaf/phoneblock"
)

const sqlInsertLead = `
	INSERT INTO leads (campaign_id, id, phone, name, email, external_id, metadata,
	  status, attempts, reason, snapshot_id, checked_at, created_at, updated_at, first_entry)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $12, $12, $13)`

// sqlInsertOnce leaves it to the unique index whether the phone is new.
const sqlInsertOnce = sqlInsertLead + ` ON CONFLICT (campaign_id, phone) DO NOTHING`

// insertLead binds directly rather than through query: this is the loop that
// limits the product.
func (c sqliteConn) insertLead(stmt *sqlite.Stmt, at int64, campaign saaf.CampaignID, l *NewLead) (added bool, err error) {
	stmt.BindInt64(1, int64(campaign))
	stmt.BindInt64(2, int64(l.ID))
	stmt.BindInt64(3, int64(l.Phone))
	bindText(stmt, 4, l.Input.Name)
	bindText(stmt, 5, l.Input.Email)
	bindText(stmt, 6, l.Input.ExternalID)
	if l.Input.Metadata == nil {
		stmt.BindNull(7)
	} else {
		stmt.BindBytes(7, l.Input.Metadata)
	}
	stmt.BindInt64(8, int64(l.Status()))
	stmt.BindInt64(9, int64(l.Verdict.Reason))
	if id := l.Verdict.Snapshot.ID; id != 0 {
		stmt.BindInt64(10, int64(id))
	} else {
		stmt.BindNull(10)
	}
	if at := l.Verdict.CheckedAt; !at.IsZero() {
		stmt.BindInt64(11, at.UnixMilli())
	} else {
		stmt.BindNull(11)
	}
	stmt.BindInt64(12, at)
	stmt.BindInt64(13, int64(l.entry))
	_, err = stmt.Step()
	if rerr := stmt.Reset(); err == nil {
		err = rerr
	}
	return err == nil && c.Changes() > 0, err
}

func bindText(stmt *sqlite.Stmt, i int, s *string) {
	if s == nil {
		stmt.BindNull(i)
		return
	}
	stmt.BindText(i, *s)
}

func (l *sqliteLink) addLeads(t *tx, campaign saaf.CampaignID, leads []*NewLead) error {
	if l.packed {
		return l.appendLeads(t, campaign, leads)
	}
	stmt, err := l.Prepare(sqlInsertOnce)
	if err != nil {
		return err
	}
	at := t.now.UnixMilli()
	for _, lead := range leads {
		added, err := l.insertLead(stmt, at, campaign, lead)
		if err != nil {
			return err
		}
		lead.Duplicate = !added
	}
	return nil
}

// appendLeads adds leads whose phones the roster of the campaign does not have.
func (l *sqliteLink) appendLeads(t *tx, campaign saaf.CampaignID, leads []*NewLead) error {
	w, err := l.workOn(campaign)
	if err != nil {
		return err
	}
	stmt, err := l.Prepare(sqlInsertLead)
	if err != nil {
		return err
	}
	at := t.now.UnixMilli()
	for _, lead := range leads {
		if lead.Duplicate = w.holds(lead.Phone); lead.Duplicate {
			continue
		}
		// Another process may have made ids that are ahead.
		if o := w.blocks[w.last]; o != nil && lead.ID <= o.Last() {
			t.ids.Above(int64(o.Last()))
			lead.made = saaf.LeadID(t.ids.Next())
			lead.ID = lead.made
		}
		if _, err := l.insertLead(stmt, at, campaign, lead); err != nil {
			return err
		}
		w.append(phoneblock.Addition{
			ID: lead.ID, Phone: lead.Phone, State: phoneblock.Of(lead.Status(), lead.Verdict.Reason), Created: at,
			Checked: lead.Verdict.CheckedAt.UnixMilli(), Unfounded: lead.Verdict.Snapshot.ID == 0,
		})
		if lead.Input.ExternalID != nil {
			w.outsideOf(*lead.Input.ExternalID)
		}
	}
	return nil
}

func (l *sqliteLink) moveLeads(t *tx, campaign saaf.CampaignID, moves []*move) error {
	const sqlMoveLead = `
		UPDATE leads SET status = $1, reason = $2, snapshot_id = $3, checked_at = $4, updated_at = $5, last_entry = $6
		 WHERE campaign_id = $7 AND id = $8 AND status = $9 AND reason = $10`
	for _, m := range moves {
		n, err := l.exec(sqlMoveLead, m.status, m.reason, m.verdict.Snapshot.ID, m.verdict.CheckedAt, t.now, m.entry,
			campaign, m.was.ID, m.was.Status, m.was.Reason)
		if err != nil {
			return err
		}
		if m.moved = n > 0; m.moved {
			err = l.restate(campaign, m)
		} else {
			err = l.reconcile(campaign, m.was)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
