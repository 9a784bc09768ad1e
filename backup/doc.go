// Package backup makes a whole copy of an embedded store beside its server, and puts one
// back: the database as it is at one moment, the registry snapshots that are kept and,
// only when that is asked for, the keys. A backup is a directory; [Manifest] says what is in
// it, and SHA256SUMS says it once more, for sha256sum -c.
//
// A directory has its name only when everything in it is on the disk. It must not change
// the store that it copies, and not put anything in the place of a store.
//
// Start reading at [Make] and [Restore].
package backup
