package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"saaf/fileowner"
)

const lockName = "serve.lock"

// ServeLock is held by the one server of a data directory for as long as it
// lives. The kernel drops it with the process, however that ends.
type ServeLock struct{ f *os.File }

// LockedError says which process holds the serve lock.
type LockedError struct {
	Dir string
	PID int // 0 when it cannot be seen from here
}

// Error names the process.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another saaf serve (%s) uses the data directory %s: stop it first, or pass another --data-dir", e.Who(), e.Dir)
}

// Who is the process in words.
func (e *LockedError) Who() string {
	if e.PID == 0 {
		return "in another container"
	}
	return fmt.Sprintf("pid %d", e.PID)
}

// held are the locks of this process. The kernel knows them by process and file:
// it would give a second descriptor the same lock, and closing that one would
// drop it for both. So what this process holds is never opened again.
var held struct {
	sync.Mutex
	files []*os.File
}

// holds reports whether this process holds the lock file. held is locked.
func holds(path string) bool {
	info, err := os.Stat(path)
	return err == nil && slices.ContainsFunc(held.files, func(f *os.File) bool {
		mine, err := f.Stat()
		return err == nil && os.SameFile(info, mine)
	})
}

// holdsServeLock reports whether this process holds the serve lock of a directory.
func holdsServeLock(dir string) bool {
	held.Lock()
	defer held.Unlock()
	return holds(filepath.Join(dir, lockName))
}

// LockServe takes the serve lock of the directory, which is created when it is
// missing. It returns a [*LockedError] when a server holds it.
func LockServe(dir string) (*ServeLock, error) {
	held.Lock()
	defer held.Unlock()
	path := filepath.Join(dir, lockName)
	if holds(path) {
		return nil, &LockedError{Dir: dir, PID: os.Getpid()}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainedDisk(dir, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, explainedDisk(dir, err))
	}
	if err := errors.Join(fileowner.Settle(f, dir), takeLock(dir, f)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	held.files = append(held.files, f)
	return &ServeLock{f: f}, nil
}

func takeLock(dir string, f *os.File) error {
	for {
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("lock %s: %w", dir, err)
		}
		taken, pid, err := lockHolder(f)
		if err != nil {
			return err
		}
		if taken {
			return &LockedError{Dir: dir, PID: pid}
		}
		// Whoever held it has gone in between.
	}
}

// Release gives the lock up.
func (l *ServeLock) Release() error {
	held.Lock()
	defer held.Unlock()
	held.files = slices.DeleteFunc(held.files, func(f *os.File) bool { return f == l.f })
	return l.f.Close()
}

// Serving reports whether a server runs on the directory. It never takes the
// lock, so that looking cannot get in the way of a server that starts.
func Serving(dir string) (bool, error) {
	held.Lock()
	defer held.Unlock()
	path := filepath.Join(dir, lockName)
	if holds(path) {
		return true, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	taken, _, err := lockHolder(f)
	return taken, err
}

// lockHolder looks whether another process holds the lock, and which. The pid is
// 0 for one that cannot be seen from here, as in another container.
func lockHolder(f *os.File) (taken bool, pid int, err error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return false, 0, fmt.Errorf("read the lock of %s: %w", f.Name(), err)
	}
	return lock.Type != syscall.F_UNLCK, int(lock.Pid), nil
}
