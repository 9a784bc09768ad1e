//go:build unix && !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// thisProgram is the path of the running program.
func thisProgram() (string, error) { return os.Executable() }

// dieWithParent does nothing where the kernel has no such thing: a server that
// stops in order ends its imports itself.
func dieWithParent(*exec.Cmd) {}

// background is the nice value of work that must not take time from requests.
const background = 10

// lowerPriority lets others have the processor first. It is a favour: where it
// cannot be done, the work is done all the same.
func lowerPriority() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, background) }
