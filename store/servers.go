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
	Alive     bool            // it was seen in the last seconds

	Prepared []saaf.SHA256 // newest files of the snapshots that it can answer from at once
	Fetched  int64         // bytes that are there of the files it fetches
}

// String says which server it is.
func (sv *Server) String() string {
	return fmt.Sprintf("server %s (pid %d on %s, %s)", sv.ID, sv.PID, sv.Host, sv.Address)
}

const (
	// serverSilent is how long after its last sign a server is still taken to be alive.
	serverSilent = 10 * time.Second
	// serverGone is how long after it a server is forgotten, where several serve.
	serverGone = time.Minute
)

const sqlInsertServer = `
	INSERT INTO servers (id, pid, host, address, started_at, seen_at, version, snapshot_id, problem, prepared, fetched)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// RegisterServer adds the server that this process is, and forgets those that have
// died. In an embedded store that is all others, and what they had leased is free:
// the caller holds the serve lock. Elsewhere it is those that were not seen for a
// minute.
func (s *Store) RegisterServer(ctx context.Context, sv Server) (Server, error) {
	err := s.write(ctx, everything, 1, func(t *tx) error {
		now, err := s.engine.clock(t.conn)
		if err != nil {
			return err
		}
		sv.ID, sv.StartedAt, sv.SeenAt, sv.Alive = s.server, now, now, true
		if t.shared {
			err = t.forgetServers(now)
		} else if _, err = t.exec(`DELETE FROM servers`); err == nil {
			err = t.endLeases()
		}
		if err != nil {
			return err
		}
		return t.insertServer(&sv)
	})
	return sv, wrap("register server", err)
}

func (t *tx) insertServer(sv *Server) error {
	_, err := t.exec(sqlInsertServer, sv.ID, sv.PID, sv.Host, sv.Address, sv.StartedAt, sv.SeenAt, sv.Version, sv.Snapshot, sv.Problem,
		joinHashes(sv.Prepared), sv.Fetched)
	return err
}

// forgetServers removes the servers that have not been seen for long.
func (t *tx) forgetServers(now time.Time) error {
	_, err := t.exec(`DELETE FROM servers WHERE seen_at < $1`, now.Add(-serverGone))
	return err
}

// Beat writes back what the server has taken and that it lives. Where several
// servers run it forgets those that have died, and brings this one back, should the
// others have taken it for dead.
func (s *Store) Beat(ctx context.Context, sv Server) error {
	const sqlBeat = `
		UPDATE servers SET seen_at = $1, version = $2, snapshot_id = $3, problem = $4, prepared = $5, fetched = $6 WHERE id = $7`
	err := s.write(ctx, signs, 1, func(t *tx) error {
		now, err := s.engine.clock(t.conn)
		if err != nil {
			return err
		}
		n, err := t.exec(sqlBeat, now, sv.Version, sv.Snapshot, sv.Problem, joinHashes(sv.Prepared), sv.Fetched, sv.ID)
		if err != nil || !t.shared {
			return err
		}
		if n == 0 {
			back := sv
			back.SeenAt = now
			if err := t.insertServer(&back); err != nil {
				return err
			}
		}
		return t.forgetServers(now)
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
// the next one starts or, where several run, until it was not seen for a minute.
func (s *Store) Servers(ctx context.Context) (list []Server, err error) {
	const sqlServers = `
		SELECT id, pid, host, address, started_at, seen_at, version, snapshot_id, problem, prepared, fetched
		  FROM servers ORDER BY id`
	err = s.read(ctx, func(conn session) error {
		list = nil
		now, err := s.engine.clock(conn)
		if err != nil {
			return err
		}
		return conn.query(sqlServers, func(r row) error {
			sv := Server{
				ID: saaf.ServerID(r.int64()), PID: r.int(), Host: r.text(), Address: r.text(),
				StartedAt: r.time(), SeenAt: r.time(), Version: r.int64(), Snapshot: saaf.SnapshotID(r.int64()), Problem: r.text(),
				Prepared: splitHashes(r.bytes()), Fetched: r.int64(),
			}
			sv.Alive = now.Sub(sv.SeenAt) < serverSilent
			list = append(list, sv)
			return nil
		})
	})
	return list, wrap("list servers", err)
}

// Running lists the servers that are alive. starting is true when there is one that
// has not registered yet, as far as that can be seen.
func (s *Store) Running(ctx context.Context) (list []Server, starting bool, err error) {
	if !s.engine.shared() {
		running, err := Serving(s.cfg.Dir)
		if err != nil || !running {
			return nil, false, err
		}
		list, err = s.Servers(ctx)
		return list, len(list) == 0, err
	}
	all, err := s.Servers(ctx)
	for _, sv := range all {
		if sv.Alive {
			list = append(list, sv)
		}
	}
	return list, false, err
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
