package store

import (
	"context"
	"encoding/json"
	"fmt"

	"saaf"
)

// campaignColumns are read by scanCampaign; they need campaigns joined with
// campaign_counts, grouped by campaign.
const campaignColumns = `
	c.id, c.tenant_id, c.environment, c.name, c.dial_mode, c.voice_agent_id, c.post_answer_action,
	c.predictive_target_abandon, c.predictive_max_wait_s, c.predictive_min_ratio, c.predictive_max_ratio,
	c.max_attempts, c.retry_delay_s, c.max_concurrent, c.calling_window, c.caller_id, c.status, c.created_at, c.updated_at,
	CAST(sum(n.pending) AS BIGINT), CAST(sum(n.dialing) AS BIGINT), CAST(sum(n.dnd) AS BIGINT), CAST(sum(n.held) AS BIGINT),
	CAST(sum(n.completed) AS BIGINT), CAST(sum(n.failed) AS BIGINT), CAST(sum(n.no_answer) AS BIGINT)
	FROM campaigns c JOIN campaign_counts n ON n.campaign_id = c.id`

func scanCampaign(r row) (c saaf.Campaign, err error) {
	c.ID, c.TenantID, c.Environment = saaf.CampaignID(r.int64()), saaf.TenantID(r.int64()), saaf.Environment(r.text())
	c.Name, c.DialMode, c.VoiceAgentID, c.PostAnswerAction = r.text(), r.text(), r.optionalText(), r.text()
	c.PredictiveTargetAbandon, c.PredictiveMaxWait = r.optionalFloat(), r.optionalFloat()
	c.PredictiveMinRatio, c.PredictiveMaxRatio = r.optionalFloat(), r.optionalFloat()
	c.MaxAttempts, c.RetryDelay, c.MaxConcurrent = r.int(), r.int(), r.optionalInt()
	if w := r.optionalText(); w != nil {
		if err := json.Unmarshal([]byte(*w), &c.CallingWindow); err != nil {
			return c, fmt.Errorf("calling window of %s: %w", c.ID, err)
		}
	}
	c.CallerID, c.Status = r.optionalText(), saaf.CampaignStatus(r.text())
	c.CreatedAt, c.UpdatedAt = r.time(), r.time()
	for i := range c.Leads {
		c.Leads[i] = r.int64()
	}
	return c, nil
}

// windowText is the stored form of a calling window.
func windowText(w *saaf.CallingWindow) (*string, error) {
	if w == nil {
		return nil, nil
	}
	b, err := json.Marshal(w)
	return new(string(b)), err
}

// CreateCampaign stores a new draft. The settings must be valid.
func (s *Store) CreateCampaign(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, settings saaf.CampaignSettings) (saaf.Campaign, error) {
	var c saaf.Campaign
	id := saaf.CampaignID(s.ids.Next())
	err := s.write(ctx, alone(id), 1, func(t *tx) error {
		c = saaf.Campaign{
			ID: id, TenantID: tenant, Environment: env, CampaignSettings: settings,
			Status: saaf.CampaignDraft, CreatedAt: t.now, UpdatedAt: t.now,
		}
		return t.insertCampaign(&c)
	})
	return c, wrap("create campaign", err)
}

