package store

import (
	"context"

	"zombiezen.com/go/sqlite"
)

func (c sqliteConn) begin(context.Context, scope) error {
	_, err := c.exec("BEGIN IMMEDIATE")
	return err
}

func (c sqliteConn) later(sql string, args ...any) error {
	_, err := c.exec(sql, args...)
	return err
}

func (c sqliteConn) commit() error {
	_, err := c.exec("COMMIT")
	return err
}

// rollback undoes the open transaction, if SQLite has not done so by itself.
func (c sqliteConn) rollback() error {
	if c.AutocommitEnabled() {
		return nil
	}
	_, err := c.exec("ROLLBACK")
	return err
}

func (sqliteConn) failure(err error) failure {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultCantOpen:
		return broken
	case sqlite.ResultFull:
		return full
	case sqlite.ResultBusy:
		return busy
	}
	return failed
}
