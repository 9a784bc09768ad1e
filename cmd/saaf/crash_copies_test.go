package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"saaf"
	"saaf/client"
	"saaf/internal/apptest"
)

// copyStore copies the data directory of a killed process. The index of the log is left out:
// after a crash of the machine it is not there.
func copyStore(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		into := filepath.Join(to, name)
		switch {
		case d.IsDir():
			return os.MkdirAll(into, 0o700)
		case strings.HasSuffix(name, "-shm"):
			return nil
		case filepath.Ext(name) == ".dnd": // which nobody changes
			return os.Link(path, into)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(into, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}

// content is what is found in the file of a store, after SQLite has recovered it.
type content struct {
	leads   map[int64]string // what they are, by their ids
	created map[int64]int64  // when their transactions were
	entries map[int64]string // when those of the ledger were made, by their ids
}

// readContent opens a store that no process has open, checks every page of it, and reads it.
func readContent(dir string) (*content, error) {
	conn, err := sqlite.OpenConn(filepath.Join(dir, "saaf.db"), sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	c := &content{leads: map[int64]string{}, created: map[int64]int64{}, entries: map[int64]string{}}
	read := func(sql string, row func(*sqlite.Stmt) error) {
		if err == nil {
			err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{ResultFunc: row})
		}
	}
	read(`PRAGMA integrity_check`, func(s *sqlite.Stmt) error {
		if said := s.ColumnText(0); said != "ok" {
			return fmt.Errorf("the file is damaged: %s", said)
		}
		return nil
	})
	read(`SELECT id, campaign_id || ' ' || phone || ' ' || status || ' ' || reason || ' ' || updated_at, created_at FROM leads`, func(s *sqlite.Stmt) error {
		c.leads[s.ColumnInt64(0)], c.created[s.ColumnInt64(0)] = s.ColumnText(1), s.ColumnInt64(2)
		return nil
	})
	read(`SELECT id, head ->> 'at' FROM ledger`, func(s *sqlite.Stmt) error {
		c.entries[s.ColumnInt64(0)] = s.ColumnText(1)
		return nil
	})
	return c, errors.Join(err, conn.Close())
}

// lacks is what c misses of whole: it must be of one transaction at most, which has one time.
func (c *content) lacks(whole *content) (leads, entries int, faults []string) {
	times := make(map[int64]bool)
	for id, what := range whole.leads {
		switch is, ok := c.leads[id]; {
		case !ok:
			leads++
			times[whole.created[id]] = true
		case is != what:
			leads++
		}
	}
	if len(times) > 1 {
		faults = append(faults, fmt.Sprintf("%d leads of %d transactions are missing", leads, len(times)))
	}
	made := make(map[string]bool)
	for id, at := range whole.entries {
		if c.entries[id] != at {
			entries++
			made[at] = true
		}
	}
	if len(made) > 1 {
		faults = append(faults, fmt.Sprintf("entries of %d transactions are missing", len(made)))
	}
	for id := range c.entries {
		if whole.entries[id] == "" {
			faults = append(faults, "there is an entry more")
		}
	}
	return leads, entries, faults
}

// damages are what may have happened to the files of a store that was cut off from its disk.
// kept: everything that was committed must still be there. Each reports whether it has done
// anything.
var damages = []struct {
	name string
	kept bool
	do   func(db string, log *apptest.Log) (bool, error)
}{
	{"tail", true, func(db string, log *apptest.Log) (bool, error) { return true, log.CutTail(db) }},
	{"torn pages", true, func(db string, log *apptest.Log) (bool, error) {
		torn, err := log.TearPages(db)
		return torn > 0, err
	}},
	{"last commit", false, func(db string, log *apptest.Log) (bool, error) { return log.CutCommit(db) }},
}

// checkCopies damages copies of the data directory of a killed server in every way, and opens
// them.
func (c *crashRun) checkCopies(ctx context.Context) error {
	base, err := os.MkdirTemp(c.scratch, "copies-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	file := func(name string) string { return filepath.Join(base, name, "saaf.db") }
	if err := copyStore(c.dir, filepath.Join(base, "whole")); err != nil {
		return err
	}
	log, err := apptest.ReadLog(file("whole"))
	if err != nil {
		return err
	}
	for _, damage := range damages {
		if err := copyStore(c.dir, filepath.Join(base, damage.name)); err != nil {
			return err
		}
	}
	whole, err := readContent(filepath.Join(base, "whole"))
	if err != nil {
		return err
	}
	for _, damage := range damages {
		done, err := damage.do(file(damage.name), log)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		c.damaged[damage.name]++
		dir := filepath.Join(base, damage.name)
		if out, err := c.command(dir, "audit", "verify"); err != nil {
			c.load.fault("%s: %v\n%s", damage.name, err, out)
		}
		found, err := readContent(dir)
		if err != nil {
			c.load.fault("%s: %v", damage.name, err)
			continue
		}
		leads, entries, faults := found.lacks(whole)
		for _, fault := range faults {
			c.load.fault("%s: %s", damage.name, fault)
		}
		if damage.kept && (leads > 0 || entries > 0 || len(found.leads) != len(whole.leads)) {
			c.load.fault("%s: %d leads and %d entries of the ledger are not as they were", damage.name, leads, entries)
		}
	}
	return c.checkServes(ctx, filepath.Join(base, "torn pages"))
}

// checkServes starts a server on a copy: it knows every lead that was answered, and takes new
// ones.
func (c *crashRun) checkServes(ctx context.Context, dir string) error {
	srv, err := apptest.Start(c.binary, dir)
	if err != nil {
		return err
	}
	defer srv.Kill()
	api := client.New(srv.URL, c.load.key)
	for campaign, of := range c.load.leads {
		if c.load.deleted[campaign] {
			continue
		}
		phones := slices.Collect(maps.Keys(of))
		phones = append(phones[:min(len(phones), saaf.MaxBulk-1)], loadFrom-1)
		leads := make([]client.NewLead, len(phones))
		for i, phone := range phones {
			leads[i].Phone = fmt.Sprint(phone)
		}
		res, err := api.PushLeads(ctx, campaign, leads)
		if _, deleting := c.load.deleted[campaign]; deleting && answeredWith(err, 404, "not_found") {
			continue
		}
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(c.load.erasing, func(p int64) bool { return of[p] != "" }) && res.Valid != 1 {
			c.load.fault("of %d leads that were answered %d are taken as new", len(phones)-1, res.Valid-1)
		}
		for i, row := range res.Results {
			if id := of[phones[i]]; row.LeadID != "" && row.LeadID != id {
				c.load.fault("%d was answered with %s, and is %s in %s", phones[i], id, row.LeadID, campaign)
			}
		}
	}
	return srv.Stop()
}
