package store

import (
	"context"
	"strings"

	"saaf"
)

// KeyHash is the SHA-256 of a whole API key, all that is kept of it.
type KeyHash [32]byte

// NewKey is a key to be stored: [saaf.Key] without id and times, and the hash.
type NewKey struct {
	saaf.Key
	Hash KeyHash
	By   saaf.By // who makes it
}

// CreateKey stores a key. An unknown tenant is NotFound.
func (s *Store) CreateKey(ctx context.Context, k NewKey) (saaf.Key, error) {
	var made saaf.Key
	err := s.write(ctx, everything, 1, func(t *tx) (err error) {
		const sqlTenantExists = `SELECT count(*) FROM tenants WHERE id = $1`
		var n int64
		if err := t.conn.query(sqlTenantExists, func(r row) error { n = r.int64(); return nil }, k.TenantID); err != nil {
			return err
		}
		if n == 0 {
			return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Tenant not found; saaf tenant list shows those there are"}
		}
		made, err = t.createKey(k)
		return err
	})
	return made, wrap("create key", err)
}

func (t *tx) createKey(k NewKey) (saaf.Key, error) {
	key := k.Key
	key.ID, key.CreatedAt = saaf.KeyID(t.ids.Next()), t.now
	scopes := make([]string, len(key.Scopes))
	for i, s := range key.Scopes {
		scopes[i] = string(s)
	}
	const sqlInsertKey = `
		INSERT INTO api_keys (id, tenant_id, environment, hash, prefix, last_four, label, scopes, rate_limit, is_operator, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	_, err := t.exec(sqlInsertKey, key.ID, key.TenantID, key.Environment, k.Hash[:], key.Prefix, key.LastFour,
		key.Label, strings.Join(scopes, " "), key.RateLimit, key.Operator, key.CreatedAt)
	if err != nil {
		return key, err
	}
	return key, t.record(key.TenantID, 0, key.Environment, saaf.StageKey, k.By, "", keyFact{
		What: "made", Key: key.ID, Environment: key.Environment, Scopes: scopes, Operator: key.Operator})
}

// keyFact is what the ledger keeps of a key.
type keyFact struct {
	What        string           `json:"what"` // made or revoked
	Key         saaf.KeyID       `json:"key"`
	Environment saaf.Environment `json:"environment"`
	Scopes      []string         `json:"scopes,omitempty"`
	Operator    bool             `json:"operator,omitempty"`
}

const keyColumns = `id, tenant_id, environment, label, scopes, rate_limit, is_operator, prefix, last_four, created_at, revoked_at`

func scanKey(r row) saaf.Key {
	k := saaf.Key{ID: saaf.KeyID(r.int64()), TenantID: saaf.TenantID(r.int64()), Environment: saaf.Environment(r.text()), Label: r.text()}
	for s := range strings.FieldsSeq(r.text()) {
		k.Scopes = append(k.Scopes, saaf.Scope(s))
	}
	k.RateLimit, k.Operator, k.Prefix, k.LastFour = r.int(), r.bool(), r.text(), r.text()
	k.CreatedAt, k.RevokedAt = r.time(), r.time()
	return k
}

// KeyByHash finds the key with this hash, revoked or not. found is false when
// there is none.
func (s *Store) KeyByHash(ctx context.Context, hash KeyHash) (k saaf.Key, found bool, err error) {
	const sqlKeyByHash = `SELECT ` + keyColumns + ` FROM api_keys WHERE hash = $1`
	err = s.glance(ctx, func(conn session) error {
		return conn.query(sqlKeyByHash, func(r row) error {
			k, found = scanKey(r), true
			return nil
		}, hash[:])
	})
	return k, found, wrap("find key", err)
}

// Keys lists the keys of all tenants, oldest first, revoked ones too. For
// commands of the deployment's operator.
func (s *Store) Keys(ctx context.Context) (list []saaf.Key, err error) {
	const sqlKeys = `SELECT ` + keyColumns + ` FROM api_keys ORDER BY tenant_id, id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlKeys, func(r row) error {
			list = append(list, scanKey(r))
			return nil
		})
	})
	return list, wrap("list keys", err)
}

// RevokeKey ends a key and returns the version that servers must take for it to
// be refused everywhere. Revoking twice changes nothing.
func (s *Store) RevokeKey(ctx context.Context, id saaf.KeyID, by saaf.By) (k saaf.Key, version int64, err error) {
	err = s.write(ctx, everything, 1, func(t *tx) error {
		const sqlKey = `SELECT ` + keyColumns + ` FROM api_keys WHERE id = $1`
		read := func() error {
			return t.conn.query(sqlKey, func(r row) error { k = scanKey(r); return nil }, id)
		}
		k = saaf.Key{}
		if err := read(); err != nil {
			return err
		}
		if k.ID == 0 {
			return &saaf.Error{Code: saaf.NotFound, Word: "not_found", Message: "Key not found; saaf key list shows those there are"}
		}
		if k.RevokedAt.IsZero() {
			const sqlRevokeKey = `UPDATE api_keys SET revoked_at = $1 WHERE id = $2`
			if _, err := t.exec(sqlRevokeKey, t.now, id); err != nil {
				return err
			}
			if err := t.record(k.TenantID, 0, k.Environment, saaf.StageKey, by, "", keyFact{What: "revoked", Key: id, Environment: k.Environment}); err != nil {
				return err
			}
		}
		if err := read(); err != nil {
			return err
		}
		var err error
		version, err = t.bumpVersion()
		return err
	})
	return k, version, wrap("revoke key", err)
}
