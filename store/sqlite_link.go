package store

import (
	"context"
	"errors"

	"zombiezen.com/go/sqlite"
)

// begin refuses when the store was moved since it was opened.
func (c sqliteConn) begin(context.Context, scope) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	moved, err := readMoved(c, "")
	if err == nil && moved != nil {
		err = errMovedMeanwhile
	}
	if err != nil {
		return errors.Join(err, c.rollback())
	}
	return nil
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