func (t *tx) insertCampaign(c *saaf.Campaign) error {
	window, err := windowText(c.CallingWindow)
	if err != nil {
		return err
	}
	const sqlInsertCampaign = `
		INSERT INTO campaigns (id, tenant_id, environment, name, dial_mode, voice_agent_id, post_answer_action,
		  predictive_target_abandon, predictive_max_wait_s, predictive_min_ratio, predictive_max_ratio,
		  max_attempts, retry_delay_s, max_concurrent, calling_window, caller_id, status, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	_, err = t.exec(sqlInsertCampaign, c.ID, c.TenantID, c.Environment, c.Name, c.DialMode, c.VoiceAgentID, c.PostAnswerAction,
		c.PredictiveTargetAbandon, c.PredictiveMaxWait, c.PredictiveMinRatio, c.PredictiveMaxRatio,
		c.MaxAttempts, c.RetryDelay, c.MaxConcurrent, window, c.CallerID, c.Status, c.CreatedAt, c.UpdatedAt)
	if err != nil {
		return err
	}
	const sqlInsertCounts = `INSERT INTO campaign_counts (campaign_id, slot) VALUES ($1, 0)`
	_, err = t.exec(sqlInsertCounts, c.ID)
	return err
}

const sqlCampaign = `SELECT ` + campaignColumns + `
	WHERE c.id = $1 AND n.campaign_id = $1 AND c.tenant_id = $2 AND c.environment = $3 AND c.deleted_at IS NULL
	GROUP BY c.id`

func readCampaign(conn session, tenant saaf.TenantID, env saaf.Environment, id saaf.CampaignID) (saaf.Campaign, error) {
	var c saaf.Campaign
	found := false
	err := conn.query(sqlCampaign, func(r row) (err error) {
		c, err = scanCampaign(r)
		found = true
		return err
	}, id, tenant, env)
	if err == nil && !found {
		err = saaf.ErrCampaignNotFound
	}
	return c, err
}

// Campaign reads one campaign. One that does not exist, is another tenant's or
// belongs to the other environment is the same NotFound.
func (s *Store) Campaign(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, id saaf.CampaignID) (c saaf.Campaign, err error) {
	err = s.glance(ctx, func(conn session) error {
		c, err = readCampaign(conn, tenant, env, id)
		return err
	})
	return c, wrap("read campaign", err)
}

// Campaigns lists the campaigns of a tenant and environment, newest first, at
// most limit of them, from below the cursor.
func (s *Store) Campaigns(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, below saaf.Cursor, limit int) (list []saaf.Campaign, err error) {
	const sqlCampaigns = `SELECT ` + campaignColumns + `
		WHERE c.tenant_id = $1 AND c.environment = $2 AND c.deleted_at IS NULL AND c.id < $3
		GROUP BY c.id ORDER BY c.id DESC LIMIT $4`
	if below == 0 {
		below = 1<<63 - 1
	}
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlCampaigns, func(r row) error {
			c, err := scanCampaign(r)
			list = append(list, c)
			return err
		}, tenant, env, below, limit)
	})
	return list, wrap("list campaigns", err)
}

// UpdateCampaign reads a campaign, lets change alter its settings or status, and
// stores it, all in one transaction. An error of change is returned and nothing
// is stored.
func (s *Store) UpdateCampaign(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, id saaf.CampaignID, change func(*saaf.Campaign) error) (saaf.Campaign, error) {
	var c saaf.Campaign
	err := s.write(ctx, alone(id), 1, func(t *tx) (err error) {
		if c, err = readCampaign(t.conn, tenant, env, id); err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		c.UpdatedAt = t.now
		return t.updateCampaign(&c)
	})
	return c, wrap("update campaign", err)
}

func (t *tx) updateCampaign(c *saaf.Campaign) error {
	window, err := windowText(c.CallingWindow)
	if err != nil {
		return err
	}
	delete(t.campaigns, c.ID)
	const sqlUpdateCampaign = `
		UPDATE campaigns
		   SET name = $1, dial_mode = $2, voice_agent_id = $3, post_answer_action = $4,
		       predictive_target_abandon = $5, predictive_max_wait_s = $6, predictive_min_ratio = $7, predictive_max_ratio = $8,
		       max_attempts = $9, retry_delay_s = $10, max_concurrent = $11, calling_window = $12, caller_id = $13,
		       status = $14, updated_at = $15
		 WHERE id = $16 AND tenant_id = $17`
	_, err = t.exec(sqlUpdateCampaign, c.Name, c.DialMode, c.VoiceAgentID, c.PostAnswerAction,
		c.PredictiveTargetAbandon, c.PredictiveMaxWait, c.PredictiveMinRatio, c.PredictiveMaxRatio,
		c.MaxAttempts, c.RetryDelay, c.MaxConcurrent, window, c.CallerID, c.Status, c.UpdatedAt, c.ID, c.TenantID)
	return err
}

// DeleteCampaign makes a campaign disappear at once; its leads are removed in
// the background by [Store.RunPurge]. A running campaign is a Conflict.
func (s *Store) DeleteCampaign(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, id saaf.CampaignID, by saaf.By) error {
	err := s.write(ctx, alone(id), 1, func(t *tx) error {
		c, err := readCampaign(t.conn, tenant, env, id)
		if err != nil {
			return err
		}
		if c.Status == saaf.CampaignRunning {
			return &saaf.Error{Code: saaf.Conflict, Word: "invalid_campaign_state",
				Message: "Cannot delete a campaign that is running; stop it first"}
		}
		delete(t.campaigns, id)
		const sqlMarkDeleted = `UPDATE campaigns SET deleted_at = $1, updated_at = $1 WHERE id = $2 AND tenant_id = $3`
		if _, err := t.exec(sqlMarkDeleted, t.now, id, tenant); err != nil {
			return err
		}
		// The newest ids may be among the rows that will go: never make them again. Where
		// node numbers are leased, the lease knows.
		if !t.shared {
			const sqlRaiseFloor = `UPDATE deployment SET id_floor = CASE WHEN id_floor < $1 THEN $1 ELSE id_floor END`
			if _, err = t.exec(sqlRaiseFloor, t.ids.Last()); err != nil {
				return err
			}
		}
		fact := deletionFact{Leads: c.Leads.Total()}
		if d := t.counts[id]; d != nil { // of this transaction, not in the table yet
			fact.Leads += d.leads.Total()
		}
		return t.record(tenant, id, env, saaf.StageDeletion, by, "", fact)
	})
	if err == nil {
		s.purge.ring()
	}
	return wrap("delete campaign", err)
}

// deletionFact is what the ledger keeps of a deleted campaign.
type deletionFact struct {
	Leads int64 `json:"leads"` // that go with it; their evidence stays
}

// campaignState is what the writer needs to know of a campaign before it adds
// leads to it.
type campaignState struct {
	tenant saaf.TenantID
	env    saaf.Environment
	status saaf.CampaignStatus
}

// campaignFor checks, inside the transaction, that leads may be added.
func (t *tx) campaignFor(tenant saaf.TenantID, env saaf.Environment, id saaf.CampaignID) error {
	c, ok := t.campaigns[id]
	if !ok {
		const sqlCampaignState = `SELECT tenant_id, environment, status FROM campaigns WHERE id = $1 AND deleted_at IS NULL FOR SHARE`
		err := t.conn.query(sqlCampaignState, func(r row) error {
			c = campaignState{saaf.TenantID(r.int64()), saaf.Environment(r.text()), saaf.CampaignStatus(r.text())}
			return nil
		}, id)
		if err != nil {
			return err
		}
		if t.campaigns == nil {
			t.campaigns = make(map[saaf.CampaignID]campaignState)
		}
		t.campaigns[id] = c
	}
	switch {
	case c.tenant != tenant || c.env != env || tenant == 0:
		return saaf.ErrCampaignNotFound
	case c.status == saaf.CampaignCompleted:
		return saaf.ErrCampaignCompleted
	}
	return nil
}
