package store

import (
	"context"

	"saaf"
)

// DNDReport is how the verdicts of a campaign stand.
type DNDReport struct {
	Found   saaf.FindingCounts // leads by finding, finished ones too
	Leads   saaf.LeadCounts
	Changes Changes // by the re-check for the present activation
}

// DNDReport reads how the verdicts of a campaign stand. Nothing is counted for it:
// the figures are kept by the transactions that change them.
func (s *Store) DNDReport(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, campaign saaf.CampaignID) (rep DNDReport, err error) {
	const (
		sqlFound = `
			SELECT CAST(sum(found_unavailable) AS BIGINT), CAST(sum(found_stale) AS BIGINT), CAST(sum(found_clean) AS BIGINT),
			       CAST(sum(found_full) AS BIGINT), CAST(sum(found_partial) AS BIGINT), CAST(sum(found_suppressed) AS BIGINT), CAST(sum(found_held) AS BIGINT)
			  FROM campaign_counts WHERE campaign_id = $1`
		sqlChanges = `
			SELECT d.activation, coalesce(g.blocked, 0), coalesce(g.held, 0), coalesce(g.other, 0)
			  FROM deployment d LEFT JOIN campaign_changes g ON g.campaign_id = $1 AND g.activation = d.activation`
	)
	err = s.read(ctx, func(conn session) error {
		c, err := readCampaign(conn, tenant, env, campaign)
		if err != nil {
			return err
		}
		rep.Leads = c.Leads
		err = conn.query(sqlFound, func(r row) error {
			for i := range rep.Found {
				rep.Found[i] = r.int64()
			}
			return nil
		}, campaign)
		if err != nil {
			return err
		}
		return conn.query(sqlChanges, func(r row) error {
			rep.Changes = Changes{r.int64(), r.int64(), r.int64(), r.int64()}
			return nil
		}, campaign)
	})
	return rep, wrap("dnd report", err)
}
