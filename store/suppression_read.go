package store

import (
	"context"

	"saaf"
)

// Suppression reads a suppression of the tenant that was made in the environment,
// one that has ended too. Tenant 0 has those of the whole deployment.
func (s *Store) Suppression(ctx context.Context, tenant saaf.TenantID, env saaf.Environment, id saaf.SuppressionID) (found saaf.Suppression, err error) {
	const sqlOneSuppression = `SELECT ` + suppressionColumns + ` WHERE id = $1 AND tenant_id = $2 AND environment = $3`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlOneSuppression, func(r row) error {
			found = scanSuppression(r)
			return nil
		}, id, tenant, env)
	})
	if err == nil && found.ID == 0 {
		err = errNoSuppression
	}
	return found, wrap("read suppression", err)
}
