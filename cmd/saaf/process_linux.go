package main

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// thisProgram is the path of the running program. Through /proc it is the one that
// runs, also when an upgrade has put another one in its place: that one could bring
// the store to a schema which this one does not know.
func thisProgram() (string, error) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return os.Executable()
	}
	return "/proc/self/exe", nil
}

// dieWithParent has the kernel end a process when this one ends, however it does.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// background is the nice value of work that must not take time from requests.
const background = 10

// lowerPriority lets others have the processor first. It is a favour: where it
// cannot be done, the work is done all the same.
func lowerPriority() {
	// Linux keeps the value for each thread. Those that come later have it from the
	// one that makes them; twice, for one that was made while the list was read.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, background)
			}
		}
	}
}
