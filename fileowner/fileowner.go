// Package fileowner has what is made in a data directory belong to whom the directory belongs:
// a command that root runs beside a server of another user must leave nothing there that this
// server cannot read.
//
// It changes the owner of no file that was there before.
package fileowner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Settle gives a new file in dir the owner of dir. Only root can; another user than the
// owner of dir gets an error that says who must run the command, unless root owns dir, as
// in a volume that a group may write to: there everybody keeps what is theirs.
func Settle(f *os.File, dir string) error {
	of, err := os.Stat(dir)
	if err != nil {
		return err
	}
	uid, gid, ok := owner(of)
	made, err := f.Stat()
	if err != nil {
		return err
	}
	if mine, _, _ := owner(made); !ok || mine == uid || mine != 0 && uid == 0 {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("%s belongs to the user %d, who could not read what the user %d makes in it: run the command as that user, as with sudo -u '#%d' (%w)",
			dir, uid, os.Geteuid(), uid, err)
	}
	return nil
}

// Mkdir makes a directory that only its owner can read, with the owner of the one that
// it is in, unless it is there. Those above it are made, too, and belong to this process.
func Mkdir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(Settle(d, filepath.Dir(dir)), d.Close())
}

func owner(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}
