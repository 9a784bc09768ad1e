// Package dnd is the do-not-disturb registry: it reads the files that a
// telemarketer downloads, builds a snapshot file from them, maps that file into
// memory, looks numbers up and turns what it finds into verdicts.
//
// Three rules shape it. An answer that rests on nothing is never "clean": without
// a snapshot, or with one that is too old, the verdict is unknown. What cannot be
// understood blocks: an unknown operation counts as an addition, unreadable
// preferences as a full block. And a file set that looks half-read is refused as
// a whole, because an empty registry would make the country callable.
//
// The package must not know a database, a network or the environment, must not
// log, and must not let a number out: errors and reports name files and lines.
// Which snapshot is active is decided elsewhere and handed to [Registry.Use].
//
// Start reading at [Registry] and [View] for the serving side, at [Import] for
// the building side, and in format.go for the file between the two.
package dnd
