package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
)

// DatabaseName is the file of the embedded database, in a data directory and in a backup.
const DatabaseName = fileName

// Copied is what stands in a copy of an embedded database.
type Copied struct {
	Identity
	Schema    string              // the last migration
	At        time.Time           // everything that was answered before is in it
	Head      saaf.CheckpointHead // last entry of the ledger, Seq 0 for none
	Snapshots []saaf.Snapshot     // the active one, and those behind it that are kept
}

// CopyRequest says what is copied and how.
type CopyRequest struct {
	Dir  string // data directory
	To   string // the new file; it must not exist
	Keep int    // how many snapshots are kept, the active one included

	// Aside is called once the copy has its moment and holds no lock for which anybody
	// waits: from then on it may be as slow as it likes. May be nil.
	Aside func()

	// Progress is told how many bytes of how many are copied. May be nil.
	Progress func(done, total int64)

	pages int // of a step, copyPages when it is 0; for tests
}

// copyPages is how many pages are copied before they are synced: 4 MB. Left to itself
// the system would collect all of them, and the next fsync of a push would wait until
// they are written.
const copyPages = 1024

// CopyDatabase copies the embedded database of a data directory, as it is at one moment,
// while others write to it: nobody waits for the copy. Only what the log has after that
// moment stays in the log until the copy is done. The new file is on the disk when it
// returns; after an error it may be there in part.
//
// It returns [ErrNoStore], or a [*MovedError]. Only a store of the very schema of this
// program is copied: to look must not change it.
func CopyDatabase(ctx context.Context, req CopyRequest) (c Copied, err error) {
	defer func() { err = wrap("copy the database", interrupted(ctx, err)) }()
	path := filepath.Join(req.Dir, fileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return c, ErrNoStore
	} else if err != nil {
		return c, err
	}
	from, err := openConn(ctx, path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, from.rollback(), from.Close()) }()
	from.SetInterrupt(ctx.Done())
	defer from.SetInterrupt(nil)
	c.At = time.Now().UTC().Truncate(time.Millisecond)
	// The copy would begin anew with every commit of another process, if its steps were
	// transactions of their own. Within one that reads already they see what that sees.
	if _, err := from.exec("BEGIN"); err != nil {
		return c, err
	}
	if err := c.read(from, req); err != nil {
		return c, err
	}
	if req.Aside != nil {
		req.Aside()
	}
	return c, copyTo(ctx, from, req)
}

// read reads what is said about a copy, and with that fixes its moment.
func (c *Copied) read(conn session, req CopyRequest) error {
	const sqlIdentity = `SELECT id, pepper_fingerprint, public_key FROM deployment WHERE pepper_fingerprint IS NOT NULL`
	schema, err := knownSchema(conn)
	if err != nil {
		return err
	}
	c.Schema = schema
	moved, err := readMoved(conn, req.Dir)
	if err == nil && moved != nil {
		err = moved
	}
	if err != nil {
		return err
	}
	err = conn.query(sqlIdentity, func(r row) error {
		c.Deployment = saaf.DeploymentID(r.int64())
		copy(c.Pepper[:], r.bytes())
		c.PublicKey = r.bytes()
		return nil
	})
	if err == nil && c.Deployment == 0 {
		err = ErrNoStore
	}
	if err != nil {
		return err
	}
	if c.Head, err = readChainHead(conn, embeddedWriter); err != nil {
		return err
	}
	c.Snapshots, err = readKept(conn, req.Keep)
	return err
}

// knownSchema is the last migration of a store that has those of this program.
func knownSchema(conn session) (string, error) {
	list, err := loadMigrations()
	if err != nil {
		return "", err
	}
	done, err := appliedMigrations(conn)
	if err != nil {
		return "", fmt.Errorf("%w: the file %s is no store", err, fileName)
	}
	if len(done) < len(list) {
		return "", fmt.Errorf("the store is of an older saaf (it has %d migrations, this program %d): back it up with that version, or start this one on it first, which brings it up to date",
			len(done), len(list))
	}
	none := func(*migration) error { return nil }
	return list[len(list)-1].name, applyMissing(conn, list, none)
}

// KnowsSchema reports whether this program can open a store whose last migration has
// that name.
func KnowsSchema(name string) (bool, error) {
	list, err := loadMigrations()
	if err != nil {
		return false, err
	}
	for _, m := range list {
		if m.name == name {
			return true, nil
		}
	}
	return false, nil
}

func copyTo(ctx context.Context, from sqliteConn, req CopyRequest) (err error) {
	// The descriptor is for fsync. That closing it drops the locks of SQLite hurts nobody
	// in a file that no one else knows.
	file, err := os.OpenFile(req.To, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	to, err := sqlite.OpenConn(req.To, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close(), file.Sync()) }()
	for _, pragma := range []string{
		"PRAGMA journal_mode = OFF", // a copy that is cut short is thrown away
		"PRAGMA synchronous = OFF",  // see copyPages
		"PRAGMA cache_size = -1024",
	} {
		if err := sqlitex.ExecuteTransient(to, pragma, nil); err != nil {
			return err
		}
	}
	backup, err := sqlite.NewBackup(to, "main", from.Conn, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backup.Close()) }()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = backup.Step(cmp.Or(req.pages, copyPages)); err != nil {
			return err
		}
		start := time.Now()
		if err := file.Sync(); err != nil {
			return err
		}
		if req.Progress != nil {
			total := int64(backup.PageCount())
			req.Progress((total-int64(backup.Remaining()))*pageBytes, total*pageBytes)
		}
		if more {
			time.Sleep(time.Since(start)) // half of the time the disk is for those who push
		}
	}
	return nil
}

// pageBytes is the size of a page of SQLite, which is not set otherwise here.
const pageBytes = 4096
