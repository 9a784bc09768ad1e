package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// home is a directory in which servers live: it belongs to the user that they
// run as, and they work in it or below it, by which the guard knows them.
type home struct {
	dir   string
	user  *syscall.Credential // nil: the user of the test
	guard *exec.Cmd
	hold  io.Closer // the guard acts when it is closed
}

// endAll ends every process that works in or below directory $1: with signal $2,
// and after five seconds with KILL.
const endAll = `
working() { find /proc/[0-9]*/cwd -maxdepth 0 \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null | cut -d/ -f3; }
end() {
	signal=$2 rounds=0
	while pids=$(working "$1"); [ -n "$pids" ]; do
		kill -s "$signal" $pids 2>/dev/null
		rounds=$((rounds + 1))
		[ $rounds -lt 100 ] || signal=KILL
		sleep 0.05
	done
}
`

// Standard input ends when the test process is gone. A postmaster that was killed
// leaves a System V segment behind, which no directory holds.
const guardHome = endAll + `
read -r _
end "$1" QUIT
find "$1" -name postmaster.pid | while read -r file; do ipcrm -m "$(sed -n '7s/.* //p' "$file")"; done
rm -rf "$1"
`

const endNow = endAll + `end "$1" KILL`

// newHome makes a home, on a disk if it has to be there.
func newHome(disk bool) (*home, error) {
	h := &home{}
	base := os.TempDir()
	if os.Geteuid() == 0 {
		base = "/tmp" // that of root may be closed to others
		var err error
		if h.user, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	if !disk && roomy(memory) {
		base = memory
	}
	dir, err := os.MkdirTemp(base, "saaf-pgtest-")
	if err != nil {
		return nil, err
	}
	h.dir = dir
	if err := h.give(dir); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	h.guard = h.command("/bin/sh", "-c", guardHome, "guard", dir)
	h.guard.Dir = "/"
	h.hold, err = h.guard.StdinPipe()
	if err == nil {
		err = h.guard.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guard of %s: %w", dir, err), os.Remove(dir))
	}
	return h, nil
}

// A database is made in a thirtieth of the time in memory: it is 300 small files.
const memory = "/dev/shm"

// roomy reports whether dir has room for a few servers. In containers it is often
// tiny.
func roomy(dir string) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(dir, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= 2<<30
}

// unprivileged is the user that servers run as when the test runs as root.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// command runs name as the user of the home and in it, where no signal of the
// terminal reaches it.
func (h *home) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.user, Setsid: true}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "LC_ALL=C.UTF-8"}
	return cmd
}

// give makes path belong to the user of the home.
func (h *home) give(path string) error {
	if h.user == nil {
		return nil
	}
	return os.Chown(path, int(h.user.Uid), int(h.user.Gid))
}

// write makes a file of the home and returns its path.
func (h *home) write(name, text string) (string, error) {
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	return path, h.give(path)
}

// kill ends what works in dir, which is in the home, with SIGKILL. It returns when
// nothing of it is left.
func (h *home) kill(dir string) error {
	cmd := h.command("/bin/sh", "-c", endNow, "kill", dir)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kill what works in %s: %w\n%s", dir, err, out)
	}
	return nil
}

// close ends everything in the home and removes it.
func (h *home) close() error {
	_ = h.hold.Close()
	if err := h.guard.Wait(); err != nil {
		return fmt.Errorf("guard of %s: %w", h.dir, err)
	}
	return nil
}

// program finds a program of PostgreSQL: the newest that Debian has installed,
// or else what PATH holds.
func program(name string) (string, error) {
	var newest string
	var version float64
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is well-formed
	for _, path := range found {
		v, err := strconv.ParseFloat(strings.Split(path, "/")[4], 64)
		if err == nil && v > version {
			newest, version = path, v
		}
	}
	if newest != "" {
		return newest, nil
	}
	return lookPath(name)
}

// lookPath finds a program in PATH or in /usr/sbin, which the PATH of ordinary
// users leaves out.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing, which these tests need: run \"make setup\"", name)
	}
	return path, nil
}
