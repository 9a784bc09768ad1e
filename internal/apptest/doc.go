// Package apptest builds and starts the real program for tests, and damages the log that a
// killed one has left.
package apptest
