// Package dnd is the do-not-disturb registry: it reads the files that a
// telemarketer downloads, builds a snapshot file from them, maps that file into
// memory, looks numbers up and turns what it finds into verdicts.
//
// A snapshot is one file, or a base file and at most one overlay file, which holds
// all that is otherwise than in the base: a delta of some thousand rows need not
// write half a gigabyte anew. No file is ever changed. An overlay names the hash of
// its base, so that the hash of the newest file fixes the whole content. Where an
// overlay would get too large, an import folds both into a new base.
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
// the building side, at [Diff] for what one snapshot has otherwise than another,
// and in format.go and overlay_format.go for the files between them.
package dnd
