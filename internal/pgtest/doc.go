// Package pgtest starts PostgreSQL for tests: one server for each test process,
// a database of its own for each test, and around them what a deployment may put
// there. It knows nothing of saaf. The programs come from Debian's packages, which
// "make setup" installs; where one is missing the test fails.
//
// Nothing has to be stopped. Each server works in a directory that a guard, a
// process of its own, empties when the test process is gone, however it ended.
// The user of the servers is "postgres" or "nobody" where tests run as root,
// because they refuse to run as root. Linux only.
//
// Begin with [Database].
package pgtest
