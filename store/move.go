package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"saaf"
)

// MoveConfig says which store goes where.
type MoveConfig struct {
	From Config // the embedded store; nobody may write to it meanwhile
	To   Config // an empty database; Secrets: where its processes will find them, default those of From

	Progress func(MoveProgress) // nil is not called

	// Verify is called with the store in the database when all is there, before anybody
	// else may open it. An error leaves the database as it is, to be moved into again.
	Verify func(context.Context, *Store) error

	rows  int // of a batch; for tests
	bytes int
}

// MoveProgress is how far a move is.
type MoveProgress struct {
	Table string // that is copied, "" while both sides are compared
	Done  int64  // rows of all tables
	Total int64
}

// MoveReport is what was moved.
type MoveReport struct {
	Deployment saaf.DeploymentID
	Resumed    bool // an earlier move had been cut short
	Campaigns  int64
	Rows       int64
	Tables     []MovedTable
}

// MovedTable is how many rows of a table were moved.
type MovedTable struct {
	Name string
	Rows int64
}

var (
	// ErrMoved is returned by [Move] where the store is in the database already: that
	// was compared and verified, and the source has not changed since.
	ErrMoved = errors.New("the store is in this database already, whole and released")

	errTwice = errors.New("the store is in this database already, and the one in the directory is in use all the same: it was reopened. Which of them is right, only you know. " +
		"To go on in the database, remove the directory's saaf.db; to go on in the directory, drop the database, make it anew, and move into that")

	errHalfMoved = errors.New("a store is on its way into this database and not all of it is there: run saaf migrate again, which goes on where it stopped")
)

// Move copies an embedded store into an empty PostgreSQL database: ids, evidence and all
// rows as they are. Until it has returned nobody can open the database, and when it is
// cut short, in whatever way, another call goes on. While the source is read nobody else
// can write to it; at the end it is marked as one that is not used any more, and is
// otherwise as it was.
func Move(ctx context.Context, cfg MoveConfig) (report MoveReport, err error) {
	cfg.setDefaults()
	source, err := openSource(ctx, cfg.From)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	if err := source.sameSecrets(cfg.To.Secrets); err != nil {
		return report, err
	}
	target := &Store{cfg: cfg.To}
	target.cfg.setDefaults()
	to, err := connectPostgres(ctx, target)
	if err != nil {
		return report, err
	}
	defer to.disconnect()
	if err := to.migrate(ctx); err != nil {
		return report, wrap("open the database", explained(interrupted(ctx, err)))
	}
	m := &mover{cfg: cfg, source: source.Store, to: to, report: MoveReport{Deployment: source.Deployment()}}
	err = m.reading(ctx, m.run)
	return m.report, wrap("move", explained(interrupted(ctx, err)))
}

func (c *MoveConfig) setDefaults() {
	c.From.setDefaults()
	if c.To.Secrets == "" {
		c.To.Secrets = c.From.Secrets
	}
	if c.Progress == nil {
		c.Progress = func(MoveProgress) {}
	}
	if c.rows <= 0 {
		c.rows = 2000
	}
	if c.bytes <= 0 {
		c.bytes = 4 << 20
	}
}

// sameSecrets checks that a directory holds the secrets of the store.
func (s *Store) sameSecrets(dir string) error {
	var there secrets
	var err error
	if there.pepper, err = readPepper(filepath.Join(dir, pepperName), false); err == nil {
		there.signing, err = readSigningKey(filepath.Join(dir, signingKeyName), false)
	}
	if err == nil {
		mine := s.secrets.pepper.Fingerprint()
		err = there.match(mine[:], s.PublicKey())
	}
	if errors.Is(err, errSecrets) {
		err = fmt.Errorf("%w. The store keeps its secrets where it goes: copy %s and %s from %s into %s", err, pepperName, signingKeyName, s.cfg.Secrets, dir)
	}
	return err
}

// mover is one move.
type mover struct {
	cfg    MoveConfig
	source *Store
	from   session // reads the source, while nobody writes to it
	to     *postgres
	mark   string // in the target until all is there
	report MoveReport
	total  int64
}

// reading runs fn while nobody can write to the source.
func (m *mover) reading(ctx context.Context, fn func(context.Context) error) error {
	conn := m.source.engine.(*embedded).conn
	if _, err := conn.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	conn.SetInterrupt(ctx.Done())
	m.from = conn
	err := fn(ctx)
	conn.SetInterrupt(nil)
	return errors.Join(err, conn.rollback())
}

