package store

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What is committed stands in the log, and has to be written back into the database
// file before the log can begin anew. SQLite does that inside a commit, once the
// log is long: then everybody waits, for half a second when a re-check has touched
// pages all over the file. So a goroutine of its own does nearly all of it beside
// the writer, syncs the file, and leaves the writer a short rest to finish between
// two transactions: beside a steady writer nobody else ever reaches the end.
const (
	writeBackEvery = 100 * time.Millisecond
	writeBackFrom  = 8192 // pages in the log, 32 MB
	writeBackShare = 4    // of them the writer is left at most so large a part

	writeBackAgain = time.Second // after which it is tried again when the disk was full
)

// RunWriteBack writes the log of the embedded database back until ctx ends; another
// one does so by itself. The store must have been opened
// with Config.WriteBack.
func (s *Store) RunWriteBack(ctx context.Context) error {
	e, ok := s.engine.(*embedded)
	if !ok {
		<-ctx.Done()
		return nil
	}
	conn, err := openConn(ctx, e.path, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return stopped(ctx, "write the log back", err)
	}
	defer conn.Close()
	conn.SetInterrupt(ctx.Done())
	file, err := rawFile(e.path)
	if err != nil {
		return wrap("write the log back", err)
	}
	tick := time.NewTicker(writeBackEvery)
	defer tick.Stop()
	seen := int64(0)
	var full time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		commits := s.commits.Load()
		if commits == seen || time.Since(full) < writeBackAgain {
			continue
		}
		log, done, err := writeBack(conn)
		if isFull(err) {
			full = time.Now()
			continue
		}
		seen = commits
		if err != nil {
			return stopped(ctx, "write the log back", err)
		}
		if log < s.cfg.writeBackFrom || log-done > s.cfg.writeBackFrom/writeBackShare {
			continue
		}
		// What the writer syncs then is little more than what it writes.
		if err := file.Sync(); err != nil {
			return stopped(ctx, "write the log back", err)
		}
		e.finishLog.Store(true)
	}
}

// isFull reports whether there was no room to write something back. Then it stays in the
// log, where it is found, and the next try writes it.
func isFull(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull }

// writeBack writes back what it can without waiting for anybody. It returns how many
// pages are in the log and how many of them are written back.
func writeBack(conn sqliteConn) (log, done int64, err error) {
	err = sqlitex.ExecuteTransient(conn.Conn, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			log, done = stmt.ColumnInt64(1), stmt.ColumnInt64(2)
			return nil
		},
	})
	return log, done, notBusy(err)
}
