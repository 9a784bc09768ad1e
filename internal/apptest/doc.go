// Package apptest builds and starts the real program for tests.
package apptest