func (m *mover) run(ctx context.Context) error {
	if err := m.drained(); err != nil {
		return err
	}
	if err := m.claim(ctx); err != nil {
		return err
	}
	for i := range movedTables {
		n, err := m.countRows(m.from, &movedTables[i])
		if err != nil {
			return err
		}
		m.total += n
		m.report.Tables = append(m.report.Tables, MovedTable{movedTables[i].name, n})
		if movedTables[i].name == "campaigns" {
			m.report.Campaigns = n
		}
	}
	for i := range movedTables {
		if err := m.copyTable(ctx, &movedTables[i]); err != nil {
			return fmt.Errorf("copy %s: %w", movedTables[i].name, err)
		}
	}
	if err := m.copyDeployment(ctx); err != nil {
		return fmt.Errorf("copy deployment: %w", err)
	}
	if err := m.compare(ctx); err != nil {
		return err
	}
	if err := m.verify(ctx); err != nil {
		return err
	}
	if err := m.leave(); err != nil {
		return err
	}
	const sqlRelease = `UPDATE deployment SET moving = NULL WHERE moving = $1`
	return m.to.setUp(ctx, func(conn session) error {
		_, err := conn.exec(sqlRelease, m.mark)
		return err
	})
}

// drained refuses a store in which something is under way that would be torn apart.
func (m *mover) drained() error {
	const (
		sqlLeased     = `SELECT name, until FROM leases WHERE until > $1 ORDER BY name`
		sqlUnimported = `SELECT id, state FROM registry_imports WHERE state = $1 OR state = $2 ORDER BY id`
	)
	var under []string
	err := m.from.query(sqlLeased, func(r row) error {
		under = append(under, fmt.Sprintf("the work %q is a process's until %s", r.text(), r.time().Format(time.RFC3339)))
		return nil
	}, time.Now())
	if err != nil {
		return err
	}
	err = m.from.query(sqlUnimported, func(r row) error {
		under = append(under, fmt.Sprintf("the registry import %s is %s", saaf.RegistryImportID(r.int64()), r.text()))
		return nil
	}, ImportQueued, ImportRunning)
	if err != nil {
		return err
	}
	erasures, err := readUnfinishedErasures(m.from)
	for _, id := range erasures {
		under = append(under, fmt.Sprintf("the erasure %s is running", id))
	}
	if err != nil || len(under) == 0 {
		return err
	}
	return fmt.Errorf("something is under way in the store: %s. Run saaf serve on %s until it is done, stop it, and try again",
		strings.Join(under, "; "), m.source.cfg.Dir)
}

// claim marks the target, unless it holds something.
func (m *mover) claim(ctx context.Context) error {
	const (
		sqlClaimTarget = `UPDATE deployment SET moving = $1 WHERE moving IS NULL AND pepper_fingerprint IS NULL`
		sqlTarget      = `SELECT id, coalesce(moving, '') FROM deployment`
	)
	if err := m.standing(); err != nil {
		return err
	}
	moved, err := readMoved(m.from, m.source.cfg.Dir)
	if err != nil {
		return err
	}
	return m.to.setUp(ctx, func(conn session) error {
		claimed := 0
		if moved == nil {
			if claimed, err = conn.exec(sqlClaimTarget, m.mark); err != nil {
				return err
			}
		}
		var there saaf.DeploymentID
		var mark string
		if err := conn.query(sqlTarget, func(r row) error { there, mark = saaf.DeploymentID(r.int64()), r.text(); return nil }); err != nil {
			return err
		}
		m.report.Resumed = claimed == 0
		whose, _, _ := strings.Cut(mark, " ")
		switch {
		case mark == m.mark:
			return nil
		case mark == "" && there == m.report.Deployment && moved != nil:
			return ErrMoved
		case mark == "" && there == m.report.Deployment:
			return errTwice
		case mark == "" && there == 0 && moved != nil:
			return moved
		case mark == "":
			return fmt.Errorf("the database holds another store, %s: move into an empty one", there)
		case whose == m.report.Deployment.String():
			return errors.New("the store has changed since it was begun to be moved into this database: drop the database, make it anew, and move into that")
		}
		return fmt.Errorf("another store, %s, is on its way into this database: move into an empty one", whose)
	})
}

// standing makes the mark: which store it is, and numbers that grow when it changes.
func (m *mover) standing() error {
	m.mark = m.report.Deployment.String()
	for _, sql := range []string{
		reading([]string{"version", "suppression_seq"}, "deployment", ""),
		reading([]string{"coalesce(max(id), 0)", "0"}, "ledger", ""),
		reading([]string{"coalesce(max(updated_at), 0)", "0"}, "campaigns", ""),
	} {
		err := m.from.query(sql, func(r row) error {
			m.mark += fmt.Sprintf(" %d %d", r.int64(), r.int64())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// verify has the caller look at the store in the database.
func (m *mover) verify(ctx context.Context) (err error) {
	if m.cfg.Verify == nil {
		return nil
	}
	cfg := m.to.store.cfg
	cfg.halfMoved = true
	st, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(m.cfg.Verify(ctx, st), st.Close())
}
