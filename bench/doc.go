// Package bench measures saaf on this machine: every figure stands beside its limit,
// which is measured in the same run, and what was stored is checked afterwards. It
// starts the real program as a process of its own and talks to it over loopback.
//
// It knows nothing that a caller could not know, save the limits: the bare loops that
// it is compared with are in the packages whose work they do. Whether a figure is good
// enough is told and is no failure; what is stored and wrong is one.
package bench
