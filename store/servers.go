package store

import (
	"context"
	"fmt"
	"time"

	"saaf"
)

// Server is one running server and what it answers from.
type Server struct {
	ID        saaf.ServerID
	PID       int
	Host      string
	Address   string // where it listens
	StartedAt time.Time
	SeenAt    time.Time
	Version   int64           // the deployment version it has taken
	Snapshot  saaf.SnapshotID // the snapshot it answers from, 0 for none
	Problem   string          // why it does not serve the active snapshot

	Prepared []saaf.SHA256 // newest files of the snapshots that it can answer from at once
	Fetched  int64         // bytes that are there of the files it fetches
}

// String says which server it is.
func (sv *Server) String() string {
	return fmt.Sprintf("server %s (pid %d on %s, %s)", sv.ID, sv.PID, sv.Host, sv.Address)
}

// RegisterServer adds the server and forgets all others: the caller holds the
// serve lock of this store, so that others are rows of processes that died.
func (s *Store) RegisterServer(ctx context.Context, sv Server) (saaf.ServerID, error) {
	err := s.write(ctx, everything, 1, func(t *tx) error {
		if !t.shared {
			if _, err := t.exec(`DELETE FROM servers`); err != nil {
				return err
			}
		}
		sv.ID = saaf.ServerID(t.ids.Next())
		const sqlInsertServer = `
			INSERT INTO servers (id, pid, host, address, started_at, seen_at, version, snapshot_id, problem, prepared, fetched)
			VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)`
		_, err := t.exec(sqlInsertServer, sv.ID, sv.PID, sv.Host, sv.Address, t.now, sv.Version, sv.Snapshot, sv.Problem,
			joinHashes(sv.Prepared), sv.Fetched)
		return err
	})
	return sv.ID, wrap("register server", err)
}

// Beat writes back what the server has taken and that it lives.
func (s *Store) Beat(ctx context.Context, sv Server) error {
	const sqlBeat = `
		UPDATE servers SET seen_at = $1, version = $2, snapshot_id = $3, problem = $4, prepared = $5, fetched = $6 WHERE id = $7`
	err := s.write(ctx, beside, 1, func(t *tx) error {
		_, err := t.exec(sqlBeat, t.now, sv.Version, sv.Snapshot, sv.Problem, joinHashes(sv.Prepared), sv.Fetched, sv.ID)
		return err
	})
	return wrap("server heartbeat", err)
}

// RemoveServer forgets a server that stops.
func (s *Store) RemoveServer(ctx context.Context, id saaf.ServerID) error {
	err := s.write(ctx, everything, 1, func(t *tx) error {
		_, err := t.exec(`DELETE FROM servers WHERE id = $1`, id)
		return err
	})
	return wrap("remove server", err)
}

// Servers lists the servers that are registered. One that was killed stays until
// the next one starts: [Serving] tells whether any is alive.
func (s *Store) Servers(ctx context.Context) (list []Server, err error) {
	const sqlServers = `
		SELECT id, pid, host, address, started_at, seen_at, version, snapshot_id, problem, prepared, fetched
		  FROM servers ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		return conn.query(sqlServers, func(r row) error {
			list = append(list, Server{
				ID: saaf.ServerID(r.int64()), PID: r.int(), Host: r.text(), Address: r.text(),
				StartedAt: r.time(), SeenAt: r.time(), Version: r.int64(), Snapshot: saaf.SnapshotID(r.int64()), Problem: r.text(),
				Prepared: splitHashes(r.bytes()), Fetched: r.int64(),
			})
			return nil
		})
	})
	return list, wrap("list servers", err)
}

// Version reads the deployment version: it grows with every change that running
// servers must take.
func (s *Store) Version(ctx context.Context) (version int64, err error) {
	const sqlVersion = `SELECT version FROM deployment`
	err = s.read(ctx, func(conn session) error {
		return conn.query(sqlVersion, func(r row) error {
			version = r.int64()
			return nil
		})
	})
	return version, wrap("read version", err)
}
