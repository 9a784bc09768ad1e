package store

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"saaf"
)

// CreateTenant makes a tenant. A name that is taken is a Conflict.
func (s *Store) CreateTenant(ctx context.Context, name string) (saaf.Tenant, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > 200 {
		return saaf.Tenant{}, &saaf.Error{Code: saaf.Invalid, Word: "invalid", Message: "A tenant's name must have 1 to 200 characters"}
	}
	var made saaf.Tenant
	err := s.write(ctx, everything, 1, func(t *tx) (err error) {
		made, err = t.createTenant(name)
		return err
	})
	if err != nil {
		return saaf.Tenant{}, wrap("create tenant", err)
	}
	return made, nil
}

func (t *tx) createTenant(name string) (saaf.Tenant, error) {
	made := saaf.Tenant{ID: saaf.TenantID(t.ids.Next()), Name: name, CreatedAt: t.now}
	const sqlInsertTenant = `
		INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO NOTHING`
	n, err := t.exec(sqlInsertTenant, made.ID, made.Name, made.CreatedAt)
	if err == nil && n == 0 {
		err = &saaf.Error{Code: saaf.Conflict, Word: "tenant_exists",
			Message: fmt.Sprintf("A tenant called %q is there already; choose another name", name)}
	}
	return made, err
}

// Tenants lists all tenants, oldest first. For commands: a deployment has few.
func (s *Store) Tenants(ctx context.Context) (list []saaf.Tenant, err error) {
	const sqlTenants = `SELECT id, name, created_at FROM tenants ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlTenants, func(r row) error {
			list = append(list, saaf.Tenant{ID: saaf.TenantID(r.int64()), Name: r.text(), CreatedAt: r.time()})
			return nil
		})
	})
	return list, wrap("list tenants", err)
}

// FirstStart makes the tenant "default" with the given keys when the store has
// no tenant yet, all in one transaction. made is false when there was one.
func (s *Store) FirstStart(ctx context.Context, keys []NewKey) (made bool, tenant saaf.Tenant, stored []saaf.Key, err error) {
	err = s.write(ctx, everything, 1, func(t *tx) (err error) {
		made, tenant, stored = false, saaf.Tenant{}, nil
		const sqlAnyTenant = `SELECT count(*) FROM tenants`
		var n int64
		if err := t.conn.query(sqlAnyTenant, func(r row) error { n = r.int64(); return nil }); err != nil || n > 0 {
			return err
		}
		if tenant, err = t.createTenant("default"); err != nil {
			return err
		}
		for _, k := range keys {
			k.TenantID = tenant.ID
			key, err := t.createKey(k)
			if err != nil {
				return err
			}
			stored = append(stored, key)
		}
		made = true
		return nil
	})
	if err != nil {
		return false, saaf.Tenant{}, nil, wrap("first start", err)
	}
	return made, tenant, stored, nil
}
