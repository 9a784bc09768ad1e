package main

import (
	"os"
	"os/exec"
	"runtime"
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
const background = 19

// standBack gives a goroutine a thread of its own that lets all others have the
// processor first. Only the heavy work does that: a transaction in a thread that
// waits for the processor would keep everybody waiting for its lock. It is a favour:
// where it cannot be done, the work is done all the same.
func standBack() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), background)
}
