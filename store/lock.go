package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const lockName = "serve.lock"

// ServeLock is held by the one server of a data directory for as long as it
// lives. The kernel drops it with the process, however that ends.
type ServeLock struct{ f *os.File }

// LockedError says which process holds the serve lock.
type LockedError struct {
	Dir string
	PID int
}

// Error names the process.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another saaf serve (pid %d) uses the data directory %s: stop it first, or pass another --data-dir", e.PID, e.Dir)
}

// LockServe takes the serve lock of the directory, which is created when it is
// missing. It returns a [*LockedError] when another process holds it.
func LockServe(dir string) (*ServeLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
	if err == nil {
		return &ServeLock{f: f}, nil
	}
	defer f.Close()
	if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	pid, err := lockHolder(f)
	if err != nil {
		return nil, err
	}
	return nil, &LockedError{Dir: dir, PID: pid}
}

// Release gives the lock up.
func (l *ServeLock) Release() error { return l.f.Close() }

// Serving reports whether a server runs on the directory. It never takes the
// lock, so that looking cannot get in the way of a server that starts.
func Serving(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	pid, err := lockHolder(f)
	return pid != 0, err
}

// lockHolder is the process that holds the lock, 0 when nobody does.
func lockHolder(f *os.File) (int, error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("read the lock of %s: %w", f.Name(), err)
	}
	if lock.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}
