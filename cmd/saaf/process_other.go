//go:build unix && !linux

package main

import (
	"os"
	"os/exec"
)

// thisProgram is the path of the running program.
func thisProgram() (string, error) { return os.Executable() }

// dieWithParent does nothing where the kernel has no such thing: a server that
// stops in order ends its imports itself.
func dieWithParent(*exec.Cmd) {}

// standBack lets others have the processor first, where a single thread can.
func standBack() {}
